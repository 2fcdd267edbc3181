"""What must not matter to any recipe of networks: odd batches, interruptions, class order."""

import dataclasses
import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_stacked import CATALOGUE, CLOCK, ENCODER, MOMENTS, NETWORKS, double_run, trained

from drugtail.config.training import Training
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.training.pool import Pool
from drugtail.training.problem import Problem, read_problem
from drugtail.training.record import SeedResult
from drugtail.training.second_stage import enter_second_stage
from drugtail.training.seed_batch import SeedBatch

MakeFiles = Callable[[Sequence[int]], Any]
TRAINING = Training(epochs=5, batch_size=24, schedule_scale=0.2)
SEEDS = (0, 1)


@pytest.fixture(scope="module")
def inputs(make_files: MakeFiles) -> tuple[Problem, GraphStore]:
    files = make_files((70, 30, 10))
    store = GraphStore(load_arrays(files.atoms), torch.device("cpu"))
    return read_problem(files.molecules, files.split), store


def new_run(inputs: tuple[Problem, GraphStore], method: str) -> SeedBatch:
    return SeedBatch(*inputs, CATALOGUE.recipe(method), ENCODER, TRAINING, SEEDS, False)


@pytest.fixture(scope="module")
def whole(inputs: tuple[Problem, GraphStore], method: str) -> list[SeedResult]:
    """A whole training of each network, once for all tests that compare with it."""
    return trained(new_run(inputs, method))


# Tests of one method follow one another.
each_network = pytest.mark.parametrize("method", NETWORKS, scope="module")


def at_moment(run: SeedBatch, moment: str) -> SeedBatch:
    for _ in range(2 if moment == "later" else 0):
        run.train_epoch()
    while moment == "second" and not run.objective.second_stage:
        run.train_epoch()
    return run


@pytest.mark.parametrize(("method", "moment"), MOMENTS)
def test_a_batch_of_one_class_and_one_of_a_single_molecule_are_survived(
    inputs: tuple[Problem, GraphStore], method: str, moment: str
) -> None:
    run = at_moment(new_run(inputs, method), moment)
    run.network.train()
    # Two branches have a molecule each.
    mixing = run.recipe.mixing
    least = 2 if mixing is not None and mixing.name == "bilateral" else 1
    labels = run.objective.pool.labels
    drawn = [
        torch.stack([(row == label).nonzero()[:size, 0] for row in labels])
        for label in range(3)
        for size in (4, least)
    ]
    for step, piece in enumerate(drawn):
        run.losses.zero_()
        run.update(piece, torch.tensor(SEEDS) + step)
        assert run.losses.isfinite().all()
    assert all(tensor.isfinite().all() for tensor in run.network.state_dict().values())


@each_network
@pytest.mark.parametrize("epochs", [2, 4])
def test_a_training_that_is_saved_and_restored_continues_exactly(
    inputs: tuple[Problem, GraphStore], method: str, epochs: int, whole: list[SeedResult]
) -> None:
    first = new_run(inputs, method)
    for _ in range(epochs):
        first.train_epoch()
    file = io.BytesIO()
    torch.save(first.state(), file)
    file.seek(0)
    second = new_run(inputs, method)
    second.restore(torch.load(file, weights_only=True))
    for mine, theirs in zip(trained(second), whole, strict=True):
        for found, wanted in (
            (mine.history, theirs.history),
            (mine.class_history, theirs.class_history),
        ):
            frames = [pd.DataFrame(rows) for rows in (found, wanted)]
            pd.testing.assert_frame_equal(
                *(f.drop(columns=CLOCK, errors="ignore") for f in frames), check_exact=True
            )
        assert mine.best_epoch == theirs.best_epoch
        for part, logits in mine.logits.items():
            np.testing.assert_array_equal(logits, theirs.logits[part])


ORDER = torch.tensor([2, 0, 1])
NEW = ORDER.argsort()


def relabelled(run: SeedBatch, problem: Problem, store: GraphStore) -> SeedBatch:
    """The same training with other numbers for the classes: class ORDER[c] is called c."""
    other = dataclasses.replace(
        problem,
        labels=NEW.numpy()[problem.labels],
        class_names=[problem.class_names[c] for c in ORDER.tolist()],
    )
    second = double_run(other, store, run.recipe, SEEDS, static_shapes=False)
    use_networks_of(run, second)
    return second


def use_networks_of(run: SeedBatch, second: SeedBatch) -> None:
    """Initial weights are drawn by class: give the relabelled training those of the other one."""
    for mine, theirs in ((run.network, second.network), (run.companion, second.companion)):
        target = theirs.state_dict()
        for name, tensor in mine.state_dict().items():
            by_class = "last" in name or name in ("scale", "shift", "centres")
            target[name].copy_(tensor[:, ORDER] if by_class else tensor)


def use_geometry_of(run: SeedBatch, second: SeedBatch) -> None:
    """Clusterings are drawn by class: give the relabelled training that of the other one."""
    for index, geometry in enumerate(run.objective.classes.geometry):
        assert geometry is not None
        renamed = {
            f.name: getattr(geometry, f.name)[ORDER]
            for f in dataclasses.fields(geometry)
            if f.name != "subclusters"
        }
        renamed["nearest_class"] = NEW[renamed["nearest_class"]]
        second.objective.classes.use(index, dataclasses.replace(geometry, **renamed))


def use_pool_of(run: SeedBatch, second: SeedBatch) -> None:
    """Molecules are thinned and grafted by class: give the relabelled training those."""
    renamed = {
        name: NEW[tensor] if name.endswith("labels") else tensor
        for name, tensor in run.objective.pool.state().items()
    }
    if "teacher" in renamed:
        renamed["teacher"] = renamed["teacher"][:, :, ORDER]
    second.store = run.store
    second.use_second_stage(Pool(**renamed))


@pytest.mark.parametrize("late", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("method", NETWORKS)
def test_relabelling_the_classes_permutes_the_result(
    inputs: tuple[Problem, GraphStore], method: str, late: bool
) -> None:
    """In double precision, with the same molecules in the same order, which is drawn by class."""
    problem, store = inputs
    recipe = CATALOGUE.recipe(method)
    run = double_run(problem, store, recipe, SEEDS, static_shapes=False)
    second = relabelled(run, problem, store)
    for one in (run, second):
        one.epoch = 4 if late else 0
        one.objective.begin_epoch(one.epoch / TRAINING.epochs)
    if late and recipe.needs_geometry:
        embeddings, valid = run.embed(run.subsets["train"]), run.embed(run.subsets["valid"])
        labels = run.labels[run.subsets["valid"]]
        for index in range(len(SEEDS)):
            run.objective.classes.refresh(index, embeddings[index], valid[index], labels, index)
        use_geometry_of(run, second)
    if late and recipe.second_stage is not None:
        enter_second_stage(run)
        use_pool_of(run, second)
        use_networks_of(run, second)
    generator = torch.Generator().manual_seed(0)
    molecules = run.objective.pool.molecules.shape[1]
    for step in range(4):
        drawn = torch.stack([torch.randperm(molecules, generator=generator)[:24] for _ in SEEDS])
        for one in (run, second):
            one.network.train()
            one.losses.zero_()
            one.update(drawn, torch.tensor(SEEDS) + step)
        torch.testing.assert_close(second.losses, run.losses, rtol=1e-5, atol=1e-6)
    said, other = (one.predict(one.subsets["test"]).logits for one in (run, second))
    torch.testing.assert_close(other, said[:, :, ORDER], rtol=1e-4, atol=1e-4)


@each_network
def test_the_labels_of_test_molecules_change_nothing(
    inputs: tuple[Problem, GraphStore], method: str, whole: list[SeedResult]
) -> None:
    problem, store = inputs
    labels = problem.labels.copy()
    test = problem.subsets["test"]
    labels[test] = (labels[test] + 1) % problem.classes
    other = dataclasses.replace(problem, labels=labels)
    for mine, theirs in zip(whole, trained(new_run((other, store), method)), strict=True):
        assert mine.best_epoch == theirs.best_epoch
        assert mine.weights.keys() == theirs.weights.keys()
        assert all(torch.equal(mine.weights[name], theirs.weights[name]) for name in mine.weights)
        np.testing.assert_array_equal(mine.logits["test"], theirs.logits["test"])
