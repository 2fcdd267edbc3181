"""The answer of a comparison for a data set."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from drugtail.evaluation.answer import (
    LOST,
    OVERALL,
    PARTS,
    RESCUED,
    SIMILAR,
    UNJUDGED,
    Answer,
    answer,
)
from drugtail.evaluation.statistics import compare_methods
from drugtail.recommendation.words import in_words
from drugtail.runtime.errors import DrugtailError

SPLITS = [f"cv-0-{fold}" for fold in range(5)]
# Method and encoder -> mean on validation molecules, and on test molecules.
METHODS = {
    ("plain", "morgan"): (0.50, 0.50),
    ("chosen", "mlp"): (0.70, 0.60),
    ("lucky", "mlp"): (0.60, 0.90),
    ("plain", "mlp"): (0.45, 0.55),
}
# Parents tested, and how many of them the plain and the chosen method recognise.
CLASSES = {
    "large": (400, 380, 300),
    "same": (200, 100, 104),
    "rare": (60, 6, 40),
    "tiny": (5, 0, 3),
}


def runs(seed: int = 0, columns: tuple[str, ...] = tuple(PARTS)) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for (method, encoder), (valid, test) in METHODS.items():
        for split in SPLITS:
            row = {"dataset": "mine", "split": split, "encoder": encoder, "method": method,
                   "seed": 0, "settings": "default", "status": "finished", "seconds": 1.0,
                   "n_train": 700, "n_test": 200}  # fmt: skip
            row["valid_balanced_accuracy"] = valid + rng.normal(0, 0.01)
            row |= {name: test + rng.normal(0, 0.02) for name in columns}
            row |= dict.fromkeys(set(PARTS) - set(columns), np.nan)
            rows.append(row)
    return pd.DataFrame(rows)


def class_metrics(method: str, encoder: str) -> pd.DataFrame:
    """All parents are tested in the first fold."""
    rows = []
    for label, (name, (parents, plain, chosen)) in enumerate(CLASSES.items()):
        found = chosen if method == "chosen" else plain
        rows.append(
            {"dataset": "mine", "split": "cv-0-0", "encoder": encoder, "method": method, "seed": 0,
             "subset": "test", "label": label, "label_name": name, "group": "head",
             "n_train": 2 * parents, "n": float(parents), "parents": parents,
             "recall": found / parents}
        )  # fmt: skip
    valid = pd.DataFrame(rows).assign(subset="valid", recall=0.0)
    return pd.concat([pd.DataFrame(rows), valid])


def asked(frame: pd.DataFrame) -> Answer:
    return answer(frame, "mine", "plain", class_metrics)


def test_validation_molecules_choose_and_test_molecules_measure() -> None:
    found = asked(runs())
    # On test molecules another one is far better, which is said and chooses nothing.
    assert (found.method, found.encoder) == ("chosen", "mlp")
    assert found.board["method"].tolist() == ["chosen", "lucky", "plain", "plain"]
    assert found.names("better") == ["lucky"]
    # The plain method on that encoder that is better on validation molecules.
    assert (found.reference, found.reference_encoder) == ("plain", "morgan")


def test_other_rows_are_counted_by_what_test_molecules_say_of_them() -> None:
    found = asked(runs())
    assert found.standing() == "3 other rows: 1 better, 2 worse"
    frame = runs()
    same = frame["method"] != "chosen"
    for name in (OVERALL, "valid_balanced_accuracy"):
        values = frame.loc[~same, name].to_numpy()
        frame.loc[same, name] = np.tile(values, same.sum() // len(values))
    equal = asked(frame)
    assert equal.standing() == "3 other rows: 3 equal"
    assert equal.tied == 4
    assert found.tied == 1


def test_gains_are_those_of_the_corrected_t_over_all_parts() -> None:
    frame = runs()
    found = asked(frame).gains.set_index("metric")
    # Two methods alone, on one encoder, through the table's own function.
    pair = frame[frame["method"].eq("chosen") | frame["encoder"].eq("morgan")].assign(encoder="")
    wanted = compare_methods(pair, "chosen", list(PARTS)).set_index("metric")
    pd.testing.assert_frame_equal(found, wanted[found.columns])


def test_classes_are_judged_by_two_proportions_corrected_for_their_number() -> None:
    found = asked(runs()).classes.set_index("label_name")
    p = {}
    for name in ("large", "same", "rare"):
        parents, plain, chosen = CLASSES[name]
        pooled = (plain + chosen) / (2 * parents)
        z = abs(chosen - plain) / np.sqrt(2 * parents * pooled * (1 - pooled))
        p[name] = 2 * stats.norm.sf(z)
    corrected = dict(zip(p, multipletests([*p.values()], method="holm")[1], strict=True))
    wanted = {
        name: SIMILAR if corrected[name] >= 0.05 else (RESCUED if name == "rare" else LOST)
        for name in p
    }
    assert wanted == {"large": LOST, "same": SIMILAR, "rare": RESCUED}
    assert found["verdict"].to_dict() == {**wanted, "tiny": UNJUDGED}
    assert found["plain"].to_dict() == {n: c[1] / c[0] for n, c in CLASSES.items()}


def test_with_two_classes_there_is_no_tail_to_speak_of() -> None:
    found = asked(runs(columns=(OVERALL, f"{OVERALL}_head", f"{OVERALL}_middle")))
    assert f"{OVERALL}_tail" not in found.board
    assert f"{OVERALL}_tail" not in found.gains["metric"].tolist()


def test_a_plain_method_that_is_chosen_gains_nothing() -> None:
    frame = runs()
    frame.loc[frame["encoder"] == "morgan", "valid_balanced_accuracy"] = 0.9
    found = asked(frame)
    assert found.method == "plain"
    assert found.gains.empty
    assert set(found.classes["verdict"]) <= {SIMILAR, UNJUDGED}


def test_a_method_with_a_gap_takes_no_part_and_a_missing_reference_is_named() -> None:
    frame = runs()
    frame.loc[(frame["method"] == "chosen") & (frame["split"] == "cv-0-3"), "status"] = "diverged"
    assert asked(frame).method == "lucky"
    with pytest.raises(DrugtailError, match="mine: plain is not finished on every split"):
        asked(frame[frame["method"] != "plain"])


def test_the_words_say_how_other_rows_stand_and_that_several_are_equally_good() -> None:
    found = asked(runs())
    text = in_words(found, {"Left out": ["odd"]})
    assert "By test molecules, 3 other rows: 1 better, 2 worse (equal: within a point)" in text
    assert "equally good" not in text
    assert "by plain, and by chosen" in text
    assert "Left out: odd" in text
    frame = runs()
    frame["valid_balanced_accuracy"] = 1.0
    text = in_words(asked(frame), {})
    assert "4 rows are equally good on validation molecules; it is the first" in text
    # The plain method is the first, and there is nothing to compare it with.
    assert "Recall of each class in percent: by plain [" in text


def test_the_interval_of_a_share_ends_at_a_hundred_percent() -> None:
    frame = runs()
    chosen = frame["method"] == "chosen"
    frame.loc[chosen, OVERALL] = [1.0, 1.0, 0.9, 1.0, 1.0]
    found = asked(frame)
    assert found.board[f"{OVERALL}_high"].iloc[0] > 1
    assert re.search(r"balanced accuracy 98\.0 \[\d+\.\d, 100\.0\]", in_words(found, {}))
