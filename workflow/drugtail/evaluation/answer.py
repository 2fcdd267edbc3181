"""The answer of a comparison for a data set: which method, how sure, what it gives and costs.

The method is chosen on validation molecules. Everything that is said of it is measured on test
molecules, which took no part in the choice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from drugtail.evaluation.best import TIED, by_validation
from drugtail.evaluation.class_recalls import class_recalls
from drugtail.evaluation.head_and_tail import changes
from drugtail.evaluation.row_names import row_name, row_names
from drugtail.evaluation.statistics import (
    BETTER,
    EQUAL,
    LEVEL,
    UNDECIDED,
    WORSE,
    by_split,
    compare_pairs,
    holm,
    mean_interval,
    on_splits,
)
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import counted

OVERALL = "test_balanced_accuracy"
PARTS = {
    OVERALL: "balanced accuracy",
    f"{OVERALL}_head": "head recall",
    f"{OVERALL}_middle": "middle recall",
    f"{OVERALL}_tail": "tail recall",
    "test_accuracy": "accuracy",
}
# With fewer parents tested, the 95 % interval of a recall of a half is wider than 50 points.
FEWEST = 12
RESCUED, LOST, UNJUDGED, SIMILAR = "rescued", "lost", "too few to judge", ""
ROW = ["method", "encoder"]
CLASSES = [
    "label_name", "group", "n_train", "parents", "plain", "recall", "low", "high", "verdict",
]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """The answer for one data set; all figures are shares of one, of test molecules.

    Attributes
    ----------
    dataset
        Its name.
    splits
        Number of splits.
    method, encoder
        What was chosen on validation molecules.
    reference, reference_encoder
        The plain method that it is compared with.
    board : pandas.DataFrame
        A row per method, the best on validation molecules first: ``method``, ``encoder``,
        ``validation``, ``seconds`` (mean of a run), for each of `PARTS` its mean, ``…_low`` and
        ``…_high`` (95 % interval over splits), and of the overall one against the chosen method
        ``difference``, ``low``, ``high``, ``p_holm``, ``verdict`` (on the row's method).
    plane : pandas.DataFrame
        A row per method but the reference: ``method``, ``encoder`` and the columns of
        `drugtail.evaluation.head_and_tail.changes`, in points against the reference.
    gains : pandas.DataFrame
        A row per part that every split has: ``metric``, ``difference`` (chosen less reference),
        ``low``, ``high``, ``p``, ``p_holm`` (corrected for these rows) and ``verdict``. Empty where
        the reference is chosen.
    classes : pandas.DataFrame
        A row per class, the largest first: ``label_name``, ``group``, ``n_train``, ``parents``
        (tested), ``plain`` (recall of the reference), ``recall``, ``low``, ``high`` (Wilson's 95 %
        interval) and ``verdict``: `RESCUED`, `LOST`, `UNJUDGED` or `SIMILAR`. Empty where no
        metrics of classes were given.
    """

    dataset: str
    splits: int
    method: str
    encoder: str
    reference: str
    reference_encoder: str
    board: pd.DataFrame
    plane: pd.DataFrame
    gains: pd.DataFrame
    classes: pd.DataFrame

    def names(self, verdict: str) -> list[str]:
        """Return the methods of the board of which a verdict was given."""
        return self.board.loc[self.board["verdict"] == verdict, "method"].tolist()

    @property
    def tied(self) -> int:
        """Number of rows that are equally good on validation molecules, with the chosen one."""
        scores = self.board["validation"]
        return int((scores >= scores.max() - TIED).sum())

    def standing(self) -> str:
        """Say how many other rows are better, worse, equal or undecided on test molecules."""
        counts = {name: len(self.names(name)) for name in (BETTER, WORSE, EQUAL, UNDECIDED)}
        found = [f"{number} {name}" for name, number in counts.items() if number]
        return f"{counted(len(self.board) - 1, 'other row')}: {', '.join(found)}"

    def rows(self) -> list[str]:
        """Return the rows of the board by method and encoder, the best first."""
        return row_names(self.board).tolist()

    def classes_that_are(self, verdict: str) -> list[str]:
        """Return the names of the classes of which a verdict was given."""
        return self.classes.loc[self.classes["verdict"] == verdict, "label_name"].tolist()


def answer(
    runs: pd.DataFrame,
    dataset: str,
    reference: str,
    class_metrics: Callable[[str, str], pd.DataFrame] | None = None,
) -> Answer:
    """Answer for one data set of a benchmark.

    Parameters
    ----------
    runs
        ``runs.parquet``; on this data set all of one kind of split.
    dataset
        Its name.
    reference
        The plain method to compare with; where it ran on several encoders, on the best of them.
    class_metrics
        Gives the rows of class metrics of a method and an encoder on this data set; without it
        nothing is said of classes.

    Raises
    ------
    DrugtailError
        If no method is finished on every split, or `reference` is not.
    """
    runs = runs[runs["dataset"] == dataset]
    ranked = by_validation(runs)
    if ranked.empty:
        raise DrugtailError(f"{dataset}: no method is finished on every split and seed")
    plain = ranked[ranked["method"] == reference]
    if plain.empty:
        raise DrugtailError(f"{dataset}: {reference} is not finished on every split and seed")
    best, other = ranked.iloc[0], plain.iloc[0]
    columns = [name for name in PARTS if name in runs and runs[name].notna().any()]
    keys = pd.MultiIndex.from_frame(ranked[ROW])
    kept = runs[pd.MultiIndex.from_frame(runs[ROW]).isin(keys)]
    # A method on an encoder is one thing to compare, whatever encoders others ran on.
    labels = row_names(ranked).tolist()
    named = kept.assign(method=row_names(kept), encoder="")
    chosen, against = row_name(*best[ROW]), row_name(*other[ROW])
    return Answer(
        dataset=dataset,
        splits=int(runs["split"].nunique()),
        method=str(best["method"]),
        encoder=str(best["encoder"]),
        reference=str(other["method"]),
        reference_encoder=str(other["encoder"]),
        board=_board(named, ranked, labels, chosen, columns),
        plane=_plane(named, ranked, labels, against),
        gains=_gains(named, chosen, against, columns),
        classes=(
            pd.DataFrame(columns=CLASSES)
            if class_metrics is None
            else _classes(class_metrics(*best[ROW]), class_metrics(*other[ROW]))
        ),
    )


def _board(
    named: pd.DataFrame,
    ranked: pd.DataFrame,
    labels: Sequence[str],
    chosen: str,
    columns: Sequence[str],
) -> pd.DataFrame:
    means = by_split(named, [*columns, "seconds"]).groupby("method")
    pairs = [(label, chosen, OVERALL) for label in labels if label != chosen]
    compared = compare_pairs(named, pairs).set_index("method")
    rows = []
    for label, row in zip(labels, ranked.to_dict("records"), strict=True):
        group = means.get_group(label)
        found = {
            "method": row["method"], "encoder": row["encoder"], "validation": row["score"],
            "seconds": float(group["seconds"].mean()),
        }  # fmt: skip
        for column in columns:
            values = on_splits(group, column)
            found[column] = float(group[column].mean())
            bounds = mean_interval(values, float(group["ratio"].mean()))
            found[f"{column}_low"], found[f"{column}_high"] = bounds
        known = compared.loc[label] if label in compared.index else None
        for key in ("difference", "low", "high", "p_holm", "verdict"):
            found[key] = ("" if key == "verdict" else np.nan) if known is None else known[key]
        rows.append(found)
    return pd.DataFrame(rows)


def _plane(
    named: pd.DataFrame, ranked: pd.DataFrame, labels: Sequence[str], against: str
) -> pd.DataFrame:
    """Changes of head and tail recall, with the names of method and encoder apart."""
    found = changes(named[named["status"] == "finished"], against)
    names = ranked[ROW].assign(label=labels)
    joined = found.rename(columns={"method": "label"}).merge(names, on="label")
    return joined.drop(columns=["dataset", "split", "label"])


def _gains(named: pd.DataFrame, chosen: str, against: str, columns: Sequence[str]) -> pd.DataFrame:
    pairs = [] if chosen == against else [(chosen, against, column) for column in columns]
    return compare_pairs(named, pairs).drop(columns=["dataset", "split", "method", "against"])


def _classes(best: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    """Compare recalls class by class.

    Two recalls differ where p of the z test of two proportions is below 5 % after Holm's correction
    over the classes. The test takes them for independent though they are of the same molecules: it
    is careful, since recalls of the same molecules go together.
    """
    one, two = (
        class_recalls(rows[rows["subset"] == "test"]).set_index("label") for rows in (best, other)
    )
    found = one[["label_name", "group", "n_train", "parents", "recall", "low", "high"]].copy()
    found.insert(4, "plain", two["recall"].reindex(found.index))
    judged = found["parents"] >= FEWEST
    p = np.array([_p_of(row) for row in found.itertuples()])
    p[~judged.to_numpy()] = np.nan
    different = holm(p) < 1 - LEVEL
    gained = (found["recall"] > found["plain"]).to_numpy()
    found["verdict"] = np.select(
        [~judged, different & gained, different], [UNJUDGED, RESCUED, LOST], SIMILAR
    )
    return found.sort_values("n_train", ascending=False, kind="stable").reset_index(drop=True)


def _p_of(row: object) -> float:
    from statsmodels.stats.proportion import proportions_ztest

    parents, recall, plain = (getattr(row, key) for key in ("parents", "recall", "plain"))
    if not parents or np.isnan(recall) or np.isnan(plain) or recall == plain:
        return float("nan")
    return float(proportions_ztest([recall * parents, plain * parents], [parents, parents])[1])
