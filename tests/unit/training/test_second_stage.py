"""Second stages, late components, and what is trained beside a network."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from drugtail.config.base import merged
from drugtail.config.catalogue import Catalogue
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.schedule import last_change_epoch
from drugtail.config.training import Training
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.methods.distillation import distillation
from drugtail.models.experts import combine_by_evidence
from drugtail.models.stacked import load_state_of, state_of
from drugtail.runtime.errors import DrugtailError
from drugtail.training.problem import read_problem
from drugtail.training.second_stage import enter_second_stage
from drugtail.training.seed_batch import SeedBatch

MakeFiles = Callable[[Sequence[int]], Any]


CATALOGUE = Catalogue(Path(__file__).resolve().parents[3] / "config")


ENCODER = GraphEncoder(name="tiny", kind="gcn", layers=2, width=16, head=[16])


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def make_run(files: Any, method: str, epochs: int = 6, **changes: Any) -> SeedBatch:
    recipe = merged(CATALOGUE.recipe(method), {k.replace("__", "."): v for k, v in changes.items()})
    store = GraphStore(load_arrays(files.atoms), torch.device("cpu"))
    training = Training(epochs=epochs, batch_size=24, schedule_scale=0.2, learning_rate=0.005)
    problem = read_problem(files.molecules, files.split)
    return SeedBatch(problem, store, recipe, ENCODER, training, (0, 1), False)


def finish(run: SeedBatch) -> list[Any]:
    while run.epoch < run.training.epochs:
        run.train_epoch()
    return run.results()


def after_first_stage(files: Any, method: str) -> tuple[SeedBatch, list[dict[str, Tensor]]]:
    """A training of six epochs before its second half, and each seed's best weights so far."""
    run = make_run(files, method, second_stage__start=0.5)
    for _ in range(3):
        run.train_epoch()
    best = [copy.deepcopy(seed.best_weights) for seed in run.seeds]
    return run, [weights for weights in best if weights is not None]


def changed_weights(before: dict[str, Tensor], result: Any) -> set[str]:
    return {k for k, v in result.weights.items() if not torch.equal(before[k], v)}


@pytest.fixture
def files(make_files: MakeFiles) -> Any:
    return make_files((70, 30, 10))


@pytest.mark.parametrize("method", ["crt", "lws", "margin_calibration"])
def test_a_second_stage_on_frozen_features_changes_the_last_layer_alone(
    files: Any, method: str
) -> None:
    run, best = after_first_stage(files, method)
    results = finish(run)
    changed = {
        "crt": {"heads.0.last.weight", "heads.0.last.bias"}, "lws": {"scale"},
        "margin_calibration": {"scale", "offset"},
    }[method]  # fmt: skip
    for before, result in zip(best, results, strict=True):
        assert changed_weights(before, result) == changed
        assert result.best_epoch >= 3, "an epoch of the second stage"
        assert [row["epoch"] for row in result.history] == list(range(6))


def test_margins_are_added_to_scaled_logits_and_learned_with_weights(files: Any) -> None:
    run = make_run(files, "margin_calibration", second_stage__start=0.5)
    for _ in range(4):
        run.train_epoch()
    network, drawn = run.network, torch.arange(24).repeat(2, 1)
    pool, counts = run.objective.pool, run.objective.classes.counts.double()
    assert pool.features is not None
    features = pool.features[:, :24]
    plain = network.head.last(features)
    logits = network.classify_features(features).logits
    calibrated = plain * network.scale[:, None] + network.offset[:, None]
    torch.testing.assert_close(logits, calibrated)
    assert (network.offset != 0).any()
    run.network.train()
    run.losses.zero_()
    run.update(drawn, torch.tensor([0, 1]))
    for index in range(2):
        labels = pool.labels[index, :24]
        weights = (counts**-1.2)[labels]
        each = torch.nn.functional.cross_entropy(logits[index], labels, reduction="none")
        wanted = float((weights * each.double()).sum() / weights.sum())
        assert run.losses[0, index].item() / 24 == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("method", ["supcon", "sbcl", "kcl", "tsc", "label_aware_smoothing"])
def test_methods_whose_papers_have_a_balanced_classifier_train_it_last(
    files: Any, method: str
) -> None:
    run, best = after_first_stage(files, method)
    results = finish(run)
    assert type(run.recipe.second_stage.sampler).__name__ == "ClassBalancedSampler"
    for before, result in zip(best, results, strict=True):
        assert changed_weights(before, result) == {"heads.0.last.weight", "heads.0.last.bias"}
        # Nothing is clustered of embeddings that no longer change.
        refreshed = {r["epoch"] for r in result.class_history if r["moment"] == "refresh"}
        assert all(epoch < 3 for epoch in refreshed)
        assert bool(refreshed) == run.recipe.needs_geometry


def test_a_classifier_of_its_own_stage_learns_smoothed_labels(files: Any) -> None:
    run = make_run(files, "label_aware_smoothing", second_stage__start=0.5)
    for _ in range(4):
        run.train_epoch()
    run.network.train()
    drawn = torch.arange(24).repeat(2, 1)
    before = copy.deepcopy(run.network)
    run.losses.zero_()
    run.update(drawn, torch.tensor([0, 1]))
    pool, counts = run.objective.pool, run.objective.classes.counts.double()
    assert pool.features is not None
    logits = before.classify_features(pool.features[:, :24]).logits
    place = (counts - counts.min()) / (counts.max() - counts.min())
    smoothing = 0.1 + 0.3 * torch.sin(place * torch.pi / 2)
    for index in range(2):
        labels = pool.labels[index, :24]
        total = 0.0
        for row, y in zip(logits[index].log_softmax(1), labels.tolist(), strict=True):
            target = torch.full((3,), float(smoothing[y]) / 2)
            target[y] = 1 - float(smoothing[y])
            total -= float((target * row.detach()).sum())
        assert run.losses[0, index].item() == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize("method", ["crt", "lws"])
def test_retraining_alone_starts_from_a_new_last_layer_and_both_draw_classes_alike(
    files: Any, method: str
) -> None:
    run = make_run(files, method, second_stage__start=0.5)
    for _ in range(3):
        run.train_epoch()
    enter_second_stage(run)
    fresh = state_of(run.network, 0)["heads.0.last.weight"]
    first = state_of(run.new_network("retraining"), 0)["heads.0.last.weight"]
    assert torch.equal(fresh, first) == (method == "crt")
    drawn = run._draw(run._sampler(), "order")
    labels = run.objective.classes.labels[drawn]
    # 49, 21 and 7 molecules: class-balanced draws show the last class in about a third.
    assert 0.2 < (labels == 2).float().mean() < 0.47


def test_the_features_of_frozen_molecules_are_what_the_network_computes(files: Any) -> None:
    run = make_run(files, "crt", second_stage__start=0.5)
    for _ in range(4):
        run.train_epoch()
    pool = run.objective.pool
    assert pool.features is not None
    said = run.predict(run.subsets["train"])
    torch.testing.assert_close(pool.features, said.features)
    torch.testing.assert_close(run.network.classify_features(pool.features).logits, said.logits)


def test_a_distilled_student_starts_anew_and_its_teacher_is_the_first_stage(files: Any) -> None:
    run = make_run(files, "dive")
    for _ in range(3):
        run.train_epoch()
    best = [seed.best_weights for seed in run.seeds]
    run.train_epoch()
    pool = run.objective.pool
    assert pool.teacher is not None
    teacher = make_run(files, "dive")
    for index, weights in enumerate(best):
        assert weights is not None
        load_state_of(teacher.network, index, weights)
    torch.testing.assert_close(pool.teacher, teacher.predict(teacher.subsets["train"]).logits)
    # The learning rate begins anew with it.
    rates = [row["learning_rate"] for row in run.seeds[0].history]
    assert rates[3] == rates[0] > rates[2]
    assert finish(run)[0].best_epoch >= 3


def test_the_second_phase_learns_from_the_first_what_thinned_classes_held(files: Any) -> None:
    run = make_run(files, "two_phase_food")
    for _ in range(4):
        run.train_epoch()
    pool = run.objective.pool
    assert pool.taught is not None
    # 49, 21 and 7 training molecules; to a third of all, 26, only the first class is thinned.
    assert pool.molecules.shape == (2, 78)
    assert torch.equal(pool.taught, pool.labels == 0)
    run.network.train()
    drawn = torch.arange(0, 78, 4).repeat(2, 1)
    before = copy.deepcopy(run.network)
    run.losses.zero_()
    run.update(drawn, torch.tensor([0, 1]))
    molecules = torch.stack([pool.molecules[s, drawn[s]] for s in range(2)])
    logits = before(run.store.batch(molecules)).logits
    assert pool.teacher is not None
    assert pool.partner_labels is not None
    assert pool.share is not None
    grafted = 0
    for s in range(2):
        total = 0.0
        for place, row in enumerate(drawn[s].tolist()):
            says = -logits[s, place].log_softmax(0)
            share = float(pool.share[s, row])
            loss = share * says[pool.labels[s, row]]
            loss = loss + (1 - share) * says[pool.partner_labels[s, row]]
            grafted += share < 1
            if pool.labels[s, row] == 0:
                told = distillation(
                    logits[s, place][None], pool.teacher[s, row][None], temperature=2.0, power=1.0
                )
                loss = 0.5 * loss + 0.5 * told[0]
            total += float(loss.detach())
        assert run.losses[0, s].item() == pytest.approx(total, rel=1e-4)
    assert grafted > 4


def test_a_distilled_student_has_the_loss_and_the_weights_of_its_stage_alone(files: Any) -> None:
    run = make_run(files, "dive")
    assert (run.objective.classes.weights != 1).any(), "the teacher's are class-balanced"
    for _ in range(4):
        run.train_epoch()
    run.network.train()
    drawn = torch.arange(24).repeat(2, 1)
    before = copy.deepcopy(run.network)
    run.losses.zero_()
    run.update(drawn, torch.tensor([0, 1]))
    logits = before(run.store.batch(run.subsets["train"][drawn])).logits
    counts, labels = run.objective.classes.counts, run.objective.classes.labels[:24]
    pool = run.objective.pool
    assert pool.teacher is not None
    for index in range(2):
        own = torch.nn.functional.cross_entropy(logits[index] + counts.log(), labels)
        told = distillation(logits[index], pool.teacher[index, :24], temperature=2.0, power=0.5)
        wanted = 0.5 * own + 0.5 * told.mean()
        assert run.losses[0, index].item() / 24 == pytest.approx(wanted.item(), rel=1e-4)


@pytest.mark.parametrize("method", ["tau_norm", "ncm", "logit_adjustment_posthoc"])
def test_a_posthoc_method_is_cross_entropy_with_another_last_layer(files: Any, method: str) -> None:
    run, plain = make_run(files, method), make_run(files, "cross_entropy")
    results, others = finish(run), finish(plain)
    for result, other in zip(results, others, strict=True):
        assert [r["loss"] for r in result.history] == [r["loss"] for r in other.history]
    counts = run.objective.classes.counts.double()
    if method == "logit_adjustment_posthoc":
        # Every validation, and so the choice of the epoch, is by adjusted logits.
        for index, one in enumerate(results):
            weights = {k: v for k, v in one.weights.items() if k != "shift"}
            assert one.weights["shift"].tolist() == pytest.approx(
                (-(counts / counts.sum()).log()).tolist(), rel=1e-5
            )
            plain.network.load_state_dict(
                {k: torch.stack([weights.get(k, torch.zeros(3))] * 2)
                 for k in plain.network.state_dict()}
            )  # fmt: skip
            said = plain.predict(plain.subsets["test"]).logits[index]
            wanted = said - (counts / counts.sum()).log()
            torch.testing.assert_close(
                torch.from_numpy(one.logits["test"]).double(), wanted.double(), rtol=1e-5, atol=1e-5
            )
        return
    for result, other in zip(results, others, strict=True):
        changed = {
            k for k in result.weights if not torch.equal(result.weights[k], other.weights[k])
        }
        assert changed <= {"heads.0.last.weight", "heads.0.last.bias"}
        assert changed


def test_a_method_that_says_its_uncertainty_gives_it_with_every_prediction(files: Any) -> None:
    for result in finish(make_run(files, "tlc", epochs=2)):
        for part, logits in result.logits.items():
            assert result.uncertainty[part].shape == (len(logits),)
            assert (result.uncertainty[part] > 0).all()
            assert (result.uncertainty[part] <= 1).all()
    assert finish(make_run(files, "ride", epochs=2))[0].uncertainty == {}


def test_evidence_combines_the_experts_of_each_molecule_by_itself(files: Any) -> None:
    run = make_run(files, "tlc", epochs=2)
    finish(run)
    said = run.predict(run.subsets["train"])
    torch.testing.assert_close(said.logits, combine_by_evidence(said.experts)[0])
    few = run.predict(run.subsets["train"][:3])
    torch.testing.assert_close(few.logits, said.logits[:, :3])


def test_classes_have_targets_in_the_second_half(files: Any) -> None:
    run, without = (
        make_run(files, "tsc", contrastive__start=start, epochs=6) for start in (0.5, 1.0)
    )
    seen = []
    for one in (run, without):
        while one.epoch < 6:
            one.train_epoch()
        seen.append([row["contrastive_loss"] for row in one.seeds[0].history])
    assert seen[0][:3] == seen[1][:3]
    assert seen[0][3] > seen[1][3] + 0.3


def test_a_training_too_short_for_its_second_stage_is_refused(files: Any) -> None:
    assert make_run(files, "crt", epochs=2).second_start == 1
    with pytest.raises(DrugtailError, match=r"second stage.*raise training.epochs"):
        make_run(files, "crt", epochs=1)


def test_paco_remembers_the_latest_molecules_and_its_slow_encoder_follows(files: Any) -> None:
    run = make_run(files, "paco", contrastive__queue=60)
    fast = {k: v.clone() for k, v in run.network.encoder.named_parameters()}
    run.train_epoch()
    run.train_epoch()
    companion = run.companion
    assert companion.queue is not None
    assert companion.queue_labels is not None
    assert (companion.queue_labels >= 0).all(), "77 molecules went by in each of two epochs"
    torch.testing.assert_close(companion.queue.norm(dim=2), torch.ones(2, 60))
    assert companion.momentum_encoder is not None
    now = dict(run.network.encoder.named_parameters())
    for name, slow in companion.momentum_encoder.named_parameters():
        assert not torch.equal(slow, fast[name])
        assert (slow - fast[name]).norm() < 0.1 * (now[name] - fast[name]).norm()


def test_bbn_shifts_from_the_first_branch_to_the_second(files: Any) -> None:
    run = make_run(files, "bbn", epochs=4)
    first, second = (normal(2, 5, 16, seed=s).float() for s in (0, 1))
    run.network.eval()
    for share in (1.0, 0.25, 0.0):
        found = run.network.classify_branches(first, second, torch.tensor(share)).logits
        own, other = (run.network.heads[i](x)[1] for i, x in enumerate((first, second)))
        torch.testing.assert_close(found, share * own + (1 - share) * other)
    # At prediction both branches see the molecule and count alike.
    both = torch.stack([head(first)[1] for head in run.network.heads]).mean(0)
    torch.testing.assert_close(run.network.classify(first).logits, both)
    # The second branch's molecules are drawn in reverse: the smallest class, most often.
    assert run.recipe.mixing is not None
    drawn = run._draw(run.recipe.mixing.sampler, "partners")
    counts = torch.bincount(run.objective.classes.labels[drawn].flatten(), minlength=3)
    assert counts[2] > counts[1] > counts[0]


def test_the_second_branch_of_bbn_is_not_decayed_to_nothing_while_its_loss_hardly_counts(
    files: Any,
) -> None:
    run = make_run(files, "bbn", epochs=300)
    last = [head.last.weight for head in run.network.heads]
    before = [weight.abs().mean().item() for weight in last]
    for _ in range(25):
        run.train_epoch()
    for weight, was in zip(last, before, strict=True):
        assert weight.abs().mean().item() > 0.7 * was


LATE = [
    name for name in CATALOGUE.names("methods") if last_change_epoch(CATALOGUE.recipe(name), 300)
]


def test_the_methods_with_a_late_part_are_known() -> None:
    assert {"ldam_drw", "deferred_resampling", "influence_balanced", "tsc", "ride", "tlc"} == {
        *LATE
    }
    assert last_change_epoch(CATALOGUE.recipe("ldam_drw"), 300) == 240
    assert last_change_epoch(CATALOGUE.recipe("ldam_drw"), 2) is None, "no epoch is that late"


@pytest.mark.parametrize("method", LATE)
def test_an_epoch_before_the_last_part_sets_in_cannot_be_chosen(files: Any, method: str) -> None:
    run = make_run(files, method, epochs=5)
    change = run.last_change
    assert change is not None
    for _ in range(change):
        run.train_epoch()
    for seed in run.seeds:
        seed.best_score = 1.0  # Nothing later can be better.
    assert all(result.best_epoch >= change for result in finish(run))
