"""Choice of a model: a file, a block, or the best of a benchmark by validation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from drugtail.benchmark.record import latest_plans
from drugtail.config.benchmark import parse_seeds
from drugtail.evaluation.best import TIED, by_validation
from drugtail.evaluation.derived_rows import uncorrected_name
from drugtail.evaluation.row_names import row_name
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import counted
from drugtail.runtime.names import parse_block_folder
from drugtail.runtime.parquet import read_parquet

# Instead of the name of a split.
ALL = "all"


class Chosen(NamedTuple):
    """Models that are asked together, and how.

    Attributes
    ----------
    models : list of Path
        ``model.pt`` of blocks that differ in seeds alone.
    tau : float or None
        Strength of the correction of the prior that belongs to what was chosen.
    remark : str
        What was chosen among what, for the terminal; empty where nothing was.
    """

    models: list[Path]
    tau: float | None = None
    remark: str = ""


def find_models(
    path: Path,
    dataset: str | None = None,
    split: str | None = None,
    seed: int | None = None,
    method: str | None = None,
    encoder: str | None = None,
) -> Chosen:
    """Return the models that a path names.

    Parameters
    ----------
    path
        ``model.pt``, the folder of a block, or ``results/metrics/{benchmark}``, of which the
        method with the highest mean of balanced accuracy on validation molecules is taken, over all
        splits and seeds.
    dataset, split
        Of a benchmark, which are meant; a data set must be named where there are several. By
        default the first split is taken; ``all`` takes the models of every split.
    seed
        Of a benchmark, blocks without this seed are left out; None takes all.
    method
        Of a benchmark, a method of its tables, with ``+prior_…`` if it is corrected; by default the
        best one.
    encoder
        Of a benchmark, the encoder that the method ran on; by default the best one.

    Raises
    ------
    DrugtailError
        If there is no model, or it is not clear which.
    """
    if (path / "runs.parquet").is_file():
        return _best_of(path, dataset, split, seed, {"method": method, "encoder": encoder})
    if any(one is not None for one in (dataset, split, method, encoder)):
        raise DrugtailError(
            f"{path}: is no benchmark's folder; --dataset, --split, --method and --encoder choose "
            "among the models of one, results/metrics/NAME"
        )
    if (path / "model.pt").is_file():
        return Chosen([path / "model.pt"])
    if not path.is_dir():
        if not path.exists() and (path.parent / "status.json").is_file():
            raise DrugtailError(f"{path}: no such file: {KEPT_NONE}")
        return Chosen([path])
    if (path / "status.json").is_file():
        raise DrugtailError(f"{path}: has no model.pt: {KEPT_NONE}")
    raise DrugtailError(
        f"{path}: is a folder without a model; name a model.pt, the folder of a block "
        "(results/runs/…/seeds0-2), or that of a benchmark's results (results/metrics/NAME)"
    )


KEPT_NONE = (
    "this block was trained with keep_models: false, or by an earlier version; train it again with "
    "keep_models: true"
)


def _best_of(
    folder: Path,
    dataset: str | None,
    split: str | None,
    seed: int | None,
    wanted: Mapping[str, str | None],
) -> Chosen:
    runs = read_parquet(folder / "runs.parquet")
    runs = _named(runs, "dataset", dataset, folder, needed=True)
    # Ranked before rows are chosen: a corrected row is whole if the method's own one is.
    ranked = by_validation(runs)
    for column, name in wanted.items():
        if name is not None:
            runs = _named(runs, column, name, folder, needed=False)
            ranked = ranked[ranked[column] == name]
    if ranked.empty:
        raise DrugtailError(f"{folder}: no such method is finished on every split and seed")
    equal = ranked[ranked["score"] >= ranked["score"].max() - TIED]
    if equal.empty:
        raise DrugtailError(f"{folder}: no method of it has a score on validation molecules")
    best = equal.iloc[0]
    encoder, method, settings = (str(best[key]) for key in ("encoder", "method", "settings"))
    chosen = runs[
        (runs["encoder"] == encoder) & (runs["method"] == method) & (runs["settings"] == settings)
    ]
    splits = len(chosen["split"].unique())
    if split != ALL:
        chosen = _named(chosen, "split", split, folder, needed=False)
    trained, tau = uncorrected_name(method)
    asked = chosen["split"].unique().tolist()
    named = str(chosen["dataset"].iloc[0])
    models = [
        model
        for one in asked
        for model in _models(folder, seed, named, one, encoder, trained, settings)
    ]
    tied = f", the first of {len(equal)} equally good" if len(equal) > 1 else ""
    where = asked[0] if len(asked) == 1 else f"each of {len(asked)} splits, mean of all"
    among = f", the best of {len(ranked)} on {named} by" if len(ranked) > 1 else f" on {named},"
    remark = (
        f"{folder}: takes {row_name(method, encoder)}{among} "
        f"balanced accuracy on validation molecules "
        f"({100 * best['score']:.1f}, mean of {counted(splits, 'split')}{tied}); "
        f"as trained on {where}"
    )
    return Chosen(models, tau, remark)


def _named(
    runs: pd.DataFrame, column: str, name: str | None, folder: Path, *, needed: bool
) -> pd.DataFrame:
    """Rows of one data set, split, method or encoder: the named one, or the only or first one."""
    known = runs[column].unique().tolist()
    if name is None:
        if needed and len(known) > 1:
            raise DrugtailError(
                f"{folder}: has several; choose with --{column}: {', '.join(known)}"
            )
        name = known[0]
    elif name not in known:
        raise DrugtailError(f"--{column} {name}: {folder} has none; it has {', '.join(known)}")
    return runs[runs[column] == name]


def _models(folder: Path, seed: int | None, *wanted: Any) -> list[Path]:
    """Return ``model.pt`` of all blocks of a run, by the latest plan of its benchmark."""
    results = folder.absolute().parents[1]
    plan = latest_plans(results).get(folder.name)
    if plan is None:
        raise DrugtailError(
            f"{folder}: {results}/plans keeps no plan of {folder.name}; name a model.pt instead"
        )
    found: list[Path] = []
    known: list[int] = []
    for path, block in plan["blocks"].items():
        dataset, split, encoder, named, seeds = path.split("/")
        method, _ = parse_block_folder(named)
        if (dataset, split, encoder, method, block["settings"]) != wanted:
            continue
        known += (each := parse_seeds(seeds.removeprefix("seeds")))
        if seed is None or seed in each:
            found.append(results / "runs" / path / "model.pt")
    for path in found:
        if not path.is_file():
            raise DrugtailError(f"{path}: no such file: {KEPT_NONE}")
    if not found and known:
        raise DrugtailError(
            f"{folder}: has no seed {seed}; the seeds are {', '.join(map(str, known))}"
        )
    if not found:
        raise DrugtailError(
            f"{folder}: its latest plan has no block {'/'.join(wanted)}; make its tables again"
        )
    return found
