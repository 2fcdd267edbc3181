"""Structure-data files."""

from __future__ import annotations

import io
from pathlib import Path

import pandas as pd

from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS, TableFormat, decoded
from drugtail.runtime.errors import DrugtailError


@FORMATS.register("sdf")
class Sdf(TableFormat):
    """SDF: molecules with their data fields; columns are ``smiles``, ``name`` and the fields."""

    rank = 5

    def recognises(self, content: bytes, name: str) -> bool:
        """See `TableFormat.recognises`."""
        if name.endswith((".sdf", ".sd", ".mol")):
            return True
        return b"M  END" in content and b"$$$$" in content

    def read(self, content: bytes, layout: Layout, wanted: list[str], path: Path) -> pd.DataFrame:
        """See `TableFormat.read`.

        A record that is no molecule keeps its row, with ``unparsable_record`` for its SMILES.
        """
        # Here, since most tables need no RDKit.
        from rdkit import Chem, rdBase

        text = decoded(content, layout, path)
        if not text.rstrip().endswith(("$$$$", "M  END")):
            raise DrugtailError(
                f"{path}: is cut short: an SDF ends with $$$$; fetch or export it again"
            )
        rows = []
        with rdBase.BlockLogs():
            for molecule in Chem.ForwardSDMolSupplier(io.BytesIO(text.encode())):
                if molecule is None:
                    rows.append({"smiles": "unparsable_record", "name": ""})
                    continue
                fields = {"name": molecule.GetProp("_Name")} if molecule.HasProp("_Name") else {}
                rows.append(
                    {"smiles": Chem.MolToSmiles(molecule), **fields, **molecule.GetPropsAsDict(
                        includePrivate=False, includeComputed=False, autoConvertStrings=False
                    )}
                )  # fmt: skip
        if not rows:
            raise DrugtailError(f"{path}: has no records; fetch or export it again")
        return pd.DataFrame(rows).fillna("").astype(str)
