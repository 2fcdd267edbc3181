"""Formulas of contrastive losses over two views per molecule."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Variant = Literal["paper", "official_code"]

BASE_TEMPERATURE = 0.07


def supervised_contrastive(views: Tensor, labels: Tensor, *, temperature: float) -> Tensor:
    """Supervised contrastive loss (Khosla et al., NeurIPS 2020, equation 2).

    For anchor i with positives P_i (all other views of its class) and V_i (all other views):
    −1/|P_i| Σ_{p∈P_i} log( exp(z_i·z_p/τ) / Σ_{a∈V_i} exp(z_i·z_a/τ) ), averaged over anchors.

    Parameters
    ----------
    views
        L2-normalised embeddings of two views per molecule, [B, 2, D].
    labels
        Class of each molecule, int64 [B].
    temperature
        τ > 0.

    Returns
    -------
    Tensor
        The loss, a scalar.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the temperature is not above 0.
    """
    _check(temperature, views, labels)
    similarity, others = _pairs(views)
    positive = _equal(labels) & others
    return _mean_log_ratio(similarity / temperature, positive, others)


def subcluster_contrastive(
    views: Tensor,
    labels: Tensor,
    subclusters: Tensor,
    *,
    temperature: float,
    class_temperature: Tensor,
    beta: float,
    variant: Variant = "paper",
) -> Tensor:
    """Two-level contrastive loss: within the sub-cluster, and between classes.

    For anchor i, M_i are the other views in its sub-cluster, P_i those of its class, V_i all:

    - −1/|M_i| Σ_{p∈M_i} log( exp(z_i·z_p/τ1) / Σ_{a∈V_i} exp(z_i·z_a/τ1) )
    - + β · −1/|P_i∖M_i| Σ_{p∈P_i∖M_i} log( exp(z_i·z_p/τ2) / Σ_{a∈V_i∖M_i} exp(z_i·z_a/τ2) )

    The authors' code differs (variant ``official_code``): the first term is multiplied by
    τ1/0.07, and in the second one the anchor's own other view always counts as positive and in
    the denominator, although it lies in the same sub-cluster.

    Either term is the mean over the anchors whose positive set is not empty; without any such
    anchor it is 0. Su, Li, Wang (arXiv:2504.04647), two levels as in Hou et al. (SBCL, ICCV 2023).

    Parameters
    ----------
    views
        L2-normalised embeddings of two views per molecule, [B, 2, D].
    labels
        Class of each molecule, int64 [B].
    subclusters
        Sub-cluster of each molecule, int64 [B], numbered over all classes.
    temperature
        τ1 > 0.
    class_temperature
        τ2 of each class, all above 0, [C].
    beta
        β, weight of the class-level term.
    variant
        ``paper`` (default) or ``official_code``.

    Returns
    -------
    Tensor
        The loss, a scalar.

    Raises
    ------
    ValueError
        If the variant is unknown, the shapes do not fit, or the temperature is not above 0.
    """
    _check(temperature, views, labels, subclusters)
    if class_temperature.dim() != 1:
        raise ValueError("class_temperature needs one value per class, [C]")
    if variant not in get_args(Variant):
        raise ValueError(f"variant {variant!r} is unknown; use {' or '.join(get_args(Variant))}")
    similarity, others = _pairs(views)
    same_subcluster = _equal(subclusters) & others
    within = _mean_log_ratio(similarity / temperature, same_subcluster, others)
    rest = others & ~same_subcluster
    if variant == "official_code":
        within = within * (temperature / BASE_TEMPERATURE)
        rest = rest | (_equal(torch.arange(len(views), device=views.device)) & others)
    same_class = _equal(labels) & rest
    anchor_temperature = class_temperature[labels].repeat(2)[:, None]
    between = _mean_log_ratio(similarity / anchor_temperature, same_class, rest)
    return within + beta * between


def balanced_contrastive(
    views: Tensor, labels: Tensor, centres: Tensor, *, temperature: float
) -> Tensor:
    """Contrastive loss in which every class has the same share of the denominator (BCL).

    With B_j the other views of class j together with its centre, the loss of anchor i of class y
    is −1/|B_y| Σ_{p∈B_y} log( exp(z_i·z_p/τ) / Σ_j 1/|B_j| Σ_{k∈B_j} exp(z_i·z_k/τ) ) (Zhu et al.,
    CVPR 2022, equation 7), averaged over anchors.

    Parameters
    ----------
    views
        L2-normalised embeddings of two views per molecule, [B, 2, D].
    labels
        Class of each molecule, int64 [B].
    centres
        L2-normalised, [C, D].
    temperature
        τ > 0.

    Returns
    -------
    Tensor
        The loss, a scalar.

    Raises
    ------
    ValueError
        If the shapes do not fit, or the temperature is not above 0.
    """
    _check(temperature, views, labels)
    similarity, others = _pairs(views)
    flat = _flat(views)
    classes = torch.arange(len(centres), device=views.device)
    logits = torch.cat([similarity, _product(flat, centres.to(flat.dtype).T)], dim=1) / temperature
    compared = torch.cat([others, torch.ones_like(logits[:, len(flat) :], dtype=torch.bool)], dim=1)
    name = torch.cat([labels.repeat(2), classes])
    # How many of each column's class an anchor is compared with, [2B, 2B + C]. Counts are small
    # whole numbers, of which a product is exact.
    member = (name[:, None] == classes).to(flat.dtype)
    size = _product(_product(compared.to(flat.dtype), member), member.T)
    log_share = logits - size.clamp(min=1).log()
    floor = torch.finfo(logits.dtype).min
    log_sum = log_share.masked_fill(~compared, floor).logsumexp(dim=1, keepdim=True)
    positive = (labels.repeat(2)[:, None] == name) & compared
    ratios = (logits - log_sum).where(positive, 0.0)
    return -(ratios.sum(dim=1) / positive.sum(dim=1)).mean()


def _check(temperature: float, views: Tensor, *names: Tensor) -> None:
    if not temperature > 0:
        raise ValueError(f"temperature is {temperature}; it must be above 0")
    if views.dim() != 3 or views.shape[1] != 2:
        raise ValueError(f"views has shape {list(views.shape)}; [molecules, 2, dimensions] needed")
    if any(len(name) != len(views) for name in names):
        raise ValueError(f"{len(views)} molecules have views; labels must be as many")


def _pairs(views: Tensor) -> tuple[Tensor, Tensor]:
    """Similarities of all 2B views, [2B, 2B] (all first views, then all second), and i != j."""
    flat = _flat(views)
    others = ~torch.eye(len(flat), dtype=torch.bool, device=flat.device)
    return _product(flat, flat.T), others


def _product(x: Tensor, y: Tensor) -> Tensor:
    """X @ y in their own precision, also under mixed precision."""
    with torch.autocast(x.device.type, enabled=False):
        return x @ y


def _flat(views: Tensor) -> Tensor:
    """All first views, then all second, [2B, D], at least in single precision."""
    # Divided by a small temperature, half precision would be too coarse.
    flat = views.transpose(0, 1).flatten(0, 1)
    return flat.to(torch.promote_types(flat.dtype, torch.float32))


def _equal(names: Tensor) -> Tensor:
    """Return which of the 2B views share a name, [2B, 2B]."""
    doubled = names.repeat(2)
    return doubled[:, None] == doubled[None, :]


def _log_share(logits: Tensor, compared: Tensor) -> Tensor:
    """Logits, [2B, n], less the log of the sum of exp over those they are `compared` with."""
    # A finite floor, not −inf: an anchor compared with nothing must not give NaN gradients.
    floor = torch.finfo(logits.dtype).min
    return logits - logits.masked_fill(~compared, floor).logsumexp(dim=1, keepdim=True)


def _mean_log_ratio(logits: Tensor, positive: Tensor, compared: Tensor) -> Tensor:
    """Mean over anchors with positives of −mean over positives of log softmax over `compared`."""
    ratios = _log_share(logits, compared).where(positive, 0.0)
    count = positive.sum(dim=1)
    has_positive = count > 0
    per_anchor = -ratios.sum(dim=1) / count.clamp(min=1)
    return per_anchor.sum() / has_positive.sum().clamp(min=1)
