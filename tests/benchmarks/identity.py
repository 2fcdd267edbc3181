"""Measure reading molecules with their three identities, against RDKit's plain parsing.

    python tests/benchmarks/identity.py [TABLE [COLUMN]]

TABLE is any table with SMILES, by default the embedded demo; rates are molecules per second and
core, both from one run.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rdkit import Chem, rdBase

from drugtail.data.generate import generate_reactions
from drugtail.data.identity import identify_all
from drugtail.data.tables import read_table

MOST = 20_000


def main() -> None:
    """Print the two rates and their ratio."""
    if len(sys.argv) > 1:
        column = sys.argv[2] if len(sys.argv) > 2 else "smiles"
        texts = read_table(Path(sys.argv[1]), [column])[column].drop_duplicates().tolist()[:MOST]
    else:
        texts = generate_reactions()["smiles"].tolist()
    # A first round, so that nothing is loaded while it is measured.
    identify_all(texts[:100])
    started = time.perf_counter()
    with rdBase.BlockLogs():
        for text in texts:
            Chem.MolFromSmiles(text)
    parsed = time.perf_counter()
    identify_all(texts)
    identified = time.perf_counter()
    rates = [len(texts) / (parsed - started), len(texts) / (identified - parsed)]
    print(f"{len(texts):,} molecules")
    print(f"parsing alone                        {rates[0]:8,.0f} per second")
    print(f"canonical SMILES, parent, scaffold   {rates[1]:8,.0f} per second")
    print(f"ratio                                {rates[1] / rates[0]:8.2f}")


if __name__ == "__main__":
    main()
