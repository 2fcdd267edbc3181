"""Progress of a benchmark: its finished blocks, those left, and the time they take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.planned import PlannedBlock, PlannedTuning
from drugtail.config.benchmark import parse_seeds
from drugtail.config.code import code_of
from drugtail.runtime.digest import code_digest
from drugtail.runtime.files import read_json
from drugtail.runtime.names import SHARED, parse_block_folder

TUNED_BY = "drugtail.training.tune"
# The size of the generated data set stands in its generator; about this many molecules.
GENERATED_MOLECULES = 6000


def is_finished(block: PlannedBlock, results: Path) -> bool:
    """Return whether a block was trained to its end, by whatever code."""
    return (results / "runs" / block.path / "status.json").is_file()


def is_up_to_date(plan: Plan, block: PlannedBlock, results: Path) -> bool:
    """Return whether a finished block was trained by today's code."""
    manifest = read_json(results / "runs" / block.path / "manifest.json")
    modules = code_of(plan.encoders[block.encoder], plan.recipes[block.method])
    return bool(manifest["code_digest"] == code_digest(*modules))


def is_tuned(plan: Plan, tuning: PlannedTuning, results: Path) -> bool:
    """Return whether an up-to-date tuning result exists."""
    folder = results / "tuning" / tuning.path
    if not (folder / "best.json").is_file():
        return False
    manifest = read_json(folder / "manifest.json")
    modules = code_of(plan.encoders[tuning.encoder], plan.recipes[tuning.method], TUNED_BY)
    return bool(manifest["code_digest"] == code_digest(*modules))


@dataclass(frozen=True)
class Left:
    """Work that is left of a benchmark.

    Attributes
    ----------
    work : int
        Molecules x epochs.
    seconds : float
        Of one core, of the jobs whose rate is known.
    jobs, unknown : int
        Jobs, and how many of them have no known rate or size.
    unprepared : list of str
        Data sets of unknown size.
    """

    work: int
    seconds: float
    jobs: int
    unknown: int
    unprepared: list[str]


def has_its_model(plan: Plan, block: PlannedBlock, results: Path) -> bool:
    """Return whether a block keeps a model, or its benchmark wants none."""
    kept = (results / "runs" / block.path / "model.pt").is_file()
    return kept or not plan.benchmark.keep_models


def describe_plan(plan: Plan, results: Path) -> str:
    """Say how many jobs, molecules x epochs and, from earlier blocks, how long.

    Times come from the manifests of blocks of the same data set, encoder and method, scaled by
    epochs and seeds; where there is none, from the mean rate of all others of that kind.
    """
    blocks, tunings = list(plan.blocks()), list(plan.tunings())
    finished = [block for block in blocks if is_finished(block, results)]
    there = [block for block in finished if has_its_model(plan, block, results)]
    done = [block for block in there if is_up_to_date(plan, block, results)]
    tuned = [tuning for tuning in tunings if is_tuned(plan, tuning, results)]
    rest: list[PlannedBlock | PlannedTuning] = [t for t in tunings if t not in tuned]
    rest += [block for block in blocks if block not in done]
    benchmark = plan.benchmark
    lines = [
        f"benchmark {benchmark.name}: {benchmark.title}",
        f"  data sets {', '.join(plan.datasets)}; splits {', '.join(benchmark.splits)}; "
        f"methods {', '.join(plan.recipes)}; seeds {', '.join(benchmark.seeds)}",
    ]
    if tunings:
        lines.append(
            f"  tuning jobs: {len(tunings)}, of which {len(tuned)} are finished; "
            f"{sum(t.trials for t in tunings)} trials of seeds {tunings[0].seeds}"
        )
    lines.append(f"  training jobs: {len(blocks)}, of which {len(done)} are finished")
    if len(there) > len(done):
        again = len(there) - len(done)
        lines.append(f"  to be trained again: {again} blocks, made by older code")
    if len(finished) > len(there):
        again = len(finished) - len(there)
        lines.append(f"  to be trained again: {again} blocks, whose models were not kept")
    lines.append(f"  runs: {sum(len(parse_seeds(b.seeds)) for b in blocks)}")
    return "\n".join([*lines, *_describe_left(measure_left(plan, rest, results), results)])


def measure_left(plan: Plan, jobs: list[PlannedBlock | PlannedTuning], results: Path) -> Left:
    """Return how much work some jobs of a benchmark are."""
    rates = _measured_rates(results)
    work, seconds, unknown = 0, 0.0, 0
    unprepared: dict[str, None] = {}
    for job in jobs:
        trials = job.trials if isinstance(job, PlannedTuning) else 1
        molecules = _train_molecules(plan, job)
        if molecules is None:
            unprepared[job.dataset] = None
            unknown += 1
            continue
        amount = molecules * job.epochs * len(parse_seeds(job.seeds)) * trials
        work += amount
        rate = rates.get((job.encoder, job.method)) or rates.get((job.encoder, ""))
        if rate is None:
            unknown += 1
        else:
            seconds += amount / rate
    return Left(work, seconds, len(jobs), unknown, list(unprepared))


def _describe_left(left: Left, results: Path) -> Iterator[str]:
    line = f"  work left: {left.work:,} molecules x epochs"
    if left.unprepared:
        line += (
            f", and that of {', '.join(left.unprepared)}, whose size is not known before the "
            "target `data` has run"
        )
    yield line
    if not left.jobs:
        yield "  time left: none"
    elif left.unknown == left.jobs:
        yield (
            f"  time left: unknown; no block below {results / 'runs'} was measured yet, or sizes "
            "are unknown"
        )
    else:
        text = f"  time left: about {left.seconds / 60:,.1f} minutes of one core"
        rest = f", and {left.unknown} jobs without a measurement" if left.unknown else ""
        yield text + rest


def _measured_rates(results: Path) -> dict[tuple[str, str], float]:
    """Training molecules x epochs per second of wall time, by encoder and method."""
    sums: dict[tuple[str, str], list[float]] = {}
    for path in (results / "runs").glob("*/*/*/*/seeds*/manifest.json"):
        if not (path.parent / "status.json").is_file():
            continue
        manifest, status = read_json(path), read_json(path.parent / "status.json")
        epochs = sum(run["epochs"] for run in status["seeds"].values())
        dataset, split, encoder, folder = path.parts[-6:-2]
        amount = _split_size(dataset, split) * epochs
        for key in ((encoder, parse_block_folder(folder)[0]), (encoder, "")):
            total = sums.setdefault(key, [0.0, 0.0])
            total[0] += amount
            total[1] += manifest["wall_seconds"]
    return {key: amount / seconds for key, (amount, seconds) in sums.items() if amount}


def _train_molecules(plan: Plan, job: PlannedBlock | PlannedTuning) -> int | None:
    """Training molecules of a job: from its split if there, else 70 % of the known rows."""
    size = _split_size(job.dataset, job.split)
    if size:
        return size
    dataset = plan.datasets[job.dataset]
    rows = dataset.files[0].rows if dataset.files else GENERATED_MOLECULES
    return None if rows is None else round(0.7 * rows)


def _split_size(dataset: str, split: str) -> int:
    # One that a plugin cut lies in a folder below.
    for path in sorted((SHARED / "splits" / dataset).glob(f"**/{split}.json")):
        return int(sum(read_json(path)["train_counts"]))
    return 0
