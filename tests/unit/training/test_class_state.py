"""Classes in training: their distances, weights and sub-clusters."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_training import MakeFiles, Step, status, train, training

from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet
from drugtail.training.problem import read_problem


def test_class_distance_warms_up_without_the_classifier_and_then_adds_both_losses(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "class_distance", tmp_path)
    history = read_parquet(output / "history.parquet").set_index("epoch")
    warmup, later = history.loc[:1], history.loc[2:]
    assert (warmup["classification_loss"] == 0).all()
    assert warmup["loss"].equals(warmup["contrastive_loss"])
    assert warmup[["valid_loss", "valid_balanced_accuracy"]].isna().all(axis=None)
    assert (later["classification_loss"] > 0).all()
    assert (later["contrastive_loss"] > 0).all()
    total = later["classification_loss"] + later["contrastive_loss"]
    assert later["loss"].tolist() == pytest.approx(total.tolist(), rel=1e-5)
    assert later["valid_balanced_accuracy"].notna().all()
    assert status(output)["seeds"]["0"]["best_epoch"] >= 2


def test_class_distance_renews_its_weights_from_the_distances_at_every_refresh(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "class_distance", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    classes = classes[classes["moment"] == "refresh"]
    assert classes["epoch"].unique().tolist() == [2, 4]
    counts = read_problem(files.molecules, files.split).train_counts.tolist()
    limit = max(min(counts), 10)
    weights = []
    for _, rows in classes.groupby("epoch"):
        assert rows["label"].tolist() == [0, 1, 2]
        assert rows["n"].tolist() == counts
        assert rows["subclusters"].tolist() == [max(1, n // limit) for n in counts]
        assert (rows["nearest_class"] != rows["label"]).all()
        assert rows["separability"].between(-1, 1).all()
        assert rows["valid_separability"].between(-1, 1).all()
        assert rows["valid_recall"].between(0, 1).all()
        shares = [
            np.exp(-rows[name]) / np.exp(-rows[name]).sum()
            for name in ("class_distance", "subcluster_distance")
        ]
        wanted = 3 * (shares[0] + shares[1]) / 2
        assert rows["weight"].tolist() == pytest.approx(wanted.tolist(), rel=1e-5)
        weights.append(rows["weight"].tolist())
    assert weights[0] != weights[1]
    assert max(weights[0]) > 1 > min(weights[0])


def test_class_distance_with_two_classes_keeps_both_weights_at_one(
    make_files: MakeFiles, tmp_path: Path
) -> None:
    output = train(make_files((80, 12)).inputs(), "class_distance", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    refreshes = classes[classes["moment"] == "refresh"]
    assert len(refreshes) == 4
    assert (refreshes["weight"] == 1).all()
    by_epoch = refreshes.groupby("epoch")
    assert (by_epoch["class_distance"].nunique() == 1).all()
    assert (by_epoch["subcluster_distance"].nunique() == 1).all()


def test_class_separability_tells_two_classes_apart(make_files: MakeFiles, tmp_path: Path) -> None:
    output = train(make_files((80, 12)).inputs(), "class_separability", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    for _, rows in classes[classes["moment"] == "refresh"].groupby("epoch"):
        raw = np.exp(-rows["separability"] / 0.25)
        assert rows["weight"].tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-4)
        assert rows["weight"].nunique() == 2


def test_as_published_every_class_is_one_subcluster(files: Any, tmp_path: Path) -> None:
    output = train(files.inputs(), "class_distance_official_code", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    assert (classes["subclusters"] == 1).all()
    # With one sub-cluster per class both distances are the same.
    both = classes[["class_distance", "subcluster_distance"]]
    np.testing.assert_allclose(both["class_distance"], both["subcluster_distance"], rtol=1e-5)


@pytest.mark.parametrize(
    ("method", "column"),
    [
        ("class_distance_class_only", "class_distance"),
        ("class_distance_subcluster_only", "subcluster_distance"),
    ],
)
def test_an_ablation_of_the_distances_weighs_by_the_other_one_alone(
    files: Any, tmp_path: Path, method: str, column: str
) -> None:
    output = train(files.inputs(), method, tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    for _, rows in classes[classes["moment"] == "refresh"].groupby("epoch"):
        raw = np.exp(-rows[column])
        assert rows["weight"].tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-5)


def test_without_the_contrastive_term_the_classifier_trains_from_the_first_epoch(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "class_distance_no_contrastive", tmp_path)
    history = read_parquet(output / "history.parquet")
    assert (history["contrastive_loss"] == 0).all()
    assert (history["classification_loss"] > 0).all()
    classes = read_parquet(output / "class_history.parquet")
    assert classes.loc[classes["moment"] == "refresh", "weight"].nunique() > 1


def test_without_subclusters_the_contrastive_term_is_plain_and_without_reweighting_all_weigh_one(
    files: Any, tmp_path: Path
) -> None:
    whole = train(files.inputs(), "class_distance_no_subclusters", tmp_path / "whole")
    assert (read_parquet(whole / "class_history.parquet")["subclusters"] == 1).all()
    step = Step(files, "class_distance_no_subclusters")
    step.cluster()
    plain = Step(files, "class_distance_no_subclusters")
    drawn = torch.arange(0, len(step.labels), 3)
    # A geometry changes nothing of a contrastive term that does not read it.
    assert step.losses(drawn, 5).contrastive == plain.losses(drawn, 5).contrastive
    alike = train(files.inputs(), "class_distance_no_reweighting", tmp_path / "alike")
    classes = read_parquet(alike / "class_history.parquet")
    refreshes = classes[classes["moment"] == "refresh"]
    assert (refreshes["weight"] == 1).all()
    assert refreshes["subclusters"].max() > 1


@pytest.mark.parametrize("method", ["cross_entropy", "class_distance"])
def test_embeddings_of_every_class_are_kept_at_a_few_moments(
    files: Any, tmp_path: Path, method: str
) -> None:
    output = train(files.inputs(), method, tmp_path)
    frame = read_parquet(output / "embeddings.parquet")
    moments = frame.groupby(["moment", "epoch"])
    expected = {"chosen"} | ({"refresh"} if method == "class_distance" else set())
    assert set(frame["moment"]) == expected
    names = [tuple(rows["id"]) for _, rows in moments]
    assert len(set(names)) == 1, "the same molecules at every moment"
    assert set(frame["label"]) == {0, 1, 2}
    lengths = np.linalg.norm(np.stack(frame["embedding"].tolist()), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-5)


def test_the_weights_of_a_static_method_are_written_once(files: Any, tmp_path: Path) -> None:
    output = train(files.inputs(), "cost_sensitive", tmp_path)
    classes = read_parquet(output / "class_history.parquet")
    counts = read_problem(files.molecules, files.split).train_counts
    raw = counts.min() / counts
    assert classes["epoch"].tolist() == [status(output)["seeds"]["0"]["best_epoch"]] * 3
    assert classes["n"].tolist() == counts.tolist()
    assert classes["weight"].tolist() == pytest.approx((raw / raw.mean()).tolist(), rel=1e-6)
    # Measured once with the chosen weights, although the method itself never looks.
    assert (classes["moment"] == "chosen").all()
    assert classes[["subclusters", "class_distance", "separability"]].notna().all(axis=None)


def test_a_training_that_ends_before_the_classifiers_first_epoch_is_refused(
    files: Any, tmp_path: Path
) -> None:
    short = training(epochs=2, schedule_scale=1.0)
    with pytest.raises(DrugtailError, match=r"warm-?up"):
        train(files.inputs(), "class_distance", tmp_path / "run", settings=short)
    assert not (tmp_path / "run" / "status.json").exists()
