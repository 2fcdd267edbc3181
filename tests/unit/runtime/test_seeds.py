"""Seeds."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from other_process import python

from drugtail.runtime.seeds import derive_seed


def test_a_seed_is_the_same_in_every_process() -> None:
    code = (
        "from drugtail.runtime.seeds import derive_seed\n"
        "print(derive_seed('order', 'hiv', 'random-0', 3, 17))"
    )
    expected = int(hashlib.sha256(b"order\x1fhiv\x1frandom-0\x1f3\x1f17").hexdigest()[:16], 16) >> 1
    assert derive_seed("order", "hiv", "random-0", 3, 17) == expected == 4429443907688786495
    for salt in ("0", "1", "random"):
        assert python(code, PYTHONHASHSEED=salt) == str(expected)


@given(st.lists(st.one_of(st.integers(), st.text(max_size=8)), max_size=5))
def test_seeds_fit_every_generator(axes: list[str | int]) -> None:
    assert 0 <= derive_seed(*axes) < 2**63


def test_seeds_differ_along_every_axis() -> None:
    grid = [
        (stream, data, split, seed)
        for stream in ("order", "weights", "views")
        for data in ("hiv", "hi", "h")
        for split in ("random-0", "random-1", "vrandom-0")
        for seed in range(40)
    ]
    assert len({derive_seed(*axes) for axes in grid}) == len(grid)
    assert derive_seed("a", "bc") != derive_seed("ab", "c")
