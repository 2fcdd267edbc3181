"""Charts of a page that answer to the pointer: Vega-Lite specifications, made by Altair.

The page brings Vega along and needs nothing from outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.evaluation.answer import Answer
from drugtail.evaluation.derived_rows import is_derived
from drugtail.evaluation.head_and_tail import undominated
from drugtail.evaluation.row_names import row_name, row_names
from drugtail.evaluation.statistics import BETTER, EQUAL, UNDECIDED, WORSE
from drugtail.report.reclustering import MEASURED

PLAIN, CORRECTED, FIRST, SECOND = "#3a7ca5", "#e07a2d", "#3a7ca5", "#e07a2d"
VERDICTS = {
    BETTER: "#3a7ca5", EQUAL: "#8fbfa3", UNDECIDED: "#88888833", WORSE: "#e07a2d",
}  # fmt: skip
# Height of a class in pixels, and methods whose names are written beside their dots.
LINE, MOST_NAMED = 22, 3
# Share of a chart's width and height that a name beside a dot takes.
LABEL = np.array([0.3, 0.06])
# Charts of fewer pixels have no room for names.
NARROW = 500


def plane(answer: Answer) -> dict[str, Any] | None:
    """Return the chart of head cost against tail gain; None where there is no tail.

    The reference stands at the origin. Named, with their intervals, are the method that was chosen
    and up to `MOST_NAMED` that no other exceeds in both; others when they are pointed at.
    """
    found = answer.plane
    if found.empty:
        return None
    names = row_names(found)
    kind = is_derived(found["method"]).map({True: "prior corrected", False: "as trained"})
    best = undominated(found["head"].to_numpy(float), found["tail"].to_numpy(float))
    chosen = np.flatnonzero(names == row_name(answer.method, answer.encoder)).tolist()
    points = found[["head", "tail"]].to_numpy(float)
    named = np.isin(np.arange(len(found)), _apart(points, [*chosen, *best[:MOST_NAMED]]))
    # A name stands on the side of its dot that most dots are on, away from the edge.
    right = points[:, 0] < points[:, 0].min() / 2 + points[:, 0].max() / 2
    data = found.round(2).assign(name=names, rows=kind, named=named, right=right)
    data = data.drop(columns=["method", "encoder"])
    pointed = alt.selection_point(fields=["name"], on="pointerover", empty=False, name="pointed")
    x, y = (
        alt.X("head:Q").title("head recall, points"),
        alt.Y("tail:Q").title("tail recall, points"),
    )
    colour = (
        alt.Color("rows:N")
        .title(None)
        .legend(orient="bottom")
        .scale(domain=["as trained", "prior corrected"], range=[PLAIN, CORRECTED])
    )
    tooltip = [
        alt.Tooltip("name:N", title="method"),
        *(alt.Tooltip(f"{one}:Q", title=one.replace("_", " "), format="+.1f")
          for one in ("head", "head_low", "head_high", "tail", "tail_low", "tail_high")),
    ]  # fmt: skip
    shown = alt.when(pointed | "datum.named").then(alt.value(0.8)).otherwise(alt.value(0))
    base = alt.Chart(data).encode(color=colour)
    room = alt.expr(f"width < {NARROW} ? 0 : 1")
    zero = pd.DataFrame({"zero": [0]})
    layers = [
        alt.Chart(zero).mark_rule(color="#888", strokeDash=[3, 3]).encode(x="zero:Q"),
        alt.Chart(zero).mark_rule(color="#888", strokeDash=[3, 3]).encode(y="zero:Q"),
        base.mark_rule().encode(x="head_low:Q", x2="head_high:Q", y=y, opacity=shown),
        base.mark_rule().encode(x=x, y="tail_low:Q", y2="tail_high:Q", opacity=shown),
        base.mark_circle(size=70, opacity=0.9)
        .encode(x=x, y=y, tooltip=tooltip)
        .add_params(pointed),
        base.transform_filter("datum.named && datum.right")
        .mark_text(align="left", dx=7, dy=-7, opacity=room)
        .encode(x=x, y=y, text="name:N"),
        base.transform_filter("datum.named && !datum.right")
        .mark_text(align="right", dx=-7, dy=-7, opacity=room)
        .encode(x=x, y=y, text="name:N"),
    ]
    chart = alt.layer(*layers).properties(width="container", height=380)
    return _specification(chart)


def _apart(points: NDArray[np.float64], candidates: Sequence[int]) -> list[int]:
    """Return the candidates whose names do not cover each other, earlier ones first.

    Parameters
    ----------
    points
        Places of all dots, [N, 2].
    candidates
        Rows of `points`.
    """
    # The reference at the origin is a part of the chart.
    span = np.ptp(np.vstack([points, np.zeros(2)]), axis=0)
    kept: list[int] = []
    for row in candidates:
        near = [np.abs(points[row] - points[other]) <= LABEL * span for other in kept]
        if not any(both.all() for both in near):
            kept.append(row)
    return kept


def class_recalls_chart(recalls: pd.DataFrame, first: str, second: str) -> dict[str, Any]:
    """Return the chart of the recall of each class by two methods, which the reader may change.

    Parameters
    ----------
    recalls
        ``name`` (method and encoder), ``label_name``, ``n_train``, ``parents``, ``recall``, ``low``
        and ``high`` (Wilson's 95 % interval), as shares.
    first, second
        Names to begin with.
    """
    shares = ["recall", "low", "high"]
    data = recalls[["name", "label_name", "parents", *shares]].copy()
    data[shares] = (100 * data[shares]).round(1)
    order = recalls.groupby("label_name", sort=False)["n_train"].max()
    names = list(dict.fromkeys(recalls["name"]))
    one, two = (
        alt.param(name=key, value=value, bind=alt.binding_select(options=names, name=f"{key}: "))
        for key, value in (("blue", first), ("orange", second))
    )
    classes = (
        alt.Y("label_name:N")
        .title(None)
        .sort(order.sort_values(ascending=False, kind="stable").index.tolist())
    )
    base = (
        alt.Chart(data)
        .transform_filter("datum.name == blue || datum.name == orange")
        .transform_calculate(side="datum.name == blue ? 'blue' : 'orange'")
        .encode(
            y=classes.axis(labelLimit=220),
            yOffset=alt.YOffset("side:N"),
            color=alt.Color("side:N")
            .legend(None)
            .scale(domain=["blue", "orange"], range=[FIRST, SECOND]),
            tooltip=[
                alt.Tooltip("label_name:N", title="class"), alt.Tooltip("name:N", title="method"),
                alt.Tooltip("recall:Q"), alt.Tooltip("low:Q"), alt.Tooltip("high:Q"),
                alt.Tooltip("parents:Q", title="parents tested"),
            ],
        )
    )  # fmt: skip
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("recall:Q").title("recall, %").scale(scale)
    chart = (
        alt.layer(
            base.mark_rule(opacity=0.6).encode(x=alt.X("low:Q").scale(scale), x2="high:Q"),
            base.mark_circle(size=60, opacity=1).encode(x=x),
        )
        .add_params(one, two)
        .properties(width="container", height={"step": LINE / 2})
    )
    return _specification(chart)


def confusion_chart(confusions: pd.DataFrame, order: list[str]) -> dict[str, Any]:
    """Return the confusion matrix as a chart, in percent of the true class.

    Parameters
    ----------
    confusions
        ``label``, ``predicted``, ``molecules`` and ``of``.
    order
        Names of the classes.
    """
    data = confusions.assign(share=100 * confusions["molecules"] / confusions["of"]).round(1)
    axis = alt.Axis(labelLimit=160, labelOverlap=False)
    chart = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X("predicted:N")
            .title("predicted class")
            .sort(order)
            .axis(axis)
            .scale(domain=order),
            y=alt.Y("label:N").title("true class").sort(order).axis(axis).scale(domain=order),
            color=alt.Color("share:Q")
            .title("% of the class")
            .scale(domain=[0, 100], scheme="blues")
            .legend(orient="bottom"),
            tooltip=[
                alt.Tooltip("label:N", title="true class"),
                alt.Tooltip("predicted:N", title="predicted class"),
                alt.Tooltip("share:Q", title="% of the class"), alt.Tooltip("molecules:Q"),
                alt.Tooltip("of:Q"),
            ],
        )
        .properties(width="container", height=max(160, LINE * len(order)))
    )  # fmt: skip
    return _specification(chart)


def verdict_chart(pairs: pd.DataFrame, order: list[str]) -> dict[str, Any]:
    """Return the chart of which rows are better, equal or worse than which, or undecided.

    Parameters
    ----------
    pairs
        As `drugtail.report.leaderboard.verdicts` returns them.
    order
        Names of the rows, the best first.
    """
    points = ["difference", "low", "high"]
    data = pairs.round(dict.fromkeys(points, 1) | {"p": 4})
    axis = alt.Axis(labelLimit=220, labelOverlap=False)
    colour = (
        alt.Color("verdict:N")
        .title(None)
        .legend(orient="bottom")
        .scale(domain=list(VERDICTS), range=list(VERDICTS.values()))
    )
    chart = (
        alt.Chart(data)
        .mark_rect()
        .encode(
            x=alt.X("against:N").title("than").sort(order).axis(axis),
            y=alt.Y("method:N").title(None).sort(order).axis(axis),
            color=colour,
            tooltip=["method:N", "against:N", "verdict:N",
                     *(alt.Tooltip(f"{name}:Q", format="+.1f") for name in points), "p:Q"],
        )
        .properties(width="container", height=max(120, LINE * len(order)))
    )  # fmt: skip
    return _specification(chart)


def encoder_chart(board: pd.DataFrame, column: str) -> dict[str, Any] | None:
    """Return the map of methods against encoders; None where no two of each ran with each other.

    Parameters
    ----------
    board
        ``method``, ``encoder`` and a share with its ``…_low`` and ``…_high``, the best first.
    column
        The share.
    """
    encoders = board.groupby("method", sort=False)["encoder"].nunique()
    several = encoders.index[encoders > 1]
    shown = board[board["method"].isin(several)]
    if len(several) < 2:
        return None
    names = {column: "share", f"{column}_low": "low", f"{column}_high": "high"}
    data = shown[["method", "encoder", *names]].rename(columns=names)
    data[["share", "low", "high"]] = (100 * data[["share", "low", "high"]]).round(1)
    x = (
        alt.X("encoder:N")
        .title(None)
        .sort(list(dict.fromkeys(data["encoder"])))
        .axis(orient="top", labelAngle=30, labelAlign="right", labelLimit=160, labelOverlap=False)
    )
    y = (
        alt.Y("method:N")
        .title(None)
        .sort(several.tolist())
        .axis(labelLimit=220, labelOverlap=False)
    )
    base = alt.Chart(data).encode(
        x=x, y=y, tooltip=["method:N", "encoder:N", "share:Q", "low:Q", "high:Q"]
    )
    middle = float(data["share"].min() + data["share"].max()) / 2
    colour = alt.Color("share:Q").title("balanced accuracy, %")
    ink = alt.when(f"datum.share > {middle}").then(alt.value("#fff")).otherwise(alt.value("#123"))
    chart = alt.layer(
        base.mark_rect().encode(
            color=colour.scale(scheme="blues", zero=False).legend(orient="bottom")
        ),
        base.mark_text(fontSize=11).encode(
            text=alt.Text("share:Q", format=".1f"),
            color=ink,
            opacity=alt.value(alt.expr(f"width / {data['encoder'].nunique()} < 34 ? 0 : 1")),
        ),
    ).properties(width="container", height=LINE * len(several))
    return _specification(chart)


def reclustering_chart(measured: pd.DataFrame) -> dict[str, Any] | None:
    """Return the chart of what is measured at each re-clustering; None where nothing is.

    The reader chooses method and quantity; lines are coloured by the size of the class.

    Parameters
    ----------
    measured
        As `drugtail.report.reclustering.reclusterings` returns it.
    """
    if measured.empty:
        return None
    columns = [name for name in MEASURED if name in measured]
    data = measured.round(dict.fromkeys(columns, 4) | {"n": 0})
    names = list(dict.fromkeys(data["name"]))
    method = alt.param(
        name="method", value=names[0], bind=alt.binding_select(options=names, name="method: ")
    )
    labels = [MEASURED[name] for name in columns]
    shown = alt.param(
        name="shown",
        value=columns[0],
        bind=alt.binding_select(options=columns, labels=labels, name="shown: "),
    )
    pointed = alt.selection_point(
        fields=["label_name"], on="pointerover", empty=False, name="pointed"
    )
    colours = alt.Scale(type="log", scheme=alt.SchemeParams("plasma", extent=[0.85, 0.25]))
    base = (
        alt.Chart(data)
        .transform_filter("datum.name == method")
        .transform_calculate(value="datum[shown]")
        .transform_filter("isValid(datum.value)")
        .encode(
            x=alt.X("epoch:Q").title("epoch").axis(tickMinStep=1),
            y=alt.Y("value:Q").title(None).scale(zero=False),
            color=alt.Color("n:Q")
            .title("training molecules")
            .scale(colours)
            .legend(orient="bottom", columns=8),
            detail="label_name:N",
        )
    )
    thick = alt.when(pointed).then(alt.value(4)).otherwise(alt.value(1.5))
    chart = (
        alt.layer(
            base.mark_line().encode(strokeWidth=thick),
            base.mark_circle(size=40, opacity=1)
            .encode(
                tooltip=[
                    alt.Tooltip("label_name:N", title="class"),
                    alt.Tooltip("n:Q", title="training"), alt.Tooltip("epoch:Q"),
                    alt.Tooltip("value:Q"),
                ]
            )
            .add_params(pointed),
        )
        .add_params(method, shown)
        .properties(width="container", height=320)
    )  # fmt: skip
    return _specification(chart)


def reliability_chart(reliability: pd.DataFrame) -> dict[str, Any]:
    """Return the chart of how often a method is right where it is how sure.

    Parameters
    ----------
    reliability
        ``confidence``, ``accuracy``, ``low``, ``high`` (shares) and ``molecules`` of each bin.
    """
    shares = ["confidence", "accuracy", "low", "high"]
    data = reliability.copy()
    data[shares] = (100 * data[shares]).round(1)
    data["molecules"] = data["molecules"].round(1)
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("confidence:Q").title("probability of the predicted class, %").scale(scale)
    base = alt.Chart(data).encode(x=x)
    ideal = pd.DataFrame({"sure": [0, 100]})
    tooltip = [alt.Tooltip(f"{name}:Q") for name in (*shares, "molecules")]
    chart = alt.layer(
        alt.Chart(ideal)
        .mark_line(color="#888", strokeDash=[3, 3])
        .encode(x=alt.X("sure:Q").scale(scale), y=alt.Y("sure:Q").scale(scale)),
        base.mark_rule(color=PLAIN, opacity=0.6).encode(y="low:Q", y2="high:Q"),
        base.mark_circle(color=PLAIN, opacity=0.9).encode(
            y=alt.Y("accuracy:Q").title("of these right, %").scale(scale),
            size=alt.Size("molecules:Q").legend(None).scale(range=[30, 400]),
            tooltip=tooltip,
        ),
    ).properties(width="container", height=300)
    return _specification(chart)


def precision_recall_chart(curves: pd.DataFrame) -> dict[str, Any]:
    """Return the chart of precision against recall of some classes.

    Parameters
    ----------
    curves
        ``label``, ``molecules``, ``recall`` and ``precision`` (shares), by rising recall.
    """
    data = curves.assign(point=range(len(curves)))
    data[["recall", "precision"]] = (100 * data[["recall", "precision"]]).round(1)
    number = data["molecules"].round().astype(int).astype(str)
    data["name"] = data["label"] + " (" + number + ")"
    scale = alt.Scale(domain=[0, 100])
    chart = (
        alt.Chart(data)
        .mark_line(interpolate="step-before", point={"opacity": 0, "size": 60})
        .encode(
            x=alt.X("recall:Q").title("recall, %").scale(scale),
            y=alt.Y("precision:Q").title("precision, %").scale(scale),
            order=alt.Order("point:Q"),
            color=alt.Color("name:N")
            .title("class (molecules)")
            .legend(orient="bottom", columns=1, labelLimit=320),
            tooltip=["name:N", "recall:Q", "precision:Q"],
        )
        .properties(width="container", height=300)
    )
    return _specification(chart)


def _specification(chart: Any) -> dict[str, Any]:
    styled = chart.configure(background="transparent", font="system-ui, sans-serif")
    found: dict[str, Any] = styled.configure_axis(grid=False).to_dict()
    return found
