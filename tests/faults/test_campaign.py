"""A part of the campaign of faults, on every change; `make faults` is all of it."""

import pytest
from faults.campaign import KINDS, bench_of
from project import Project

# Whole runs and many writers have tests of their own in test_faults.py.
REPEATED = [kind for kind in KINDS if kind not in ("runs", "writers")]
SHARE = 0.1


@pytest.mark.parametrize("kind", REPEATED)
def test_no_fault_passes_in_silence_or_ends_in_a_traceback(finished: Project, kind: str) -> None:
    with bench_of(finished, seed=0, share=SHARE) as bench:
        tally = KINDS[kind](bench)
    assert not tally.failed, "\n\n".join(tally.failed[:5])
    assert tally.same + tally.refused > 0
