"""Classes in training: sizes, weights, and positions in embedding space."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.config.components.clustering import BalancedKMeans
from drugtail.geometry.class_geometry import Geometry, class_temperatures, take_geometry
from drugtail.geometry.targets import assign_points, spread_points
from drugtail.methods.clustering import CLUSTERINGS
from drugtail.methods.weights import CLASS_WEIGHTS

if TYPE_CHECKING:
    from drugtail.config.components.weights import ClassWeights
    from drugtail.config.recipe import Recipe


class ClassState:
    """Sizes and weights of the classes for S seeds, and what follows from the last re-clustering.

    What a step reads of it is kept in tensors that are overwritten and never replaced, as a
    captured step needs it.

    Parameters
    ----------
    recipe
        The method.
    labels
        Classes of the training molecules, int64 [N].
    classes
        Number of classes C.
    seeds
        Number of seeds S.

    Attributes
    ----------
    counts : Tensor
        Training molecules of each class, int64 [C].
    weights : Tensor
        Class weights in force, [S, C].
    geometry : list of Geometry or None
        Of each seed, as it was at the last re-clustering.
    subclusters : Tensor
        Sub-cluster of each training molecule, int64 [S, N]; its class before the first clustering.
    temperatures : Tensor
        Temperatures of the classes in a contrastive term, [S, C].
    targets : Tensor or None
        Points that a contrastive term draws the classes to, [S, C, D].
    weighting
        Settings of the class weights in force; a second stage may have its own.
    """

    def __init__(self, recipe: Recipe, labels: Tensor, classes: int, seeds: int) -> None:
        self.recipe = recipe
        self.labels = labels
        self.weighting: ClassWeights = recipe.class_weights
        self.progress = 0.0
        self.counts = torch.bincount(labels, minlength=classes)
        self.geometry: list[Geometry | None] = [None] * seeds
        self.weights = self._weights(None, 0.0).repeat(seeds, 1)
        self.subclusters = labels.repeat(seeds, 1)
        self.temperatures = torch.ones_like(self.weights)
        self.targets: Tensor | None = None

    @property
    def clustered(self) -> bool:
        """Return whether the classes have been clustered."""
        return any(geometry is not None for geometry in self.geometry)

    # ----------------------------------------------------------------------------- weights

    def begin_epoch(self, progress: float) -> None:
        """Renew the weights, which may depend on the share of the epochs that are over."""
        self.progress = progress
        for index, geometry in enumerate(self.geometry):
            self.weights[index] = self._weights(geometry, progress)

    def weights_at(self, progress: float) -> list[float]:
        """Weights of the classes that follow from their sizes, at a share of the epochs, [C]."""
        weights: list[float] = self._weights(None, progress).tolist()
        return weights

    def _weights(self, geometry: Geometry | None, progress: float) -> Tensor:
        if progress < getattr(self.weighting, "start", 0.0):
            return torch.ones(len(self.counts), device=self.counts.device)
        weigh = CLASS_WEIGHTS.guarded(self.weighting.name)
        return weigh(self.weighting, self.counts, geometry)

    # ---------------------------------------------------------------------------- geometry

    def refresh(
        self, index: int, embeddings: Tensor, valid: Tensor, valid_labels: Tensor, seed: int
    ) -> Geometry:
        """Cluster the training set of one of the seeds, the `index`-th, and renew its weights.

        The other parameters and what is returned are those of `measure`.
        """
        geometry = self.measure(embeddings, valid, valid_labels, seed)
        self.use(index, geometry)
        return geometry

    def measure(
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
        settings = self.recipe.subclusters or BalancedKMeans()
        x = F.normalize(embeddings, dim=1)
        cluster = CLUSTERINGS.guarded(settings.name)
        subclusters = cluster(settings, x, self.labels, seed)
        return take_geometry(x, self.labels, F.normalize(valid, dim=1), valid_labels, subclusters)

    def use(self, index: int, geometry: Geometry) -> None:
        """Let a clustering of the `index`-th seed hold from now on."""
        self.geometry[index] = geometry
        self.weights[index] = self._weights(geometry, self.progress)
        self.subclusters[index] = geometry.subclusters
        settings = self.recipe.contrastive
        if settings is None:
            return
        self.temperatures[index] = class_temperatures(geometry, settings.temperature)
        if "targets" in settings.needs:
            if self.targets is None:
                points = spread_points(*geometry.centroids.shape).to(geometry.centroids.device)
                self.targets = points.repeat(len(self.geometry), 1, 1)
            # In whatever order they are: it is the same points for ever.
            self.targets[index] = assign_points(self.targets[index], geometry.centroids)

    def state(self, index: int) -> dict[str, Any]:
        """Return one seed's state for a checkpoint: tensors only."""
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
            self.use(index, Geometry(**{name: t.to(device) for name, t in state.items()}))

    def rows(self, index: int, moment: str, epoch: int, geometry: Geometry) -> list[dict[str, Any]]:
        """One row per class: size, weight, distances and separability."""
        columns: dict[str, Tensor] = {
            "n": self.counts,
            "weight": self.weights[index],
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
