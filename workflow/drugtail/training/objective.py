"""What a recipe minimises: its parts put together, and the state they share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.features.packed import GraphStore
from drugtail.methods.contrastive import subcluster_contrastive, supervised_contrastive
from drugtail.methods.geometry import Geometry, class_temperatures, take_geometry
from drugtail.methods.losses import LOSSES, weighted_mean
from drugtail.methods.views import VIEWS
from drugtail.methods.weights import CLASS_WEIGHTS
from drugtail.models.network import Network

if TYPE_CHECKING:
    from drugtail.methods.recipe import Recipe


@dataclass(frozen=True)
class Losses:
    """Loss of one step and what it consists of; scalars."""

    total: Tensor
    classification: Tensor
    contrastive: Tensor


class Objective:
    """The loss of a recipe, with the geometry and weights of the last re-clustering.

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
    """

    def __init__(self, recipe: Recipe, labels: Tensor, classes: int, schedule_scale: float) -> None:
        self.recipe = recipe
        self.labels = labels
        self.counts = torch.bincount(labels, minlength=classes)
        self.geometry: Geometry | None = None
        self.weights = self._weights()
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
        self, embeddings: Tensor, valid: Tensor, valid_labels: Tensor, seed: int
    ) -> None:
        """Cluster the training set and renew the weights; see `measure_geometry`."""
        self.geometry = self.measure_geometry(embeddings, valid, valid_labels, seed)
        self.weights = self._weights()

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

    def __call__(
        self,
        network: Network,
        store: GraphStore,
        molecules: Tensor,
        drawn: Tensor,
        epoch: int,
        generator: torch.Generator,
    ) -> Losses:
        """Loss of one batch.

        Parameters
        ----------
        network
            In training mode.
        store
            All molecules.
        molecules
            Positions of the batch in `store`, int64 [B].
        drawn
            Positions of the batch among the training molecules, int64 [B].
        epoch
            Counted from 0.
        generator
            Source of randomness of the views.
        """
        labels = self.labels[drawn]
        if self.recipe.views is None:
            output = network(store.batch(molecules), store.type_features)
            classification = self._classification(output.logits, labels)
            return Losses(classification, classification, torch.zeros_like(classification))

        # Both views go through the network as one batch of 2B molecules.
        batch = store.batch(molecules.repeat(2))
        weight = VIEWS[self.recipe.views.name](self.recipe.views, batch, generator)
        output = network(batch, store.type_features, weight)
        contrastive = output.logits.new_zeros(())
        if self.recipe.contrastive is not None:
            views = F.normalize(output.embedding.float(), dim=1)
            views = views.view(2, len(drawn), -1).transpose(0, 1)
            contrastive = self._contrastive(views, labels, drawn)
        if not self.trains_classifier(epoch):
            return Losses(contrastive, torch.zeros_like(contrastive), contrastive)
        # The paper does not say which view the classifier sees; it sees both.
        classification = self._classification(output.logits, labels.repeat(2))
        return Losses(classification + contrastive, classification, contrastive)

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold to continue: tensors only."""
        geometry = self.geometry
        return (
            {}
            if geometry is None
            else {f.name: getattr(geometry, f.name) for f in fields(geometry)}
        )

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        if state:
            self.geometry = Geometry(**state)
            self.weights = self._weights()

    def class_rows(
        self, moment: str, epoch: int, geometry: Geometry | None
    ) -> list[dict[str, Any]]:
        """One row per class: size, weight and, with a geometry, distances and separability."""
        columns: dict[str, Tensor] = {"n": self.counts, "weight": self.weights}
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

    def _weights(self) -> Tensor:
        settings = self.recipe.class_weights
        return CLASS_WEIGHTS[settings.name](settings, self.counts, self.geometry)

    def _classification(self, logits: Tensor, labels: Tensor) -> Tensor:
        settings = self.recipe.loss
        losses = LOSSES[settings.name](settings, logits.float(), labels, self.counts)
        return weighted_mean(losses, labels, self.weights)

    def _contrastive(self, views: Tensor, labels: Tensor, drawn: Tensor) -> Tensor:
        settings = self.recipe.contrastive
        assert settings is not None
        if settings.name == "supervised" or self.geometry is None:
            return supervised_contrastive(views, labels, temperature=settings.temperature)
        return subcluster_contrastive(
            views,
            labels,
            self.geometry.subclusters[drawn],
            temperature=settings.temperature,
            class_temperature=class_temperatures(self.geometry, settings.temperature),
            beta=settings.beta,
            variant=settings.variant,
        )


def _scaled(epochs: int, factor: float) -> int:
    return max(1, round(epochs * factor))
