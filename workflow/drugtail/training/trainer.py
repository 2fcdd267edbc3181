"""The loop of training: epochs, progress and checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from drugtail.features.batch import Store
from drugtail.runtime.logging import Pace, say
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.problem import Problem
from drugtail.training.record import SeedResult
from drugtail.training.seed_batch import SeedBatch

if TYPE_CHECKING:
    from drugtail.config.encoder import EncoderSettings
    from drugtail.config.recipe import Recipe
    from drugtail.config.training import Training

SECONDS_BETWEEN_LINES = 5.0


def train_seeds(
    problem: Problem,
    store: Store,
    recipe: Recipe,
    encoder: EncoderSettings,
    training: Training,
    seeds: Sequence[int],
    checkpoint: Checkpoint,
    *,
    static_shapes: bool,
) -> list[SeedResult]:
    """Train several seeds as one batched computation.

    Each predicts validation and test molecules with the weights of its best epoch.

    Parameters
    ----------
    problem
        Molecules, classes and subsets.
    store
        All molecules, on the device to train on.
    recipe, encoder, training
        The method, the network and the training settings.
    seeds
        Training seeds. Initial weights and molecule order depend on data set, split and seed
        alone, so that every method sees the same; a method's own sampler draws another order.
    checkpoint
        Where to continue from and to save to.
    static_shapes
        Whether all batches have graphs of one size with a row for every atom, so that a GPU need
        not be waited for and a step can be replayed. It changes results only by rounding.
    """
    run = SeedBatch(problem, store, recipe, encoder, training, seeds, static_shapes)
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
