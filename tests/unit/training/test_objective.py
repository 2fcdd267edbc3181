"""What a step minimises: the parts of a recipe, each given what it needs, put together."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from drugtail.config.catalogue import Catalogue
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.training import Training
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.methods.mixing import MIXING
from drugtail.runtime.draws import Draws, mix
from drugtail.training.objective import MIXING_STREAM
from drugtail.training.problem import read_problem
from drugtail.training.seed_batch import SeedBatch

MakeFiles = Callable[[Sequence[int]], Any]
CATALOGUE = Catalogue(Path(__file__).resolve().parents[3] / "config")
ENCODER = GraphEncoder(name="tiny", kind="gcn", layers=2, width=16, head=[16])
SEEDS = (0, 1)
KEYS = torch.tensor([11, 12])


@pytest.fixture(scope="module")
def files(make_files: MakeFiles) -> Any:
    return make_files((70, 30, 10))


def make_run(files: Any, method: str, epochs: int = 10) -> SeedBatch:
    store = GraphStore(load_arrays(files.atoms), torch.device("cpu"))
    problem, recipe = read_problem(files.molecules, files.split), CATALOGUE.recipe(method)
    run = SeedBatch(
        problem, store, recipe, ENCODER, Training(epochs=epochs, batch_size=24), SEEDS, False
    )
    run.network.train()
    return run


def drawn_and_losses(run: SeedBatch, progress: float, twice: bool = False) -> tuple[Tensor, Tensor]:
    """A batch of either seed, [S, B], or [S, 2 B], and its loss, [S]."""
    size = 20
    order = torch.stack([torch.randperm(len(run.objective.classes.labels)) for _ in SEEDS])
    drawn = order[:, : 2 * size if twice else size]
    run.objective.begin_epoch(progress)
    losses = run.objective(run.network, run.companion, run.store, drawn, 3, KEYS)
    assert torch.equal(losses.total, losses.classification)
    return drawn, losses.total


def embeddings(run: SeedBatch, drawn: Tensor) -> Tensor:
    batch = run.store.batch(run.subsets["train"][drawn])
    found: Tensor = run.network.encoder(batch)
    return found


def balanced(weights: Tensor) -> Tensor:
    return weights / weights.mean()


@pytest.mark.parametrize("method", ["mixup", "remix"])
def test_mixed_embeddings_go_with_the_labels_of_the_same_two_molecules(
    files: Any, method: str
) -> None:
    run = make_run(files, method)
    drawn, found = drawn_and_losses(run, 0.3)
    z, labels, counts = (
        embeddings(run, drawn),
        run.objective.classes.labels[drawn],
        run.objective.classes.counts,
    )
    partners, shares = [], []
    for s in range(len(SEEDS)):
        draws = Draws(mix(KEYS[s] + MIXING_STREAM))
        partner = draws.uniform(drawn.shape[1]).argsort()
        sizes = counts[labels[s]], counts[labels[s, partner]]
        partners.append(partner)
        shares.append(MIXING[method](run.recipe.mixing, *sizes, draws))
    assert (torch.stack(partners) != torch.arange(drawn.shape[1])).any()
    mixed = torch.stack(
        [
            torch.stack([share[i] * z[s, i] + (1 - share[i]) * z[s, j]
                         for i, j in enumerate(partner.tolist())])
            for s, (partner, (share, _)) in enumerate(zip(partners, shares, strict=True))
        ]
    )  # fmt: skip
    logits = run.network.classify(mixed).logits
    for s, (partner, (_, label_share)) in enumerate(zip(partners, shares, strict=True)):
        total = torch.zeros(())
        for i, j in enumerate(partner.tolist()):
            says = -logits[s, i].log_softmax(0)
            total = total + label_share[i] * says[labels[s, i]]
            total = total + (1 - label_share[i]) * says[labels[s, j]]
        assert found[s].item() == pytest.approx(total.item() / drawn.shape[1], rel=1e-5)


@pytest.mark.parametrize("progress", [0.0, 0.5, 0.9])
def test_two_branches_count_by_the_time_each_with_molecules_of_its_own(
    files: Any, progress: float
) -> None:
    run = make_run(files, "bbn")
    drawn, found = drawn_and_losses(run, progress, twice=True)
    first, second = embeddings(run, drawn).chunk(2, dim=1)
    own, other = run.objective.classes.labels[drawn].chunk(2, dim=1)
    share = 1 - progress**2
    one, two = run.network.heads[0](first)[1], run.network.heads[1](second)[1]
    logits = share * one + (1 - share) * two
    for s in range(len(SEEDS)):
        wanted = share * F.cross_entropy(logits[s], own[s])
        wanted = wanted + (1 - share) * F.cross_entropy(logits[s], other[s])
        assert found[s].item() == pytest.approx(wanted.item(), rel=1e-5)


@pytest.mark.parametrize(
    ("method", "progress", "weighted"),
    [("ldam", 0.9, False), ("ldam_drw", 0.79, False), ("ldam_drw", 0.8, True)],
)
def test_margins_have_the_scale_of_the_cosine_layer_and_deferred_weights_come_late(
    files: Any, method: str, progress: float, weighted: bool
) -> None:
    run = make_run(files, method)
    drawn, found = drawn_and_losses(run, progress)
    logits = run.network.classify(embeddings(run, drawn)).logits
    assert logits.abs().max() > 3, "30 times a cosine"
    counts, labels = run.objective.classes.counts.double(), run.objective.classes.labels[drawn]
    margin = 0.5 * counts**-0.25 / (counts**-0.25).max()
    weights = balanced(1 / (1 - 0.9999**counts)) if weighted else torch.ones(3).double()
    for s in range(len(SEEDS)):
        total = 0.0
        for row, y in zip(logits[s].double(), labels[s], strict=True):
            row = row.clone()
            row[y] -= 30 * margin[y]
            total -= float((weights[y] * row.log_softmax(0)[y]).detach())
        assert found[s].item() == pytest.approx(total / float(weights[labels[s]].sum()), rel=1e-5)


@pytest.mark.parametrize("progress", [0.49, 0.5])
def test_influence_counts_in_the_second_half_by_what_the_last_layer_got(
    files: Any, progress: float
) -> None:
    run = make_run(files, "influence_balanced")
    drawn, found = drawn_and_losses(run, progress)
    got: list[Tensor] = []
    handle = run.network.head.last.register_forward_pre_hook(lambda _, given: got.append(given[0]))
    logits = run.network.classify(embeddings(run, drawn)).logits
    handle.remove()
    (features,) = got
    counts, labels = run.objective.classes.counts.double(), run.objective.classes.labels[drawn]
    weights = balanced(1 / counts)
    for s in range(len(SEEDS)):
        total = 0.0
        for row, h, y in zip(logits[s], features[s], labels[s], strict=True):
            loss = -row.log_softmax(0)[y]
            if progress >= 0.5:
                error = (row.softmax(0) - F.one_hot(y, 3)).abs().sum()
                loss = weights[y] * 1000 / (error * h.abs().sum() + 1e-3) * loss
            total += float(loss.detach())
        assert found[s].item() == pytest.approx(total / drawn.shape[1], rel=1e-5)


def shares_of_classes(run: SeedBatch, epoch: int) -> tuple[Tensor, Tensor]:
    """Of either seed's draws of an epoch, [S, C], and how often each molecule is drawn, [S, N]."""
    run.epoch = epoch
    drawn = run._draw(run._sampler(), "order")
    labels = run.objective.classes.labels[drawn]
    classes = torch.stack([(labels == c).double().mean(dim=1) for c in range(3)], dim=1)
    often = torch.stack(
        [torch.bincount(row, minlength=len(run.objective.classes.labels)) for row in drawn]
    )
    return classes, often


def test_deferred_resampling_draws_every_molecule_once_and_in_the_last_fifth_classes_alike(
    files: Any,
) -> None:
    run = make_run(files, "deferred_resampling")
    for epoch in (0, 7):
        assert (shares_of_classes(run, epoch)[1] == 1).all()
    for epoch in (8, 9):
        # 77 draws with a chance of a third have a standard deviation of 0.054.
        assert (shares_of_classes(run, epoch)[0] - 1 / 3).abs().max() < 0.22


def test_progressive_sampling_moves_from_the_classes_as_they_are_to_all_alike(files: Any) -> None:
    run = make_run(files, "progressive_sampling", epochs=100)
    counts = run.objective.classes.counts.double()
    for first in (0, 50, 90):
        mean = torch.stack([shares_of_classes(run, first + e)[0] for e in range(10)]).mean((0, 1))
        time = (first + 4.5) / 100
        wanted = (1 - time) * counts / counts.sum() + time / 3
        # 1,540 draws: a standard deviation of at most 0.013.
        assert (mean - wanted).abs().max() < 0.05
