"""Combining several heads on one encoder by how unsure each of them is.

TLC: Li, Han, Li, Fu, Zhang, "Trustworthy Long-Tailed Classification", CVPR 2022.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

# η of TLC, the temperature of the experts' weights.
WEIGHT_TEMPERATURE = 0.2


@dataclass(frozen=True)
class Trust:
    """Weights of experts.

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
