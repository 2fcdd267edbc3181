"""The state of some seeds in training, from the first weights to predictions."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.config.base import declares
from drugtail.config.schedule import (
    check_epochs,
    last_change_epoch,
    refresh_epochs,
    second_stage_epoch,
)
from drugtail.features.batch import Store
from drugtail.features.packed import GraphStore
from drugtail.geometry.class_geometry import Geometry
from drugtail.methods.samplers import SAMPLERS
from drugtail.models.companion import Companion
from drugtail.models.inference import EVALUATION_BATCH, predict
from drugtail.models.network import Network, Output
from drugtail.models.stacked import load_state_of, state_of
from drugtail.runtime.draws import step_keys
from drugtail.runtime.seeds import derive_seed
from drugtail.training.capture import Captured
from drugtail.training.objective import Losses, Objective
from drugtail.training.optimizer import parameter_groups, trained_parameters
from drugtail.training.pool import Pool, batches
from drugtail.training.problem import TEST, TRAIN, VALID, Problem
from drugtail.training.record import (
    SeedRecord,
    SeedResult,
    mapped_embeddings,
    mapped_epochs,
    recall_per_class,
)
from drugtail.training.second_stage import change_last_layer, enter_second_stage, posthoc_shift
from drugtail.training.sharpness import sharpness_aware_backward
from drugtail.training.weight_average import WeightAverage

if TYPE_CHECKING:
    from drugtail.config.components.samplers import Sampler
    from drugtail.config.encoder import EncoderSettings
    from drugtail.config.recipe import Recipe
    from drugtail.config.training import Training

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": torch.optim.AdamW,
    "adam": torch.optim.Adam,
}
# Of a fixed size of graph, over what the batches of the epoch at hand need.
SPARE_ROOM = 1.05


class SeedBatch:
    """The state of S seeds in training; parameters as in `train_seeds`."""

    def __init__(
        self,
        problem: Problem,
        store: Store,
        recipe: Recipe,
        encoder: EncoderSettings,
        training: Training,
        seeds: Sequence[int],
        static_shapes: bool,
    ) -> None:
        check_epochs(recipe, training)
        device = store.device
        self.problem, self.store, self.recipe, self.training = problem, store, recipe, training
        self.encoder = encoder
        self.seeds = [SeedRecord(seed) for seed in seeds]
        named = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]}-{seeds[-1]}"
        row = f"{recipe.name} on {encoder.name}"
        self.name = f"{problem.dataset} {problem.split} {row} {named}"
        self.subsets = {
            subset: torch.from_numpy(rows).to(device) for subset, rows in problem.subsets.items()
        }
        self.labels = torch.from_numpy(problem.labels).to(device)
        self.network = self.new_network("weights").to(device)
        self.companion = Companion(
            recipe,
            self.network,
            problem.classes,
            [self.stream_seed("centres", seed, encoder.name) for seed in seeds],
        ).to(device)
        self.objective = Objective(
            recipe,
            self.subsets[TRAIN],
            self.labels[self.subsets[TRAIN]],
            problem.classes,
            training.schedule_scale,
            len(seeds),
        )
        shift = posthoc_shift(recipe.posthoc, self.objective.classes.counts)
        if shift is not None:
            self.network.shift += shift
        self.epoch = 0
        # The epoch before which the second stage begins.
        self.second_start = second_stage_epoch(recipe, training.epochs)
        # The epoch before which the last component sets in that is not there from the first.
        self.last_change = last_change_epoch(recipe, training.epochs)
        # From here on an epoch without a better one counts for stopping.
        changes = (self.second_start, self.last_change)
        self.settled = max((one for one in changes if one and one < training.epochs), default=0)
        self.optimizer = self.new_optimizer()
        self.refreshes = refresh_epochs(recipe, training.epochs, training.schedule_scale)
        self.mapped = mapped_epochs(self.refreshes)
        self.losses = torch.zeros(3, len(seeds), device=device)
        # Where seeds are computed one after the other, no step has one shape.
        self.static_shapes = static_shapes and encoder.batched
        self.sizes: dict[int, tuple[int, ...]] = {}
        # Molecules that were made in training, as packed arrays.
        self.grown: dict[str, Tensor] | None = None
        self.average = self.new_average()
        self.step = self.new_step()

    @property
    def views(self) -> int:
        """Number of times a step sees each molecule that is drawn for it."""
        return 1 if self.recipe.views is None else 2

    def new_average(self) -> WeightAverage | None:
        """An average of the weights from here on, if the training wants one."""
        factor = self.training.weight_average
        return None if factor is None else WeightAverage(self.network, factor)

    @property
    def judged(self) -> Network:
        """The network that is validated and kept: the trained one, or its average."""
        return self.network if self.average is None else cast(Network, self.average.network)

    def new_network(self, stream: str) -> Network:
        """A network with fresh weights, drawn from a random stream of that name."""
        return Network(
            self.encoder,
            self.store.shape,
            self.problem.classes,
            [self.stream_seed(stream, seed.number, self.encoder.name) for seed in self.seeds],
            self.recipe.last_layer,
            self.recipe.experts,
        )

    def new_optimizer(self) -> torch.optim.Optimizer:
        """An optimiser of what is trained at this stage."""
        rate, on_gpu = self.training.learning_rate, self.store.device.type == "cuda"
        own = self.recipe.optimizer
        return OPTIMIZERS[self.training.optimizer if own is None else own.name](
            parameter_groups(self),
            # A replayed step reads the learning rate from the device.
            lr=torch.tensor(rate, device=self.store.device) if on_gpu else rate,
            fused=True,
            capturable=on_gpu,
        )

    def new_step(self) -> Captured:
        """The update, to be captured anew where steps of one kind have one shape."""
        # Steps of changing shapes cannot be replayed.
        return Captured(
            self.update, self.store.device if self.static_shapes else torch.device("cpu")
        )

    def active(self) -> list[tuple[int, SeedRecord]]:
        """The seeds still in training, with their places among all."""
        return [
            (i, seed) for i, seed in enumerate(self.seeds) if not (seed.diverged or seed.stopped)
        ]

    # ------------------------------------------------------------------------- one epoch

    def train_epoch(self) -> None:
        """Re-cluster if due, train one epoch, validate, keep the best weights."""
        started = time.monotonic()
        if self.epoch == self.second_start:
            enter_second_stage(self)
            self.average = self.new_average()
        if self.epoch == self.last_change:
            # An earlier network knows nothing of what the method is named after.
            for _, seed in self.active():
                seed.forget_best()
        self.objective.begin_epoch(self.epoch / self.training.epochs)
        refreshed = self._refresh(started) if self.epoch in self.refreshes else {}
        # A second stage begins anew.
        since = self.epoch - (self.second_start if self.objective.second_stage else 0)
        rate = self.training.learning_rate * self.training.learning_rate_decay**since
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        losses, molecules, steps = self._train_batches()
        trained = time.monotonic() - started
        logits = None
        if self.objective.trains_classifier(self.epoch):
            logits = self.predict(self.subsets[VALID]).logits
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
                    recalls = recall_per_class(logits[index], self.labels[self.subsets[VALID]])
                    row |= self._validate(index, seed, logits[index], recalls)
                    for class_row, recall in zip(refreshed.get(index, []), recalls, strict=False):
                        class_row["valid_recall"] = recall
                else:
                    seed.diverged = True
            seed.note_epoch(self.epoch, row, self._share_of_time(started))
            seed.updates += steps
            # Features are kept of molecules as they are, so that there is one view of each.
            views = 1 if self.objective.pool.features is not None else self.views
            # A sharpness-aware step computes each molecule at two places.
            passes = views * (1 if self.recipe.sharpness is None else 2)
            seed.molecules += passes * molecules // len(self.seeds)
            if self.epoch >= self.settled and seed.selection.is_over(self.epoch, self.training):
                seed.stopped = True
        self.epoch += 1

    def _refresh(self, started: float) -> dict[int, list[dict[str, Any]]]:
        """Cluster the training set of every seed; rows of class_history.parquet by its place."""
        embeddings, valid = self.embed(self.subsets[TRAIN]), self.embed(self.subsets[VALID])
        rows = {}
        for index, seed in self.active():
            if not bool(embeddings[index].isfinite().all() and valid[index].isfinite().all()):
                seed.diverged = True
                seed.note_epoch(self.epoch, {}, self._share_of_time(started))
                continue
            geometry = self.objective.classes.refresh(
                index,
                embeddings[index],
                valid[index],
                self.labels[self.subsets[VALID]],
                self.stream_seed("clustering", seed.number, self.epoch),
            )
            rows[index] = self.objective.classes.rows(index, "refresh", self.epoch, geometry)
            seed.class_history += rows[index]
            if self.epoch in self.mapped:
                seed.embeddings.append(
                    self._mapped("refresh", self.epoch, embeddings[index], geometry)
                )
        return rows

    def _train_batches(self) -> tuple[list[list[float]], int, int]:
        """Mean losses of each seed, [S][3], how many molecules all saw together, and steps."""
        drawn = self._draw(self._sampler(), "order")
        pieces = batches(drawn, self.training.batch_size)
        if self.recipe.partners is not None:
            other = self._draw(self.recipe.partners, "partners")
            halves = zip(pieces, batches(other, self.training.batch_size), strict=True)
            pieces = [torch.cat(both, dim=1) for both in halves]
        keys = [
            step_keys(self.stream_seed("views", seed.number, self.epoch), len(pieces), drawn.device)
            for seed in self.seeds
        ]
        self.make_room(pieces)
        self.network.train()
        self.losses.zero_()
        for piece, key in zip(pieces, torch.stack(keys, dim=1), strict=True):
            length = piece.shape[1]
            kind = length, self.sizes.get(length), self.objective.phase(self.epoch)
            self.step(kind, piece, key)
        molecules = sum(piece.shape[1] for piece in pieces)
        return (self.losses / molecules).T.tolist(), molecules * len(self.seeds), len(pieces)

    def _sampler(self) -> Sampler:
        stage = self.recipe.second_stage
        if stage is not None and self.objective.second_stage:
            return stage.sampler
        return self.recipe.sampler

    def _draw(self, sampler: Sampler, stream: str) -> Tensor:
        """Positions in the pool, int64 [S, n], on the device."""
        # Drawn on the CPU: a GPU's generator gives other numbers.
        labels = self.objective.pool.labels.cpu()
        progress = self.epoch / self.training.epochs
        draw, once = SAMPLERS.guarded(sampler.name), declares(sampler, "once")
        drawn = []
        for one, seed in zip(labels, self.seeds, strict=True):
            generator = self._generator(stream, seed.number)
            if once:
                # The same molecules in every epoch, in another order.
                kept = torch.Generator().manual_seed(self.stream_seed(stream, seed.number))
                rows = draw(sampler, one, kept, progress)
                drawn.append(rows[torch.randperm(len(rows), generator=generator)])
            else:
                drawn.append(draw(sampler, one, generator, progress))
        return torch.stack(drawn).to(self.store.device)

    def make_room(self, pieces: Sequence[Tensor]) -> None:
        """Let the fixed sizes of graphs hold all batches of this epoch; waits for the device."""
        if not self.static_shapes or self.objective.pool.features is not None:
            return
        seed = torch.arange(len(self.seeds), device=self.store.device)[:, None]
        for length in {piece.shape[1] for piece in pieces}:
            alike = torch.stack([piece for piece in pieces if piece.shape[1] == length])
            molecules = self.objective.pool.molecules[seed, alike]
            needed = self.store.size_of(molecules.repeat(1, 1, self.views))
            held = self.sizes.get(length, (0,) * len(needed))
            if not self.store.has_room(held, needed):
                # With some room to spare, so that the next epochs fit in, too.
                both = zip(needed, held, strict=True)
                self.sizes[length] = tuple(math.ceil(SPARE_ROOM * max(pair)) for pair in both)

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
        losses = self._losses(drawn, keys)
        self.optimizer.zero_grad()
        if self.recipe.sharpness is None:
            losses.total.sum().backward()
        else:
            sharpness_aware_backward(
                self.recipe.sharpness, trained_parameters(self), self.network, _each(losses),
                lambda: _each(self._losses(drawn, keys)), self.objective.classes.counts,
                self.objective.pool.take(drawn).labels,
            )  # fmt: skip
        self.optimizer.step()
        self.companion.momentum_update(self.network)
        if self.average is not None:
            self.average.update(self.network)
        parts = torch.stack([losses.total, losses.classification, losses.contrastive])
        self.losses += parts.detach() * length

    def _losses(self, drawn: Tensor, keys: Tensor) -> Losses:
        """Losses of a batch of every seed; arguments as for `update`."""
        with self._precision():
            return self.objective(
                self.network, self.companion, self.store, drawn, self.epoch, keys,
                self.sizes.get(drawn.shape[1]),
            )  # fmt: skip

    def _validate(
        self, index: int, seed: SeedRecord, logits: Tensor, recalls: list[float]
    ) -> dict[str, Any]:
        """Validation metrics; keeps the weights of an epoch that is chosen for now."""
        labels = self.labels[self.subsets[VALID]]
        score = float(torch.tensor(recalls, dtype=torch.float32).nanmean())
        if seed.selection.note(score, self.epoch, self.training):
            seed.best_weights = state_of(self.judged, index)
        return {
            "valid_loss": float(F.cross_entropy(logits, labels)),
            "valid_balanced_accuracy": score,
            "valid_accuracy": float((logits.argmax(1) == labels).float().mean()),
        }

    def _share_of_time(self, started: float) -> float:
        """Return one seed's share of the epoch's wall time, in seconds."""
        return (time.monotonic() - started) / len(self.seeds)

    def _mapped(
        self, moment: str, epoch: int, embeddings: Tensor, geometry: Geometry
    ) -> dict[str, Any]:
        seed = derive_seed("map", self.problem.dataset, self.problem.split)
        return mapped_embeddings(
            moment, epoch, embeddings, self.labels[self.subsets[TRAIN]], geometry, seed
        )

    # ------------------------------------------------------------------------ evaluation

    @torch.no_grad()
    def embed(self, molecules: Tensor) -> Tensor:
        """Embeddings of the same molecules by every seed's network, [S, n, D]."""
        self.network.eval()
        return torch.cat(
            [
                self.network.encoder(self.store.batch(rows.repeat(len(self.seeds), 1)))
                for rows in molecules.split(EVALUATION_BATCH)
            ],
            dim=1,
        )

    def predict(self, molecules: Tensor) -> Output:
        """Predict the same molecules with every seed's network."""
        return predict(self.network, self.store, molecules.expand(len(self.seeds), -1))

    def predict_each(self, molecules: Tensor) -> Output:
        """Predict molecules of its own with every seed's network, int64 [S, n]."""
        return predict(self.judged, self.store, molecules)

    # --------------------------------------------------------------------- random streams

    def stream_seed(self, stream: str, seed: int, *axes: str | int) -> int:
        """Seed of a random stream of one training seed."""
        return derive_seed(stream, self.problem.dataset, self.problem.split, seed, *axes)

    def _generator(self, stream: str, seed: int) -> torch.Generator:
        return torch.Generator().manual_seed(self.stream_seed(stream, seed, self.epoch))

    def _precision(self) -> torch.autocast:
        return torch.autocast(
            self.store.device.type,
            torch.bfloat16,
            enabled=self.training.mixed_precision,
            # What is remembered would outlive the recording of a step.
            cache_enabled=not self.static_shapes,
        )

    # ------------------------------------------------------------------------ state

    def state(self) -> dict[str, Any]:
        """Everything needed to continue: tensors, numbers and text, so that it loads safely."""
        return {
            "epoch": self.epoch,
            "network": self.network.state_dict(),
            "average": None if self.average is None else self.average.network.state_dict(),
            "companion": self.companion.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "objective": [self.objective.classes.state(i) for i in range(len(self.seeds))],
            "seeds": [seed.state() for seed in self.seeds],
            "sizes": {length: list(size) for length, size in self.sizes.items()},
            # What the second stage works on follows from networks that are no more.
            "pool": self.objective.pool.state() if self.objective.second_stage else None,
            "grown": self.grown,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` returned."""
        self.epoch = state["epoch"]
        if state["grown"] is not None:
            self.grow(state["grown"])
        if state["pool"] is not None:
            self.use_second_stage(Pool(**state["pool"]).to(self.store.device))
        self.network.load_state_dict(state["network"])
        if self.average is not None and state["average"] is not None:
            self.average.network.load_state_dict(state["average"])
        self.companion.load_state_dict(state["companion"])
        # How a device wants them, not how the one that was trained on before did.
        kept = [(group["lr"], group["capturable"]) for group in self.optimizer.param_groups]
        self.optimizer.load_state_dict(state["optimizer"])
        for group, (rate, capturable) in zip(self.optimizer.param_groups, kept, strict=True):
            group |= {"lr": rate, "capturable": capturable}
        self.seeds = [SeedRecord.restored(seed) for seed in state["seeds"]]
        # A checkpoint of another device may have sizes where this training has none.
        kept_sizes = state["sizes"] if self.static_shapes else {}
        self.sizes = {length: tuple(size) for length, size in kept_sizes.items()}
        for index, geometry in enumerate(state["objective"]):
            self.objective.classes.restore(index, geometry)

    # ----------------------------------------------------------------------- second stage

    def use_second_stage(self, pool: Pool) -> None:
        """Go on with the second stage of the recipe, on other molecules or features."""
        self.objective.enter_second_stage(pool)
        self.optimizer = self.new_optimizer()
        self.sizes, self.step = {}, self.new_step()

    def grow(self, molecules: dict[str, Tensor]) -> None:
        """Add molecules, as packed arrays, at the end of the store."""
        self.grown = molecules
        added = {name: tensor.numpy() for name, tensor in molecules.items()}
        assert isinstance(self.store, GraphStore)
        self.store = self.store.extended(added)

    # ------------------------------------------------------------------------------- end

    def line(self) -> str:
        """One line of progress: loss and validation score of each seed still trained."""
        rows = [seed.history[-1] for _, seed in self.active()]
        parts = []
        if rows:
            scores = [row.get("valid_balanced_accuracy") for row in rows]
            parts.append("loss " + " ".join(f"{row['loss']:.4f}" for row in rows))
            shown = "valid balanced accuracy " + " ".join(
                f"{s:.3f}" for s in scores if s is not None
            )
            parts.append("warm-up" if None in scores else shown)
            parts.append(f"{rows[0]['molecules_per_second']:,.0f} molecules/s")
        parts += [
            f"(seed {seed.number} ended in epoch {seed.epochs}: its loss or a gradient is not a "
            "number)"
            for seed in self.seeds
            if seed.diverged
        ]
        return f"{self.name}: epoch {self.epoch}/{self.training.epochs} {' '.join(parts)}"

    def results(self) -> list[SeedResult]:
        """Predict with the chosen weights of every seed."""
        chosen = [
            (i, seed)
            for i, seed in enumerate(self.seeds)
            if not seed.diverged and seed.best_weights is not None
        ]
        self.average = None
        found = [seed.result() for seed in self.seeds]
        if not chosen:
            return found
        for index, seed in chosen:
            assert seed.best_weights is not None
            load_state_of(self.network, index, seed.best_weights)
        change_last_layer(self, [index for index, _ in chosen])
        embeddings, valid = self.embed(self.subsets[TRAIN]), self.embed(self.subsets[VALID])
        outputs = {subset: self.predict(self.subsets[subset]) for subset in (VALID, TEST)}
        for index, seed in chosen:
            if bool(embeddings[index].isfinite().all() and valid[index].isfinite().all()):
                self._note_chosen(
                    index, seed, embeddings[index], valid[index], outputs[VALID].logits[index]
                )
            state = state_of(self.network, index)
            found[index].weights = {name: tensor.cpu() for name, tensor in state.items()}
            for subset, output in outputs.items():
                found[index].logits[subset] = output.logits[index].cpu().numpy()
                if output.uncertainty is not None:
                    found[index].uncertainty[subset] = output.uncertainty[index].cpu().numpy()
        return found

    def _note_chosen(
        self, index: int, seed: SeedRecord, embeddings: Tensor, valid: Tensor, logits: Tensor
    ) -> None:
        """Measure the classes once more, with the weights that were chosen."""
        assert seed.best_epoch is not None
        geometry = self.objective.classes.measure(
            embeddings,
            valid,
            self.labels[self.subsets[VALID]],
            self.stream_seed("clustering", seed.number),
        )
        rows = self.objective.classes.rows(index, "chosen", seed.best_epoch, geometry)
        recalls = recall_per_class(logits, self.labels[self.subsets[VALID]])
        in_force = self.objective.classes.weights_at(seed.best_epoch / self.training.epochs)
        for row, recall, weight in zip(rows, recalls, in_force, strict=True):
            row["valid_recall"] = recall
            if self.recipe.needs_geometry:
                # The weights in force at the chosen epoch are those of the refresh before it.
                del row["weight"]
            else:
                row["weight"] = weight
        seed.class_history += rows
        seed.embeddings.append(self._mapped("chosen", seed.best_epoch, embeddings, geometry))


def _each(losses: Losses) -> Tensor:
    """Losses of the molecules, [S, B], which recipes of sharpness-aware steps have."""
    assert losses.each is not None
    return losses.each
