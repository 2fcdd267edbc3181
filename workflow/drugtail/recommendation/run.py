"""Running a benchmark in a few processes instead of a job for each step.

A job of the workflow starts Python and imports PyTorch, three seconds of a processor each; in a
small benchmark that is most of the time. Files, folders and numbers are those of the workflow,
which finds nothing left to do afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.planned import PlannedBlock
from drugtail.benchmark.record import write_plan
from drugtail.benchmark.verify import check_block
from drugtail.config.benchmark import parse_seeds
from drugtail.config.dataset import Dataset
from drugtail.config.split_name import parse_split
from drugtail.runtime.digest import code_digest, file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.logging import counted, say
from drugtail.runtime.names import SHARED

# One thread each, as the jobs of the workflow have: sums depend on their number.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
# Seconds between two looks whether the process that started a worker is still there.
WATCH = 1.0
# Modules that make molecules, splits and features.
MADE_BY = (
    "drugtail.data.prepare", "drugtail.data.split", "drugtail.data.strategies.cv",
    "drugtail.features.featurize", "drugtail.features.featurizers.morgan",
    "drugtail.features.featurizers.atoms",
)  # fmt: skip
# Files without which a block is made again.
WHOLE = ("status.json", "class_metrics.parquet", "model.pt")
# Finished blocks from which the rest is estimated.
FEW_DONE = 6


def run_benchmark(plan: Plan, workers: int) -> None:
    """Prepare the data of a benchmark, train and evaluate its blocks, make its tables and page.

    What is there and up to date is kept. A block whose settings, code or inputs have changed is
    trained again.

    Parameters
    ----------
    plan
        The benchmark, as `drugtail.recommendation.setup.benchmark_of` writes it: without tuning,
        and with nothing of a user's own but the table.
    workers
        Processes, each of one thread.

    Raises
    ------
    DrugtailError
        If a step fails; what is finished stays.
    """
    results = Path(plan.benchmark.results)
    for register in plan.registers.values():
        _fetch_and_prepare(register, workers)
    path = write_plan(plan, results)
    with _pool(workers) as pool:
        data = [Step(_cut, names) for names in _splits(plan)]
        _run_all(pool, path, data + [Step(_featurize, names) for names in _features(plan)])
        blocks = list(plan.blocks())
        _delete_outdated(plan, blocks, results)
        left = sum(not _is_there(block, results) for block in blocks)
        say(f"{counted(len(blocks), 'block')}: {len(blocks) - left} finished, {left} left")
        progress = _Progress(left)
        # Averages come last: what they average is there then, and may be another than before.
        for averages in (False, True):
            these = [block for block in blocks if bool(block.members) is averages]
            if averages:
                _delete_outdated(plan, these, results)
            steps = [Step(_train, (one.path,)) for one in these if not _is_there(one, results)]
            _run_all(pool, path, steps, progress)
        _report(plan, pool, path, results)


# ------------------------------------------------------------------------------------- data


def _fetch_and_prepare(register: Dataset, workers: int) -> None:
    """Read a table, unless that was done of the same table and register by the same code."""
    from drugtail.data.fetch import fetch_dataset
    from drugtail.data.prepare import prepare_dataset
    from drugtail.runtime.files import write_json

    folder = SHARED / "data" / register.name
    wanted = {
        "register": register.model_dump(mode="json"),
        # Code that cuts and featurizes, too: what it makes lies beside the molecules.
        "code": code_digest(*MADE_BY),
        "tables": {
            source.path: file_digest(Path(source.path))
            for file in register.files
            for source in file.sources
            if source.path is not None and Path(source.path).is_file()
        },
    }
    mark = folder / "recommended.json"
    there = (folder / "dataset.json").is_file() and (folder / "molecules.parquet").is_file()
    if there and mark.is_file() and read_json(mark) == wanted:
        return
    mark.unlink(missing_ok=True)
    say(f"reading the molecules of {register.name}")
    fetch_dataset(register, folder / "raw")
    prepare_dataset(register, folder / "raw", folder, workers=workers)
    for of_former_molecules in ("splits", "features"):
        shutil.rmtree(SHARED / of_former_molecules / register.name, ignore_errors=True)
    write_json(mark, wanted)


def _splits(plan: Plan) -> Iterator[tuple[str, str]]:
    for dataset in plan.datasets:
        for split in plan.benchmark.splits:
            if not _split_stem(plan, dataset, split).with_suffix(".json").is_file():
                yield dataset, split


def _features(plan: Plan) -> Iterator[tuple[str, str]]:
    for (dataset, _), encoder in plan.features_read.items():
        if not (_features_of(plan, dataset, encoder) / "features.json").is_file():
            yield dataset, encoder


def _split_stem(plan: Plan, dataset: str, split: str) -> Path:
    return SHARED / "splits" / dataset / plan.split_name(split)


def _features_of(plan: Plan, dataset: str, encoder: str) -> Path:
    return SHARED / "features" / dataset / plan.inputs.folder(encoder)


def _molecules_of(dataset: str) -> Path:
    return SHARED / "data" / dataset / "molecules.parquet"


# ------------------------------------------------------------------------------- in workers


def _cut(path: Path, dataset: str, split: str) -> None:
    from drugtail.data.split import split_dataset

    strategy, seed, fold, grouping = parse_split(split)
    stem = _split_stem(_plan(path), dataset, split)
    split_dataset(
        _molecules_of(dataset), strategy, seed or 0, stem, fold=fold or 0, grouping=grouping
    )


def _featurize(path: Path, dataset: str, encoder: str) -> None:
    from drugtail.features.featurize import featurize

    plan = _plan(path)
    output = _features_of(plan, dataset, encoder)
    output.parent.mkdir(parents=True, exist_ok=True)
    featurize(_molecules_of(dataset), plan.encoders[encoder].featurizer, output)


def _train(path: Path, name: str) -> None:
    """Train or average a block, and evaluate it."""
    from drugtail.evaluation.evaluate import evaluate_block

    plan = _plan(path)
    block, results = plan.block(name), Path(plan.benchmark.results)
    folder = results / "runs" / name
    folder.mkdir(parents=True, exist_ok=True)
    make = _average if block.members else _fit
    with _into_log(results / "logs/train" / f"{name}.log"):
        make(plan, block, folder)
        evaluate_block(
            folder / "predictions.parquet",
            folder / "metrics.parquet",
            folder / "class_metrics.parquet",
        )


def _fit(plan: Plan, block: PlannedBlock, folder: Path) -> None:
    from drugtail.training.block import Block, train_block

    recipe, training = plan.resolved_settings(block.dataset, block.method)
    train_block(
        Block(
            _molecules_of(block.dataset),
            _split_stem(plan, block.dataset, block.split).with_suffix(".parquet"),
            _features_of(plan, block.dataset, block.encoder),
            recipe,
            plan.encoders[block.encoder],
            training,
            parse_seeds(block.seeds),
            device=plan.benchmark.device if recipe.is_network else "cpu",
            keep_model=plan.benchmark.keep_models,
        ),
        folder,
        checkpoints=Path(plan.benchmark.results) / "checkpoints" / block.path,
    )


def _average(plan: Plan, block: PlannedBlock, folder: Path) -> None:
    from drugtail.training.ensemble import EnsembleBlock, average_blocks

    recipe, _ = plan.resolved_settings(block.dataset, block.method)
    average_blocks(
        EnsembleBlock(
            _molecules_of(block.dataset),
            _split_stem(plan, block.dataset, block.split).with_suffix(".parquet"),
            recipe,
            plan.encoders[block.encoder],
            [Path(plan.benchmark.results) / "runs" / member for member in block.members],
            parse_seeds(block.seeds),
            plan.benchmark.keep_models,
        ),
        folder,
    )


def _tabulate(path: Path, name: str) -> None:
    from drugtail.report.tables import tabulate

    plan = _plan(path)
    results, benchmark = Path(plan.benchmark.results), plan.benchmark
    target = results / "tables" / benchmark.name / name
    metrics = results / "metrics" / benchmark.name
    tabulate(metrics, plan.tables[name], target, reference=benchmark.reference)


def _plot(path: Path, name: str) -> None:
    from drugtail.report.plot import plot
    from drugtail.report.plots import plot_of

    plan = _plan(path)
    results, benchmark = Path(plan.benchmark.results), plan.benchmark
    metrics = results / "metrics" / benchmark.name
    known = {
        "splits": _summaries(plan),
        "runs": [metrics / "runs.parquet"],
        "classes": [metrics / "class_metrics.parquet"],
        "history": [metrics / "class_history.parquet"],
    }
    inputs = {kind: known[kind] for kind in plot_of(name).inputs}
    plot(name, inputs, results / "figures" / benchmark.name / name)


def _summaries(plan: Plan) -> list[Path]:
    """Summaries of all splits."""
    return [
        _split_stem(plan, dataset, split).with_suffix(".json")
        for dataset in plan.datasets
        for split in plan.benchmark.splits
    ]


@contextlib.contextmanager
def _into_log(path: Path) -> Iterator[None]:
    """Send what is printed, by compiled libraries too, into a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    former = [os.dup(1), os.dup(2)]
    with path.open("w", encoding="utf-8") as log:
        try:
            for number in (1, 2):
                os.dup2(log.fileno(), number)
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, kept in enumerate(former, 1):
                os.dup2(kept, number)
                os.close(kept)


@cache
def _plan(path: Path) -> Plan:
    return Plan.read(path)


# ------------------------------------------------------------------------------------ steps


class Step(NamedTuple):
    """A function that takes the file of the plan and some names."""

    function: Callable[..., None]
    names: tuple[str, ...]


class _Progress:
    """Says how far the training is, and how long the rest may take."""

    def __init__(self, number: int) -> None:
        self.number, self.done, self.started = number, 0, time.monotonic()

    def step(self, name: str) -> None:
        """Count a finished block."""
        self.done += 1
        passed = time.monotonic() - self.started
        rest = passed / self.done * (self.number - self.done)
        dataset, split, _, folder, _ = name.split("/")
        method = folder.rpartition("-")[0]
        # The first blocks wait for their processes to start.
        left = f"; about {rest:.0f} s left" if rest >= 1 and self.done >= FEW_DONE else ""
        say(f"[{self.done}/{self.number}] {method} on {split} of {dataset}, {passed:.0f} s{left}")


def _is_there(block: PlannedBlock, results: Path) -> bool:
    """Return whether a block is finished, with its metrics and its model."""
    folder = results / "runs" / block.path
    return all((folder / name).is_file() for name in WHOLE)


def _delete_outdated(plan: Plan, blocks: Sequence[PlannedBlock], results: Path) -> None:
    """Delete finished blocks that are not what the benchmark wants, and say how many and why."""
    reasons = []
    for block in blocks:
        if not _is_there(block, results):
            continue
        try:
            check_block(plan, block, results)
        except DrugtailError as error:
            reasons.append(_reason(error))
            shutil.rmtree(results / "runs" / block.path)
    if reasons:
        named = ", ".join(dict.fromkeys(reasons))
        say(f"{counted(len(reasons), 'finished block')} outdated and trained again: {named}")


def _reason(error: DrugtailError) -> str:
    """Say in a few words what differs, of an error of `check_block`."""
    # A block that cannot be read gives one line.
    first = str(error).splitlines()[:2][-1].strip()
    if first.startswith(("molecules", "split", "features", "member")):
        return "the table or its register has changed"
    return "made by other code" if first.startswith("package code") else first


def _run_all(
    pool: ProcessPoolExecutor,
    path: Path,
    steps: Sequence[Step],
    progress: _Progress | None = None,
) -> None:
    """Run steps in the pool; after a failure no further one starts."""
    running = {pool.submit(step.function, path, *step.names): step for step in steps}
    try:
        for future in as_completed(running):
            step = running[future]
            try:
                future.result()
            except BrokenProcessPool:
                raise DrugtailError(
                    "a worker was ended from outside, perhaps for lack of memory; start again with "
                    "--workers 1. What is finished is kept"
                ) from None
            except DrugtailError as error:
                named = " ".join(step.names)
                raise DrugtailError(f"{named}: {error}. What is finished is kept") from None
            if progress is not None:
                progress.step(step.names[0])
    finally:
        for future in running:
            future.cancel()


def _pool(workers: int) -> ProcessPoolExecutor:
    os.environ.update(dict.fromkeys(THREADS, "1"))
    # Not forked: the threads of a library that is loaded here would be missing there.
    return ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_watch, initargs=(os.getpid(),)
    )


def _watch(parent: int) -> None:
    """End this worker when the process that started it is killed, which nobody else would."""

    def look() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH)
        os._exit(1)

    threading.Thread(target=look, daemon=True).start()


def _report(plan: Plan, pool: ProcessPoolExecutor, path: Path, results: Path) -> None:
    """Collect metrics, and make tables, figures and the page."""
    from drugtail.evaluation.collect import collect_blocks
    from drugtail.report.page import build_page

    benchmark = plan.benchmark
    say("making tables, figures and the page")
    metrics = results / "metrics" / benchmark.name
    folders = [results / "runs" / block.path for block in plan.blocks()]
    collect_blocks(
        folders, metrics, corrections=benchmark.prior_corrections, notes=plan.method_notes()
    )
    steps = [Step(_tabulate, (name,)) for name in plan.tables]
    _run_all(pool, path, steps + [Step(_plot, (name,)) for name in benchmark.figures])
    build_page(
        title=benchmark.title,
        notes=plan.notes(),
        runs=metrics / "runs.parquet",
        classes=metrics / "class_metrics.parquet",
        reference=benchmark.reference,
        tables=[results / "tables" / benchmark.name / f"{name}.md" for name in plan.tables],
        figures=[results / "figures" / benchmark.name / f"{one}.svg" for one in benchmark.figures],
        datasets=[SHARED / "data" / name / "dataset.json" for name in plan.datasets],
        splits=_summaries(plan),
        tunings=[],
        output=results / "page" / benchmark.name / "index.html",
        blocks=folders,
        history=metrics / "class_history.parquet",
    )
