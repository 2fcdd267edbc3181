"""Progress of a benchmark: its finished blocks, those left, and the time they take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from drugtail.benchmark.cluster import describe_requests
from drugtail.benchmark.plan import Plan
from drugtail.benchmark.planned import PlannedBlock, PlannedTuning
from drugtail.benchmark.resources import START_SECONDS, amount, nominal_seconds, split_size
from drugtail.config.benchmark import parse_seeds
from drugtail.config.code import code_of
from drugtail.runtime.digest import code_digest
from drugtail.runtime.files import read_json
from drugtail.runtime.names import parse_block_folder

TUNED_BY = "drugtail.training.tune"


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
        Of one core, of the jobs whose size is known.
    jobs, unmeasured, unknown : int
        Jobs; how many of them have a size but were not measured on this machine, nor any like
        them; and how many have no known size.
    unprepared : list of str
        Data sets of unknown size.
    """

    work: int
    seconds: float
    jobs: int
    unmeasured: int
    unknown: int
    unprepared: list[str]


def has_its_model(plan: Plan, block: PlannedBlock, results: Path) -> bool:
    """Return whether a block keeps a model, or its benchmark wants none."""
    kept = (results / "runs" / block.path / "model.pt").is_file()
    return kept or not plan.benchmark.keep_models


def describe_plan(plan: Plan, results: Path, profile: str | None = None) -> str:
    """Say how many jobs, molecules x epochs and, from earlier blocks, how long.

    With the name or folder of a Snakemake profile, also what is asked for from a cluster.

    Times come from the manifests of blocks of the same encoder and method, scaled by molecules,
    epochs and seeds; where there is none, from the mean rate of all others of that kind; and
    where there is none of that kind either, from `drugtail.benchmark.resources`.
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
    lines += _describe_left(measure_left(plan, rest, results), results)
    if profile is not None:
        lines += describe_requests(plan, rest, profile)
    return "\n".join(lines)


def measure_left(plan: Plan, jobs: list[PlannedBlock | PlannedTuning], results: Path) -> Left:
    """Return how much work some jobs of a benchmark are."""
    rates = _measured_rates(results)
    work, seconds, unmeasured, unknown = 0, 0.0, 0, 0
    unprepared: dict[str, None] = {}
    for job in jobs:
        size, nominal = amount(plan, job), nominal_seconds(plan, job)
        if size is None or nominal is None:
            unprepared[job.dataset] = None
            unknown += 1
            continue
        work += size
        rate = rates.get((job.encoder, job.method)) or rates.get((job.encoder, ""))
        unmeasured += rate is None
        seconds += nominal if rate is None else START_SECONDS + size / rate
    return Left(work, seconds, len(jobs), unmeasured, unknown, list(unprepared))


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
        yield "  time left: unknown, since sizes are"
    else:
        text = f"  time left: about {left.seconds / 60:,.1f} minutes of one core"
        rest = f", and {left.unknown} jobs of unknown size" if left.unknown else ""
        yield text + rest
    if left.unmeasured:
        yield (
            f"    ({left.unmeasured} jobs by speeds of another machine, until blocks like them "
            f"are finished below {results / 'runs'})"
        )


def _measured_rates(results: Path) -> dict[tuple[str, str], float]:
    """Training molecules x epochs per second of wall time after the start, by encoder and method.

    Blocks that took hardly longer than their start do not tell how fast they were.
    """
    sums: dict[tuple[str, str], list[float]] = {}
    for path in (results / "runs").glob("*/*/*/*/seeds*/manifest.json"):
        if not (path.parent / "status.json").is_file():
            continue
        manifest, status = read_json(path), read_json(path.parent / "status.json")
        epochs = sum(run["epochs"] for run in status["seeds"].values())
        dataset, split, encoder, folder = path.parts[-6:-2]
        seconds = manifest["wall_seconds"] - START_SECONDS
        if seconds < START_SECONDS:
            continue
        amount = split_size(dataset, split) * epochs
        for key in ((encoder, parse_block_folder(folder)[0]), (encoder, "")):
            total = sums.setdefault(key, [0.0, 0.0])
            total[0] += amount
            total[1] += seconds
    return {key: amount / seconds for key, (amount, seconds) in sums.items() if amount}
