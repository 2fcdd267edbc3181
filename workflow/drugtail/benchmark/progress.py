"""How far a benchmark is: what is finished, what others made in its place, what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from drugtail.benchmark.plan import WITHOUT_EFFECT, Plan, PlannedBlock, PlannedTuning
from drugtail.config.benchmark import parse_seeds
from drugtail.config.search_space import read_tuned
from drugtail.runtime.digest import code_digest
from drugtail.runtime.files import read_json
from drugtail.runtime.names import TUNED, parse_method_folder


def blocks_of_others(plan: Plan, results: Path) -> list[PlannedBlock]:
    """Blocks of the benchmark in whose folders something else lies: trained with other settings.

    Another benchmark with the same results folder trained them, or an earlier version of this one.

    Parameters
    ----------
    plan
        The benchmark.
    results
        Its results folder.
    """
    return [block for block in plan.blocks() if _is_of_another(plan, block, results)]


def _is_of_another(plan: Plan, block: PlannedBlock, results: Path) -> bool:
    path = results / "runs" / block.path / "manifest.json"
    if not path.is_file():
        return False
    tuned = None
    if block.settings == TUNED:
        names = block.dataset, block.split, block.encoder, block.method
        best = results.joinpath("tuning", *names, "best.json")
        if not best.is_file():
            return False
        tuned = read_tuned(best, block.method)
    network = plan.recipes[block.method].classifier is None
    wanted = plan.block_settings(block.dataset, block.encoder, block.method, tuned)
    return _settings_in(read_json(path), network) != wanted


def _settings_in(manifest: dict[str, Any], network: bool) -> dict[str, Any]:
    """What `Plan.block_settings` said of the training that wrote a manifest."""
    found = manifest["settings"]
    settings: dict[str, Any] = {
        "recipe": {key: v for key, v in found["recipe"].items() if key not in WITHOUT_EFFECT},
        "encoder": found["encoder"],
    }
    if network:
        settings["training"] = found["training"]
    if "code" in manifest["inputs"]:
        settings["code"] = manifest["inputs"]["code"]["sha256"]
    return settings


def _is_tuned(plan: Plan, tuning: PlannedTuning, results: Path) -> bool:
    """Whether what a tuning chose is there, of the settings and the code of today."""
    folder = results / "tuning" / tuning.path
    if not (folder / "best.json").is_file():
        return False
    manifest, recipe = read_json(folder / "manifest.json"), plan.recipes[tuning.method]
    wanted = plan.block_settings(tuning.dataset, tuning.encoder, tuning.method)
    space = {key: one.model_dump() for key, one in plan.space(tuning.method).items()}
    return bool(
        _settings_in(manifest, recipe.classifier is None) == wanted
        and manifest["settings"]["space"] == space
        and manifest["settings"]["seeds"] == list(parse_seeds(tuning.seeds))
        and read_json(folder / "best.json")["trials"] == tuning.trials
        and manifest["code_digest"] == code_digest("drugtail.training.tune")
    )


def _is_of_older_code(block: PlannedBlock, results: Path) -> bool:
    """Whether training code has changed since a finished block was trained."""
    made_by = read_json(results / "runs" / block.path / "manifest.json")["code_digest"]
    return bool(made_by != code_digest("drugtail.training.block"))


def describe_plan(plan: Plan, results: Path) -> str:
    """Say how many jobs, molecules x epochs and, from earlier blocks, how long.

    Times come from the manifests of blocks of the same data set, encoder and method, scaled by
    epochs and seeds; where there is none, from the mean rate of all others of that kind.
    """
    blocks, tunings = list(plan.blocks()), list(plan.tunings())
    rates = _measured_rates(results)
    there = [b for b in blocks if (results / "runs" / b.path / "status.json").is_file()]
    others = blocks_of_others(plan, results)
    done = [b for b in there if b not in others and not _is_of_older_code(b, results)]
    tuned = [tuning for tuning in tunings if _is_tuned(plan, tuning, results)]
    rest: list[PlannedBlock | PlannedTuning] = [t for t in tunings if t not in tuned]
    rest += [b for b in blocks if b not in done]
    work, seconds, unknown = 0, 0.0, 0
    unprepared: dict[str, None] = {}
    for job in rest:
        trials = job.trials if isinstance(job, PlannedTuning) else 1
        molecules = _train_molecules(plan, results, job)
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
    lines = [
        f"benchmark {plan.benchmark.name}: {plan.benchmark.title}",
        f"  data sets {', '.join(plan.datasets)}; splits {', '.join(plan.benchmark.splits)}; "
        f"methods {', '.join(plan.recipes)}; seeds {', '.join(plan.benchmark.seeds)}",
        *(
            [
                f"  tuning jobs: {len(tunings)}, of which {len(tuned)} are finished; "
                f"{sum(t.trials for t in tunings)} trials of seeds {tunings[0].seeds}"
            ]
            if tunings
            else []
        ),
        f"  training jobs: {len(blocks)}, of which {len(done)} are finished",
        *(
            [
                f"  to be trained again: {len(there) - len(done)} blocks, made with other settings "
                f"({len(others)}) or by older code; to keep what was made with other settings, "
                "give this benchmark a folder of its own (results: results/short)"
            ]
            if len(there) > len(done)
            else []
        ),
        f"  runs: {sum(len(parse_seeds(b.seeds)) for b in blocks)}",
        f"  work left: {work:,} molecules x epochs",
    ]
    if unprepared:
        lines[-1] += (
            f", and that of {', '.join(unprepared)}, whose size is not known before the target "
            "`data` has run"
        )
    if not rest:
        lines.append("  time left: none")
    elif unknown == len(rest):
        lines.append(
            f"  time left: unknown; no block below {results / 'runs'} was measured yet, or sizes "
            "are unknown"
        )
    else:
        text = f"  time left: about {seconds / 60:,.1f} minutes of one core"
        lines.append(text + (f", and {unknown} jobs without a measurement" if unknown else ""))
    return "\n".join(lines)


def _measured_rates(results: Path) -> dict[tuple[str, str], float]:
    """Training molecules x epochs per second of wall time, by encoder and method."""
    sums: dict[tuple[str, str], list[float]] = {}
    for path in (results / "runs").glob("*/*/*/*/seeds*/manifest.json"):
        if not (path.parent / "status.json").is_file():
            continue
        manifest, status = read_json(path), read_json(path.parent / "status.json")
        epochs = sum(run["epochs"] for run in status["seeds"].values())
        amount = _split_size(results, *path.parts[-6:-4]) * epochs
        method, _ = parse_method_folder(path.parts[-3])
        for key in ((path.parts[-4], method), (path.parts[-4], "")):
            total = sums.setdefault(key, [0.0, 0.0])
            total[0] += amount
            total[1] += manifest["wall_seconds"]
    return {key: amount / seconds for key, (amount, seconds) in sums.items() if amount}


def _train_molecules(plan: Plan, results: Path, job: PlannedBlock | PlannedTuning) -> int | None:
    """Training molecules of a job: from its split if there, else 70 % of the known rows."""
    size = _split_size(results, job.dataset, job.split)
    if size:
        return size
    dataset = plan.datasets[job.dataset]
    # The size of the generated set stands in its generator; about 6,000.
    rows = dataset.files[0].rows if dataset.files else 6000
    return None if rows is None else round(0.7 * rows)


def _split_size(results: Path, dataset: str, split: str) -> int:
    path = results / "splits" / dataset / f"{split}.json"
    return sum(read_json(path)["train_counts"]) if path.is_file() else 0
