"""Contrastive losses over two views per molecule.

Most of them were made for images, with a projection head behind a residual network. Here, as in the
proposed method, the embeddings themselves are compared, L2-normalised and without a projection
head, and all of them are trained together with a classification loss where the original trains the
encoder first: one comparison, the same epochs for all. `supcon`, `sbcl`, `kcl` and `tsc` then train
a new last layer on balanced samples in the last fifth of the epochs, as the originals do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from drugtail.methods.contrastive_losses import (
    _equal,
    _flat,
    _log_share,
    _mean_log_ratio,
    _pairs,
    _product,
    balanced_contrastive,
    subcluster_contrastive,
    supervised_contrastive,
)
from drugtail.methods.losses import is_true_class
from drugtail.runtime.draws import Draws
from drugtail.runtime.registry import Registry


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
    counts : Tensor
        Training molecules per class, [C].
    temperatures : Tensor
        Temperature of each class from the last re-clustering, [C].
    draws : Draws
        Source of randomness.
    clustered : bool
        Whether there has been a re-clustering.
    losses : Tensor or None
        Classification loss of either view, times its class's weight, [B, 2]; None where the first
        view alone is classified.
    centres : Tensor or None
        Learned centre of each class, L2-normalised, [C, D].
    targets : Tensor or None
        Point on the sphere that each class is drawn to, [C, D].
    keys : Tensor or None
        The same views by a momentum encoder, L2-normalised, [B, 2, D].
    queue, queue_labels : Tensor or None
        Keys of earlier batches, [Q, D], and their classes, int64 [Q]; −1 where the queue is still
        empty.
    """

    views: Tensor
    labels: Tensor
    subclusters: Tensor
    logits: Tensor
    counts: Tensor
    temperatures: Tensor
    draws: Draws
    clustered: bool
    losses: Tensor | None = None
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
        Settings of the component.
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

    Targets lie spread evenly on the sphere (`drugtail.geometry.targets`). All of them stand in the
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
    own = is_true_class(batch.labels.repeat(2), len(batch.targets))
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
    the other views of the batch and of a queue, both by a momentum encoder, as in equation 5:
    −1/(1 + α_y |P|) ( log p(centre of y) + α_y Σ_{k∈P} log p(k) ), P the keys of the same class and
    p the softmax over all centres and keys, the latter divided by τ. α_y is ``settings.alpha`` for
    classes up to the mean size; the centre's weight is 1. It contains the classification loss.
    Parameters and result as in `supervised`.

    Changed for molecules: queue, α and τ are those of the authors for CIFAR-100 (1,024, 0.01 and
    0.05; for larger data sets 8,192, 0.05 and 0.2), so that the queue is not a whole epoch old. Of
    100 classes none is a third of all; here one can be, and α |P| would leave its centre 18 % of
    the weight: so α_y = α / (C π_y) for classes above the mean size, which then have as much as a
    class of the mean size. Both views ask and
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
    own = is_true_class(labels, len(batch.counts))
    present = (batch.queue_labels >= 0).expand(len(queries), -1)
    compared = torch.cat([torch.ones_like(own), others, present], dim=1)
    same = (labels[:, None] == key_labels).to(queries.dtype)
    excess = (len(batch.counts) * batch.counts / batch.counts.sum()).clamp(min=1)
    alpha = settings.alpha / (own * excess).sum(dim=1, keepdim=True)
    weight = torch.cat([own.to(queries.dtype), alpha * same], dim=1) * compared
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
    assert batch.losses is not None
    losses = batch.losses.T.flatten()
    shared: Tensor = (losses + settings.weight * contrast) / (1 + settings.weight * count)
    return shared.mean()


def _drawn_positives(batch: ViewBatch, k: int, others: Tensor) -> Tensor:
    """The molecule's own other view and k more of its class, or all there are; bool [2B, 2B]."""
    molecule = _equal(torch.arange(len(batch.views), device=others.device))
    candidate = _equal(batch.labels) & ~molecule
    chance = batch.draws.uniform(*others.shape).masked_fill(~candidate, -1.0)
    least = chance.sort(dim=1, descending=True).values[:, min(k, len(others)) - 1]
    return (candidate & (chance >= least[:, None])) | (molecule & others)
