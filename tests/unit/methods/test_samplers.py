"""Samplers."""

import pytest
import torch
from class_sizes import LONG_TAIL, seeded, shuffled_labels
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from drugtail.config.components.samplers import DeferredSampler, UndersampleSampler
from drugtail.methods.samplers import SAMPLERS

SIZES = st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(lambda sizes: sum(sizes) > 0)


def draw(name: str, labels: Tensor, seed: int) -> Tensor:
    return SAMPLERS[name](None, labels, seeded(seed), 0.0)


@given(sizes=SIZES, seed=st.integers(0, 2**62))
@settings(max_examples=50, deadline=None)
def test_instance_sampler_draws_every_molecule_once(sizes: list[int], seed: int) -> None:
    drawn = draw("instance", shuffled_labels(sizes), seed)
    assert sorted(drawn.tolist()) == list(range(sum(sizes)))


@given(sizes=SIZES, seed=st.integers(0, 2**62))
@settings(max_examples=50, deadline=None)
def test_class_balanced_sampler_draws_n_existing_molecules(sizes: list[int], seed: int) -> None:
    labels = shuffled_labels(sizes)
    drawn = draw("class_balanced", labels, seed)
    assert drawn.dtype == torch.int64
    assert len(drawn) == len(labels)
    assert drawn.min() >= 0
    assert drawn.max() < len(labels)


@pytest.mark.parametrize("name", ["instance", "class_balanced"])
def test_sampling_depends_on_its_generator_alone(name: str) -> None:
    labels = shuffled_labels([50, 30, 20])
    torch.manual_seed(1)
    first = draw(name, labels, 7)
    torch.manual_seed(2)
    assert torch.equal(draw(name, labels, 7), first)
    assert not torch.equal(draw(name, labels, 8), first)


def test_instance_sampler_puts_every_molecule_anywhere() -> None:
    labels = shuffled_labels([6])
    table = torch.zeros(6, 6)
    generator = seeded(0)
    for _ in range(6000):
        table[torch.arange(6), SAMPLERS["instance"](None, labels, generator, 0.0)] += 1
    assert chisquare(table.flatten().numpy()).pvalue > 1e-3


def test_class_balanced_sampler_draws_classes_and_molecules_within_them_uniformly() -> None:
    labels = shuffled_labels([200, 40, 9, 1])
    generator = seeded(0)
    drawn = torch.cat(
        [SAMPLERS["class_balanced"](None, labels, generator, 0.0) for _ in range(200)]
    )
    per_class = torch.bincount(labels[drawn], minlength=4)
    assert chisquare(per_class.numpy()).pvalue > 1e-3
    per_molecule = torch.bincount(drawn, minlength=len(labels))
    for label in (0, 1, 2):
        assert chisquare(per_molecule[labels == label].numpy()).pvalue > 1e-3


def test_classes_without_molecules_are_never_drawn_and_take_no_share() -> None:
    labels = torch.tensor([1] * 30 + [4] * 10)
    generator = seeded(0)
    drawn = torch.cat(
        [SAMPLERS["class_balanced"](None, labels, generator, 0.0) for _ in range(500)]
    )
    counts = torch.bincount(labels[drawn], minlength=6).tolist()
    assert [counts[c] for c in (0, 2, 3, 5)] == [0] * 4
    assert chisquare([counts[1], counts[4]]).pvalue > 1e-3


SHARES = {
    "square_root": lambda n, t: n**0.5 / sum(m**0.5 for m in LONG_TAIL),
    "reverse": lambda n, t: (1 / n) / sum(1 / m for m in LONG_TAIL),
    "progressive": lambda n, t: (1 - t) * n / sum(LONG_TAIL) + t / len(LONG_TAIL),
}


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("name", [*SHARES])
def test_a_sampler_draws_classes_by_its_formula_and_molecules_within_them_uniformly(
    name: str, progress: float
) -> None:
    labels, generator = shuffled_labels(LONG_TAIL), seeded(1)
    drawn = torch.cat([SAMPLERS[name](None, labels, generator, progress) for _ in range(100)])
    assert len(drawn) == 100 * len(labels)
    wanted = [SHARES[name](n, progress) * len(drawn) for n in LONG_TAIL]
    assert chisquare(torch.bincount(labels[drawn], minlength=4).numpy(), wanted).pvalue > 1e-5
    per_molecule = torch.bincount(drawn, minlength=len(labels))
    for label in range(4):
        assert chisquare(per_molecule[labels == label].numpy()).pvalue > 1e-5


@given(sizes=SIZES, seed=st.integers(0, 2**62), progress=st.floats(0, 0.999))
@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("name", [*SHARES])
def test_a_sampler_draws_existing_molecules_alone(
    name: str, sizes: list[int], seed: int, progress: float
) -> None:
    labels = shuffled_labels(sizes)
    drawn = SAMPLERS[name](None, labels, seeded(seed), progress)
    assert len(drawn) == len(labels)
    assert 0 <= drawn.min() <= drawn.max() < len(labels)


@given(sizes=SIZES, seed=st.integers(0, 2**62), multiple=st.sampled_from([1.0, 1.5, 3.0]))
@settings(max_examples=50, deadline=None)
def test_undersampling_takes_molecules_once_and_at_most_so_many_times_the_smallest_class(
    sizes: list[int], seed: int, multiple: float
) -> None:
    labels = shuffled_labels(sizes)
    part = UndersampleSampler(name="undersample", multiple=multiple)
    drawn = SAMPLERS["undersample"](part, labels, seeded(seed), 0.0)
    assert len(drawn) == len(labels)
    most = int(multiple * min(n for n in sizes if n))
    allowed = [min(n, most) for n in sizes]
    passes = drawn.split(sum(allowed))
    for one in passes:
        assert len(one.unique()) == len(one)
        counts = torch.bincount(labels[one], minlength=len(sizes)).tolist()
        if one is passes[-1]:
            assert all(n <= most for n, most in zip(counts, allowed, strict=True))
        else:
            assert counts == allowed


def test_undersampling_shows_every_molecule_equally_often_within_its_class() -> None:
    labels, generator = shuffled_labels([60, 30, 6]), seeded(0)
    part = UndersampleSampler(name="undersample")
    drawn = [SAMPLERS["undersample"](part, labels, generator, 0.0) for _ in range(2000)]
    per_molecule = torch.bincount(torch.cat(drawn), minlength=96)
    for label in range(2):
        assert chisquare(per_molecule[labels == label].numpy()).pvalue > 1e-5
    places = torch.stack([labels[order] for order in drawn])
    assert chisquare((places == 0).sum(0).numpy()).pvalue > 1e-5, "in random order"


def test_deferred_sampling_is_instance_and_then_class_balanced() -> None:
    labels, part = shuffled_labels([50, 5]), DeferredSampler(name="deferred", start=0.8)
    for progress, name in ((0.0, "instance"), (0.79, "instance"), (0.8, "class_balanced")):
        found = SAMPLERS["deferred"](part, labels, seeded(3), progress)
        assert torch.equal(found, SAMPLERS[name](None, labels, seeded(3), progress))


@given(sizes=SIZES, seed=st.integers(0, 2**62))
@settings(max_examples=40, deadline=None)
def test_oversampling_once_takes_as_many_of_each_class(sizes: list[int], seed: int) -> None:
    labels = shuffled_labels(sizes)
    drawn = SAMPLERS["oversample_once"](None, labels, seeded(seed), 0.0)
    present = [n for n in sizes if n]
    each = max(1, sum(sizes) // len(present))
    counts = torch.bincount(labels[drawn], minlength=len(sizes)).tolist()
    assert counts == [each if n else 0 for n in sizes]


def test_every_sampler_there_is_has_a_test_of_its_own() -> None:
    assert set(SAMPLERS.names()) == {*SHARES, "instance", "class_balanced", "undersample",
                                     "deferred", "oversample_once"}  # fmt: skip
