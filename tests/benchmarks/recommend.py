"""Measure how long `drugtail recommend` takes for 2,000 drugs of ten classes.

    python tests/benchmarks/recommend.py TABLE

TABLE is the published file of `mesh_drug_class`, all_chem_df.csv.gz: 2,000 drugs are drawn from its
ten largest labels. Let nothing else run beside it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import pandas as pd
from project import make_project


def main() -> None:
    """Print the seconds of a first start and of a second."""
    table = pd.read_csv(sys.argv[1])
    largest = table["tags"].value_counts().index[:10]
    drawn = table[table["tags"].isin(largest)].sample(2_000, random_state=1)
    with tempfile.TemporaryDirectory() as folder:
        project = make_project(Path(folder))
        drawn[["smiles", "tags"]].to_csv(project.folder / "drugs.csv", index=False)
        for start in ("first", "second"):
            begun = time.monotonic()
            project.run("drugtail", "recommend", "drugs.csv")
            print(f"{start} start: {time.monotonic() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()
