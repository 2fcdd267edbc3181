"""Refusing splits that a benchmark's data sets do not have."""

from __future__ import annotations

from collections.abc import Mapping

from drugtail.benchmark.additions import Additions
from drugtail.config.benchmark import Benchmark
from drugtail.config.dataset import Dataset
from drugtail.config.split_name import GROUPINGS, parse_split
from drugtail.data.strategy import Strategy
from drugtail.plugins import SPLITS
from drugtail.runtime.errors import DrugtailError


def check_splits(
    benchmark: Benchmark, datasets: Mapping[str, Dataset], additions: Additions
) -> None:
    """Refuse a split of a benchmark that cannot be cut, before anything runs.

    Raises
    ------
    DrugtailError
        If there is no such strategy, its name lacks or has numbers too many, or a data set lacks
        what the strategy or the grouping reads.
    """
    for split in benchmark.splits:
        where = f"benchmark {benchmark.name}: splits: {split}"
        strategy = additions.find(SPLITS, parse_split(split).strategy, where)
        _check_name(split, strategy, where)
        for name, dataset in datasets.items():
            _check_columns(split, strategy, name, dataset, where)


def _check_name(split: str, strategy: type[Strategy], where: str) -> None:
    name, seed, fold, grouping = parse_split(split)
    if strategy.folds and (fold is None or fold >= strategy.folds):
        raise DrugtailError(
            f"{where}: write {name}-R-F, fold F (0 to {strategy.folds - 1}) of repetition R, or "
            f"{name}-5x{strategy.folds} for all of five repetitions"
        )
    if fold is not None and not strategy.folds:
        raise DrugtailError(f"{where}: {name} has no folds; write {name}-{seed}")
    if strategy.seeded and seed is None:
        raise DrugtailError(f"{where}: add a split seed, for example {name}-0")
    if not strategy.seeded and seed is not None:
        raise DrugtailError(f"{where}: {name} knows no seeds; write {name}")
    if grouping is not None and not strategy.regroupable:
        raise DrugtailError(f"{where}: it groups by itself; leave {grouping} out")


def _check_columns(
    split: str, strategy: type[Strategy], name: str, dataset: Dataset, where: str
) -> None:
    grouping = parse_split(split).grouping
    known = [*GROUPINGS, *dataset.columns.group]
    if grouping is not None and grouping not in known:
        raise DrugtailError(
            f"{where}: data set {name!r} cannot be grouped by {grouping!r}; write "
            f"{', '.join(known)}, or name the column in `columns.group` of its register"
        )
    if "time" in strategy.requires and dataset.columns.time is None:
        raise DrugtailError(
            f"{where}: data set {name!r} has no column of times; name it in `columns.time` of its "
            "register, or use random-0 or scaffold-0"
        )
    if "official" in strategy.requires and not dataset.has_official:
        raise DrugtailError(
            f"{where}: data set {name!r} has no published split; use random-0, standard-0 or "
            "scaffold-0"
        )
