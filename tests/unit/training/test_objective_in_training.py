"""The objective in a training."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from reference import ATOMS
from torch import Tensor

from drugtail.config.base import merged
from drugtail.config.catalogue import Catalogue
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.recipe import Recipe
from drugtail.config.schedule import refresh_epochs
from drugtail.config.training import Training
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.methods.contrastive import CONTRASTIVE
from drugtail.methods.losses import LOSSES
from drugtail.models.companion import Companion
from drugtail.models.network import Network
from drugtail.runtime.errors import DrugtailError
from drugtail.training import objective as objective_module
from drugtail.training.block import Block, train_block
from drugtail.training.objective import Objective
from drugtail.training.problem import Problem, read_problem

MakeFiles = Callable[[Sequence[int]], Any]


CATALOGUE = Catalogue(Path(__file__).resolve().parents[3] / "config")


ENCODER = GraphEncoder(name="tiny", kind="gcn", layers=2, width=16, head=[16])


SIZES = (70, 30, 10)


# Warm-up of 2 epochs and a re-clustering every 2 for class_distance.
TRAINING = Training(epochs=6, batch_size=16, schedule_scale=0.2)


CPU = torch.device("cpu")


def recipe(name: str, **changes: Any) -> Recipe:
    return merged(CATALOGUE.recipe(name), changes)


@pytest.fixture
def files(make_files: MakeFiles) -> Any:
    return make_files(SIZES)


def train(
    inputs: dict[str, Path],
    method: str | Recipe,
    output: Path,
    *,
    encoder: GraphEncoder | FingerprintEncoder = ENCODER,
    settings: Training = TRAINING,
    seeds: Sequence[int] = (0,),
    checkpoints: Path | None = None,
) -> Path:
    block = Block(
        **inputs,
        recipe=recipe(method) if isinstance(method, str) else method,
        encoder=encoder,
        training=settings,
        seeds=seeds,
        device="cpu",
    )
    train_block(block, output, checkpoints=checkpoints, checkpoint_seconds=0)
    return output


def seed_inputs(files: Any, method: str) -> tuple[Problem, GraphStore, Recipe]:
    store = GraphStore(load_arrays(files.atoms), CPU)
    return read_problem(files.molecules, files.split), store, recipe(method)


class Step:
    """One call of an objective on a batch of a tiny problem."""

    def __init__(self, files: Any, method: str, scale: float = 0.2) -> None:
        self.problem, self.store, self.recipe = seed_inputs(files, method)
        self.train = torch.from_numpy(self.problem.subsets["train"])
        self.labels = torch.from_numpy(self.problem.labels)[self.train]
        self.network = Network(ENCODER, ATOMS, self.problem.classes, seeds=[0]).train()
        self.companion = Companion(self.recipe, self.network, self.problem.classes, seeds=[0])
        self.objective = Objective(
            self.recipe, self.train, self.labels, self.problem.classes, scale
        )

    def cluster(self) -> None:
        with torch.no_grad():
            batch = self.store.batch(self.train[None])
            (embeddings,) = self.network.encoder(batch)
        self.objective.classes.refresh(0, embeddings, embeddings[:9], self.labels[:9], 0)

    def losses(self, drawn: Tensor, epoch: int) -> Any:
        drawn, keys = drawn[None], torch.tensor([0])
        return self.objective(self.network, self.companion, self.store, drawn, epoch, keys)


@pytest.mark.parametrize("method", ["cross_entropy", "cost_sensitive", "balanced_softmax"])
def test_a_classification_loss_is_the_weighted_mean_its_formula_gives(
    files: Any, method: str
) -> None:
    step = Step(files, method)
    drawn = torch.arange(0, len(step.labels), 3)
    found = step.losses(drawn, epoch=0)
    batch = step.store.batch(step.train[drawn][None])
    (logits,) = step.network(batch).logits
    counts = torch.bincount(step.labels).double()
    weights = torch.ones(3, dtype=torch.float64)
    if method == "cost_sensitive":
        weights = counts.min() / counts
        weights = weights / weights.mean()
    if method == "balanced_softmax":
        logits = logits + counts.log()
    y = step.labels[drawn]
    chosen = logits.double().log_softmax(1)[torch.arange(len(y)), y]
    wanted = -(weights[y] * chosen).sum() / len(y)
    assert found.total.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert found.classification.item() == found.total.item()
    assert found.contrastive.item() == 0


def test_a_loss_that_is_a_mean_is_refused(files: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = LOSSES["cross_entropy"]
    changed = {"cross_entropy": lambda *inputs: loss(*inputs).mean()}
    monkeypatch.setattr(objective_module, "LOSSES", changed)
    step = Step(files, "cross_entropy")
    with pytest.raises(DrugtailError, match=r"loss 'cross_entropy'.* \[\] .*must give \[30\]"):
        step.losses(torch.arange(30), epoch=0)


def test_a_contrastive_term_that_is_no_mean_is_refused(
    files: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    term = CONTRASTIVE["supervised"]
    changed = {"supervised": lambda *inputs: term(*inputs).expand(30)}
    monkeypatch.setattr(objective_module, "CONTRASTIVE", changed)
    step = Step(files, "supcon")
    with pytest.raises(DrugtailError, match=r"term 'supervised'.* \[30\] .*must give \[\]"):
        step.losses(torch.arange(30), epoch=0)


@pytest.mark.parametrize(
    ("scale", "warmup", "refresh"),
    [(1.0, 10, range(10, 60, 10)), (0.1, 1, range(1, 60)), (0.25, 2, range(2, 60, 2)),
     (0.01, 1, range(1, 60))],
)  # fmt: skip
def test_schedule_scale_shortens_warm_up_and_refresh_to_at_least_one_epoch(
    files: Any, scale: float, warmup: int, refresh: range
) -> None:
    objective = Step(files, "class_distance", scale).objective
    assert [objective.trains_classifier(e) for e in range(60)] == [e >= warmup for e in range(60)]
    assert refresh_epochs(CATALOGUE.recipe("class_distance"), 60, scale) == refresh


def test_methods_without_geometry_train_the_classifier_at_once_and_never_cluster(
    files: Any,
) -> None:
    objective = Step(files, "balanced_softmax").objective
    assert all(objective.trains_classifier(epoch) for epoch in range(30))
    assert len(refresh_epochs(CATALOGUE.recipe("balanced_softmax"), 30, 1.0)) == 0


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("size", [2, 5])
@pytest.mark.parametrize("method", ["cross_entropy", "balanced_softmax", "class_distance"])
def test_a_batch_of_one_class_only_has_a_finite_loss_and_gradient(
    files: Any, method: str, size: int, clustered: bool
) -> None:
    step = Step(files, method)
    if clustered and step.recipe.needs_geometry:
        step.cluster()
    for label in range(3):
        drawn = (step.labels == label).nonzero()[:size, 0]
        losses = step.losses(drawn, epoch=5)
        step.network.zero_grad()
        losses.total.backward()
        assert losses.total.isfinite()
        gradients = [p.grad for p in step.network.parameters() if p.requires_grad]
        assert all(g is not None and g.isfinite().all() for g in gradients)


def test_a_batch_of_one_molecule_has_a_finite_loss_where_two_views_make_it_two(
    files: Any,
) -> None:
    step = Step(files, "class_distance")
    step.cluster()
    losses = step.losses(torch.tensor([0]), epoch=5)
    losses.total.backward()
    assert losses.total.isfinite()
    assert losses.contrastive.item() == pytest.approx(0, abs=1e-6)
