"""Records of each seed while it trains."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from drugtail.config.trained_shares import trained_shares
from drugtail.geometry.class_geometry import Geometry
from drugtail.training.selection import Selection

if TYPE_CHECKING:
    from drugtail.config.prior import Shares
    from drugtail.config.recipe import Recipe

# For the maps of the embeddings: at how many refreshes, and how many molecules of a class.
MAPPED_REFRESHES = 3
MAPPED_PER_CLASS = 150


@dataclass
class SeedResult:
    """Results of training one seed.

    Attributes
    ----------
    status : str
        ``finished`` or ``diverged``.
    epochs : int
        Epochs that were trained; for a diverged seed, the last one is where it happened.
    best_epoch : int or None
        Epoch (counted from 0) whose weights were chosen, see `drugtail.training.selection`.
    updates, molecules : int
        Steps of the optimiser, and molecules that they saw; each view or branch counts. 0 where
        nothing is trained step by step.
    history, class_history : list of dict
        Rows of history.parquet and class_history.parquet.
    embeddings : list of dict
        Embeddings of some training molecules at a few epochs: ``moment`` (refresh or chosen),
        ``epoch``, ``position`` among the training molecules, int64 [n], ``subcluster``, int64 [n],
        and ``embedding``, L2-normalised, float32 [n, D].
    weights : dict or None
        Chosen state of the network, or the fitted estimator (`drugtail.methods.kept`).
    unkept : str
        Why an estimator cannot be kept; empty otherwise.
    logits : dict
        Part -> logits of its molecules, float32 [n, C].
    uncertainty : dict
        Part -> uncertainty of each of its molecules, float32 [n]; empty where the method has none.
    """

    status: str
    epochs: int
    best_epoch: int | None
    history: list[dict[str, Any]]
    class_history: list[dict[str, Any]]
    embeddings: list[dict[str, Any]] = field(default_factory=list)
    updates: int = 0
    molecules: int = 0
    weights: dict[str, Any] | None = None
    unkept: str = ""
    logits: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    uncertainty: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass
class SeedRecord:
    """Record of one seed so far; see `SeedResult`."""

    number: int
    diverged: bool = False
    epochs: int = 0
    updates: int = 0
    molecules: int = 0
    stopped: bool = False
    selection: Selection = field(default_factory=Selection)
    best_weights: dict[str, Tensor] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    class_history: list[dict[str, Any]] = field(default_factory=list)
    embeddings: list[dict[str, Any]] = field(default_factory=list)

    def note_epoch(self, epoch: int, row: dict[str, Any], seconds: float) -> None:
        """Add a row to the history."""
        self.epochs = epoch + 1
        self.history.append({"epoch": epoch, **row, "seconds": seconds, "finished_at": time.time()})

    def forget_best(self) -> None:
        """Let later epochs be chosen only."""
        self.selection.forget()
        self.best_weights = None

    @property
    def best_epoch(self) -> int | None:
        """The chosen epoch."""
        return self.selection.best_epoch

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint: numbers, text and tensors."""
        return {**vars(self), "selection": vars(self.selection)}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> SeedRecord:
        """Return what `state` was taken of."""
        return cls(**{**state, "selection": Selection(**state["selection"])})

    def result(self) -> SeedResult:
        """The result, as yet without predictions."""
        return SeedResult(
            status="diverged" if self.diverged else "finished",
            epochs=self.epochs,
            best_epoch=self.best_epoch,
            updates=self.updates,
            molecules=self.molecules,
            history=self.history,
            class_history=self.class_history,
            embeddings=self.embeddings,
        )


def weights_in_force(history: pd.DataFrame, best_epoch: int | None) -> list[float] | None:
    """Return the class weights in force when a network was chosen, [C]; None if none are measured.

    Parameters
    ----------
    history
        One seed's rows of class_history.parquet.
    best_epoch
        The chosen epoch; None takes the last.
    """
    measured = history.dropna(subset="weight") if "weight" in history else history.head(0)
    before = measured[measured["epoch"] <= best_epoch] if best_epoch is not None else measured
    last = before[before["epoch"] == before["epoch"].max()].sort_values("label")
    found: list[float] = last["weight"].tolist() if len(last) else []
    return found or None


def learned_shares(
    recipe: Recipe, counts: Sequence[int], results: Mapping[int, SeedResult]
) -> dict[str, Shares]:
    """Return the class shares that each seed's probabilities have learned; None if undefined.

    Parameters
    ----------
    recipe, counts
        The method, and training molecules per class.
    results
        Seed -> what training it gave.
    """
    found: dict[str, Shares] = {}
    for seed, result in results.items():
        if result.status != "finished":
            found[str(seed)] = None
            continue
        measured = None
        if recipe.needs_geometry:
            measured = weights_in_force(pd.DataFrame(result.class_history), result.best_epoch)
        found[str(seed)] = trained_shares(recipe, counts, measured)
    return found


def recall_per_class(logits: Tensor, labels: Tensor) -> list[float]:
    """Recall of each class, from logits [n, C]; NaN for a class without molecules."""
    classes = logits.shape[1]
    correct = logits.argmax(1) == labels
    counts = torch.bincount(labels, minlength=classes)
    hits = torch.bincount(labels[correct], minlength=classes)
    recall: list[float] = (hits / counts).tolist()
    return recall


def mapped_epochs(refreshes: range) -> set[int]:
    """A few of the epochs, evenly spaced, the first among them."""
    return set(refreshes[:: max(1, -(-len(refreshes) // MAPPED_REFRESHES))])


def mapped_embeddings(
    moment: str, epoch: int, embeddings: Tensor, labels: Tensor, geometry: Geometry, seed: int
) -> dict[str, Any]:
    """Embeddings of a few molecules of every class, for a map.

    Parameters
    ----------
    moment, epoch
        When this is.
    embeddings, labels
        Of the training molecules, [N, D] and int64 [N].
    geometry
        Of the same embeddings.
    seed
        Which molecules are taken depends on it and the labels alone.
    """
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    order = order.to(labels.device)
    order = order[labels[order].argsort(stable=True)]
    counts = torch.bincount(labels)
    rank = torch.arange(len(order), device=order.device)
    rank -= (counts.cumsum(0) - counts).repeat_interleave(counts)
    position = order[rank < MAPPED_PER_CLASS].sort().values
    return {
        "moment": moment,
        "epoch": epoch,
        "position": position.cpu(),
        "subcluster": geometry.subclusters[position].cpu(),
        "embedding": F.normalize(embeddings[position], dim=1).cpu(),
    }
