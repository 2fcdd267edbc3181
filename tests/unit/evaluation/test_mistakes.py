"""What a method gets wrong on test molecules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from finished_block import NAMES, block
from scipy.special import softmax
from sklearn.metrics import average_precision_score, confusion_matrix

from drugtail.evaluation.finished import FinishedBlocks
from drugtail.evaluation.metrics import calibration_error
from drugtail.evaluation.mistakes import (
    Predictions,
    confused_molecules,
    confusions,
    precision_recall,
    read_predictions,
    reliability,
)
from drugtail.runtime.parquet import read_parquet

SHARES = [0.5, 0.3, 0.15, 0.05]


def predictions(folder: Path, tau: float | None) -> Predictions:
    return read_predictions([block(folder, "cv-0-0", [0, 1, 3], shares=SHARES)], tau)


def predicted(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """True classes and probabilities of the test molecules of `predictions`, read independently."""
    frame = read_parquet(folder / "toy/cv-0-0/gcn/focal-01234567/seeds0-0/predictions.parquet")
    frame = frame[frame["subset"] == "test"]
    return frame["label"].to_numpy(), softmax(frame.filter(like="logit_").to_numpy(), axis=1)


def test_the_matrix_is_that_of_scikit_learn(tmp_path: Path) -> None:
    found = confusions(predictions(tmp_path, None))
    labels, probabilities = predicted(tmp_path)
    expected = confusion_matrix(labels, probabilities.argmax(axis=1), labels=range(4))
    wide = found.pivot(index="label", columns="predicted", values="molecules")
    wide = wide.reindex(index=NAMES, columns=NAMES).fillna(0)
    np.testing.assert_allclose(wide.to_numpy(), expected)
    assert set(found["of"]) == {12}


def test_reliability_adds_up_to_the_calibration_error(tmp_path: Path) -> None:
    found = reliability(predictions(tmp_path, None))
    labels, probabilities = predicted(tmp_path)
    error = (found["molecules"] * (found["accuracy"] - found["confidence"]).abs()).sum() / 36
    expected = calibration_error(labels, probabilities.argmax(axis=1), probabilities.max(axis=1))
    assert error == pytest.approx(expected)
    assert found["molecules"].sum() == pytest.approx(36)
    assert (found["low"] <= found["accuracy"]).all()
    assert (found["accuracy"] <= found["high"]).all()


def test_curves_are_of_the_rarest_classes_that_are_tested(tmp_path: Path) -> None:
    found = precision_recall(predictions(tmp_path, None), 2)
    # c is rarer than b, but not tested.
    assert found["label"].unique().tolist() == ["d", "b"]
    labels, probabilities = predicted(tmp_path)
    curve = found[found["label"] == "d"]
    assert (curve["recall"].diff().dropna() > 0).all()
    steps = curve["recall"].diff().fillna(curve["recall"])
    area = (steps * curve["precision"]).sum()
    expected = average_precision_score(labels == 3, probabilities[:, 3])
    assert area == pytest.approx(expected)
    assert set(curve["molecules"]) == {12}


def test_the_surest_mistakes_come_first(tmp_path: Path) -> None:
    found = confused_molecules(predictions(tmp_path, None), 5)
    labels, probabilities = predicted(tmp_path)
    wrong = probabilities.argmax(axis=1) != labels
    surest = np.sort(probabilities.max(axis=1)[wrong])[::-1][:5]
    np.testing.assert_allclose(found["probability"], surest)
    assert (found["label"] != found["predicted"]).all()
    assert set(found["wrong"]) == {1}


def test_a_molecule_that_is_tested_twice_counts_as_one(tmp_path: Path) -> None:
    folders = [block(tmp_path, split, [0, 1, 3]) for split in ("cv-0-0", "cv-1-10")]
    both = read_predictions(folders, None)
    assert len(both.frame) == 72
    assert confusions(both)["molecules"].sum() == pytest.approx(36)
    assert reliability(both)["molecules"].sum() == pytest.approx(36)
    found = confused_molecules(both, 36)
    assert set(found["tests"]) == {2}
    assert found["id"].is_unique
    # Of the first one both tests by hand: the mean of what they say of wrong classes.
    rows = both.frame["id"] == found["id"][0]
    probabilities = both.probabilities[rows.to_numpy()].mean(axis=0)
    probabilities[both.frame.loc[rows, "label"].iloc[0]] = 0
    assert found["probability"][0] == pytest.approx(probabilities.max())


def test_a_correction_is_that_of_the_tables(tmp_path: Path) -> None:
    plain, corrected = predictions(tmp_path, None), predictions(tmp_path, 0.5)
    odds = np.log(corrected.probabilities) - np.log(plain.probabilities)
    moved = odds[:, 3] - odds[:, 0]
    np.testing.assert_allclose(moved, -0.5 * (np.log(SHARES[3]) - np.log(SHARES[0])), atol=1e-6)


def test_blocks_are_found_by_the_rows_of_tables(tmp_path: Path) -> None:
    folders = [
        block(tmp_path, split, [0, 1, 3], method, SHARES)
        for split in ("cv-0-0", "cv-0-1", "random-0") for method in ("focal", "plain")
    ]  # fmt: skip
    (folders[1] / "status.json").unlink()
    blocks = FinishedBlocks(folders)
    assert blocks.of("toy", "cv", "focal", "gcn") == ([folders[0], folders[2]], None)
    assert blocks.of("toy", "cv", "plain+prior_0.5", "gcn") == ([folders[3]], 0.5)
    assert blocks.of("toy", "cv", "focal+tuned", "gcn") == ([], None)
    classes = blocks.classes("toy", "cv", "focal+prior_0.5", "gcn")
    assert set(classes["method"]) == {"focal+prior_0.5"}
    assert set(classes["split"]) == {"cv-0-0", "cv-0-1"}
    plain = blocks.classes("toy", "cv", "focal", "gcn")
    pd.testing.assert_frame_equal(
        plain[plain["split"] == "cv-0-0"],
        read_parquet(folders[0] / "class_metrics.parquet"),
        check_dtype=False,
    )


def test_nothing_wrong_is_nothing_to_show() -> None:
    frame = pd.DataFrame({"id": ["x", "y"], "label": [0, 1], "predicted": [0, 1],
                          "confidence": [0.9, 0.8], "share": [1.0, 1.0]})  # fmt: skip
    right = Predictions(frame, np.array([[0.9, 0.1], [0.2, 0.8]]), ["a", "b"], np.array([5, 3]))
    assert confused_molecules(right, 3).empty
    assert (confusions(right)["label"] == confusions(right)["predicted"]).all()
