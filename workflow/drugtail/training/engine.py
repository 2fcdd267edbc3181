"""Training some seeds of a network, from the first weights to predictions."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from drugtail.features.packed import GraphStore, Size
from drugtail.methods.geometry import Geometry
from drugtail.methods.samplers import SAMPLERS
from drugtail.models.network import Network
from drugtail.models.stacked import load_state_of, state_of
from drugtail.runtime.draws import step_keys
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import Pace, say
from drugtail.runtime.seeds import derive_seed
from drugtail.training.capture import Captured
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.objective import Objective
from drugtail.training.problem import TEST, TRAIN, VALID, Problem

if TYPE_CHECKING:
    from drugtail.config import GraphEncoder, Training
    from drugtail.methods.recipe import Recipe

EVALUATION_BATCH = 1024
SECONDS_BETWEEN_LINES = 5.0
# Of a fixed size of graph, over what the batches of the epoch at hand need.
SPARE_ROOM = 1.05
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


def train_seeds(
    problem: Problem,
    store: GraphStore,
    recipe: Recipe,
    encoder: GraphEncoder,
    training: Training,
    seeds: Sequence[int],
    checkpoint: Checkpoint,
    *,
    fixed: bool,
) -> list[SeedResult]:
    """Train several seeds as one batched computation.

    Each predicts validation and test molecules with the weights of its best epoch.

    Parameters
    ----------
    problem
        Molecules, classes and parts.
    store
        All molecules, on the device to train on.
    recipe, encoder, training
        The method, the network and the training settings.
    seeds
        Training seeds. Initial weights and molecule order depend on data set, split and seed
        alone, so that every method sees the same; a method's own sampler draws another order.
    checkpoint
        Where to continue from and to save to.
    fixed
        Whether all batches have graphs of one size with a row for every atom, so that a GPU need
        not be waited for and a step can be replayed. It changes results only by rounding.
    """
    run = Run(problem, store, recipe, encoder, training, seeds, fixed)
    state = checkpoint.load()
    if state is not None:
        run.restore(state)
        say(f"{run.name}: continues after epoch {run.epoch} of {training.epochs}")
    lines, saves = Pace(SECONDS_BETWEEN_LINES), Pace(checkpoint.seconds)
    while run.epoch < training.epochs and run.active():
        run.train_epoch()
        last = run.epoch == training.epochs or not run.active()
        if lines.due() or last:
            say(run.line())
        if saves.due() or last:
            checkpoint.save(run.state())
    return run.results()


@dataclass
class _Seed:
    """What is known of one seed so far; see `SeedResult`."""

    number: int
    diverged: bool = False
    epochs: int = 0
    best_score: float = -1.0
    best_epoch: int | None = None
    best_weights: dict[str, Tensor] | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    classes: list[dict[str, Any]] = field(default_factory=list)
    embeddings: list[dict[str, Any]] = field(default_factory=list)


class Run:
    """The state of S seeds in training; parameters as in `train_seeds`."""

    def __init__(
        self,
        problem: Problem,
        store: GraphStore,
        recipe: Recipe,
        encoder: GraphEncoder,
        training: Training,
        seeds: Sequence[int],
        fixed: bool,
    ) -> None:
        device = store.device
        self.problem, self.store, self.recipe, self.training = problem, store, recipe, training
        self.seeds = [_Seed(seed) for seed in seeds]
        named = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]}-{seeds[-1]}"
        self.name = f"{problem.dataset} {problem.split} {recipe.name} {named}"
        self.parts = {
            part: torch.from_numpy(rows).to(device) for part, rows in problem.parts.items()
        }
        self.labels = torch.from_numpy(problem.labels).to(device)
        self.network = Network(
            encoder,
            problem.classes,
            [self._stream_seed("weights", seed, encoder.name) for seed in seeds],
        ).to(device)
        # A replayed step reads the learning rate from the device.
        on_gpu = device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            self.network.parameters(),
            lr=torch.tensor(training.learning_rate, device=device)
            if on_gpu
            else training.learning_rate,
            weight_decay=training.weight_decay,
            fused=True,
            capturable=on_gpu,
        )
        self.objective = Objective(
            recipe,
            self.labels[self.parts[TRAIN]],
            problem.classes,
            training.schedule_scale,
            len(seeds),
        )
        if self.objective.warmup >= training.epochs:
            raise DrugtailError(
                f"method {recipe.name!r}: its warm-up takes {self.objective.warmup} epochs, but "
                f"the training has {training.epochs}; raise training.epochs or lower "
                "training.schedule_scale"
            )
        self.epoch = 0
        self.refreshes = self.objective.refresh_epochs(training.epochs)
        self.mapped = _spread(self.refreshes, MAPPED_REFRESHES)
        self.losses = torch.zeros(3, len(seeds), device=device)
        self.fixed = fixed
        self.sizes: dict[int, Size] = {}
        # Steps of changing shapes cannot be replayed.
        self.step = Captured(self.update, device if fixed else torch.device("cpu"))

    def active(self) -> list[tuple[int, _Seed]]:
        """The seeds that have not diverged, with their places among all."""
        return [(i, seed) for i, seed in enumerate(self.seeds) if not seed.diverged]

    # ------------------------------------------------------------------------- one epoch

    def train_epoch(self) -> None:
        """Re-cluster if due, train one epoch, validate, keep the best weights."""
        started = time.monotonic()
        refreshed = self._refresh(started) if self.epoch in self.refreshes else {}
        rate = self.training.learning_rate * self.training.learning_rate_decay**self.epoch
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        losses, molecules = self._train_batches()
        trained = time.monotonic() - started
        logits = None
        if self.objective.trains_classifier(self.epoch):
            logits = self._predict(self.parts[VALID])
        for index, seed in self.active():
            total, classification, contrastive = losses[index]
            row = {
                "loss": total,
                "classification_loss": classification,
                "contrastive_loss": contrastive,
                "learning_rate": rate,
                "molecules_per_second": molecules / trained,
            }
            if not np.isfinite(total):
                seed.diverged = True
            elif logits is not None:
                if bool(logits[index].isfinite().all()):
                    recalls = self._recall(logits[index])
                    row |= self._validate(index, seed, logits[index], recalls)
                    for class_row, recall in zip(refreshed.get(index, []), recalls, strict=False):
                        class_row["valid_recall"] = recall
                else:
                    seed.diverged = True
            self._note_epoch(seed, started, row)
        self.epoch += 1

    def _refresh(self, started: float) -> dict[int, list[dict[str, Any]]]:
        """Cluster the training set of every seed; rows of classes.parquet by its place."""
        embeddings, valid = self._embed(self.parts[TRAIN]), self._embed(self.parts[VALID])
        rows = {}
        for index, seed in self.active():
            if not bool(embeddings[index].isfinite().all() and valid[index].isfinite().all()):
                seed.diverged = True
                self._note_epoch(seed, started, {})
                continue
            self.objective.refresh_geometry(
                index,
                embeddings[index],
                valid[index],
                self.labels[self.parts[VALID]],
                self._stream_seed("clustering", seed.number, self.epoch),
            )
            geometry = self.objective.geometry[index]
            rows[index] = self.objective.class_rows(index, "refresh", self.epoch, geometry)
            seed.classes += rows[index]
            if self.epoch in self.mapped:
                self._note_embeddings(seed, "refresh", self.epoch, embeddings[index], geometry)
        return rows

    def _train_batches(self) -> tuple[list[list[float]], int]:
        """Mean losses of each seed, [S][3], and how many molecules all of them saw together."""
        sampler = self.recipe.sampler
        # Drawn on the CPU: a GPU's generator gives other numbers.
        labels = self.objective.labels.cpu()
        drawn = torch.stack(
            [
                SAMPLERS[sampler.name](sampler, labels, self._generator("order", seed.number))
                for seed in self.seeds
            ]
        ).to(self.store.device)
        pieces = batches(drawn, self.training.batch_size)
        keys = [
            step_keys(
                self._stream_seed("views", seed.number, self.epoch), len(pieces), drawn.device
            )
            for seed in self.seeds
        ]
        self.make_room(pieces)
        self.network.train()
        self.losses.zero_()
        for piece, key in zip(pieces, torch.stack(keys, dim=1), strict=True):
            length = piece.shape[1]
            kind = length, self.sizes.get(length), self.objective.phase(self.epoch)
            self.step(kind, piece, key)
        return (self.losses / drawn.shape[1]).T.tolist(), drawn.numel()

    def make_room(self, pieces: Sequence[Tensor]) -> None:
        """Let the fixed sizes of graphs hold all batches of this epoch; waits for the device."""
        if not self.fixed:
            return
        views = 1 if self.recipe.views is None else 2
        for length in {piece.shape[1] for piece in pieces}:
            alike = torch.stack([piece for piece in pieces if piece.shape[1] == length])
            needed = self.store.size_of(self.parts[TRAIN][alike].repeat(1, 1, views))
            held = self.sizes.get(length, Size(0, 0))
            # An atom is always left for the entries that fill a graph up.
            if needed.atoms >= held.atoms or needed.entries > held.entries:
                # With some room to spare, so that the next epochs fit in, too.
                both = zip(needed, held, strict=True)
                self.sizes[length] = Size(*(math.ceil(SPARE_ROOM * max(pair)) for pair in both))

    def update(self, drawn: Tensor, keys: Tensor) -> None:
        """Update every seed's network once.

        With fixed sizes of graphs it runs the same operations on the same shapes for all batches of
        a phase and never waits for the device.

        Parameters
        ----------
        drawn
            Positions among the training molecules, int64 [S, B].
        keys
            Source of randomness of each seed, int64 [S].
        """
        length = drawn.shape[1]
        with self._precision():
            losses = self.objective(
                self.network,
                self.store,
                self.parts[TRAIN][drawn],
                drawn,
                self.epoch,
                keys,
                self.sizes.get(length),
            )
        self.optimizer.zero_grad()
        losses.total.sum().backward()
        self.optimizer.step()
        parts = torch.stack([losses.total, losses.classification, losses.contrastive])
        self.losses += parts.detach() * length

    def _validate(
        self, index: int, seed: _Seed, logits: Tensor, recalls: list[float]
    ) -> dict[str, Any]:
        """Validation metrics; remembers the weights when balanced accuracy is the best so far."""
        labels = self.labels[self.parts[VALID]]
        score = float(torch.tensor(recalls, dtype=torch.float32).nanmean())
        if score > seed.best_score:
            seed.best_score, seed.best_epoch = score, self.epoch
            seed.best_weights = state_of(self.network, index)
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

    def _note_epoch(self, seed: _Seed, started: float, row: dict[str, Any]) -> None:
        seed.epochs = self.epoch + 1
        seed.history.append(
            {
                "epoch": self.epoch,
                **row,
                # Of an epoch that all seeds spend together, each has its share.
                "seconds": (time.monotonic() - started) / len(self.seeds),
                "finished_at": time.time(),
            }
        )

    def _note_embeddings(
        self,
        seed: _Seed,
        moment: str,
        epoch: int,
        embeddings: Tensor,
        geometry: Geometry | None,
    ) -> None:
        """Keep the embeddings of a few molecules of every class, always the same ones."""
        labels = self.objective.labels
        generator = torch.Generator()
        generator.manual_seed(derive_seed("map", self.problem.dataset, self.problem.split))
        order = torch.randperm(len(labels), generator=generator).to(labels.device)
        order = order[labels[order].argsort(stable=True)]
        counts = self.objective.counts
        rank = torch.arange(len(order), device=order.device)
        rank -= (counts.cumsum(0) - counts).repeat_interleave(counts)
        position = order[rank < MAPPED_PER_CLASS].sort().values
        assert geometry is not None
        seed.embeddings.append(
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
        """Embeddings of the same molecules by every seed's network, [S, n, D]."""
        self.network.eval()
        return torch.cat(
            [
                self.network.encoder(
                    self.store.batch(rows.repeat(len(self.seeds), 1)), self.store.type_features
                )
                for rows in molecules.split(EVALUATION_BATCH)
            ],
            dim=1,
        )

    def _predict(self, molecules: Tensor) -> Tensor:
        return predict_logits(self.network, self.store, molecules, len(self.seeds))

    # --------------------------------------------------------------------- random streams

    def _stream_seed(self, stream: str, seed: int, *axes: str | int) -> int:
        return derive_seed(stream, self.problem.dataset, self.problem.split, seed, *axes)

    def _generator(self, stream: str, seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._stream_seed(stream, seed, self.epoch))

    def _precision(self) -> torch.autocast:
        return torch.autocast(
            self.store.device.type,
            torch.bfloat16,
            enabled=self.training.mixed_precision,
            # What is remembered would outlive the recording of a step.
            cache_enabled=not self.fixed,
        )

    # ------------------------------------------------------------------------ state

    def state(self) -> dict[str, Any]:
        """Everything needed to continue: tensors, numbers and text, so that it loads safely."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "objective": [self.objective.state(index) for index in range(len(self.seeds))],
            "seeds": [vars(seed) for seed in self.seeds],
            "sizes": {length: list(size) for length, size in self.sizes.items()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.epoch = state["epoch"]
        self.network.load_state_dict(state["network"])
        # How a device wants them, not how the one that was trained on before did.
        kept = [(group["lr"], group["capturable"]) for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, (rate, capturable) in zip(self.optimizer.param_groups, kept, strict=True):
            group |= {"lr": rate, "capturable": capturable}
        self.seeds = [_Seed(**seed) for seed in state["seeds"]]
        self.sizes = {length: Size(*size) for length, size in state["sizes"].items()}
        for index, geometry in enumerate(state["objective"]):
            self.objective.restore(index, geometry)

    def line(self) -> str:
        """One line of progress: loss and validation score of each seed still trained."""
        rows = [seed.history[-1] for _, seed in self.active()]
        told = []
        if rows:
            scores = [row.get("valid_balanced_accuracy") for row in rows]
            told.append("loss " + " ".join(f"{row['loss']:.4f}" for row in rows))
            shown = "valid balanced accuracy " + " ".join(
                f"{s:.3f}" for s in scores if s is not None
            )
            told.append("warm-up" if None in scores else shown)
            told.append(f"{rows[0]['molecules_per_second']:,.0f} molecules/s")
        told += [
            f"(seed {seed.number} ended in epoch {seed.epochs}: its loss is not a number)"
            for seed in self.seeds
            if seed.diverged
        ]
        return f"{self.name}: epoch {self.epoch}/{self.training.epochs} {' '.join(told)}"

    def results(self) -> list[SeedResult]:
        """Predict with the chosen weights of every seed."""
        chosen = [(i, seed) for i, seed in self.active() if seed.best_weights is not None]
        found = [
            SeedResult(
                status="diverged" if seed.diverged else "finished",
                epochs=seed.epochs,
                best_epoch=seed.best_epoch,
                history=seed.history,
                classes=seed.classes,
                embeddings=seed.embeddings,
            )
            for seed in self.seeds
        ]
        if not chosen:
            return found
        for index, seed in chosen:
            assert seed.best_weights is not None
            load_state_of(self.network, index, seed.best_weights)
        embeddings, valid = self._embed(self.parts[TRAIN]), self._embed(self.parts[VALID])
        logits = {part: self._predict(self.parts[part]) for part in (VALID, TEST)}
        for index, seed in chosen:
            assert seed.best_weights is not None
            if bool(embeddings[index].isfinite().all() and valid[index].isfinite().all()):
                self._note_chosen(
                    index, seed, embeddings[index], valid[index], logits[VALID][index]
                )
            found[index].weights = {k: v.cpu() for k, v in seed.best_weights.items()}
            found[index].logits = {
                part: values[index].cpu().numpy() for part, values in logits.items()
            }
        return found

    def _note_chosen(
        self, index: int, seed: _Seed, embeddings: Tensor, valid: Tensor, logits: Tensor
    ) -> None:
        """Measure the classes once more, with the weights that were chosen."""
        assert seed.best_epoch is not None
        geometry = self.objective.measure_geometry(
            embeddings,
            valid,
            self.labels[self.parts[VALID]],
            self._stream_seed("clustering", seed.number),
        )
        rows = self.objective.class_rows(index, "chosen", seed.best_epoch, geometry)
        for row, recall in zip(rows, self._recall(logits), strict=True):
            # The weights in force at the chosen epoch are those of the refresh before it.
            row["valid_recall"] = recall
            if self.recipe.needs_geometry:
                del row["weight"]
        seed.classes += rows
        self._note_embeddings(seed, "chosen", seed.best_epoch, embeddings, geometry)


def _spread(epochs: range, number: int) -> set[int]:
    """Up to `number` of the epochs, evenly spaced, the first among them."""
    step = max(1, -(-len(epochs) // number))
    return set(epochs[::step])


def batches(drawn: Tensor, size: int) -> list[Tensor]:
    """Cut an epoch into batches, along the last dimension.

    A last one of a single molecule joins the one before: batch normalisation needs two.
    """
    pieces = list(drawn.split(size, dim=-1))
    if len(pieces) > 1 and pieces[-1].shape[-1] == 1:
        pieces[-2:] = [torch.cat(pieces[-2:], dim=-1)]
    return pieces


@torch.no_grad()
def predict_logits(
    network: Network, store: GraphStore, molecules: Tensor, seeds: int = 1
) -> Tensor:
    """Logits of molecules of a store by every seed's network.

    Parameters
    ----------
    network
        Of S seeds; it is put into evaluation mode.
    store
        All molecules.
    molecules
        Positions, int64 [n].
    seeds
        S.

    Returns
    -------
    Tensor
        float32 [S, n, C].
    """
    network.eval()
    return torch.cat(
        [
            network(store.batch(rows.repeat(seeds, 1)), store.type_features).logits.float()
            for rows in molecules.split(EVALUATION_BATCH)
        ],
        dim=1,
    )
