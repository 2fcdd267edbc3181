"""Tables as people have them, at random: cells, separators, encodings, packing, and a register."""

from __future__ import annotations

import csv
import gzip
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from prepared import Prepared

from drugtail.config.base import validated
from drugtail.config.dataset import Dataset
from drugtail.data.fetch import fetch_dataset
from drugtail.data.prepare import prepare_dataset
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet

SMILES = st.one_of(
    st.sampled_from([
        "CCO", "OCC", "c1ccccc1", "CC(=O)O", "CC(=O)[O-].[Na+]", "C[C@H](N)O", "C[C@@H](N)O", "CCN",
        "[CH3:1][OH:2]", "[13CH4]", "*CC", "*", "C[Te]C", "InChI=1S/CH4/h1H4", "CC |$;_R1$|",
        "CC name", "C(", "aspirin", "", " ", "NA", "C" * 1200, "[Na+].[Cl-]", "CC\tx",
    ]),
    st.text(max_size=12),
    st.integers(1, 30).map(lambda n: "C" * n + "O"),
)  # fmt: skip
LABELS = st.one_of(
    st.sampled_from(["0", "1", "1.0", "0.0", "2"]),
    st.sampled_from(["Active", "active", "ACTIVE ", "inactive", "in active"]),
    st.sampled_from(["a", "b", "a|b", "b;a", "a b", "a, b"]),
    st.sampled_from(["", "NA", "nan", "null", "N/A", "-", "?", "0,0", "1,5", ">10", "3.7", "1e-5"]),
    st.text(max_size=6),
)
KINDS: list[dict[str, Any]] = [
    {}, {"spelling": "merge"}, {"spelling": "keep"}, {"missing": ["", "-"]},
    {"kind": "list", "separator": "|", "several": "first", "spelling": "merge"},
    {"kind": "list", "separator": " ", "several": "single_only", "spelling": "keep"},
    {"kind": "threshold", "below": 1.5}, {"kind": "threshold", "above": 0.0},
]  # fmt: skip


@dataclass
class RandomTable:
    """A table's bytes, and the register that goes with it."""

    content: bytes
    register: dict[str, Any]
    rows: int


@st.composite
def random_tables(draw: st.DrawFn) -> RandomTable:
    """Draw a table and a register; many do not fit together."""
    # Few kinds of labels in one table, as in a real one.
    labels = st.sampled_from(draw(st.lists(LABELS, min_size=1, max_size=5)))
    rows = draw(st.lists(st.tuples(SMILES, labels, st.text(max_size=5)), min_size=1, max_size=25))
    # A row of blank cells alone is no row.
    rows = [row if any(cell.strip() for cell in row) else ("CC", *row[1:]) for row in rows]
    separator = draw(st.sampled_from([",", ";", "\t", "|"]))
    quoting = draw(st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]))
    text = io.StringIO(newline="")
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerow(["smiles", "label", "remark"])
    writer.writerows(rows)
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    content = text.getvalue().encode(encoding, "replace")
    pack = draw(st.sampled_from([None, None, "gzip", "zip"]))
    if pack == "gzip":
        content = gzip.compress(content)
    elif pack == "zip":
        target = io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            archive.writestr("t.csv", content)
        content = target.getvalue()
    layout: dict[str, Any] = {"encoding": "latin-1"} if encoding == "latin-1" else {}
    if draw(st.booleans()):
        layout["separator"] = separator
    register: dict[str, Any] = {
        "name": "tiny", "title": "t", "task": "t", "licence": "l", "citation": "c",
        "files": [
            {"name": "tiny.csv", "columns": [], "sources": [{"path": "unset"}], **layout}
        ],
        "columns": {"smiles": "smiles", "label": "label"},
        "labels": draw(st.sampled_from(KINDS)),
        "classes": draw(st.sampled_from([None, {"0": "no", "1": "yes"}])),
        "molecules": {
            "standardize": draw(
                st.sampled_from(["as_published", "largest_fragment", "uncharged", "parent"])
            ),
            "wildcards": draw(st.sampled_from(["keep", "reject"])),
            "other_elements": draw(st.sampled_from(["keep", "reject"])),
        },
        "identity": draw(st.sampled_from(["smiles", "parent"])),
        "duplicates": draw(st.sampled_from(["keep", "drop"])),
        "conflicts": draw(st.sampled_from(["keep", "drop"])),
        "minimum_class_size": draw(st.sampled_from([1, 1, 2, 5])),
        "rare_classes": draw(st.sampled_from(["leave_out", "merge"])),
    }  # fmt: skip
    if register["labels"].get("kind") == "threshold" or register["classes"] is None:
        register.pop("classes")
    return RandomTable(content, register, len(rows))


def outcome_of(table: RandomTable, folder: Path) -> str:
    """Fetch and prepare a table; every row must be accounted for, or one error says why.

    Returns
    -------
    str
        ``prepared``, or the message of the error.
    """
    source = folder / "source.csv"
    source.write_bytes(table.content)
    register = table.register
    register["files"][0]["sources"] = [{"path": str(source)}]
    try:
        dataset = validated(Dataset, register, "tiny.yaml")
        fetch_dataset(dataset, folder / "raw")
        prepare_dataset(dataset, folder / "raw", folder / "out")
    except DrugtailError as error:
        return str(error)
    found = Prepared(folder / "out")
    accepted = found.molecules["row"].tolist()
    aside = found.rejected["row"].astype(int).tolist()
    assert sorted([*accepted, *aside]) == list(range(1, table.rows + 1)), "a row is lost"
    summary = read_json(folder / "out/dataset.json")
    counts = {key: sum(summary[key].values()) for key in ("rejected", "left_out", "merged")}
    assert summary["rows"] == table.rows == summary["molecules"] + sum(counts.values())
    assert (found.rejected["reason"] != "").all()
    molecules = read_parquet(folder / "out/molecules.parquet")
    assert (molecules[["smiles", "parent", "label_name"]] != "").all(axis=None)
    return "prepared"
