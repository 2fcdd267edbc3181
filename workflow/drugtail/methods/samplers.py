"""Samplers: which molecules an epoch consists of, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from drugtail.runtime.registry import Registry

Sampler = Callable[[Any, Tensor, torch.Generator, float], Tensor]
SAMPLERS: Registry[Sampler] = Registry("sampler")


@SAMPLERS.register("instance")
def instance(settings: Any, labels: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """Every molecule once, in random order.

    Parameters
    ----------
    settings
        Settings of the component.
    labels
        Class of each training molecule, int64 [N].
    generator
        Source of randomness, on the device of `labels`.
    progress
        Share of the epochs that are over, in [0, 1).

    Returns
    -------
    Tensor
        Positions in `labels`, int64 [n]. n follows from the class sizes alone.
    """
    return torch.randperm(len(labels), generator=generator, device=labels.device)


@SAMPLERS.register("class_balanced")
def class_balanced(
    settings: Any, labels: Tensor, generator: torch.Generator, progress: float
) -> Tensor:
    """A class uniformly, then one of its molecules uniformly, with replacement; N draws.

    Kang et al., ICLR 2020 (arXiv:1910.09217). Parameters and result as in `instance`. Classes
    without training molecules are never drawn.
    """
    present = torch.bincount(labels).nonzero()[:, 0]
    which = torch.randint(len(present), (len(labels),), generator=generator, device=labels.device)
    return _members(labels, present[which], generator)


@SAMPLERS.register("square_root")
def square_root(
    settings: Any, labels: Tensor, generator: torch.Generator, progress: float
) -> Tensor:
    """A class with p_c ∝ √n_c, then one of its molecules uniformly, with replacement; N draws.

    Mahajan et al., ECCV 2018, after Kang et al., ICLR 2020. Parameters and result as in `instance`.
    """
    return _by_class(labels, torch.bincount(labels).double().sqrt(), generator)


@SAMPLERS.register("progressive")
def progressive(
    settings: Any, labels: Tensor, generator: torch.Generator, progress: float
) -> Tensor:
    """A class with p_c = (1 − t/T) π_c + (t/T) / C, then one of its molecules; N draws.

    Kang et al., ICLR 2020, equation 2. Parameters and result as in `instance`; t/T is `progress`.
    """
    counts = torch.bincount(labels).double()
    alike = (counts > 0) / (counts > 0).sum()
    return _by_class(labels, (1 - progress) * counts / counts.sum() + progress * alike, generator)


@SAMPLERS.register("reverse")
def reverse(settings: Any, labels: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """A class with p_c ∝ 1/n_c, then one of its molecules uniformly, with replacement; N draws.

    Zhou et al. (BBN), CVPR 2020. Parameters and result as in `instance`. Classes without training
    molecules are never drawn.
    """
    counts = torch.bincount(labels).double()
    return _by_class(labels, (1 / counts).where(counts > 0, 0.0), generator)


@SAMPLERS.register("undersample")
def undersample(
    settings: Any, labels: Tensor, generator: torch.Generator, progress: float
) -> Tensor:
    """At most k · n_min molecules of every class at a time, others each time; N draws.

    Random under-sampling (Japkowicz and Stephen, Intelligent Data Analysis 2002), drawn anew until
    an epoch has as many molecules, and the training as many updates, as that of any other method.
    Parameters and result as in `instance`; ``settings.multiple`` is k, and n_min is the size of the
    smallest class that has molecules.
    """
    counts = torch.bincount(labels)
    most = int(settings.multiple * int(counts[counts > 0].min()))
    drawn: list[Tensor] = []
    length = int(counts.clamp(max=most).sum())
    for _ in range(-(-len(labels) // length)):
        drawn.append(_at_most(most, labels, counts, generator))
    return torch.cat(drawn)[: len(labels)]


def _at_most(most: int, labels: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """At most so many molecules of each class, in random order."""
    order = torch.randperm(len(labels), generator=generator, device=labels.device)
    by_class = order[labels[order].argsort(stable=True)]
    rank = (
        torch.arange(len(labels), device=labels.device)
        - (counts.cumsum(0) - counts)[labels[by_class]]
    )
    kept = by_class[rank < most]
    return kept[torch.randperm(len(kept), generator=generator, device=labels.device)]


@SAMPLERS.register("oversample_once")
def oversample_once(
    settings: Any, labels: Tensor, generator: torch.Generator, progress: float
) -> Tensor:
    """⌊N/C⌋ molecules of each class, with replacement; the trainer draws them once.

    As the code of Su, Li, Wang (arXiv:2504.04647) does by default. Parameters and result as in
    `instance`; C counts the classes that have molecules.
    """
    present = torch.bincount(labels).nonzero()[:, 0]
    each = max(1, len(labels) // len(present))
    return _members(labels, present.repeat_interleave(each), generator)


@SAMPLERS.register("deferred")
def deferred(settings: Any, labels: Tensor, generator: torch.Generator, progress: float) -> Tensor:
    """`instance` for the first ``settings.start`` of the epochs, then `class_balanced`.

    Deferred re-sampling (DRS) of Cao et al., NeurIPS 2019. Parameters and result as in `instance`.
    """
    sampler = instance if progress < settings.start else class_balanced
    return sampler(settings, labels, generator, progress)


def _by_class(labels: Tensor, weight: Tensor, generator: torch.Generator) -> Tensor:
    """As many draws as molecules: a class by its weight, float64 [C], then one of its molecules."""
    bound = weight.cumsum(0)
    point = torch.rand(len(labels), generator=generator, device=labels.device, dtype=torch.float64)
    drawn = torch.searchsorted(bound, point * bound[-1], right=True)
    return _members(labels, drawn, generator)


def _members(labels: Tensor, drawn: Tensor, generator: torch.Generator) -> Tensor:
    """One molecule of each drawn class, uniformly."""
    counts = torch.bincount(labels)
    by_class = labels.argsort(stable=True)
    first = counts.cumsum(0) - counts
    fraction = torch.rand(
        len(drawn), generator=generator, device=labels.device, dtype=torch.float64
    )
    return by_class[first[drawn] + (fraction * counts[drawn]).long()]
