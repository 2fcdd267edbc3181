"""One call from a table of molecules to the method that suits it."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock, Timeout

from drugtail.benchmark.plan import Plan
from drugtail.config.catalogue import Catalogue, read_benchmark, read_dataset
from drugtail.evaluation.answer import Answer, answer
from drugtail.evaluation.finished import FinishedBlocks
from drugtail.evaluation.statistics import kind_of
from drugtail.recommendation.run import run_benchmark
from drugtail.recommendation.setup import REFERENCE, Table, benchmark_of, register_of
from drugtail.recommendation.words import in_words
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.logging import counted, say
from drugtail.runtime.names import SHARED
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata


class Recommended(NamedTuple):
    """A recommendation, and where its files lie.

    Attributes
    ----------
    answer : Answer
        Method, comparison, gains and costs, classes.
    text : str
        The same in words.
    model : Path
        For `drugtail.load_model` and ``drugtail predict --model``.
    page : Path
        The page of the comparison.
    register, benchmark : Path
        Files that were written, to go on from.
    """

    answer: Answer
    text: str
    model: Path
    page: Path
    register: Path
    benchmark: Path


def recommend(
    table: str | Path,
    *,
    name: str | None = None,
    smiles: str | None = None,
    label: str | None = None,
    above: float | None = None,
    below: float | None = None,
    thorough: bool = False,
    workers: int | None = None,
    config: Path = Path("config"),
) -> Recommended:
    """Compare methods on a table of molecules, and say which to take.

    Writes ``config/datasets/{name}.yaml`` and ``config/benchmarks/recommend_{name}.yaml`` and runs
    that benchmark: eight methods, five folds by parent compound. Started again, it goes on from the
    blocks that are finished.

    Parameters
    ----------
    table
        CSV, TSV, SMI, SDF, XLSX, Parquet or JSON.
    name
        Name of the data set; by default that of the file.
    smiles, label
        Columns of molecules and of classes, where they are not to be guessed.
    above, below
        Where numbers in `label` are cut into two classes.
    thorough
        Also compare graph networks, which takes much longer.
    workers
        Processes; by default one for each processor.
    config
        Folder of configuration.

    Raises
    ------
    DrugtailError
        If the table cannot be read, its columns cannot be told, or a step fails.
    """
    return recommend_for(
        Table(Path(table), name, smiles, label, above, below),
        thorough=thorough,
        workers=workers,
        config=config,
    )


def recommend_for(
    table: Table, *, thorough: bool, workers: int | None, config: Path
) -> Recommended:
    """Do what `recommend` says, of a table with all that is declared of it."""
    started = time.monotonic()
    if not (config / "methods").is_dir():
        raise DrugtailError(
            f"{config}: has no methods; start in the project's folder, or name its folder of "
            "configuration (--config-dir, in Python config=)"
        )
    SHARED.mkdir(parents=True, exist_ok=True)
    try:
        # The system lets go of it when the process ends, however that happens.
        with FileLock(SHARED / "recommend.lock", timeout=0):
            register = register_of(table, config)
            dataset = read_dataset(register)
            benchmark = benchmark_of(dataset, register, config, thorough=thorough)
            plan = Plan(read_benchmark(benchmark), Catalogue(config))
            run_benchmark(plan, workers or os.cpu_count() or 1)
    except Timeout:
        raise DrugtailError(
            "another `drugtail recommend` is at work in this folder; wait for its end"
        ) from None
    results = Path(plan.benchmark.results)
    found = _answer_of(plan, results)
    text = in_words(found, _left_out(plan, results))
    say(f"done in {time.monotonic() - started:.0f} s")
    model = results / "metrics" / plan.benchmark.name
    page = results / "page" / plan.benchmark.name / "index.html"
    return Recommended(found, text, model, page, register, benchmark)


def _left_out(plan: Plan, results: Path) -> dict[str, list[str]]:
    """Classes that take no part in means, and those that take no part in anything."""
    (dataset,) = plan.datasets
    summary = read_json(SHARED / "data" / dataset / "dataset.json")
    header = read_parquet_metadata(results / "metrics" / plan.benchmark.name / "runs.parquet")
    left_out = header["left_out"].get(dataset, {})
    return {
        "Takes no part in the choice, since not every split has validation molecules of it": (
            left_out.get("valid", [])
        ),
        "Not in the mean over classes, since not every split tests them": left_out.get("test", []),
        f"Left out (results/data/{dataset}/rejected.csv), so that no model says them": [
            f"{counted(number, 'row')} {reason}" for reason, number in summary["left_out"].items()
        ],
    }


def _answer_of(plan: Plan, results: Path) -> Answer:
    (dataset,) = plan.datasets
    metrics = results / "metrics" / plan.benchmark.name
    runs = read_parquet(metrics / "runs.parquet")
    blocks = FinishedBlocks(results / "runs" / block.path for block in plan.blocks())
    (kind,) = runs["split"].map(kind_of).unique()
    return answer(runs, dataset, REFERENCE, partial(blocks.classes, dataset, kind))
