"""What every network's recipe must keep to be computed for all seeds at once and replayed.

The rules are written down in workflow/drugtail/methods/README.md.
"""

import copy
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
from catalogue import CheckedCatalogue
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from drugtail.config.base import Settings
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.recipe import Recipe
from drugtail.config.training import Training
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore, Size
from drugtail.methods.losses import LOSSES, Outcome
from drugtail.models.encoders import gcn
from drugtail.runtime.errors import DrugtailError
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.class_state import ClassState
from drugtail.training.pool import Pool, batches
from drugtail.training.problem import Problem, read_problem
from drugtail.training.record import SeedResult
from drugtail.training.seed_batch import SeedBatch

MakeFiles = Callable[[Sequence[int]], Any]

CATALOGUE = CheckedCatalogue()
RECIPES = [CATALOGUE.recipe(name) for name in CATALOGUE.names("methods")]
NETWORKS = [recipe.name for recipe in RECIPES if recipe.classifier is None]
ENCODER = GraphEncoder(name="tiny", kind="gcn", layers=2, width=16, head=[16])
# Epochs before and after two re-clusterings, and batches of two sizes. With AdamW a bias that a
# normalisation takes away again has a gradient of rounding errors alone, which it divides by their
# own size; equal molecules, which there are here, then lie on either side of a cluster. An L2
# penalty hides those errors.
TRAINING = Training(epochs=5, batch_size=24, schedule_scale=0.2, optimizer="adam")
SEEDS = (0, 1)
MOMENTS = [
    (recipe.name, moment)
    for recipe in RECIPES
    if recipe.classifier is None
    for moment in ("first", "later", *(["second"] if recipe.second_stage else []))
]
CLOCK = ["molecules_per_second", "seconds", "finished_at"]
# These wait for the device, or have a shape that only the values tell.
WAITING = {
    "_local_scalar_dense", "nonzero", "nonzero_static", "masked_select", "unique", "_unique2",
    "unique_dim", "unique_consecutive", "bincount", "equal", "is_nonzero", "item", "histc",
}  # fmt: skip
# These add up in an order that a GPU does not keep.
DISORDERED = {
    "index_add", "scatter_add", "scatter_reduce", "bincount", "_embedding_bag_backward",
    "embedding_dense_backward", "put",
}  # fmt: skip


@pytest.fixture
def inputs(make_files: MakeFiles) -> tuple[Problem, GraphStore]:
    files = make_files((70, 30, 10))
    store = GraphStore(load_arrays(files.atoms), torch.device("cpu"))
    return read_problem(files.molecules, files.split), store


def double_run(
    problem: Problem,
    store: GraphStore,
    recipe: Recipe,
    seeds: Sequence[int],
    *,
    static_shapes: bool,
) -> SeedBatch:
    """A training in double precision: what then differs is more than rounding."""
    double = copy.copy(store)
    double.type_features, double.norm = store.type_features.double(), store.norm.double()
    run = SeedBatch(problem, double, recipe, ENCODER, TRAINING, seeds, static_shapes)
    run.network.double()
    run.companion.double()
    return run


def trained(run: SeedBatch) -> list[SeedResult]:
    while run.epoch < TRAINING.epochs:
        run.train_epoch()
    return run.results()


@pytest.mark.parametrize("method", NETWORKS)
def test_seeds_together_are_each_seed_alone_in_exact_and_in_fixed_shapes(
    inputs: tuple[Problem, GraphStore], method: str
) -> None:
    recipe = CATALOGUE.recipe(method)
    alone = [trained(double_run(*inputs, recipe, [s], static_shapes=False))[0] for s in SEEDS]
    for static_shapes in (False, True):
        together = trained(double_run(*inputs, recipe, SEEDS, static_shapes=static_shapes))
        for mine, theirs in zip(together, alone, strict=True):
            assert mine.best_epoch == theirs.best_epoch
            for found, wanted in (
                (mine.history, theirs.history),
                (mine.class_history, theirs.class_history),
            ):
                frames = [pd.DataFrame(rows) for rows in (found, wanted)]
                frames = [f.drop(columns=CLOCK, errors="ignore") for f in frames]
                pd.testing.assert_frame_equal(*frames, rtol=1e-5, atol=1e-7)
            for part, logits in mine.logits.items():
                np.testing.assert_allclose(logits, theirs.logits[part], rtol=1e-3, atol=1e-4)
    first, second = (result.history[-1]["loss"] for result in alone[:2])
    assert abs(first - second) > 1e-3, "the seeds themselves differ by far more"


@pytest.mark.parametrize("method", ["cross_entropy", "balanced_softmax", "supcon", "ride", "crt"])
def test_with_adamw_they_are_equal_too_but_for_clusters(
    inputs: tuple[Problem, GraphStore], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoupled = TRAINING.model_copy(update={"optimizer": "adamw", "weight_decay": 0.05})
    monkeypatch.setattr(sys.modules[__name__], "TRAINING", decoupled)
    recipe = CATALOGUE.recipe(method)
    together = trained(double_run(*inputs, recipe, SEEDS, static_shapes=True))
    for seed, mine in zip(SEEDS, together, strict=True):
        (alone,) = trained(double_run(*inputs, recipe, [seed], static_shapes=False))
        frames = [pd.DataFrame(one.history).drop(columns=CLOCK) for one in (mine, alone)]
        pd.testing.assert_frame_equal(*frames, rtol=1e-5, atol=1e-7)
        for part, logits in mine.logits.items():
            np.testing.assert_allclose(logits, alone.logits[part], rtol=1e-3, atol=1e-4)


def run_at(moment: str, inputs: tuple[Problem, GraphStore], method: str) -> SeedBatch:
    """A training before its first epoch, two epochs later, or in its second stage."""
    run = SeedBatch(*inputs, CATALOGUE.recipe(method), ENCODER, TRAINING, SEEDS, True)
    if moment == "later":
        run.train_epoch()
        run.train_epoch()
    while moment == "second" and not run.objective.second_stage:
        run.train_epoch()
    return run


class Trace(TorchDispatchMode):
    """Names of the operations that are run, and the shapes of what they give."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[str, list[tuple[int, ...]]]] = []
        self.faults: list[str] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        name = function.overloadpacket.__name__
        given = result if isinstance(result, (tuple, list)) else [result]
        shapes = [tuple(t.shape) for t in given if isinstance(t, Tensor)]
        self.operations.append((name, shapes))
        plain = name.rstrip("_")
        indices = [t for t in args[1] if t is not None] if plain in ("index", "index_put") else []
        by_mask = any(t.dtype == torch.bool for t in indices)
        adds = plain == "index_put" and (args[3] if len(args) > 3 else False)
        adds = adds or (plain == "scatter" and "reduce" in (kwargs or {}))
        float_sum = plain == "cumsum" and given[0].is_floating_point()
        unknown_length = plain == "repeat_interleave" and (kwargs or {}).get("output_size") is None
        if plain in WAITING | DISORDERED or by_mask or adds or float_sum or unknown_length:
            self.faults.append(name)
        return result


def trace_of_updates(run: SeedBatch, monkeypatch: pytest.MonkeyPatch) -> list[Trace]:
    """Traces of batches of one length, after the sizes are settled."""
    # As on a GPU.
    monkeypatch.setattr(gcn, "_product", gcn.sum_of_rows)
    molecules = run.objective.pool.molecules.shape[1]
    pieces = torch.stack([torch.randperm(molecules) for _ in SEEDS]).split(24, dim=1)
    alike = [piece for piece in pieces if piece.shape[1] == 24]
    assert len(alike) >= 3
    run.make_room(alike)
    run.network.train()
    run.update(alike[0], torch.tensor(SEEDS))
    traces = []
    for piece in alike[1:]:
        with Trace() as trace:
            run.update(piece, torch.tensor(SEEDS))
        traces.append(trace)
    return traces


@pytest.mark.parametrize(("method", "moment"), MOMENTS)
def test_an_update_runs_the_same_operations_on_the_same_shapes_and_waits_for_nothing(
    inputs: tuple[Problem, GraphStore],
    method: str,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = run_at(moment, inputs, method)
    first, *others = trace_of_updates(run, monkeypatch)
    assert first.faults == []
    # On frozen features there is not much to do.
    assert len(first.operations) > (100 if run.objective.pool.features is None else 20)
    for other in others:
        assert other.operations == first.operations


class RuleBreaker(Settings):
    name: Literal["rule_breaker"] = "rule_breaker"


def dropping_molecules(settings: Any, batch: Outcome) -> Tensor:
    losses = torch.nn.functional.cross_entropy(batch.logits, batch.labels, reduction="none")
    return losses[losses > losses.mean()]


def asking_for_a_number(settings: Any, batch: Outcome) -> Tensor:
    losses = torch.nn.functional.cross_entropy(batch.logits, batch.labels, reduction="none")
    return losses / losses.mean().item()


@pytest.mark.parametrize("loss", [dropping_molecules, asking_for_a_number])
def test_a_loss_that_breaks_the_rules_is_refused_at_once(
    inputs: tuple[Problem, GraphStore], loss: Any
) -> None:
    # As a plugin would add it.
    LOSSES.register("rule_breaker", RuleBreaker)(loss)
    recipe = CATALOGUE.recipe("cross_entropy").model_copy(update={"loss": RuleBreaker()})
    try:
        run = SeedBatch(*inputs, recipe, ENCODER, TRAINING, [0], False)
        with pytest.raises(DrugtailError, match=r"'rule_breaker': .*: line \d+: .*vmap"):
            run.train_epoch()
    finally:
        LOSSES.forget("rule_breaker")


def test_the_trace_notices_what_waits_and_what_is_added_in_disorder() -> None:
    x, where = torch.rand(5), torch.tensor([0, 1, 1, 0, 4])
    calls: list[Callable[[], Any]] = [
        lambda: x.sum().item(),
        lambda: x[x > 0.5],
        lambda: torch.bincount(where),
        lambda: torch.zeros(5).index_add_(0, where, x),
        lambda: torch.zeros(5).index_put_((where,), x, accumulate=True),
        lambda: x.cumsum(0),
        lambda: torch.zeros(5).scatter_(0, where, x, reduce="add"),
        lambda: torch.zeros(5).put_(where, x, accumulate=True),
        lambda: where.repeat_interleave(where),
        lambda: torch.unique(where),
    ]
    for call in calls:
        with Trace() as trace:
            call()
        assert trace.faults, trace.operations
    with Trace() as trace:
        where.cumsum(0)
        x[where].sort()
        where.repeat_interleave(where, output_size=6)
    assert trace.faults == []


def test_a_checkpoint_of_fixed_shapes_keeps_their_sizes(
    inputs: tuple[Problem, GraphStore], tmp_path: Path
) -> None:
    run = SeedBatch(*inputs, CATALOGUE.recipe("class_distance"), ENCODER, TRAINING, SEEDS, True)
    run.train_epoch()
    pieces = batches(run.objective.classes.labels, 24)
    assert set(run.sizes) == {len(piece) for piece in pieces}
    assert len(run.sizes) == 2
    checkpoint = Checkpoint(tmp_path / "seeds.pt", "key", 0)
    checkpoint.save(run.state())
    again = SeedBatch(*inputs, CATALOGUE.recipe("class_distance"), ENCODER, TRAINING, SEEDS, True)
    again.restore(checkpoint.load())
    assert again.sizes == run.sizes


@pytest.mark.parametrize("static_shapes", [False, True])
def test_a_checkpoint_of_the_other_kind_of_shapes_is_continued(
    inputs: tuple[Problem, GraphStore], static_shapes: bool
) -> None:
    """As one of a GPU on a CPU, and the other way round."""
    recipe = CATALOGUE.recipe("class_distance")
    first = double_run(*inputs, recipe, SEEDS, static_shapes=not static_shapes)
    for _ in range(2):
        first.train_epoch()
    # Too small for the batches to come, as the first ones may be.
    first.sizes = {length: Size(1, 1) for length in first.sizes}
    second = double_run(*inputs, recipe, SEEDS, static_shapes=static_shapes)
    second.restore(first.state())
    whole = double_run(*inputs, recipe, SEEDS, static_shapes=False)
    for mine, theirs in zip(trained(second), trained(whole), strict=True):
        losses = [[row["loss"] for row in result.history] for result in (mine, theirs)]
        np.testing.assert_allclose(*losses, rtol=1e-5)


def elsewhere(thing: Any) -> Any:
    """A copy of an object whose tensors lie on a device without values."""
    moved = copy.copy(thing)
    for name, value in vars(thing).items():
        if isinstance(value, Tensor):
            setattr(moved, name, value.to("meta"))
        if isinstance(value, Pool):
            setattr(moved, name, value.to(torch.device("meta")))
        if isinstance(value, ClassState):
            setattr(moved, name, elsewhere(value))
        if isinstance(value, torch.device):
            setattr(moved, name, torch.device("meta"))
    return moved


@pytest.mark.parametrize(("method", "moment"), MOMENTS)
def test_losses_and_gradients_are_computed_on_the_device_without_a_value_from_it(
    inputs: tuple[Problem, GraphStore],
    method: str,
    moment: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PyTorch's device "meta" knows shapes only, and refuses to work with tensors of the CPU."""
    # It has no mixed precision, not even one to be switched off.
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    run = run_at(moment, inputs, method)
    drawn = torch.arange(24).repeat(len(SEEDS), 1)
    run.make_room([drawn])
    network = run.network.train().to("meta")
    losses = elsewhere(run.objective)(
        network,
        run.companion.to("meta"),
        elsewhere(run.store),
        drawn.to("meta"),
        run.epoch,
        torch.tensor(SEEDS, device="meta"),
        run.sizes.get(24),
    )
    losses.total.sum().backward()
    assert losses.total.shape == (len(SEEDS),)
    if run.objective.pool.features is None:
        # During a warm-up the classifier is not trained.
        assert all(p.grad is not None for p in network.encoder.parameters())
    else:
        trained = [p for p in network.parameters() if p.requires_grad]
        assert trained
        assert all(p.grad is not None for p in trained)


@pytest.mark.parametrize("seeds", [(0,), SEEDS])
def test_fixed_sizes_hold_the_batches_of_many_epochs_and_grow_a_few_times_only(
    inputs: tuple[Problem, GraphStore], seeds: tuple[int, ...]
) -> None:
    run = SeedBatch(*inputs, CATALOGUE.recipe("cross_entropy"), ENCODER, TRAINING, seeds, True)
    generator = torch.Generator().manual_seed(4)
    molecules, grown = len(run.objective.classes.labels), -1
    sizes: dict[int, Any] = {}
    for _ in range(400):
        drawn = [torch.randperm(molecules, generator=generator) for _ in seeds]
        pieces = batches(torch.stack(drawn), 24)
        run.make_room(pieces)
        grown, sizes = grown + (sizes != run.sizes), dict(run.sizes)
        for piece in pieces:
            size = sizes[piece.shape[1]]
            batch = run.store.batch(run.subsets["train"][piece], size)
            assert batch.row.shape == (len(seeds), size[1])
            assert (batch.row_start[:, -1] == size[1]).all()
    assert 0 < grown < 10


def test_a_graph_that_fits_exactly_still_gets_an_atom_for_the_entries_that_fill_it_up(
    inputs: tuple[Problem, GraphStore],
) -> None:
    run = SeedBatch(*inputs, CATALOGUE.recipe("cross_entropy"), ENCODER, TRAINING, [0], True)
    piece = torch.arange(24)[None]
    needed = run.store.size_of(run.subsets["train"][piece])
    run.sizes[24] = Size(needed.atoms, needed.entries + 4)
    run.make_room([piece])
    assert run.sizes[24][0] > needed.atoms
    assert run.sizes[24][1] >= needed.entries + 4, "what was held is kept"
    batch = run.store.batch(run.subsets["train"][piece], run.sizes[24])
    assert (batch.row_start[:, -1] == run.sizes[24][1]).all()
