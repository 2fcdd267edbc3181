"""Contrastive losses over two views per molecule.

Most of them were made for images, with a projection head behind a residual network. Here, as in the
proposed method, the embeddings themselves are compared, L2-normalised and without a projection
head, and all of them are trained together with a classification loss where the original trains the
encoder first: one comparison, the same epochs for all. So `sbcl`, `kcl` and `tsc` have no
classifier trained on balanced samples afterwards, as the originals have, and nothing else that
moves recall to rare classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from drugtail.methods.losses import is_own
from drugtail.methods.registry import Registry
from drugtail.runtime.draws import Draws

Variant = Literal["paper", "as_published"]
BASE_TEMPERATURE = 0.07


@dataclass(frozen=True)
class ViewBatch:
    """Two views of each molecule of a batch of one seed, and what they can be compared with.

    Attributes
    ----------
    views : Tensor
        L2-normalised embeddings, [B, 2, D].
    labels, subclusters : Tensor
        Class and sub-cluster of each molecule, int64 [B]. Before the first re-clustering every
        class is its own sub-cluster.
    logits : Tensor
        [B, 2, C].
    losses : Tensor
        Classification loss of either view, times its class's weight, [B, 2].
    counts : Tensor
        Training molecules per class, [C].
    temperatures : Tensor
        Temperature of each class from the last re-clustering, [C].
    draws : Draws
        Source of randomness.
    clustered : bool
        Whether there has been a re-clustering.
    centres : Tensor or None
        Learned centre of each class, L2-normalised, [C, D].
    targets : Tensor or None
        Point on the sphere that each class is drawn to, [C, D].
    keys : Tensor or None
        The same views by a slower encoder, L2-normalised, [B, 2, D].
    queue, queue_labels : Tensor or None
        Keys of earlier batches, [Q, D], and their classes, int64 [Q]; −1 where the queue is still
        empty.
    """

    views: Tensor
    labels: Tensor
    subclusters: Tensor
    logits: Tensor
    losses: Tensor
    counts: Tensor
    temperatures: Tensor
    draws: Draws
    clustered: bool
    centres: Tensor | None = None
    targets: Tensor | None = None
    keys: Tensor | None = None
    queue: Tensor | None = None
    queue_labels: Tensor | None = None


Contrastive = Callable[[Any, ViewBatch], Tensor]
CONTRASTIVE: Registry[Contrastive] = Registry("contrastive term")


@CONTRASTIVE.register("supervised")
def supervised(settings: Any, batch: ViewBatch) -> Tensor:
    """`supervised_contrastive` over classes.

    Parameters
    ----------
    settings
        Settings of the part.
    batch
        Views, labels and more, see `ViewBatch`.

    Returns
    -------
    Tensor
        The term, a scalar.
    """
    return supervised_contrastive(batch.views, batch.labels, temperature=settings.temperature)


@CONTRASTIVE.register("subcluster")
def subcluster(settings: Any, batch: ViewBatch) -> Tensor:
    """`subcluster_contrastive`; before the first re-clustering `supervised_contrastive`.

    Parameters and result as in `supervised`.
    """
    if not batch.clustered:
        return supervised(settings, batch)
    return subcluster_contrastive(
        batch.views,
        batch.labels,
        batch.subclusters,
        temperature=settings.temperature,
        class_temperature=batch.temperatures,
        beta=settings.beta,
        variant=settings.variant,
    )


@CONTRASTIVE.register("balanced")
def balanced(settings: Any, batch: ViewBatch) -> Tensor:
    """`balanced_contrastive` with learned class centres; parameters and result as in `supervised`.

    Zhu et al. (BCL, CVPR 2022) make a class's centre of its weights in the last layer by a small
    network; here the hidden layers of the head lie between embeddings and those weights, so that
    centres are parameters of their own.
    """
    assert batch.centres is not None
    return balanced_contrastive(
        batch.views, batch.labels, batch.centres, temperature=settings.temperature
    )


@CONTRASTIVE.register("k_positive")
def k_positive(settings: Any, batch: ViewBatch) -> Tensor:
    """Supervised contrastive loss with at most k + 1 positives for every molecule (KCL).

    −1/(k + 1) Σ_p log( exp(z_i·z_p/τ) / Σ_{a≠i} exp(z_i·z_a/τ) ) over the molecule's own other view
    and k others of its class, drawn at random in every step (Kang et al., ICLR 2021, equation 3).
    ``settings.positives`` is k. Parameters and result as in `supervised`.

    Changed for molecules: the k others are drawn from the batch, as in the CIFAR code of the
    authors of `targeted`, and not from a memory of 65,536 pictures, which would be every molecule
    many times over. A class with few molecules in the batch has fewer: one of 18 of 4,866 mostly
    none.
    """
    similarity, others = _pairs(batch.views)
    positive = _drawn_positives(batch, settings.positives, others)
    return _mean_log_ratio(similarity / settings.temperature, positive, others)


@CONTRASTIVE.register("targeted")
def targeted(settings: Any, batch: ViewBatch) -> Tensor:
    """`k_positive` with the target of each class as one point more (TSC; Li et al., CVPR 2022).

    Targets lie spread evenly on the sphere (`drugtail.methods.targets`). All of them stand in the
    denominator, and the own class's one among the positives p with a weight of λ:
    −1/(|P| + 1) ( Σ_{p∈P} log p + λ log p(target) ), as in the authors' code; λ, of
    ``settings.target_weight``, is 1 in that for CIFAR and 0.2 in that for ImageNet-LT. As there, it
    is `k_positive` up to ``settings.start`` of the epochs; classes are assigned their targets at
    re-clusterings. Parameters and result as in `supervised`.
    """
    if batch.targets is None:
        return k_positive(settings, batch)
    similarity, others = _pairs(batch.views)
    flat = _flat(batch.views)
    to_targets = _product(flat, batch.targets.to(flat.dtype).T)
    logits = torch.cat([similarity, to_targets], dim=1) / settings.temperature
    every = torch.ones_like(to_targets, dtype=torch.bool)
    own = is_own(batch.labels.repeat(2), len(batch.targets))
    positive = _drawn_positives(batch, settings.positives, others)
    compared = torch.cat([others, every], dim=1)
    target = settings.target_weight * own.to(logits.dtype)
    weight = torch.cat([positive.to(logits.dtype), target], dim=1)
    log_share = _log_share(logits, compared)
    per_anchor: Tensor = -(log_share * weight).sum(dim=1) / (positive.sum(dim=1) + 1)
    return per_anchor.mean()


@CONTRASTIVE.register("parametric")
def parametric(settings: Any, batch: ViewBatch) -> Tensor:
    """Class centres and molecules in one contrastive loss (PaCo; Cui et al., ICCV 2021).

    With the logits of a view as its similarity to learned centres, shifted by log π, and keys k of
    the other views of the batch and of a queue, both by a slower encoder, as in equation 5:
    −1/(1 + α |P|) ( log p(centre of y) + α Σ_{k∈P} log p(k) ), P the keys of the same class and p
    the softmax over all centres and keys, the latter divided by τ. ``settings.alpha`` is α; the
    centre's weight is 1. It contains the classification loss. Parameters and result as in
    `supervised`.

    Changed for molecules: queue, α and τ are those of the authors for CIFAR-100 (1,024, 0.01 and
    0.05; for larger data sets 8,192, 0.05 and 0.2), so that the queue is not a whole epoch old and
    α |P| of a class that is a third of all molecules does not drown its centre. Both views ask and
    both are keys, and centres compare with the head's features while keys compare with embeddings.
    """
    assert batch.keys is not None
    assert batch.queue is not None
    assert batch.queue_labels is not None
    _, others = _pairs(batch.views)
    queries, labels = _flat(batch.views), batch.labels.repeat(2)
    keys = torch.cat([_flat(batch.keys), batch.queue]).to(queries.dtype)
    key_labels = torch.cat([labels, batch.queue_labels])
    centres = batch.logits.transpose(0, 1).flatten(0, 1)
    prior = (batch.counts / batch.counts.sum()).to(queries.dtype).log()
    similarity = _product(queries, keys.T) / settings.temperature
    logits = torch.cat([centres + prior, similarity], dim=1)
    own = is_own(labels, len(batch.counts))
    present = (batch.queue_labels >= 0).expand(len(queries), -1)
    compared = torch.cat([torch.ones_like(own), others, present], dim=1)
    same = (labels[:, None] == key_labels).to(queries.dtype)
    weight = torch.cat([own.to(queries.dtype), settings.alpha * same], dim=1) * compared
    log_share = _log_share(logits, compared)
    return (-(log_share * weight).sum(dim=1) / weight.sum(dim=1)).mean()


@CONTRASTIVE.register("class_instance")
def class_instance(settings: Any, batch: ViewBatch) -> Tensor:
    """(L_ce + λ Σ_p L_p) / (1 + λ k) per molecule with k positives in the batch (CIBL).

    L_p is the contrastive loss of one positive, of the k other views of the class besides the
    molecule's own other one, each against them and the views of other classes: the more of its
    class a batch holds, the more contrast and the less cross-entropy. Of n molecules of a class in
    the batch k is 2 (n − 1). λ, ``settings.weight``, moves performance from head to tail. It
    contains the classification loss. A molecule's own other view is neither drawn near nor pushed
    away.

    After the abstract of Lavoie and Waslander, "Class Instance Balanced Learning for Long-Tailed
    Classification" (arXiv:2307.05322). The exact weighting of the paper could not be consulted;
    this form has the properties that its abstract states. Changed for molecules: views have
    bonds dropped, since a crop of a molecule, unlike that of a picture, is another molecule.
    Parameters and result as in `supervised`.
    """
    similarity, _ = _pairs(batch.views)
    # Views of other molecules.
    others = ~_equal(torch.arange(len(batch.views), device=similarity.device))
    log_share = _log_share(similarity / settings.temperature, others)
    positive = _equal(batch.labels) & others
    contrast = -log_share.where(positive, 0.0).sum(dim=1)
    count = positive.to(log_share.dtype).sum(dim=1)
    losses = batch.losses.T.flatten()
    shared: Tensor = (losses + settings.weight * contrast) / (1 + settings.weight * count)
    return shared.mean()


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

    The authors' code differs (variant ``as_published``): the first term is multiplied by
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
        ``paper`` (default) or ``as_published``.

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
    if variant == "as_published":
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


def _drawn_positives(batch: ViewBatch, k: int, others: Tensor) -> Tensor:
    """The molecule's own other view and k more of its class, or all there are; bool [2B, 2B]."""
    molecule = _equal(torch.arange(len(batch.views), device=others.device))
    candidate = _equal(batch.labels) & ~molecule
    chance = batch.draws.uniform(*others.shape).masked_fill(~candidate, -1.0)
    least = chance.sort(dim=1, descending=True).values[:, min(k, len(others)) - 1]
    return (candidate & (chance >= least[:, None])) | (molecule & others)


def _equal(names: Tensor) -> Tensor:
    """Which of the 2B views share a name, [2B, 2B]."""
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
