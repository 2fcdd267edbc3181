"""Changing a trained last layer, s = W h + b, for prediction.

Kang et al., "Decoupling Representation and Classifier for Long-Tailed Recognition", ICLR 2020;
Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021. The representation h is
everything before the last layer: the encoder and the hidden layers of the head.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.methods.losses import negative_log_likelihood
from drugtail.runtime.registry import Registry


@dataclass(frozen=True)
class FittedLayer:
    """A trained last layer, s = W h + b, and the molecules that its change is fitted to.

    Attributes
    ----------
    weight, bias : Tensor
        W, [C, H], and b, [C].
    features, labels : Tensor
        h and class of the molecules of the subset that the settings name (``fitted_on``), [n, H]
        and int64 [n].
    """

    weight: Tensor
    bias: Tensor
    features: Tensor
    labels: Tensor


# Components whose settings name a subset (``fitted_on``) take the settings and a `FittedLayer` and
# return a changed W and b; the others take the settings and the class sizes, [C], and return what
# is added to the logits at validation and prediction, [C].
Posthoc = Callable[[Any, Any], Any]
POSTHOC: Registry[Posthoc] = Registry("posthoc change")


@POSTHOC.register("logit_adjustment")
def logit_adjustment(settings: Any, counts: Tensor) -> Tensor:
    """`log_prior_shift` with ``settings.tau``."""
    return log_prior_shift(counts, settings.tau)


@POSTHOC.register("tau_norm")
def tau_norm(settings: Any, layer: FittedLayer) -> tuple[Tensor, Tensor]:
    """`tau_normalised` by validation molecules; ``settings.steps`` values of τ besides 0."""
    return tau_normalised(
        layer.weight, layer.bias, layer.features, layer.labels, steps=settings.steps
    )


@POSTHOC.register("nearest_class_mean")
def class_means_as_weights(settings: Any, layer: FittedLayer) -> tuple[Tensor, Tensor]:
    """`nearest_class_mean` of the training molecules."""
    return nearest_class_mean(layer.features, layer.labels, len(layer.weight))


def log_prior_shift(counts: Tensor, tau: float) -> Tensor:
    """−τ log π, float32 [C], what is added to the logits at prediction (Menon et al., equation 9).

    Parameters
    ----------
    counts
        Training molecules per class, all at least 1, [C].
    tau
        τ.
    """
    return (-tau * (counts.double() / counts.sum()).log()).float()


def tau_normalised(
    weight: Tensor, bias: Tensor, features: Tensor, labels: Tensor, *, steps: int = 20
) -> tuple[Tensor, Tensor]:
    """W with rows w_c / ‖w_c‖^τ and no bias, τ chosen for the best balanced accuracy.

    Kang et al., section 4.2. Among τ of equal balanced accuracy the one with the lowest mean loss
    over classes is taken.

    Parameters
    ----------
    weight, bias
        W, [C, H], and b, [C].
    features, labels
        Of the validation molecules, [V, H] and int64 [V].
    steps
        τ is tried at 0, 1/steps, …, 1.

    Returns
    -------
    weight : Tensor
        [C, H].
    bias : Tensor
        Zeros, [C].
    """
    length = weight.norm(dim=1, keepdim=True).clamp(min=torch.finfo(weight.dtype).tiny)
    # Divided by the mean length, so that logits keep their size whatever τ is.
    tried = [weight * (length.mean() / length) ** (step / steps) for step in range(steps + 1)]
    best = max(tried, key=lambda rows: _score(features @ rows.T, labels))
    return best, torch.zeros_like(bias)


def nearest_class_mean(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """W with rows μ_c / ‖μ_c‖ and no bias: the class whose mean has the largest cosine with h.

    Kang et al., section 4.2 (NCM), with cosine similarity; what would divide by ‖h‖ is left out,
    as all classes share it. As probabilities, the softmax is as sharp as the features are large.

    Parameters
    ----------
    features, labels
        Of the training molecules, [N, H] and int64 [N]; every class occurs.
    classes
        C.

    Returns
    -------
    weight : Tensor
        [C, H].
    bias : Tensor
        Zeros, [C].
    """
    member = (labels[:, None] == torch.arange(classes, device=labels.device)).to(features.dtype)
    mean = (member / member.sum(dim=0)).T @ features
    return F.normalize(mean, dim=1), mean.new_zeros(classes)


def _score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Balanced accuracy, and minus the mean over classes of the loss."""
    member = (labels[:, None] == labels.unique()).double()
    member = member / member.sum(dim=0)
    right = (logits.argmax(dim=1) == labels).double()
    losses = negative_log_likelihood(logits, labels).double()
    return float((right @ member).mean()), -float((losses @ member).mean())
