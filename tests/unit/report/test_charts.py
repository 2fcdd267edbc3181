"""Charts of the page whose data are put together for them."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from drugtail.report import reclustering
from drugtail.report.charts import encoder_chart, reclustering_chart
from drugtail.report.reclustering import reclusterings


def board(pairs: list[tuple[str, str]]) -> pd.DataFrame:
    shares = np.linspace(0.8, 0.4, len(pairs))
    return pd.DataFrame(pairs, columns=["method", "encoder"]).assign(
        recall=shares, recall_low=shares - 0.05, recall_high=shares + 0.05
    )


def test_the_map_has_methods_that_ran_on_several_encoders() -> None:
    pairs = [*itertools.product(["ours", "plain"], ["gcn", "gin"]), ("forest", "morgan")]
    chart = encoder_chart(board(pairs), "recall")
    assert chart is not None
    (rows,) = chart["datasets"].values()
    shown = {
        (row["method"], row["encoder"]): (row["share"], row["low"], row["high"]) for row in rows
    }
    assert shown == {
        ("ours", "gcn"): (80, 75, 85), ("ours", "gin"): (70, 65, 75),
        ("plain", "gcn"): (60, 55, 65), ("plain", "gin"): (50, 45, 55),
    }  # fmt: skip


@pytest.mark.parametrize(
    "pairs",
    [
        [("ours", "gcn"), ("plain", "gcn")],
        [("ours", "gcn"), ("ours", "gin"), ("plain", "gcn"), ("forest", "morgan")],
    ],
)
def test_there_is_no_map_of_one_encoder_or_one_method(pairs: list[tuple[str, str]]) -> None:
    assert encoder_chart(board(pairs), "recall") is None


def history(methods: list[str], seeds: int = 2) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    keys = itertools.product(methods, range(seeds), ["refresh", "chosen"], range(3), range(4))
    names = ["method", "seed", "moment", "epoch", "label"]
    frame = pd.DataFrame(keys, columns=names).assign(encoder="gcn")
    frame["n"] = 40 // (frame["label"] + 1)
    frame["weight"] = rng.random(len(frame))
    return frame.assign(class_distance=np.nan)


CLASSES = pd.DataFrame({"label": [0, 1, 2, 3, 0], "label_name": ["a", "b", "c", "<d>", "a"]})


def test_measurements_are_means_over_seeds_by_the_name_of_the_class() -> None:
    frame = history(["ours"])
    measured, left_out = reclusterings(frame, CLASSES, ["ours on gcn"])
    assert left_out == 0
    # A quantity that was measured nowhere is not offered.
    assert list(measured) == ["name", "label_name", "epoch", "n", "weight"]
    assert len(measured) == 3 * 4
    one = measured[(measured["label_name"] == "<d>") & (measured["epoch"] == 2)].iloc[0]
    rows = frame[(frame["moment"] == "refresh") & (frame["epoch"] == 2) & (frame["label"] == 3)]
    assert one["weight"] == pytest.approx(rows["weight"].sum() / 2)
    assert one["n"] == 10
    chart = reclustering_chart(measured)
    assert chart is not None
    choices = {param["name"]: param.get("value") for param in chart["params"]}
    assert choices["method"] == "ours on gcn"
    assert choices["shown"] == "weight"


def test_methods_that_are_too_much_for_a_page_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reclustering, "MOST_ROWS", 25)
    order = ["best on gcn", "none on gcn", "mean on gcn", "last on gcn"]
    measured, left_out = reclusterings(history(["last", "mean", "best"]), CLASSES, order)
    assert list(dict.fromkeys(measured["name"])) == ["best on gcn", "mean on gcn"]
    assert left_out == 1


@pytest.mark.parametrize("frame", [pd.DataFrame(), history(["ours"]).assign(moment="chosen")])
def test_without_a_reclustering_there_is_no_chart(frame: pd.DataFrame) -> None:
    measured, left_out = reclusterings(frame, CLASSES, ["ours on gcn"])
    assert (len(measured), left_out) == (0, 0)
    assert reclustering_chart(measured) is None
