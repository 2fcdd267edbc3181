"""What a recipe minimises: its parts put together, and the state they share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.features.packed import Batch, GraphStore, Size
from drugtail.methods.contrastive import subcluster_contrastive, supervised_contrastive
from drugtail.methods.geometry import Geometry, class_temperatures, take_geometry
from drugtail.methods.losses import LOSSES, weighted_mean
from drugtail.methods.views import VIEWS
from drugtail.methods.weights import CLASS_WEIGHTS
from drugtail.models.network import Network
from drugtail.runtime.draws import Draws

if TYPE_CHECKING:
    from drugtail.methods.recipe import Recipe


@dataclass(frozen=True)
class Losses:
    """Loss of one step and what it consists of; one number per seed, [S]."""

    total: Tensor
    classification: Tensor
    contrastive: Tensor


class Objective:
    """The loss of a recipe for S seeds, with the geometry and weights of the last re-clustering.

    Its parts are written for one seed and mapped over the seeds by ``torch.vmap``. What they read
    is kept in tensors that are overwritten and never replaced, as a captured step needs it.

    Parameters
    ----------
    recipe
        The method.
    labels
        Classes of the training molecules, int64 [N].
    classes
        Number of classes C.
    schedule_scale
        Factor on the recipe's epoch counts.
    seeds
        Number of seeds S.
    """

    def __init__(
        self, recipe: Recipe, labels: Tensor, classes: int, schedule_scale: float, seeds: int = 1
    ) -> None:
        self.recipe = recipe
        self.labels = labels
        self.counts = torch.bincount(labels, minlength=classes)
        self.geometry: list[Geometry | None] = [None] * seeds
        self.weights = self._weights(None).repeat(seeds, 1)
        self.subclusters = labels.repeat(seeds, 1)
        self.temperatures = torch.ones_like(self.weights)
        schedule = recipe.schedule
        if schedule is not None:
            self.warmup = _scaled(schedule.warmup_epochs, schedule_scale)
            self.refresh = _scaled(schedule.refresh_epochs, schedule_scale)
        else:
            self.warmup = self.refresh = 0

    def trains_classifier(self, epoch: int) -> bool:
        """Whether the classification loss counts in this epoch (counted from 0)."""
        return self.recipe.contrastive is None or epoch >= self.warmup

    def refresh_epochs(self, epochs: int) -> range:
        """Epochs before which the training set is embedded and clustered."""
        if not self.recipe.needs_geometry:
            return range(0)
        return range(self.warmup, epochs, self.refresh)

    def refresh_geometry(
        self, index: int, embeddings: Tensor, valid: Tensor, valid_labels: Tensor, seed: int
    ) -> None:
        """Cluster the training set of one of the seeds, the `index`-th, and renew its weights.

        The other parameters are those of `measure_geometry`.
        """
        self._use(index, self.measure_geometry(embeddings, valid, valid_labels, seed))

    def measure_geometry(
        self, embeddings: Tensor, valid: Tensor, valid_labels: Tensor, seed: int
    ) -> Geometry:
        """Cluster the training set, with the recipe's clustering or else the default one.

        Parameters
        ----------
        embeddings
            Of the training molecules, not normalised, [N, D].
        valid, valid_labels
            Embeddings of the validation molecules, [V, D], and their classes, int64 [V].
        seed
            Seed of the clustering.
        """
        settings: dict[str, Any] = {}
        part = self.recipe.subclusters
        if part is not None and part.name == "whole_classes":
            settings = {"minimum_size": None}
        elif part is not None:
            oversampled = part.counted == "oversampled"
            settings = {
                "sizes": self.counts.max().expand_as(self.counts) if oversampled else None,
                "minimum_size": part.minimum_size,
                "balanced": part.name == "balanced_kmeans",
                "rounds": part.rounds,
                "tolerance": part.tolerance,
            }
        return take_geometry(
            F.normalize(embeddings, dim=1),
            self.labels,
            F.normalize(valid, dim=1),
            valid_labels,
            seed=seed,
            **settings,
        )

    def phase(self, epoch: int) -> tuple[bool, ...]:
        """What a step of this epoch consists of; steps of one phase run the same operations."""
        return self.trains_classifier(epoch), self._clustered()

    def __call__(
        self,
        network: Network,
        store: GraphStore,
        molecules: Tensor,
        drawn: Tensor,
        epoch: int,
        keys: Tensor,
        size: Size | None = None,
    ) -> Losses:
        """Losses of one batch of every seed.

        Parameters
        ----------
        network
            In training mode.
        store
            All molecules.
        molecules
            Positions of the batch in `store`, int64 [S, B].
        drawn
            Positions of the batch among the training molecules, int64 [S, B].
        epoch
            Counted from 0.
        keys
            Source of randomness of each seed's parts, int64 [S].
        size
            Size of a seed's graph of the batch, see `GraphStore.batch`.
        """
        labels = self.labels[drawn]
        if self.recipe.views is None:
            output = network(store.batch(molecules, size), store.type_features)
            classification = self._classification(output.logits, labels)
            return Losses(classification, classification, torch.zeros_like(classification))

        # Both views go through the network as one batch of 2B molecules.
        batch = store.batch(molecules.repeat(1, 2), size)
        output = network(batch, store.type_features, self._view(batch, keys))
        contrastive = output.logits.new_zeros(len(drawn))
        if self.recipe.contrastive is not None:
            views = F.normalize(_single(output.embedding), dim=2)
            views = views.unflatten(1, (2, -1)).transpose(1, 2)
            contrastive = self._contrastive(views, labels, drawn)
        if not self.trains_classifier(epoch):
            return Losses(contrastive, torch.zeros_like(contrastive), contrastive)
        # The paper does not say which view the classifier sees; it sees both.
        classification = self._classification(output.logits, labels.repeat(1, 2))
        return Losses(classification + contrastive, classification, contrastive)

    def state(self, index: int) -> dict[str, Any]:
        """What a checkpoint must hold of one seed to continue: tensors only."""
        geometry = self.geometry[index]
        return (
            {}
            if geometry is None
            else {f.name: getattr(geometry, f.name) for f in fields(geometry)}
        )

    def restore(self, index: int, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        if state:
            device = self.labels.device
            self._use(index, Geometry(**{name: t.to(device) for name, t in state.items()}))

    def class_rows(
        self, index: int, moment: str, epoch: int, geometry: Geometry | None
    ) -> list[dict[str, Any]]:
        """One row per class: size, weight and, with a geometry, distances and separability."""
        columns: dict[str, Tensor] = {"n": self.counts, "weight": self.weights[index]}
        if geometry is not None:
            columns |= {
                "nearest_class": geometry.nearest_class,
                "class_distance": geometry.class_distance,
                "subclusters": geometry.subcluster_count,
                "subcluster_distance": geometry.subcluster_distance,
                "separability": geometry.separability,
                "valid_separability": geometry.valid_separability,
            }
        values = {name: column.tolist() for name, column in columns.items()}
        return [
            {"moment": moment, "epoch": epoch, "label": c}
            | {name: value[c] for name, value in values.items()}
            for c in range(len(self.counts))
        ]

    def _clustered(self) -> bool:
        return any(geometry is not None for geometry in self.geometry)

    def _use(self, index: int, geometry: Geometry) -> None:
        self.geometry[index] = geometry
        self.weights[index] = self._weights(geometry)
        self.subclusters[index] = geometry.subclusters
        if self.recipe.contrastive is not None:
            temperature = self.recipe.contrastive.temperature
            self.temperatures[index] = class_temperatures(geometry, temperature)

    def _weights(self, geometry: Geometry | None) -> Tensor:
        settings = self.recipe.class_weights
        return CLASS_WEIGHTS[settings.name](settings, self.counts, geometry)

    def _view(self, batch: Batch, keys: Tensor) -> Tensor:
        settings = self.recipe.views
        assert settings is not None
        view = VIEWS[settings.name]

        def of_one_seed(key: Tensor, *tensors: Tensor) -> Tensor:
            return view(settings, batch.with_tensors(tensors), Draws(key))

        return torch.vmap(of_one_seed)(keys, *batch.tensors())

    def _classification(self, logits: Tensor, labels: Tensor) -> Tensor:
        settings = self.recipe.loss
        loss = LOSSES[settings.name]

        def of_one_seed(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
            return weighted_mean(loss(settings, logits, labels, self.counts), labels, weights)

        return torch.vmap(of_one_seed)(_single(logits), labels, self.weights)

    def _contrastive(self, views: Tensor, labels: Tensor, drawn: Tensor) -> Tensor:
        settings = self.recipe.contrastive
        assert settings is not None
        if settings.name == "supervised" or not self._clustered():
            one = partial(supervised_contrastive, temperature=settings.temperature)
            return torch.vmap(one)(views, labels)

        def of_one_seed(
            views: Tensor, labels: Tensor, subclusters: Tensor, temperatures: Tensor
        ) -> Tensor:
            return subcluster_contrastive(
                views,
                labels,
                subclusters,
                temperature=settings.temperature,
                class_temperature=temperatures,
                beta=settings.beta,
                variant=settings.variant,
            )

        subclusters = self.subclusters.gather(1, drawn)
        return torch.vmap(of_one_seed)(views, labels, subclusters, self.temperatures)


def _single(x: Tensor) -> Tensor:
    """At least in single precision."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _scaled(epochs: int, factor: float) -> int:
    return max(1, round(epochs * factor))
