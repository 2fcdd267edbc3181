"""Compare the predictions of two results folders, bit for bit.

    python tests/benchmarks/same_predictions.py BEFORE AFTER

Blocks are matched by data set, split, encoder, method and seeds; digests in folder names do not
count, and an earlier name of a column or a method does not either. It ends with status 1 if a block
is missing or any number differs.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

RENAMED = {"part": "subset"}
METHODS = {"class_distance_as_published": "class_distance_official_code"}


def blocks(results: Path) -> dict[tuple[str, ...], Path]:
    """Return the folder of every block by data set, split, encoder, method and seeds."""
    found = {}
    for path in sorted(results.glob("runs/*/*/*/*/seeds*/predictions.parquet")):
        dataset, split, encoder, folder, seeds = path.parts[-6:-1]
        method = folder.rpartition("-")[0] if "-" in folder else folder
        found[dataset, split, encoder, METHODS.get(method, method), seeds] = path
    return found


def main(before: str, after: str) -> int:
    """Print a line per block; return the exit status."""
    first, second = blocks(Path(before)), blocks(Path(after))
    faults = 0
    for key in sorted(first.keys() | second.keys()):
        if key not in first or key not in second:
            state = "missing"
        else:
            frames = [
                pd.read_parquet(side[key]).rename(columns=RENAMED) for side in (first, second)
            ]
            state = "equal" if frames[0].equals(frames[1]) else "different"
        faults += state != "equal"
        print(f"{state:9}  {'/'.join(key)}")
    print(f"{len(first.keys() & second.keys())} blocks compared, {faults} faults")
    return int(faults > 0 or not first)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
