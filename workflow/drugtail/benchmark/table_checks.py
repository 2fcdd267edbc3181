"""Refusing tables and figures that a benchmark cannot fill."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from drugtail.benchmark.additions import Additions
from drugtail.config.base import meant
from drugtail.config.benchmark import Benchmark, name_of
from drugtail.config.table import (
    GROUP_SUFFIXES,
    KINDS,
    METRIC_NAMES,
    OF_A_RUN,
    Question,
    Table,
)
from drugtail.evaluation.derived_rows import GHOST, corrected_name
from drugtail.evaluation.row_names import parse_row, row_name
from drugtail.plugins import FIGURES, METRICS, TABLE_KINDS, TESTS
from drugtail.report.plots import PLOTS
from drugtail.runtime.errors import DrugtailError

QUESTIONS = "questions"


def questions_table(benchmark: Benchmark) -> dict[str, Table]:
    """Return the table that answers a benchmark's questions, by its name; nothing without any.

    Raises
    ------
    DrugtailError
        If another table of the benchmark has that name.
    """
    if not benchmark.questions:
        return {}
    if QUESTIONS in map(name_of, benchmark.tables):
        raise DrugtailError(
            f"benchmark {benchmark.name}: tables: {QUESTIONS!r} is the table of the benchmark's "
            "own questions, which is made without being named; leave it out or rename yours"
        )
    title = "Registered comparisons, in percentage points"
    table = Table(
        name=QUESTIONS, title=title, kind=QUESTIONS, columns=[], questions=benchmark.questions
    )
    return {QUESTIONS: table}


def check_tables(
    benchmark: Benchmark,
    tables: Mapping[str, Table],
    methods: Collection[str],
    encoders: Mapping[str, Collection[str]],
    additions: Additions,
) -> None:
    """Refuse tables and figures of a benchmark before anything runs.

    `encoders` are those that each of `methods` runs on.

    Raises
    ------
    DrugtailError
        If a metric, kind, test or figure is unknown, or the method that is compared is none of the
        benchmark's.
    """
    named = ", ".join(methods)
    by_reference = any(t.difference or t.kind == "ranks" for t in tables.values())
    if by_reference and benchmark.reference not in methods:
        raise DrugtailError(
            f"benchmark {benchmark.name}: reference: {benchmark.reference!r} is not among its "
            f"methods ({named}); add it or name another"
        )
    for figure in benchmark.figures:
        if figure not in PLOTS:
            additions.find(FIGURES, figure, f"benchmark {benchmark.name}: figures")
    for table in tables.values():
        where = f"benchmark {benchmark.name}: table {table.name}"
        _check_metrics(table, additions, where)
        for question in table.questions:
            rows = {"method": [question.method], "against": [question.against]}
            _check_rows(rows, benchmark, methods, encoders, f"{where}: {question.asks!r}")
            _check_sides(question, f"{where}: {question.asks!r}")
        if table.criterion is not None:
            rows = table.criterion.model_dump(include={"candidates", "baselines"})
            # A criterion is about methods, whatever they run on.
            _check_rows(rows, benchmark, methods, {}, f"{where}: criterion")
        if table.kind not in KINDS:
            additions.find(TABLE_KINDS, table.kind, f"{where}: kind")
        if "test" in table.model_fields_set:
            additions.find(TESTS, table.test, f"{where}: test")
        if table.method is not None and table.method not in methods:
            raise DrugtailError(
                f"benchmark {benchmark.name}: table {table.name}: compares {table.method!r}, "
                f"which is not among the methods ({named}); add it or leave the table out"
            )


def _check_rows(
    named: Mapping[str, Collection[str]],
    benchmark: Benchmark,
    methods: Collection[str],
    encoders: Mapping[str, Collection[str]],
    where: str,
) -> None:
    """Refuse rows that the benchmark does not have, by the key that names them."""
    of_method = {
        name: [
            name,
            *(corrected_name(name, tau) for tau in benchmark.prior_corrections),
            *([f"{name}{GHOST}"] if benchmark.ghost_thresholds else []),
        ]
        for name in methods
    }
    rows = [row for found in of_method.values() for row in found]
    rows += [
        row_name(row, encoder)
        for name, found in of_method.items()
        for row in found
        for encoder in encoders.get(name, ())
    ]
    on_one = " A method on one encoder is called METHOD on ENCODER" if encoders else ""
    for key, names in named.items():
        for row in names:
            if row not in rows:
                raise DrugtailError(
                    f"{where}: {key}: {row!r} is no row of the benchmark{meant(row, rows)}; add "
                    f"the method, or the correction to `prior_corrections`.{on_one}"
                )


def _check_sides(question: Question, where: str) -> None:
    """Refuse a method against itself, where one side is a part of the other."""
    (method, on), (against, other_on) = parse_row(question.method), parse_row(question.against)
    if method == against and (on is None or other_on is None):
        raise DrugtailError(
            f"{where}: compares {question.method!r} with {question.against!r}; name two methods, "
            "or the method on two encoders, each as METHOD on ENCODER"
        )


def _check_metrics(table: Table, additions: Additions, where: str) -> None:
    own = [f"{name}{group}" for name in additions.names(METRICS) for group in ("", *GROUP_SUFFIXES)]
    known = [*METRIC_NAMES, *own, *OF_A_RUN]
    named = [(one.metric, "columns") for one in table.columns]
    named += [(one.metric, f"{one.asks!r}") for one in table.questions]
    for metric, place in named:
        if metric not in known:
            raise DrugtailError(
                f"{where}: {place}: metric {metric!r} is unknown"
                f"{meant(metric, known)}; `drugtail list metrics` shows all, and "
                f"{', '.join(OF_A_RUN)} stand for themselves"
            )
