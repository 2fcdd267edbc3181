"""Metrics against their definitions, scikit-learn and naive loops."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from drugtail.evaluation.evaluate import evaluate_block
from drugtail.evaluation.metrics import (
    class_metrics,
    metric_names,
    ranking_metrics,
    run_metrics,
)
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet, write_parquet

GROUPS = ["head", "head", "middle", "tail", "tail"]
GROUPED = ["balanced_accuracy", "balanced_f1", "macro_f1", "auroc", "auprc"]


def sample(classes: int = 5, molecules: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Long-tailed labels, each class present, and logits that know something about them."""
    rng = np.random.default_rng(seed)
    shares = 0.6 ** np.arange(classes)
    labels = rng.choice(classes, size=molecules, p=shares / shares.sum())
    labels[:classes] = np.arange(classes)
    logits = rng.normal(size=(molecules, classes)) + 1.2 * np.eye(classes)[labels]
    return labels, logits


def hard(labels: list[int], predicted: list[int], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and logits that predict `predicted`."""
    return np.array(labels), 3.0 * np.eye(classes)[predicted]


@pytest.mark.parametrize(
    ("truth", "prediction"), [([0, 1, 1], [0, 0, 1]), ([0, 0, 1, 1], [0, 0, 0, 1])]
)
def test_published_check_values(truth: list[int], prediction: list[int]) -> None:
    found = run_metrics(*hard(truth, prediction, 2), ["head", "tail"])
    assert found["balanced_accuracy"] == 0.75
    assert found["balanced_f1"] == pytest.approx(0.7333, abs=5e-5)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [2, 3, 5, 12])
def test_overall_metrics_equal_scikit_learn(classes: int, seed: int) -> None:
    labels, logits = sample(classes, seed=seed)
    predicted, chances = logits.argmax(1), softmax(logits, axis=1)
    groups = ["head"] * (classes - 1) + ["tail"]
    found = run_metrics(labels, logits, groups)
    one_hot = np.eye(classes)[labels]
    expected = {
        "accuracy": sk.accuracy_score(labels, predicted),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted),
        "macro_f1": sk.f1_score(labels, predicted, average="macro"),
        "mcc": sk.matthews_corrcoef(labels, predicted),
        "cohen_kappa": sk.cohen_kappa_score(labels, predicted),
        "auroc": sk.roc_auc_score(one_hot, chances, average="macro"),
        "auprc": sk.average_precision_score(one_hot, chances, average="macro"),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    if classes > 2:
        ovr = sk.roc_auc_score(labels, chances, multi_class="ovr", average="macro")
        assert found["auroc"] == pytest.approx(ovr)
    precision, recall, f1, n = sk.precision_recall_fscore_support(labels, predicted)
    per_class = class_metrics(labels, logits)
    for name, values in {"precision": precision, "recall": recall, "f1": f1, "n": n}.items():
        np.testing.assert_allclose(per_class[name], values)


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_areas_under_curves_equal_scikit_learn_with_and_without_ties(digits: int) -> None:
    labels, logits = sample(seed=5)
    scores = np.round(logits[:, 1], digits)
    wanted = sk.roc_auc_score(labels == 1, scores), sk.average_precision_score(labels == 1, scores)
    assert ranking_metrics(labels == 1, scores) == pytest.approx(wanted)


def naive_recalls(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[float]:
    recalls = []
    for c in range(classes):
        own = [p for t, p in zip(labels, predicted, strict=True) if t == c]
        recalls.append(sum(p == c for p in own) / len(own))
    return recalls


def naive_balanced_f1(labels: np.ndarray, predicted: np.ndarray, classes: int) -> list[float]:
    scores = []
    for c in range(classes):
        recall = called = 0.0
        for j in range(classes):
            own = [p for t, p in zip(labels, predicted, strict=True) if t == j]
            share = sum(p == c for p in own) / len(own)
            called += share
            recall = share if j == c else recall
        precision = recall / called if called else 0.0
        total = precision + recall
        scores.append(2 * precision * recall / total if total else 0.0)
    return scores


def naive_calibration_error(labels: np.ndarray, logits: np.ndarray) -> float:
    rows = []
    for label, row in zip(labels, logits, strict=True):
        chances = [math.exp(value) for value in row]
        confidence = max(chances) / sum(chances)
        rows.append((confidence, chances.index(max(chances)) == label))
    error = 0.0
    for b in range(15):
        inside = [(conf, hit) for conf, hit in rows if b / 15 < conf <= (b + 1) / 15]
        if inside:
            accuracy = sum(hit for _, hit in inside) / len(inside)
            confidence = sum(conf for conf, _ in inside) / len(inside)
            error += len(inside) / len(rows) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("seed", range(5))
def test_metrics_without_a_library_equal_naive_loops(seed: int) -> None:
    labels, logits = sample(seed=seed)
    predicted = logits.argmax(1)
    found = run_metrics(labels, logits, GROUPS)
    recalls = naive_recalls(labels, predicted, 5)
    assert found["geometric_mean"] == pytest.approx(math.prod(recalls) ** (1 / 5))
    assert found["harmonic_mean"] == pytest.approx(5 / sum(1 / r for r in recalls))
    assert found["worst_class_recall"] == pytest.approx(min(recalls))
    scores = naive_balanced_f1(labels, predicted, 5)
    np.testing.assert_allclose(class_metrics(labels, logits)["balanced_f1"], scores)
    assert found["balanced_f1"] == pytest.approx(sum(scores) / 5)
    assert found["calibration_error"] == pytest.approx(naive_calibration_error(labels, logits))


def test_a_class_never_found_makes_the_means_zero() -> None:
    found = run_metrics(*hard([0, 1, 2], [0, 1, 1], 3), ["head", "middle", "tail"])
    for name in ("geometric_mean", "harmonic_mean", "worst_class_recall"):
        assert found[name] == 0
        assert found[f"{name}_head"] == 1
        assert found[f"{name}_tail"] == 0


def test_geometric_mean_of_many_classes_does_not_underflow() -> None:
    classes = 400
    labels = np.repeat(np.arange(classes), 10)
    predicted = labels.copy()
    predicted[np.arange(len(labels)) % 10 != 0] = 0
    predicted[:10] = [0, *[1] * 9]
    found = run_metrics(*hard(labels.tolist(), predicted.tolist(), classes), ["tail"] * classes)
    assert found["worst_class_recall"] == pytest.approx(0.1)
    assert found["geometric_mean"] == pytest.approx(0.1)


def test_perfect_predictions_score_one_everywhere() -> None:
    labels = np.repeat(np.arange(5), 4)
    found = run_metrics(labels, 60 * np.eye(5)[labels], GROUPS)
    for name, value in found.items():
        assert value == pytest.approx(0 if name.startswith("calibration_error") else 1), name


@pytest.mark.parametrize("group", ["head", "middle", "tail"])
def test_group_values_are_those_of_the_classes_of_the_group(group: str) -> None:
    labels, logits = sample(seed=3)
    found, per_class = run_metrics(labels, logits, GROUPS), class_metrics(labels, logits)
    members = [c for c in range(5) if GROUPS[c] == group]
    sources = dict(zip(GROUPED, ["recall", "balanced_f1", "f1", "auroc", "auprc"], strict=True))
    for name, source in sources.items():
        mean = sum(per_class[source][c] for c in members) / len(members)
        assert found[f"{name}_{group}"] == pytest.approx(mean)
    recalls = per_class["recall"][members]
    assert found[f"worst_class_recall_{group}"] == recalls.min()
    assert found[f"geometric_mean_{group}"] == pytest.approx(np.exp(np.log(recalls).mean()))
    rows = np.isin(labels, members)
    assert found[f"accuracy_{group}"] == pytest.approx((logits.argmax(1) == labels)[rows].mean())
    assert found[f"calibration_error_{group}"] == pytest.approx(
        naive_calibration_error(labels[rows], logits[rows])
    )


def test_renaming_classes_changes_no_metric_and_moves_class_values_along() -> None:
    labels, logits = sample(seed=5)
    order = np.array([3, 0, 4, 1, 2])
    renamed = np.argsort(order)[labels]
    before, after = class_metrics(labels, logits), class_metrics(renamed, logits[:, order])
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values[order], err_msg=name)
    groups = [GROUPS[c] for c in order]
    expected = run_metrics(labels, logits, GROUPS)
    assert run_metrics(renamed, logits[:, order], groups) == pytest.approx(expected)


def test_the_order_of_molecules_changes_nothing() -> None:
    labels, logits = sample(seed=6)
    order = np.random.default_rng(0).permutation(len(labels))
    expected = run_metrics(labels, logits, GROUPS)
    assert run_metrics(labels[order], logits[order], GROUPS) == pytest.approx(expected)


def test_a_class_without_molecules_is_undefined_and_left_out_of_means() -> None:
    labels, logits = sample(seed=7)
    present = labels != 2
    labels, logits = labels[present], logits[present]
    per_class = class_metrics(labels, logits)
    assert per_class["n"][2] == 0
    for name in ("recall", "precision", "f1", "balanced_f1", "auroc", "auprc"):
        assert np.isnan(per_class[name]).tolist() == [False, False, True, False, False], name
    found = run_metrics(labels, logits, GROUPS)
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert undefined == {name for name in found if name.endswith("_middle")}
    kept = per_class["recall"][[0, 1, 3, 4]]
    assert found["balanced_accuracy"] == pytest.approx(kept.mean())
    assert found["geometric_mean"] == pytest.approx(kept.prod() ** 0.25)


@pytest.mark.filterwarnings("ignore")
def test_a_single_class_does_not_crash() -> None:
    found = run_metrics(*hard([1, 1, 1], [1, 0, 1], 2), ["head", "tail"])
    assert found["balanced_accuracy"] == pytest.approx(2 / 3)
    assert math.isnan(found["auroc"])
    assert math.isnan(found["balanced_accuracy_head"])
    assert found["accuracy_tail"] == pytest.approx(2 / 3)


@pytest.mark.filterwarnings("ignore")
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_every_metric_stays_in_its_range(data: st.DataObject) -> None:
    classes = data.draw(st.integers(2, 5))
    labels = data.draw(st.lists(st.integers(0, classes - 1), min_size=2, max_size=30))
    values = st.floats(-1e3, 1e3, allow_nan=False, width=32)
    row = st.lists(values, min_size=classes, max_size=classes)
    logits = data.draw(st.lists(row, min_size=len(labels), max_size=len(labels)))
    groups = (["head", "tail", "middle", "head", "tail"])[:classes]
    found = run_metrics(np.array(labels), np.array(logits), groups)
    assert list(found) == metric_names()
    for name, value in found.items():
        low = -1 if name in ("mcc", "cohen_kappa") else 0
        assert math.isnan(value) or low - 1e-12 <= value <= 1 + 1e-12, name
    defined = ("accuracy", "balanced_accuracy", "balanced_f1", "macro_f1", "worst_class_recall")
    assert not any(math.isnan(found[name]) for name in defined)
    tolerance = 1e-9
    assert found["worst_class_recall"] <= found["harmonic_mean"] + tolerance
    assert found["harmonic_mean"] <= found["geometric_mean"] + tolerance
    assert found["geometric_mean"] <= found["balanced_accuracy"] + tolerance


def test_adding_a_constant_to_the_logits_of_a_molecule_changes_nothing() -> None:
    labels, logits = sample(seed=8)
    shift = np.random.default_rng(0).normal(scale=50, size=(len(labels), 1))
    expected = run_metrics(labels, logits, GROUPS)
    assert run_metrics(labels, logits + shift, GROUPS) == pytest.approx(expected)


# ---------------------------------------------------------------------------------- evaluate

HEADER: dict[str, Any] = {
    "dataset": "tiny", "split": "random-0", "encoder": "gcn", "method": "cross_entropy",
    "class_names": ["a", "b", "c"], "train_counts": [50, 5, 20], "seeds": [0, 1],
}  # fmt: skip


def predictions(folder: Path, seeds: tuple[int, ...] = (0, 1)) -> tuple[Path, pd.DataFrame]:
    frames = []
    for seed in seeds:
        for offset, part in enumerate(("valid", "test")):
            labels, logits = sample(3, 40, seed=10 * seed + offset)
            frame = pd.DataFrame(logits, columns=[f"logit_{c}" for c in range(3)])
            ids = [f"{part}{i}" for i in range(40)]
            new = np.arange(40) % 4 > 0
            frames.append(
                frame.assign(
                    id=ids,
                    subset=part,
                    label=labels,
                    seed=seed,
                    parent=np.arange(40) // 2,
                    new_parent=new,
                )
            )
    logits = [f"logit_{c}" for c in range(3)]
    empty = pd.DataFrame(columns=["id", "subset", "label", "seed", "parent", "new_parent", *logits])
    frame = pd.concat(frames, ignore_index=True) if frames else empty
    write_parquet(folder / "predictions.parquet", frame, HEADER)
    return folder / "predictions.parquet", frame


def test_a_block_gets_one_row_per_run_and_one_per_run_part_and_class(tmp_path: Path) -> None:
    path, frame = predictions(tmp_path)
    evaluate_block(path, tmp_path / "m.parquet", tmp_path / "c.parquet")
    runs, classes = read_parquet(tmp_path / "m.parquet"), read_parquet(tmp_path / "c.parquet")
    assert runs["seed"].tolist() == [0, 1]
    groups = ["head", "tail", "middle"]
    for (seed, part), rows in frame.groupby(["seed", "subset"]):
        labels = rows["label"].to_numpy()
        logits = rows[["logit_0", "logit_1", "logit_2"]].to_numpy()
        run = runs[runs["seed"] == seed].iloc[0]
        for name, value in run_metrics(labels, logits, groups).items():
            assert run[f"{part}_{name}"] == pytest.approx(value, nan_ok=True)
        new = rows["new_parent"].to_numpy()
        if part == "test":
            for name, value in run_metrics(labels[new], logits[new], groups).items():
                assert run[f"test_new_parents_{name}"] == pytest.approx(value, nan_ok=True)
            changed = run["test_new_parents_balanced_accuracy"] != run["test_balanced_accuracy"]
            assert changed
        mine = classes[(classes["seed"] == seed) & (classes["subset"] == part)]
        assert mine["label_name"].tolist() == ["a", "b", "c"]
        assert mine["group"].tolist() == groups
        assert mine["n_train"].tolist() == [50, 5, 20]
        assert mine["n"].tolist() == np.bincount(labels).tolist()
        distinct = [len({i // 2 for i in np.flatnonzero(labels == c)}) for c in range(3)]
        assert mine["parents"].tolist() == distinct
        recalls = sk.recall_score(labels, logits.argmax(1), average=None)
        np.testing.assert_allclose(mine["recall"], recalls)
    assert len(classes) == 2 * 2 * 3
    assert set(runs["method"]) == set(classes["method"]) == {"cross_entropy"}


def test_a_block_in_which_every_run_diverged_has_no_metrics(tmp_path: Path) -> None:
    path, _ = predictions(tmp_path, seeds=())
    evaluate_block(path, tmp_path / "m.parquet", tmp_path / "c.parquet")
    runs = read_parquet(tmp_path / "m.parquet")
    assert runs.empty
    assert {"seed", "test_balanced_accuracy", "valid_mcc"} <= set(runs.columns)
    assert read_parquet(tmp_path / "c.parquet").empty


def test_a_file_without_predictions_is_refused(tmp_path: Path) -> None:
    path, frame = predictions(tmp_path)
    write_parquet(path, frame.drop(columns="logit_2"), HEADER)
    with pytest.raises(DrugtailError, match="is not a predictions file") as error:
        evaluate_block(path, tmp_path / "m.parquet", tmp_path / "c.parquet")
    assert str(path) in str(error.value)
    frame.to_parquet(path)
    with pytest.raises(DrugtailError, match="is not a predictions file"):
        evaluate_block(path, tmp_path / "m.parquet", tmp_path / "c.parquet")
    assert not (tmp_path / "m.parquet").exists()
