"""Refusing tables and figures that a benchmark cannot fill."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from drugtail.benchmark.additions import Additions
from drugtail.config.base import meant
from drugtail.config.benchmark import Benchmark
from drugtail.config.table import GROUP_SUFFIXES, KINDS, METRIC_NAMES, OF_A_RUN, Table
from drugtail.plugins import FIGURES, METRICS, TABLE_KINDS, TESTS
from drugtail.report.plots import PLOTS
from drugtail.runtime.errors import DrugtailError


def check_tables(
    benchmark: Benchmark,
    tables: Mapping[str, Table],
    methods: Collection[str],
    additions: Additions,
) -> None:
    """Refuse tables and figures of a benchmark before anything runs.

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
        if table.kind not in KINDS:
            additions.find(TABLE_KINDS, table.kind, f"{where}: kind")
        if "test" in table.model_fields_set:
            additions.find(TESTS, table.test, f"{where}: test")
        if table.method is not None and table.method not in methods:
            raise DrugtailError(
                f"benchmark {benchmark.name}: table {table.name}: compares {table.method!r}, "
                f"which is not among the methods ({named}); add it or leave the table out"
            )


def _check_metrics(table: Table, additions: Additions, where: str) -> None:
    own = [f"{name}{group}" for name in additions.names(METRICS) for group in ("", *GROUP_SUFFIXES)]
    known = [*METRIC_NAMES, *own, *OF_A_RUN]
    for column in table.columns:
        if column.metric not in known:
            raise DrugtailError(
                f"{where}: columns: metric {column.metric!r} is unknown"
                f"{meant(column.metric, known)}; `drugtail list metrics` shows all, and "
                f"{', '.join(OF_A_RUN)} stand for themselves"
            )
