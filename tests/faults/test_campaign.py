"""A part of the campaign of faults, on every change; `make faults` is all of it."""

import pytest
from faults.campaign import KINDS, bench_of
from project import Project

# Of the tries of each kind. Whole runs, and many writers, are killed and started in test_faults.py.
SHARES = {
    "damage": 0.1,
    "configurations": 0.1,
    "rows": 0.1,
    "downloads": 0.1,
    "commands": 0.1,
    "disks": 0.1,
}


@pytest.mark.parametrize("kind", SHARES)
def test_no_fault_passes_in_silence_or_ends_in_a_traceback(finished: Project, kind: str) -> None:
    with bench_of(finished, seed=0, share=SHARES[kind]) as bench:
        tally = KINDS[kind](bench)
    assert not tally.failed, "\n\n".join(tally.failed[:5])
    assert tally.same + tally.refused > 0
