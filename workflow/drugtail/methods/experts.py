"""Several heads on one encoder: what they learn, and how they are combined.

RIDE (Wang et al., ICLR 2021) and TLC (Li, Han, Li, Fu, Zhang, CVPR 2022) give every expert the last
block of a residual network of its own. Here the encoder is three graph convolutions, all of which
the experts share, and each has its own head: hidden layers and last layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.methods.losses import LOSSES, Outcome, is_own, with_margins

# η of TLC, the temperature of the experts' weights.
WEIGHT_TEMPERATURE = 0.2


@LOSSES.register("diverse_experts")
def diverse_experts(settings: Any, batch: Outcome) -> Tensor:
    """Σ_e [ margin loss of expert e − λ T̄² KL(mean ‖ e) ], RIDE (Wang et al., ICLR 2021).

    The margin loss is that of `ldam` where the last layer is a cosine, else with a scale of 1.
    Experts are compared at a temperature per class, T_c ∝ 1 − ρ + ρ C π_c with maximum 1 and mean
    T̄: lower for rare classes, on which experts shall differ more. No gradient flows into the mean.
    ``settings.diversity`` is λ, ``settings.spread`` ρ. As in the authors' configurations, the
    recipe adds the class weights of `ldam_drw` for the last fifth of the epochs; here they count
    for the divergence, too, and temperatures differ from the first epoch on.

    Changed for molecules: experts share the whole encoder, since three graph convolutions leave no
    last block to give each of its own. Of their two stages only the first is taken: the router that
    saves experts at prediction does not change what they learn. Parameters and result as in
    `cross_entropy`.
    """
    own = is_own(batch.labels, len(batch.counts))
    adjusted = with_margins(batch.experts, batch, settings.margin)
    losses = -(adjusted.log_softmax(dim=2) * own).sum(dim=2)
    temperature = 1 - settings.spread + settings.spread * len(batch.counts) * batch.prior
    temperature = temperature / temperature.max()
    mean = (batch.experts.mean(dim=0) / temperature).log_softmax(dim=1).detach()
    each = (batch.experts / temperature).log_softmax(dim=2)
    divergence = (mean.exp() * (mean - each)).sum(dim=2)
    apart: Tensor = settings.diversity * temperature.mean() ** 2 * divergence
    return (losses - apart).sum(dim=0)


@LOSSES.register("trustworthy_experts")
def trustworthy_experts(settings: Any, batch: Outcome) -> Tensor:
    """Σ_e [w_e > θ max_B w_e] · ( −log softmax(s)_y + a · KL(Dir(α̃) ‖ Dir(1)) ), TLC.

    Li, Han, Li, Fu, Zhang, CVPR 2022, with the margins of `ldam` on the logits s of an expert. α̃ is
    exp(s) + 1 for wrong classes and 1 for the true one, so that the second term drives the evidence
    of wrong classes to none; a grows from 0 to ``settings.divergence`` with the epochs, 0.015 being
    what the authors' 200 epochs end with. Weights w are those of `trust`; an expert learns a
    molecule only where its weight is above ``settings.threshold`` = θ of the batch's largest, and
    its loss is the mean over those. The recipe's class weights are those of `diverse_experts`; here
    they count for the divergence, too. Left out is the divergence from the experts' mean that the
    authors' code subtracts with a factor of 0.01.

    The first term takes exp(s) for the evidence. With exp(s) + 1, as in the uncertainty, it has no
    gradient where there is no evidence for any class: the loss is flat at log C.
    Changed for molecules: experts share the whole encoder, as in `diverse_experts`. Parameters and
    result as in `cross_entropy`.
    """
    own = is_own(batch.labels, len(batch.counts))
    weight = trust(batch.experts.detach()).weight
    learned = weight > settings.threshold * weight.amax(dim=1, keepdim=True)
    logits = with_margins(batch.experts, batch, settings.margin)
    likelihood = -(logits.log_softmax(dim=2) * own).sum(dim=2)
    wrong = torch.where(own, 1.0, logits.exp() + 1)
    each = likelihood + settings.divergence * batch.progress * divergence_from_uniform(wrong)
    share = learned / learned.to(each.dtype).mean(dim=1, keepdim=True)
    total: Tensor = (share * each).sum(dim=0)
    return total


def divergence_from_uniform(alpha: Tensor) -> Tensor:
    """KL( Dir(α) ‖ Dir(1, …, 1) ), [...], of α, [..., C].

    log Γ(S) − log Γ(C) − Σ log Γ(α_c) + Σ (α_c − 1)(ψ(α_c) − ψ(S)) (Sensoy et al., NeurIPS 2018).
    """
    # Differences of large numbers.
    double = alpha.double()
    total = double.sum(dim=-1, keepdim=True)
    normal = total.lgamma()[..., 0] - double.lgamma().sum(dim=-1) - math.lgamma(alpha.shape[-1])
    rest = ((double - 1) * (double.digamma() - total.digamma())).sum(dim=-1)
    return (normal + rest).to(alpha.dtype)


@dataclass(frozen=True)
class Trust:
    """How far experts are believed.

    Attributes
    ----------
    weight : Tensor
        w, [..., E, B]: how unsure the experts before this one are, and how much they agree.
    uncertainty : Tensor
        u = C / S of each expert, in (0, 1], [..., E, B].
    """

    weight: Tensor
    uncertainty: Tensor


def trust(experts: Tensor) -> Trust:
    """Weights of the experts of TLC from their logits, [..., E, B, C].

    With α = exp(s) + 1, S = Σ α, u = C/S and beliefs b = (α − 1)/S, the conflict between an expert
    and the next is K = Σ_{i≠j} b_i b'_j, and w_1 = 1, w_{m+1} = w_m · u_m / (1 − K), K being 0
    before the second (Li et al., CVPR 2022, equations 5 to 8, and the order of their code).
    """
    classes = experts.shape[-1]
    log_sum = F.softplus(experts).logsumexp(dim=-1)
    belief = (experts - log_sum[..., None]).exp()
    uncertainty = classes * (-log_sum).exp()
    weights = [torch.ones_like(log_sum[..., 0, :])]
    conflict = torch.zeros_like(weights[0])
    for m in range(experts.shape[-3] - 1):
        if m > 0:
            before, here = belief[..., m - 1, :, :], belief[..., m, :, :]
            same = (before * here).sum(dim=-1)
            conflict = before.sum(dim=-1) * here.sum(dim=-1) - same
        room = (1 - conflict).clamp(min=torch.finfo(experts.dtype).eps)
        weights.append(weights[-1] * uncertainty[..., m, :] / room)
    return Trust(torch.stack(weights, dim=-2), uncertainty)


def combine_by_evidence(experts: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of the experts of TLC averaged by softmax(w / 0.2), and the uncertainty of the mean.

    Where the first expert is sure, its w is 1 and the others' next to 0: it decides alone, as the
    others never learned such molecules. Where it is not, all count alike.

    Changed here: the authors' code divides each expert's exp(w / 0.2) by its sum over the batch,
    not over the experts. Of a molecule that the first expert is sure of, all have equal shares
    then, those that know only the hard molecules as well; and a prediction hangs on what else is
    asked. The authors report the w of an expert after the last as the uncertainty.

    Parameters
    ----------
    experts
        Logits of every expert, [..., E, B, C].

    Returns
    -------
    logits : Tensor
        [..., B, C].
    uncertainty : Tensor
        u = C / S of these logits, in (0, 1], [..., B].
    """
    share = (trust(experts).weight / WEIGHT_TEMPERATURE).softmax(dim=-2)
    logits = (share[..., None] * experts).sum(dim=-3)
    uncertainty = experts.shape[-1] * (-F.softplus(logits).logsumexp(dim=-1)).exp()
    return logits, uncertainty
