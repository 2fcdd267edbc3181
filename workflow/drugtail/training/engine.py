"""Training one seed of a network, from the first weights to predictions."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from drugtail.features.packed import GraphStore
from drugtail.methods.geometry import Geometry
from drugtail.methods.samplers import SAMPLERS
from drugtail.models.network import Network
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import Pace, say
from drugtail.runtime.seeds import derive_seed
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.objective import Objective
from drugtail.training.problem import TEST, TRAIN, VALID, Problem

if TYPE_CHECKING:
    from drugtail.config import GraphEncoder, Training
    from drugtail.methods.recipe import Recipe

EVALUATION_BATCH = 1024
SECONDS_BETWEEN_LINES = 5.0
# For the maps of the embeddings: at how many refreshes, and how many molecules of a class.
MAPPED_REFRESHES = 3
MAPPED_PER_CLASS = 150


@dataclass
class SeedResult:
    """What training one seed gave.

    Attributes
    ----------
    status : str
        ``finished`` or ``diverged``.
    epochs : int
        Epochs that were trained; for a diverged seed, the last one is where it happened.
    best_epoch : int or None
        Epoch (counted from 0) whose weights were chosen by validation balanced accuracy.
    history, classes : list of dict
        Rows of history.parquet and classes.parquet.
    embeddings : list of dict
        Embeddings of some training molecules at a few epochs: ``moment`` (refresh or chosen),
        ``epoch``, ``position`` among the training molecules, int64 [n], ``subcluster``, int64 [n],
        and ``embedding``, L2-normalised, float32 [n, D].
    weights : dict or None
        Chosen state of the network.
    logits : dict
        Part -> logits of its molecules, float32 [n, C].
    """

    status: str
    epochs: int
    best_epoch: int | None
    history: list[dict[str, Any]]
    classes: list[dict[str, Any]]
    embeddings: list[dict[str, Any]] = field(default_factory=list)
    weights: dict[str, Tensor] | None = None
    logits: dict[str, NDArray[np.float32]] = field(default_factory=dict)


def train_seed(
    problem: Problem,
    store: GraphStore,
    recipe: Recipe,
    encoder: GraphEncoder,
    training: Training,
    seed: int,
    checkpoint: Checkpoint,
) -> SeedResult:
    """Train one seed and predict validation and test molecules with the best epoch's weights.

    Parameters
    ----------
    problem
        Molecules, classes and parts.
    store
        All molecules, on the device to train on.
    recipe, encoder, training
        The method, the network and the training settings.
    seed
        Training seed. Initial weights and molecule order depend on data set, split and seed
        alone, so that every method sees the same.
    checkpoint
        Where to continue from and to save to.
    """
    run = _Run(problem, store, recipe, encoder, training, seed)
    state = checkpoint.load(store.device)
    if state is not None:
        run.restore(state)
        say(f"{run.name}: continues after epoch {run.epoch} of {training.epochs}")
    lines, saves = Pace(SECONDS_BETWEEN_LINES), Pace(checkpoint.seconds)
    while run.epoch < training.epochs and not run.diverged:
        run.train_epoch()
        last = run.epoch == training.epochs or run.diverged
        if lines.due() or last:
            say(run.line())
        if saves.due() or last:
            checkpoint.save(run.state())
    return run.result()


class _Run:
    """The state of one seed in training."""

    def __init__(
        self,
        problem: Problem,
        store: GraphStore,
        recipe: Recipe,
        encoder: GraphEncoder,
        training: Training,
        seed: int,
    ) -> None:
        device = store.device
        self.problem, self.store, self.recipe, self.training = problem, store, recipe, training
        self.seed = seed
        self.name = f"{problem.dataset} {problem.split} {recipe.name} seed {seed}"
        self.parts = {
            part: torch.from_numpy(rows).to(device) for part, rows in problem.parts.items()
        }
        self.labels = torch.from_numpy(problem.labels).to(device)
        self.network = Network(
            encoder, problem.classes, self._stream_seed("weights", encoder.name)
        ).to(device)
        self.optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,
        )
        self.objective = Objective(
            recipe, self.labels[self.parts[TRAIN]], problem.classes, training.schedule_scale
        )
        if self.objective.warmup >= training.epochs:
            raise DrugtailError(
                f"method {recipe.name!r}: its warm-up takes {self.objective.warmup} epochs, but "
                f"the training has {training.epochs}; raise training.epochs or lower "
                "training.schedule_scale"
            )
        self.epoch = 0
        self.diverged = False
        self.best_score = -1.0
        self.best_epoch: int | None = None
        self.best_weights: dict[str, Tensor] | None = None
        self.history: list[dict[str, Any]] = []
        self.classes: list[dict[str, Any]] = []
        self.embeddings: list[dict[str, Any]] = []
        self.refreshes = self.objective.refresh_epochs(training.epochs)
        self.mapped = _spread(self.refreshes, MAPPED_REFRESHES)

    # ------------------------------------------------------------------------- one epoch

    def train_epoch(self) -> None:
        """Re-cluster if due, train one epoch, validate, keep the best weights."""
        started = time.monotonic()
        refreshed: list[dict[str, Any]] = []
        if self.epoch in self.refreshes:
            embeddings, valid = self._embed(self.parts[TRAIN]), self._embed(self.parts[VALID])
            if not bool(embeddings.isfinite().all() and valid.isfinite().all()):
                self._diverge(started, {})
                return
            self.objective.refresh_geometry(
                embeddings,
                valid,
                self.labels[self.parts[VALID]],
                self._stream_seed("clustering", self.epoch),
            )
            refreshed = self.objective.class_rows("refresh", self.epoch, self.objective.geometry)
            self.classes += refreshed
            if self.epoch in self.mapped:
                self._note_embeddings("refresh", self.epoch, embeddings, self.objective.geometry)
        rate = self.training.learning_rate * self.training.learning_rate_decay**self.epoch
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        losses, molecules = self._train_batches()
        trained = time.monotonic() - started
        row = {
            "loss": losses[0],
            "classification_loss": losses[1],
            "contrastive_loss": losses[2],
            "learning_rate": rate,
            "molecules_per_second": molecules / trained,
        }
        if not np.isfinite(losses[0]):
            self._diverge(started, row)
            return
        if self.objective.trains_classifier(self.epoch):
            logits = self._predict(self.parts[VALID])
            if not bool(logits.isfinite().all()):
                self._diverge(started, row)
                return
            row |= self._validate(logits)
            for class_row, recall in zip(refreshed, self._recall(logits), strict=False):
                class_row["valid_recall"] = recall
        self._note_epoch(started, row)
        self.epoch += 1

    def _train_batches(self) -> tuple[list[float], int]:
        order = self._generator("order")
        views = self._generator("views")
        sampler = self.recipe.sampler
        drawn = SAMPLERS[sampler.name](sampler, self.objective.labels, order)
        self.network.train()
        total = torch.zeros(3, device=self.store.device)
        for batch in batches(drawn, self.training.batch_size):
            with self._precision():
                losses = self.objective(
                    self.network, self.store, self.parts[TRAIN][batch], batch, self.epoch, views
                )
            self.optimizer.zero_grad()
            losses.total.backward()
            self.optimizer.step()
            parts = torch.stack([losses.total, losses.classification, losses.contrastive])
            total += parts.detach() * len(batch)
        return (total / len(drawn)).tolist(), len(drawn)

    def _validate(self, logits: Tensor) -> dict[str, Any]:
        """Validation metrics; remembers the weights when balanced accuracy is the best so far."""
        labels = self.labels[self.parts[VALID]]
        recall = torch.tensor(self._recall(logits), dtype=torch.float32)
        score = float(recall.nanmean())
        if score > self.best_score:
            self.best_score, self.best_epoch = score, self.epoch
            self.best_weights = copy.deepcopy(self.network.state_dict())
        return {
            "valid_loss": float(F.cross_entropy(logits, labels)),
            "valid_balanced_accuracy": score,
            "valid_accuracy": float((logits.argmax(1) == labels).float().mean()),
        }

    def _recall(self, logits: Tensor) -> list[float]:
        """Recall of each class on the validation molecules; NaN for a class without any."""
        labels = self.labels[self.parts[VALID]]
        correct = logits.argmax(1) == labels
        counts = torch.bincount(labels, minlength=self.problem.classes)
        hits = torch.bincount(labels[correct], minlength=self.problem.classes)
        recall: list[float] = (hits / counts).tolist()
        return recall

    def _diverge(self, started: float, row: dict[str, Any]) -> None:
        self.diverged = True
        self._note_epoch(started, row)
        self.epoch += 1

    def _note_epoch(self, started: float, row: dict[str, Any]) -> None:
        self.history.append(
            {
                "epoch": self.epoch,
                **row,
                "seconds": time.monotonic() - started,
                "finished_at": time.time(),
            }
        )

    def _note_embeddings(
        self, moment: str, epoch: int, embeddings: Tensor, geometry: Geometry | None
    ) -> None:
        """Keep the embeddings of a few molecules of every class, always the same ones."""
        labels = self.objective.labels
        generator = torch.Generator(device=labels.device)
        generator.manual_seed(derive_seed("map", self.problem.dataset, self.problem.split))
        order = torch.randperm(len(labels), generator=generator, device=labels.device)
        order = order[labels[order].argsort(stable=True)]
        counts = self.objective.counts
        rank = torch.arange(len(order), device=order.device)
        rank -= (counts.cumsum(0) - counts).repeat_interleave(counts)
        position = order[rank < MAPPED_PER_CLASS].sort().values
        assert geometry is not None
        self.embeddings.append(
            {
                "moment": moment,
                "epoch": epoch,
                "position": position.cpu(),
                "subcluster": geometry.subclusters[position].cpu(),
                "embedding": F.normalize(embeddings[position], dim=1).cpu(),
            }
        )

    # ------------------------------------------------------------------------ evaluation

    @torch.no_grad()
    def _embed(self, molecules: Tensor) -> Tensor:
        self.network.eval()
        return torch.cat(
            [
                self.network.encoder(self.store.batch(rows), self.store.type_features)
                for rows in molecules.split(EVALUATION_BATCH)
            ]
        )

    @torch.no_grad()
    def _predict(self, molecules: Tensor) -> Tensor:
        return predict_logits(self.network, self.store, molecules)

    # --------------------------------------------------------------------- random streams

    def _stream_seed(self, stream: str, *axes: str | int) -> int:
        return derive_seed(stream, self.problem.dataset, self.problem.split, self.seed, *axes)

    def _generator(self, stream: str) -> torch.Generator:
        generator = torch.Generator(device=self.store.device)
        return generator.manual_seed(self._stream_seed(stream, self.epoch))

    def _precision(self) -> torch.autocast:
        return torch.autocast(
            self.store.device.type, torch.bfloat16, enabled=self.training.mixed_precision
        )

    # ------------------------------------------------------------------------ state

    def state(self) -> dict[str, Any]:
        """Everything needed to continue: tensors, numbers and text, so that it loads safely."""
        return {
            "epoch": self.epoch,
            "diverged": self.diverged,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "objective": self.objective.state(),
            "best": [self.best_score, self.best_epoch],
            "best_weights": self.best_weights,
            "history": self.history,
            "classes": self.classes,
            "embeddings": self.embeddings,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.epoch, self.diverged = state["epoch"], state["diverged"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.objective.restore(state["objective"])
        self.best_score, self.best_epoch = state["best"]
        self.best_weights = state["best_weights"]
        self.history, self.classes = state["history"], state["classes"]
        self.embeddings = state["embeddings"]

    def line(self) -> str:
        """One line of progress."""
        row = self.history[-1]
        if self.diverged:
            return f"{self.name}: the loss is not a number in epoch {self.epoch}; run ends"
        score = row.get("valid_balanced_accuracy")
        shown = "warm-up" if score is None else f"valid balanced accuracy {score:.3f}"
        return (
            f"{self.name}: epoch {self.epoch}/{self.training.epochs} loss {row['loss']:.4f} "
            f"{shown} {row['molecules_per_second']:,.0f} molecules/s"
        )

    def result(self) -> SeedResult:
        """Predict with the chosen weights."""
        result = SeedResult(
            status="diverged" if self.diverged else "finished",
            epochs=self.epoch,
            best_epoch=self.best_epoch,
            history=self.history,
            classes=self.classes,
            embeddings=self.embeddings,
        )
        if not self.diverged and self.best_weights is not None:
            self.network.load_state_dict(self.best_weights)
            self._note_chosen()
            result.weights = {k: v.cpu() for k, v in self.best_weights.items()}
            for part in (VALID, TEST):
                result.logits[part] = self._predict(self.parts[part]).cpu().numpy()
        return result

    def _note_chosen(self) -> None:
        """Measure the classes once more, with the weights that were chosen."""
        assert self.best_epoch is not None
        embeddings, valid = self._embed(self.parts[TRAIN]), self._embed(self.parts[VALID])
        geometry = self.objective.measure_geometry(
            embeddings, valid, self.labels[self.parts[VALID]], self._stream_seed("clustering")
        )
        rows = self.objective.class_rows("chosen", self.best_epoch, geometry)
        for row, recall in zip(rows, self._recall(self._predict(self.parts[VALID])), strict=True):
            # The weights in force at the chosen epoch are those of the refresh before it.
            row["valid_recall"] = recall
            if self.recipe.needs_geometry:
                del row["weight"]
        self.classes += rows
        self._note_embeddings("chosen", self.best_epoch, embeddings, geometry)


def _spread(epochs: range, number: int) -> set[int]:
    """Up to `number` of the epochs, evenly spaced, the first among them."""
    step = max(1, -(-len(epochs) // number))
    return set(epochs[::step])


def batches(drawn: Tensor, size: int) -> list[Tensor]:
    """Cut an epoch into batches; a last one of a single molecule joins the one before.

    Batch normalisation needs two molecules.
    """
    pieces = list(drawn.split(size))
    if len(pieces) > 1 and len(pieces[-1]) == 1:
        pieces[-2:] = [torch.cat(pieces[-2:])]
    return pieces


@torch.no_grad()
def predict_logits(network: Network, store: GraphStore, molecules: Tensor) -> Tensor:
    """Logits of molecules of a store, float32 [B, C]; puts the network into evaluation mode."""
    network.eval()
    return torch.cat(
        [
            network(store.batch(rows), store.type_features).logits.float()
            for rows in molecules.split(EVALUATION_BATCH)
        ]
    )
