"""The objective of a recipe: its components put together, and the state they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.config.base import declares
from drugtail.config.schedule import classifier_epoch
from drugtail.features.batch import Batch, Store
from drugtail.methods.contrastive import CONTRASTIVE, ViewBatch
from drugtail.methods.distillation import distillation
from drugtail.methods.losses import LOSSES, Outcome
from drugtail.methods.mixing import MIXING
from drugtail.methods.views import VIEWS
from drugtail.models.companion import Companion
from drugtail.models.network import Network, Output
from drugtail.runtime.draws import Draws, mix
from drugtail.runtime.errors import DrugtailError
from drugtail.training.class_state import ClassState
from drugtail.training.pool import Pool

if TYPE_CHECKING:
    from drugtail.config.components.views import Drop
    from drugtail.config.recipe import Recipe

# Streams of randomness of a step beside that of the views.
LOSS_STREAM, MIXING_STREAM, CONTRASTIVE_STREAM, ENCODER_STREAM = 1, 2, 3, 4
# Layers with dropout count on from here.
DROPOUT_STREAM = 100


@dataclass(frozen=True)
class Losses:
    """Loss of one step and what it consists of; one number per seed, [S].

    ``total`` is what is minimised. ``classification`` is the recipe's classification loss with
    class weights, of all experts together and, in a second stage, with what is distilled; it is 0
    in a warm-up. ``contrastive`` is the contrastive term. They add up to the total, except where
    the term contains the classification loss: then the total is the term, and the classification
    loss stands there for comparison only. ``each`` are the losses of the molecules, [S, B], whose
    mean the total is; None where it is not.
    """

    total: Tensor
    classification: Tensor
    contrastive: Tensor
    each: Tensor | None = None


class Objective:
    """The loss of a recipe for S seeds.

    Its components are written for one seed and mapped over the seeds by ``torch.vmap``.

    Parameters
    ----------
    recipe
        The method.
    molecules
        Positions of the training molecules in the store, int64 [N].
    labels
        Their classes, int64 [N].
    classes
        Number of classes C.
    schedule_scale
        Factor on the recipe's epoch counts.
    seeds
        Number of seeds S.
    """

    def __init__(
        self,
        recipe: Recipe,
        molecules: Tensor,
        labels: Tensor,
        classes: int,
        schedule_scale: float,
        seeds: int = 1,
    ) -> None:
        self.recipe = recipe
        self.classes = ClassState(recipe, labels, classes, seeds)
        self.pool = Pool(molecules.expand(seeds, -1), labels.expand(seeds, -1))
        self.second_stage = False
        self.progress = torch.zeros((), device=labels.device)
        self.draws_to_targets = False
        self.classifier_start = classifier_epoch(recipe, schedule_scale)

    @property
    def views(self) -> Drop:
        """Settings of the views, of a recipe that has them."""
        assert self.recipe.views is not None
        return self.recipe.views

    # ---------------------------------------------------------------------------- epochs

    def begin_epoch(self, progress: float) -> None:
        """Renew what depends on the share of the epochs that are over."""
        self.progress.fill_(progress)
        term = self.recipe.contrastive
        if term is not None and "targets" in term.needs:
            self.draws_to_targets = progress >= getattr(term, "start", 0.0)
        self.classes.begin_epoch(progress)

    def enter_second_stage(self, pool: Pool) -> None:
        """Go on with the second stage of the recipe, on other molecules or features."""
        self.pool, self.second_stage = pool, True
        self.classes.weighting = self._objective().class_weights

    def trains_classifier(self, epoch: int) -> bool:
        """Return whether the classification loss counts in this epoch (counted from 0)."""
        return epoch >= self.classifier_start

    def phase(self, epoch: int) -> tuple[bool, ...]:
        """Return the phase of an epoch; steps of one phase run the same operations."""
        return (
            self.trains_classifier(epoch), self.classes.clustered, self.draws_to_targets,
            self.second_stage,
        )  # fmt: skip

    # ------------------------------------------------------------------------------ a step

    def __call__(
        self,
        network: Network,
        companion: Companion,
        store: Store,
        drawn: Tensor,
        epoch: int,
        keys: Tensor,
        size: tuple[int, ...] | None = None,
    ) -> Losses:
        """Losses of one batch of every seed.

        Parameters
        ----------
        network
            In training mode.
        companion
            What is trained beside it.
        store
            All molecules.
        drawn
            Positions of the batch in the pool, int64 [S, B]. Where molecules are mixed with others
            that are drawn in another way, those follow: [S, 2 B].
        epoch
            Counted from 0.
        keys
            Source of randomness of each seed's components, int64 [S].
        size
            Size of a seed's part of the batch, see `Store.batch`.
        """
        network.draw_from(keys + DROPOUT_STREAM)
        taken = self.pool.take(drawn)
        if taken.features is not None:
            return _alone(self._of_features(network, taken, keys))
        if self.recipe.views is not None:
            return self._of_views(network, companion, store, taken, drawn, epoch, keys, size)
        embedding = network.encoder(store.batch(taken.molecules, size), keys + ENCODER_STREAM)
        if declares(self.recipe.mixing, "branches"):
            return _alone(self._of_branches(network, embedding, taken, keys))
        if self.recipe.mixing is not None:
            return _alone(self._mixed(network, embedding, taken, keys))
        output = network.classify(embedding)
        losses = self._labelled(output, taken, keys)
        return _alone(losses if taken.teacher is None else self._taught(output, taken, losses))

    def _of_features(self, network: Network, taken: Pool, keys: Tensor) -> Tensor:
        """Losses of the last layer alone, [S, B]."""
        assert taken.features is not None
        return self._labelled(network.classify_features(taken.features), taken, keys)

    def _of_views(
        self,
        network: Network,
        companion: Companion,
        store: Store,
        taken: Pool,
        drawn: Tensor,
        epoch: int,
        keys: Tensor,
        size: tuple[int, ...] | None,
    ) -> Losses:
        # Both views go through the network as one batch of 2B molecules.
        batch = store.batch(taken.molecules.repeat(1, 2), size)
        batch = batch.viewed(self._view(batch, keys))
        drawn_by_encoder = keys + ENCODER_STREAM
        output = network(batch, drawn_by_encoder)
        # The paper of the proposed method does not say which view the classifier sees: both do
        # unless the recipe says otherwise.
        losses = self._losses_of_views(output, taken, keys)
        settings = self.recipe.contrastive
        if settings is None:
            return _alone(losses)
        classification = losses.mean(dim=1)
        by_momentum = companion.keys(batch, drawn_by_encoder)
        views = F.normalize(_single(output.embedding), dim=2)
        centres = companion.centres
        contrastive = self._contrastive(
            keys,
            views=_by_view(views),
            labels=taken.labels,
            subclusters=self.classes.subclusters.gather(1, drawn),
            logits=_by_view(_single(output.logits)),
            losses=_by_view(losses) if self.views.classified == "both" else None,
            temperatures=self.classes.temperatures,
            centres=None if centres is None else F.normalize(centres, dim=2),
            targets=self.classes.targets if self.draws_to_targets else None,
            keys=None if by_momentum is None else _by_view(by_momentum),
            queue=companion.queue,
            queue_labels=companion.queue_labels,
        )
        if by_momentum is not None:
            # One view of each molecule; both would be the same molecules twice.
            companion.enqueue(by_momentum[:, : drawn.shape[1]], taken.labels)
        if settings.whole:
            return Losses(contrastive, classification, contrastive)
        if not self.trains_classifier(epoch):
            return Losses(contrastive, torch.zeros_like(contrastive), contrastive)
        return Losses(classification + contrastive, classification, contrastive)

    def _losses_of_views(self, output: Output, taken: Pool, keys: Tensor) -> Tensor:
        """Losses of those views that are classified, [S, B] or [S, 2 B]."""
        if self.views.classified == "both":
            return self._losses(output, taken.labels.repeat(1, 2), keys)
        return self._losses(output.first(taken.labels.shape[1]), taken.labels, keys)

    def _mixed(self, network: Network, embedding: Tensor, taken: Pool, keys: Tensor) -> Tensor:
        """Losses of embeddings mixed with others of the batch, [S, B]."""
        settings = self.recipe.mixing
        assert settings is not None
        mixing, counts = MIXING.guarded(settings.name), self.classes.counts

        def of_one_seed(key: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            draws = Draws(mix(key + MIXING_STREAM))
            partner = draws.uniform(len(labels)).argsort()
            shares = mixing(settings, counts[labels], counts[labels[partner]], draws)
            return partner, *shares

        partner, share, label_share = torch.vmap(of_one_seed)(keys, taken.labels)
        share = share.to(embedding.dtype)[:, :, None]
        mixed = share * embedding + (1 - share) * _permuted(embedding, partner)
        other = taken.labels.gather(1, partner)
        output = network.classify(mixed)
        return self._of_two_labels(output, taken.labels, other, label_share, keys)

    def _of_branches(
        self, network: Network, embedding: Tensor, taken: Pool, keys: Tensor
    ) -> Tensor:
        """Losses of two branches, each with molecules of its own (BBN; Zhou et al., CVPR 2020)."""
        first, second = embedding.chunk(2, dim=1)
        labels, other = taken.labels.chunk(2, dim=1)
        settings = self.recipe.mixing
        assert settings is not None
        share = MIXING.guarded(settings.name)(settings, self.progress)
        output = network.classify_branches(first, second, share)
        return self._of_two_labels(output, labels, other, share.expand(labels.shape), keys)

    def _labelled(self, output: Output, taken: Pool, keys: Tensor) -> Tensor:
        if taken.partner_labels is None:
            return self._losses(output, taken.labels, keys)
        assert taken.share is not None
        return self._of_two_labels(output, taken.labels, taken.partner_labels, taken.share, keys)

    def _of_two_labels(
        self, output: Output, labels: Tensor, other: Tensor, share: Tensor, keys: Tensor
    ) -> Tensor:
        """Losses of molecules that belong to two classes, by their shares; all [S, B]."""
        first, second = self._losses(output, labels, keys), self._losses(output, other, keys)
        share = share.to(first.dtype)
        return share * first + (1 - share) * second

    def _taught(self, output: Output, taken: Pool, losses: Tensor) -> Tensor:
        """The losses, [S, B], of which a part is learned from a teacher instead of labels."""
        # What a stage that teaches needs, its settings have.
        settings: Any = self.recipe.second_stage
        assert taken.teacher is not None
        assert taken.taught is not None

        def of_one_seed(logits: Tensor, teacher: Tensor) -> Tensor:
            return distillation(
                logits, teacher, temperature=settings.temperature, power=settings.power
            )

        distilled: Tensor = torch.vmap(of_one_seed)(_single(output.logits), taken.teacher)
        share = settings.weight * taken.taught
        mixed: Tensor = (1 - share) * losses + share * distilled
        return mixed

    # ------------------------------------------------------------------------------- components

    def _losses(self, output: Output, labels: Tensor, keys: Tensor) -> Tensor:
        """Classification loss per molecule, times its class's weight over the batch's mean, [S, B].

        Its mean is the weighted mean, so that only the ratios of class weights matter.
        """
        settings = self._objective().loss
        loss = LOSSES.guarded(settings.name)
        scale = self.recipe.last_layer.scale
        keeps_scale = declares(settings, "keeps_scale")
        weighs_itself = declares(settings, "weighs_itself")

        def of_one_seed(
            logits: Tensor, features: Tensor, experts: Tensor, labels: Tensor, weights: Tensor,
            key: Tensor,
        ) -> Tensor:  # fmt: skip
            share = weights[labels].to(logits.dtype)
            if not keeps_scale:
                share = share / share.mean()
            batch = Outcome(
                logits=logits, labels=labels, counts=self.classes.counts, features=features,
                experts=experts, scale=scale, progress=self.progress,
                draws=Draws(mix(key + LOSS_STREAM)), weights=share,
            )  # fmt: skip
            losses = loss(settings, batch)
            _check_shape(f"loss {settings.name!r}", losses, labels.shape, "one for each molecule")
            return losses if weighs_itself else share * losses

        return torch.vmap(of_one_seed)(
            _single(output.logits), _single(output.features), _single(output.experts), labels,
            self.classes.weights, keys,
        )  # fmt: skip

    def _view(self, batch: Batch, keys: Tensor) -> Any:
        settings, view = self.views, VIEWS.guarded(self.views.name)

        def of_one_seed(key: Tensor, *tensors: Tensor) -> Any:
            return view(settings, batch.with_tensors(tensors), Draws(key))

        # A tensor, or a pair of them where there is a vector beside a graph.
        return torch.vmap(of_one_seed)(keys, *batch.tensors())

    def _contrastive(self, seeds: Tensor, /, **tensors: Tensor | None) -> Tensor:
        settings = self.recipe.contrastive
        assert settings is not None
        term: Callable[[Any, ViewBatch], Tensor] = CONTRASTIVE.guarded(settings.name)
        given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        state = self.classes

        def of_one_seed(key: Tensor, given: dict[str, Tensor]) -> Tensor:
            draws = Draws(mix(key + CONTRASTIVE_STREAM))
            batch = ViewBatch(**given, counts=state.counts, draws=draws, clustered=state.clustered)
            found = term(settings, batch)
            _check_shape(f"contrastive term {settings.name!r}", found, (), "their mean")
            return found

        weight = 1.0 if settings.whole else settings.weight
        return weight * torch.vmap(of_one_seed)(seeds, given)

    def _objective(self) -> Any:
        """Recipe or second stage that loss and class weights come from."""
        stage = self.recipe.second_stage
        return stage if self.second_stage and declares(stage, "loss") else self.recipe


def _alone(losses: Tensor) -> Losses:
    """Losses of a recipe without a contrastive term, from those of the molecules, [S, B]."""
    classification = losses.mean(dim=1)
    return Losses(classification, classification, torch.zeros_like(classification), losses)


def _check_shape(component: str, found: Tensor, wanted: Sequence[int], meaning: str) -> None:
    """Refuse what would be broadcast to a loss that means something else."""
    if found.shape != torch.Size(wanted):
        raise DrugtailError(
            f"{component}: gives numbers of shape {list(found.shape)} for a batch; it must give "
            f"{list(wanted)}, {meaning}"
        )


def _by_view(x: Tensor) -> Tensor:
    """[S, 2 B, ...], all first views and then all second, as [S, B, 2, ...]."""
    apart: Tensor = x.unflatten(1, (2, -1))
    return apart.transpose(1, 2)


def _permuted(x: Tensor, order: Tensor) -> Tensor:
    """Rows of [S, B, D] in another order, a permutation int64 [S, B]."""
    # As a product: the gradient of an index is a scattered addition.
    seed = torch.arange(x.shape[1], device=x.device)
    matrix = (order[:, :, None] == seed).to(x.dtype)
    return torch.bmm(matrix, x)


def _single(x: Tensor) -> Tensor:
    """At least in single precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
