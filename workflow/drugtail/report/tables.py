"""Tables of mean ± standard deviation over seeds, in CSV, Markdown and LaTeX."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from drugtail.config.table import OF_A_RUN, Table, TableColumn
from drugtail.evaluation.effort import EFFORT
from drugtail.evaluation.evaluate import NEW_PARENTS
from drugtail.evaluation.identifiability import identifiability
from drugtail.evaluation.metrics import smaller_is_better
from drugtail.evaluation.settings import tuned_name, with_tuned_names
from drugtail.evaluation.statistics import PAIR, TESTS, compare_methods
from drugtail.report.table_files import write_table
from drugtail.report.table_notes import left_out_notes, notes_on_runs, settings_notes
from drugtail.runtime.errors import DrugtailError, fault_in, file_of
from drugtail.runtime.names import TUNED, parse_method_label
from drugtail.runtime.parquet import read_parquet
from drugtail.runtime.registry import Registry, first_line

ROW = ["dataset", "split", "encoder", "method"]
GAP = "—"
UNDEFINED = "n/a"
CONSTANT = "†"
CONSTANT_NOTE = (
    f"{CONSTANT} With two classes each is the other's nearest, so both distances are equal and "
    "both class weights were 1 throughout: the reweighting does nothing here."
)
WEIGHTS = ["class_weights", "weight_ratio"]
COUNTS = ["runs", "expected", "diverged", "missing", "unpaired"]
COMPARISON_NOTE = (
    "Mean difference over pairs (same data set, split{encoder} and seed), in brackets its 95 % "
    "interval (Student's t, from the variances over seeds within each data set and split); p of "
    "{test}, and corrected with Holm's method over all rows of the table. The interval speaks of "
    "training seeds on these splits{sample}. Neither speaks of other splits or data sets."
)
SMALLER_NOTE = "Of {names} a smaller value is the better one: won and lost count by it."
# What is known of the package's test besides.
ONE_SAMPLE = (
    "; the test takes all pairs for one sample, so differences between data sets count in it"
)
IDENTIFIABILITY_NOTES = [
    "Spearman's rank correlation, over classes, of test recall with the size of the class and with "
    "its separability (mean silhouette of its training or validation molecules in the embedding "
    "that made the predictions): mean over runs, in brackets the 95 % interval of a bootstrap over "
    "classes. n/a: fewer than four classes, or the same recall for all. Training molecules took "
    "part in their own centres, validation molecules did not. Size held fixed: the partial rank "
    "correlation, since a class of many sub-clusters has a near centre more easily. Easy tail "
    "classes: those whose recall is above the mean over all classes."
]


class Contents(NamedTuple):
    """What a table says: its values, the same as text, and what a reader must know."""

    values: pd.DataFrame
    printed: pd.DataFrame
    notes: list[str]


# Metrics of a benchmark, definition of a table, reference method -> what the table says.
TABLE_KINDS: Registry[Callable[[Path, Table, str], Contents]] = Registry("kind of table")


def tabulate(
    metrics: Path, table: Table, output: Path, *, reference: str = "cross_entropy"
) -> None:
    """Write one table as ``{output}.csv``, ``.md`` and ``.tex``.

    Parameters
    ----------
    metrics
        Folder that `drugtail collect` wrote.
    table
        Its definition.
    output
        Path without extension.
    reference
        Method that differences are taken against, paired by split and seed.

    Raises
    ------
    DrugtailError
        If a metric of the table is unknown.
    """
    if table.kind not in TABLE_KINDS.names():
        raise DrugtailError(
            f"table {table.name}: kind {table.kind!r} is unknown; there are "
            f"{', '.join(TABLE_KINDS.names())}; one of your own needs its file: --plugin"
        )
    table = _without_repetition(table, metrics)
    try:
        contents = TABLE_KINDS[table.kind](metrics, table, reference)
    except DrugtailError:
        raise
    except Exception as error:
        if TABLE_KINDS.is_packaged(table.kind):
            raise
        fault = fault_in(TABLE_KINDS[table.kind], error)
        raise DrugtailError(f"table {table.name}: kind {table.kind!r}: {fault}") from error
    if not isinstance(contents, Contents):
        raise DrugtailError(
            f"table {table.name}: kind {table.kind!r} ({file_of(TABLE_KINDS[table.kind])}) gives "
            f"{type(contents).__name__}; return drugtail.report.tables.Contents"
        )
    write_table(output, table, *contents)


def _without_repetition(table: Table, metrics: Path) -> Table:
    """Leave out columns on new parents that say the same as those on all test molecules.

    They do where parents are kept together. Runs that were published before they were told apart
    do not have them.
    """
    own = [column for column in table.columns if column.subset == NEW_PARENTS]
    path = metrics / "runs.parquet"
    if not own or not path.is_file():
        return table
    runs = read_parquet(path)
    has_any = any(str(name).startswith(NEW_PARENTS) for name in runs)
    dropped = [
        column
        for column in own
        if not has_any or _same(runs, column_of(table, column), f"test_{column.metric}")
    ]
    kept = [column for column in table.columns if column not in dropped]
    return table.model_copy(update={"columns": kept})


def _same(runs: pd.DataFrame, one: str, two: str) -> bool:
    return {one, two} <= set(runs) and runs[one].equals(runs[two])


@TABLE_KINDS.register("metrics")
def _means(metrics: Path, table: Table, reference: str) -> Contents:
    """Means of metrics, or of their differences to a reference method."""
    frame, columns = _runs(metrics, table)
    on_runs = notes_on_runs(metrics, frame)
    frame = frame[[*ROW, "seed", "status", *WEIGHTS, *columns]]
    if table.difference:
        frame = paired_difference(frame, columns, tuned_name(frame, reference))
    summary = _with_settings(summarise(frame, columns), "method", frame)
    if table.order is not None:
        first = next(column for column in table.columns if column.metric == table.order)
        summary = _best_first(summary, f"{column_of(table, first)}_mean")
    notes = [
        *_notes(summary, table),
        *left_out_notes(metrics, table),
        *on_runs,
    ]
    return Contents(summary, _printed(summary, table), notes)


@TABLE_KINDS.register("comparison")
def _comparison(metrics: Path, table: Table, reference: str) -> Contents:
    """One method against each other one, paired; the table names it, not the benchmark."""
    frame, columns = _runs(metrics, table)
    assert table.method is not None
    finished = frame[frame["status"] == "finished"]
    method = tuned_name(finished, table.method)
    found = compare_methods(finished, method, columns, table.test)
    gaps = int((frame["status"] != "finished").sum())
    smaller = [
        column.title for column in table.columns if smaller_is_better(column_of(table, column))
    ]
    constant = {
        key for key, group in finished.groupby(["dataset", "method"]) if _weights_constant(group)
    }
    notes = [
        COMPARISON_NOTE.format(
            test=first_line(TESTS[table.test]).rstrip("."),
            sample=ONE_SAMPLE if table.test == "signed_rank" else "",
            encoder=", encoder" if finished.duplicated([*PAIR, "method"]).any() else "",
        ),
        *([SMALLER_NOTE.format(names=", ".join(smaller))] if smaller else []),
        *([f"There is no method beside {table.method}."] if found.empty else []),
        *([f"Gaps: {gaps} runs are not finished."] if gaps else []),
        *([CONSTANT_NOTE] if constant else []),
        *left_out_notes(metrics, table),
        *notes_on_runs(metrics, frame),
    ]
    if parse_method_label(method)[1] == TUNED:
        notes.append(f"The settings of {table.method} are tuned.")
    printed = _printed_comparison(found, table, method, constant)
    return Contents(
        _with_settings(found, "against", frame),
        _with_settings(printed, "Against", frame, "Settings"),
        notes,
    )


@TABLE_KINDS.register("identifiability")
def _identifiability(metrics: Path, table: Table, reference: str) -> Contents:
    """Rank correlations of a class's recall with its size and with its separability."""
    classes = with_tuned_names(read_parquet(metrics / "class_metrics.parquet"))
    history = with_tuned_names(read_parquet(metrics / "class_history.parquet"))
    found = _with_settings(identifiability(classes, history), "method", classes)
    notes = [*IDENTIFIABILITY_NOTES, *settings_notes(classes)]
    return Contents(found, _printed_identifiability(found), notes)


def _runs(metrics: Path, table: Table) -> tuple[pd.DataFrame, list[str]]:
    """All runs, and the columns that a table shows; an error if a metric is unknown."""
    frame = with_tuned_names(read_parquet(metrics / "runs.parquet"))
    columns = [column_of(table, column) for column in table.columns]
    if (frame["status"] == "finished").any():
        for column, name in zip(table.columns, columns, strict=True):
            if name not in frame:
                raise DrugtailError(
                    f"table {table.name}: metric {column.metric!r} is unknown; `drugtail list "
                    f"metrics` names them all, and {', '.join(OF_A_RUN)} stand for themselves"
                )
    known = [*ROW, "seed", "status", *WEIGHTS, *columns]
    more = [name for name in ("settings", *EFFORT) if name in frame and name not in columns]
    return frame.reindex(columns=[*known, *more]), columns


def _with_settings(
    found: pd.DataFrame, column: str, frame: pd.DataFrame, title: str = "settings"
) -> pd.DataFrame:
    """Plain names of methods in a column, and beside it their settings if any of `frame` is tuned.

    Parameters
    ----------
    found
        Rows of a table.
    column
        Its column of names as `with_tuned_names` gave them.
    frame
        All runs, told apart.
    title
        Name of the new column.
    """
    names = list(frame["method"].unique()) if "method" in frame else []
    if not any(parse_method_label(name)[1] == TUNED for name in names):
        return found
    parsed = [parse_method_label(name) for name in found[column]]
    plain = found.assign(**{column: [method for method, _ in parsed]})
    plain.insert(list(plain.columns).index(column) + 1, title, [settings for _, settings in parsed])
    return plain


def column_of(table: Table, column: TableColumn) -> str:
    """Return the column of runs.parquet with a metric: of a subset, or a fact of the run itself."""
    if column.metric in OF_A_RUN:
        return column.metric
    return f"{column.subset or table.subset}_{column.metric}"


def _best_first(summary: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows of a data set and split by falling values of a column; those without one at the end."""
    groups = [
        group.sort_values(column, ascending=False, kind="stable")
        for _, group in summary.groupby(["dataset", "split"], sort=False)
    ]
    return pd.concat(groups, ignore_index=True) if groups else summary


def summarise(frame: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Mean and standard deviation (n − 1) of `columns` over the finished runs of each row.

    Returns
    -------
    pandas.DataFrame
        `ROW`, ``runs`` (finished), ``expected`` (all), ``diverged``, ``missing``, ``unpaired``
        and, per column, ``{column}_mean`` and ``{column}_std``; rows in the order in which they
        first appear. ``weights_constant``: the method weighs by class distances, and all weights
        were 1 throughout, as they are with two classes.
    """
    rows = []
    for key, group in frame.groupby(ROW, sort=False):
        finished = group[group["status"] == "finished"]
        row = dict(zip(ROW, key, strict=True)) | {
            "runs": len(finished),
            "expected": len(group),
            "diverged": int((group["status"] == "diverged").sum()),
            "missing": int((group["status"] == "missing").sum()),
            "unpaired": int((group["status"] == "unpaired").sum()),
            "weights_constant": _weights_constant(finished),
        }
        for column in columns:
            values = finished[column].dropna().to_numpy(dtype=float)
            row[f"{column}_mean"] = values.mean() if len(values) else np.nan
            row[f"{column}_std"] = values.std(ddof=1) if len(values) > 1 else np.nan
        rows.append(row)
    named = [f"{column}_{kind}" for column in columns for kind in ("mean", "std")]
    # Named for the case that there is no row: of differences, with the reference method alone.
    return pd.DataFrame(rows, columns=[*ROW, *COUNTS, "weights_constant", *named])


def _weights_constant(finished: pd.DataFrame) -> bool:
    """Whether the runs weigh by class distances and all weights were 1 throughout."""
    return bool(
        (finished["class_weights"] == "class_distance").any()
        and (finished["weight_ratio"] < 1 + 1e-6).all()
    )


def paired_difference(frame: pd.DataFrame, columns: list[str], reference: str) -> pd.DataFrame:
    """Subtract the reference method's metrics of the same data set, split and seed.

    The reference's own rows go. A run whose partner did not finish is ``unpaired``.
    """
    finished = frame["status"] == "finished"
    pair = ["dataset", "split", "seed"]
    base = frame[finished & (frame["method"] == reference)][pair + columns]
    if base.duplicated(pair).any():
        # Several encoders: compare within each; only methods of that encoder have a partner.
        pair = ["dataset", "split", "encoder", "seed"]
        base = frame[finished & (frame["method"] == reference)][pair + columns]
    others = frame[frame["method"] != reference]
    joined = others.merge(
        base, on=pair, how="left", suffixes=("", "_reference"), indicator="_partner"
    )
    alone = (joined["status"] == "finished") & (joined["_partner"] == "left_only")
    joined.loc[alone, "status"] = "unpaired"
    for column in columns:
        joined[column] = joined[column] - joined[f"{column}_reference"]
    return joined[list(frame.columns)]


def _printed(summary: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Cells as text."""
    printed = pd.DataFrame(
        {
            "Data set": summary["dataset"],
            "Split": summary["split"],
            "Method": summary["method"] + np.where(summary["weights_constant"], f" {CONSTANT}", ""),
        }
    )
    if "settings" in summary:
        printed["Settings"] = summary["settings"]
    if summary["encoder"].nunique() > 1:
        printed["Encoder"] = summary["encoder"]
    printed["Runs"] = [
        str(n) if n == of else f"{n} of {of}"
        for n, of in zip(summary["runs"], summary["expected"], strict=True)
    ]
    for column in table.columns:
        name = column_of(table, column)
        cells = zip(summary["runs"], summary[f"{name}_mean"], summary[f"{name}_std"], strict=True)
        sign = "+" if table.difference else ""
        printed[column.title] = [
            _cell(n, mean * column.scale, std * column.scale, column.digits, sign)
            for n, mean, std in cells
        ]
    return printed


def _cell(runs: int, mean: float, std: float, digits: int, sign: str) -> str:
    if np.isnan(mean):
        return UNDEFINED if runs else GAP
    text = f"{mean:{sign}.{digits}f}"
    return text if np.isnan(std) else f"{text} ± {std:.{digits}f}"


def _notes(summary: pd.DataFrame, table: Table) -> list[str]:
    """What a reader of the table has to know."""
    notes = ["Mean ± standard deviation over the runs (seeds)."]
    if table.difference:
        notes = ["Mean ± standard deviation of the differences, paired by seed."]
        if summary.empty:
            notes.append("There is no method beside the reference.")
    gaps = summary[summary["runs"] < summary["expected"]]
    if len(gaps):
        notes.append(
            f"Gaps: {int(gaps['diverged'].sum())} runs diverged and {int(gaps['missing'].sum())} "
            f"are missing; {GAP} marks a row without any finished run. Nothing is imputed."
        )
    if summary["unpaired"].any():
        notes.append(
            f"{int(summary['unpaired'].sum())} runs have no partner: the reference's run did not "
            "finish."
        )
    if summary["weights_constant"].any():
        notes.append(CONSTANT_NOTE)
    names = [f"{column_of(table, column)}_mean" for column in table.columns]
    finished = summary[summary["runs"] > 0]
    if finished[names].isna().to_numpy().any():
        notes.append(f"{UNDEFINED}: not defined there, for example a group without classes.")
    return notes


def _printed_comparison(
    found: pd.DataFrame, table: Table, method: str, constant: set[Any]
) -> pd.DataFrame:
    """Cells as text; `constant` holds data sets and methods whose weights were 1 throughout."""
    shown = {column_of(table, column): column for column in table.columns}
    columns = map(str, found.columns)
    datasets = [name.removeprefix("on_") for name in columns if name.startswith("on_")]
    several = datasets if len(datasets) > 1 else []
    names = ["Against", "Metric", "Pairs", "Difference", *several, "Won", "Lost", "p", "p (Holm)"]
    rows = []
    for row in found.to_dict("records"):
        column = shown[row["metric"]]
        difference, low, high = (
            UNDEFINED if np.isnan(value) else f"{value * column.scale:+.{column.digits}f}"
            for value in (row["difference"], row["low"], row["high"])
        )
        pair = (row["against"], method)
        marked = {dataset for dataset, one in constant if one in pair}
        rows.append(
            {
                "Against": row["against"],
                "Metric": column.title,
                "Pairs": str(row["pairs"]),
                "Difference": f"{difference} [{low}, {high}]",
                **{name: _on(name, row, column, marked) for name in several},
                "Won": str(row["wins"]),
                "Lost": str(row["losses"]),
                "p": _p(row["p"]),
                "p (Holm)": _p(row["p_holm"]),
            }
        )
    return pd.DataFrame(rows, columns=names)


def _on(dataset: str, row: dict[Any, Any], column: TableColumn, marked: set[str]) -> str:
    """Mean difference on a data set, with the mark of constant weights."""
    value = row[f"on_{dataset}"] * column.scale
    shown = UNDEFINED if np.isnan(value) else f"{value:+.{column.digits}f}"
    return f"{shown} {CONSTANT}" if dataset in marked else shown


def _printed_identifiability(found: pd.DataFrame) -> pd.DataFrame:
    titles = {
        "n_train": "Class size",
        "separability": "Separability (training)",
        "valid_separability": "Separability (validation)",
        "valid_separability_given_size": "The same, size held fixed",
    }
    rows = []
    names = [
        "Data set",
        "Split",
        "Method",
        *(["Settings"] if "settings" in found else []),
        "Runs",
        "Classes",
        *titles.values(),
        "Easy tail classes",
    ]
    for row in found.to_dict("records"):
        cells = {"Data set": row["dataset"], "Split": row["split"], "Method": row["method"],
                 "Settings": row.get("settings"), "Runs": str(row["seeds"]),
                 "Classes": str(row["classes"])}  # fmt: skip
        for name, title in titles.items():
            rho, low, high = (row[f"{name}_{kind}"] for kind in ("rho", "low", "high"))
            cells[title] = UNDEFINED if np.isnan(rho) else f"{rho:+.2f} [{low:+.2f}, {high:+.2f}]"
        cells["Easy tail classes"] = f"{row['easy_tail']} of {row['tail']}"
        rows.append(cells)
    return pd.DataFrame(rows, columns=names)


def _p(value: float) -> str:
    if np.isnan(value):
        return UNDEFINED
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"
