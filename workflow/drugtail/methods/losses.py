"""Classification losses, per molecule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from drugtail.methods.registry import Registry

Loss = Callable[[Any, Tensor, Tensor, Tensor], Tensor]
LOSSES: Registry[Loss] = Registry("loss")


@LOSSES.register("cross_entropy")
def cross_entropy(settings: Any, logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy, −log softmax(s)_y.

    Parameters
    ----------
    settings
        Unused; losses share a signature.
    logits
        s, [B, C].
    labels
        y, int64 [B].
    counts
        Training molecules per class n, [C].

    Returns
    -------
    Tensor
        Loss per molecule, [B].
    """
    return negative_log_likelihood(logits, labels)


@LOSSES.register("balanced_softmax")
def balanced_softmax(settings: Any, logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy of s + log n (Ren et al., NeurIPS 2020, equation 4).

    Parameters and result as in `cross_entropy`. A class without training molecules takes no part.
    """
    return negative_log_likelihood(logits + counts.to(logits.dtype).log(), labels)


@LOSSES.register("logit_adjustment")
def logit_adjustment(settings: Any, logits: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    """Cross-entropy of s + τ log π (Menon et al., ICLR 2021, equation 10).

    Parameters and result as in `cross_entropy`; ``settings.tau`` is τ. τ = 1 is
    `balanced_softmax`, since log π and log n differ by a constant.
    """
    prior = (counts.to(logits.dtype) / counts.sum()).log()
    # A class without training molecules takes no part, also where τ is 0.
    shift = torch.where(counts > 0, settings.tau * prior, prior)
    return negative_log_likelihood(logits + shift, labels)


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """−log softmax(s)_y of each molecule, [B], from logits [B, C] and labels int64 [B]."""
    # What PyTorch's own function becomes when mapped over seeds has a gradient that is scattered,
    # which takes a GPU a sort to do in order.
    own = labels[:, None] == torch.arange(logits.shape[1], device=labels.device)
    return logits.logsumexp(dim=1) - logits.where(own, 0.0).sum(dim=1)


def weighted_mean(losses: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Mean over molecules of w_y times the loss.

    Class weights have mean 1 over classes, so the sum is divided by the number of molecules and
    not by the sum of their weights.

    Parameters
    ----------
    losses, labels
        [B].
    weights
        Class weights w, [C].
    """
    return (weights[labels] * losses).mean()
