"""Sharpness-aware steps: gradients from where a loss is highest near by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from drugtail.models.stacked import BatchNorm

if TYPE_CHECKING:
    from drugtail.config.components.sharpness import SharpnessAware

# Added to the norm of a gradient that is divided by.
SMALLEST = 1e-12


def sharpness_aware_backward(
    settings: SharpnessAware,
    parameters: Sequence[nn.Parameter],
    network: nn.Module,
    first: Tensor,
    again: Callable[[], Tensor],
    counts: Tensor,
    labels: Tensor,
) -> None:
    """Put the gradient of a step into the parameters, each seed's by itself.

    SAM (Foret et al., ICLR 2021, equation 2): ∇L(w + ρ ∇L(w) / ‖∇L(w)‖). ImbSAM (Zhou et al., ICCV
    2023, arXiv:2308.07815): ∇L_head(w) + ∇L_tail(w + ρ ∇L_tail(w) / ‖∇L_tail(w)‖), the losses of
    head and tail classes being their molecules' shares of the batch's mean; which classes are the
    tail, ``settings.below`` says.

    Parameters
    ----------
    settings
        The component.
    parameters
        What is trained, each [S, ...], its gradient empty.
    network
        Statistics of its batch normalisation do not move a second time.
    first
        Losses of the molecules, [S, B], at the weights as they are.
    again
        Computes them anew, with the same random numbers.
    counts
        Training molecules per class, [C].
    labels
        Classes of the molecules, [S, B].
    """
    tail = torch.ones_like(first)
    if settings.below is not None:
        mean = counts.sum() / len(counts)
        small = (counts < settings.below * mean).to(first.dtype)
        # By comparing, not by an index, whose gradient has no fixed order.
        own = labels[:, :, None] == torch.arange(len(counts), device=labels.device)
        tail = (own * small).sum(dim=2)
    head = (first * (1 - tail)).mean(dim=1).sum()
    steep = torch.autograd.grad(
        (first * tail).mean(dim=1).sum(), parameters, retain_graph=True, allow_unused=True
    )
    if settings.below is not None:
        torch.autograd.backward(head)
    steps = _ascent(steep, settings.radius)
    with torch.no_grad():
        for parameter, step in zip(parameters, steps, strict=True):
            parameter.add_(step)
    with _still(network):
        torch.autograd.backward((again() * tail).mean(dim=1).sum())
    with torch.no_grad():
        for parameter, step in zip(parameters, steps, strict=True):
            parameter.sub_(step)


def _ascent(gradients: Sequence[Tensor | None], radius: float) -> list[Tensor | float]:
    """Return the steps of length `radius` along the gradients of each seed."""
    known = [g for g in gradients if g is not None]
    square = torch.stack([g.flatten(1).square().sum(dim=1) for g in known]).sum(dim=0)
    scale = radius / (square.sqrt() + SMALLEST)
    return [
        0.0 if g is None else g * scale.view(-1, *[1] * (g.dim() - 1)) for g in gradients
    ]  # fmt: skip


@contextmanager
def _still(network: nn.Module) -> Iterator[None]:
    """Keep the running statistics of our batch normalisations as they are."""
    layers = [module for module in network.modules() if isinstance(module, BatchNorm)]
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 0.0
    try:
        yield
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
