"""Random numbers from their place."""

import math

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from drugtail.runtime.draws import Draws, at_least, step_keys


@settings(max_examples=50, deadline=None)
@given(key=st.integers(-(2**63), 2**63 - 1), n=st.integers(0, 300), longer=st.integers(0, 50))
def test_random_numbers_follow_from_their_place_alone(key: int, n: int, longer: int) -> None:
    first, second = (Draws(torch.tensor(key)) for _ in range(2))
    short, long = first.uniform(n), second.uniform(n + longer)
    assert torch.equal(short, long[:n])
    assert ((short >= 0) & (short < 1)).all()
    if n > 5:
        assert not torch.equal(first.uniform(n), short), "others at every call"
    # The same numbers by exact integers.
    mask = 2**64 - 1

    def mix(x: int) -> int:
        x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
        x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
        return x ^ (x >> 31)

    begin = mix((key + 0x9E3779B97F4A7C15) & mask)
    wanted = [(mix((begin + (i + 1) * 0x9E3779B97F4A7C15) & mask) >> 40) / 2**24 for i in range(n)]
    assert short.tolist() == wanted


def test_random_numbers_are_uniform_and_those_of_neighbouring_steps_unrelated() -> None:
    keys = step_keys(5, 200, torch.device("cpu"))
    numbers = torch.stack([Draws(key).uniform(500) for key in keys]).double()
    observed = torch.histc(numbers, 50, 0, 1)
    assert chisquare(observed.numpy()).pvalue > 1e-3
    for a, b in ((numbers[:, 1:], numbers[:, :-1]), (numbers[1:], numbers[:-1])):
        correlation = np.corrcoef(a.flatten(), b.flatten())[0, 1]
        assert abs(correlation) < 4 / math.sqrt(a.numel())


@given(
    keys=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=4),
    rate=st.one_of(
        st.floats(0, 1, exclude_max=True),
        st.just(math.nextafter(1, 0)),
        st.integers(0, 2**24 - 1).map(lambda k: k * 2.0**-24),
    ),
    shape=st.lists(st.integers(1, 9), min_size=1, max_size=3),
)
def test_comparing_bits_is_comparing_numbers(
    keys: list[int], rate: float, shape: list[int]
) -> None:
    drawn = torch.stack([Draws(torch.tensor(key)).uniform(*shape) for key in keys])
    assert torch.equal(at_least(torch.tensor(keys), rate, *shape), drawn >= rate)
