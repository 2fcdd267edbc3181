"""Samplers: which molecules an epoch consists of, and in which order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from drugtail.methods.registry import Registry

Sampler = Callable[[Any, Tensor, torch.Generator], Tensor]
SAMPLERS: Registry[Sampler] = Registry("sampler")


@SAMPLERS.register("instance")
def instance(settings: Any, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Every molecule once, in random order.

    Parameters
    ----------
    settings
        Unused; samplers share a signature.
    labels
        Class of each training molecule, int64 [N].
    generator
        Source of randomness, on the device of `labels`.

    Returns
    -------
    Tensor
        Positions in `labels`, int64 [N].
    """
    return torch.randperm(len(labels), generator=generator, device=labels.device)


@SAMPLERS.register("class_balanced")
def class_balanced(settings: Any, labels: Tensor, generator: torch.Generator) -> Tensor:
    """A class uniformly, then one of its molecules uniformly, with replacement; N draws.

    Kang et al., ICLR 2020 (arXiv:1910.09217). Parameters and result as in `instance`. Classes
    without training molecules are never drawn.
    """
    counts = torch.bincount(labels)
    present = counts.nonzero()[:, 0]
    drawn = present[_uniform(len(labels), len(present), generator, labels.device)]
    by_class = labels.argsort(stable=True)
    first = counts.cumsum(0) - counts
    fraction = torch.rand(
        len(labels), generator=generator, device=labels.device, dtype=torch.float64
    )
    return by_class[first[drawn] + (fraction * counts[drawn]).long()]


def _uniform(draws: int, choices: int, generator: torch.Generator, device: torch.device) -> Tensor:
    return torch.randint(choices, (draws,), generator=generator, device=device)
