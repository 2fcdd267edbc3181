"""Feed random tables to `fetch` and `prepare`, and count what becomes of them.

    python tests/benchmarks/any_table.py [5000]

It ends with an error at the first traceback, or the first row that is neither a molecule nor
in rejected.csv; the table is shown.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hypothesis import HealthCheck, given, settings
from random_tables import RandomTable, outcome_of, random_tables


def main() -> None:
    """Run the campaign and print the kinds of outcomes."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 5_000
    seen: Counter[str] = Counter()

    @settings(
        max_examples=number, deadline=None, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(random_tables())
    def one(table: RandomTable) -> None:
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
            found = outcome_of(table, Path(folder))
        # The message without its names and numbers.
        kind = re.sub(
            r"'[^']*'|\d+|/\S+", "…", found.splitlines()[-1 if found == "prepared" else 0]
        )
        seen[kind[:90]] += 1

    one()
    print(f"{sum(seen.values()):,} tables")
    for kind, count in seen.most_common(25):
        print(f"{count:6,}  {kind}")


if __name__ == "__main__":
    main()
