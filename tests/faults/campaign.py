"""Faults by the thousand, and what becomes of each: `make faults`.

    PYTHONPATH=tests python tests/faults/campaign.py [--share 1] [--only damage rows …] [--seed 0]

Every try ends as *same* (the result is what it would have been), *refused* (status 1 and a message
that names what is wrong) or *failed*: another result, a traceback, a message that names nothing, or
no end. The first failed ones are printed, and the table is written to `--output`. `--share 0.1`
makes a tenth of all tries.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import itertools
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
from damage import DAMAGES
from faults.hostile import BEHAVIOURS, HostileServer
from project import Project, make_project

from drugtail.data import fetch
from drugtail.runtime.files import write_text

# A message is for people.
LONGEST = 2_000
SHOWN = 5


# ------------------------------------------------------------------ counting


@dataclass
class Tally:
    """What became of the tries of one kind."""

    kind: str
    same: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)

    def count(self, outcome: str, what: str) -> None:
        if outcome == "same":
            self.same += 1
        elif outcome == "refused":
            self.refused += 1
        else:
            self.failed.append(f"{what}: {outcome}")

    @property
    def tried(self) -> int:
        return self.same + self.refused + len(self.failed)


@dataclass
class Bench:
    """Where the tries happen: a finished project, a scratch folder, a source of randomness."""

    project: Project
    scratch: Path
    rng: np.random.Generator
    share: float

    def times(self, number: int) -> range:
        """So many tries, or the share of them that is wanted; one at least."""
        return range(max(1, round(self.share * number)))

    def fresh(self) -> Path:
        """An empty folder."""
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir()
        return self.scratch

    def call(self, *words: str) -> tuple[int | str, str]:
        """Run `drugtail` in this process; return its status, or the name of what it raised."""
        from drugtail.cli import main

        said = io.StringIO()
        argv, sys.argv = sys.argv, ["drugtail", *words]
        try:
            with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
                main()
            status: int | str = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 0
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            status = f"raised {type(error).__name__}: {str(error)[:200]}"
        finally:
            sys.argv = argv
        return status, said.getvalue()


def outcome(
    status: int | str, said: str, *, same: Callable[[], bool], names: str | None = None
) -> str:
    """Judge a try by its status, its message and its result."""
    if status == 0:
        return "same" if same() else f"another result, and nothing said: {said[-200:]}"
    if status not in (1, 2) or "Traceback" in said:
        return f"{status}: {said[-300:]}"
    error = said[said.find("error:") :]
    if len(error) > LONGEST:
        return f"a message of {len(error)} characters: {error[:200]}"
    if names is not None and names not in error:
        return f"the message does not name {names}: {error[:300]}"
    return "refused"


# ------------------------------------------------------------------ verbs on the tiny benchmark


@dataclass(frozen=True)
class Verb:
    """A command on the finished project: its words, what it reads, and what it writes."""

    words: tuple[str, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]


def verbs(project: Project) -> list[Verb]:
    """Every stage from molecules to tables, with `OUT` for the folder that it writes to."""
    molecules, split = "results/data/tiny/molecules.parquet", "results/splits/tiny/random-0"
    found = [
        Verb(
            ("split", "--molecules", molecules, "--strategy", "random", "--seed", "0",
             "--output", "OUT/split"),
            (molecules,), ("split.parquet",),
        ),
        Verb(
            ("featurize", "--molecules", molecules, "--featurizer", "morgan",
             "--output", "OUT/morgan", "--workers", "1"),
            (molecules,), ("morgan/bits.npy",),
        ),
        Verb(
            ("tabulate", "--metrics", "results/metrics/tiny", "--table", "head_tail",
             "--reference", "cross_entropy", "--output", "OUT/table"),
            tuple(f"results/metrics/tiny/{n}.parquet" for n in ("runs", "class_metrics")),
            ("table.csv",),
        ),
    ]  # fmt: skip
    for method, features in (("random_forest", "morgan"), ("cross_entropy", "atoms")):
        folder = project.block(method).relative_to(project.folder)
        name = str(folder.relative_to("results/runs"))
        arrays = sorted((project.folder / "results/features/tiny" / features).glob("*.npy"))
        found += [
            Verb(
                ("train", "--block", name, "--molecules", molecules, "--split", f"{split}.parquet",
                 "--features", f"results/features/tiny/{features}", "--seeds", "0-1",
                 "--threads", "1", "--device", "cpu", "--output", "OUT/block"),
                (molecules, f"{split}.parquet",
                 *(str(path.relative_to(project.folder)) for path in arrays)),
                ("block/predictions.parquet",),
            ),
            Verb(
                ("evaluate", "--predictions", f"{folder}/predictions.parquet",
                 "--metrics", "OUT/metrics.parquet", "--classes", "OUT/classes.parquet"),
                (f"{folder}/predictions.parquet",), ("metrics.parquet", "classes.parquet"),
            ),
            Verb(
                ("predict", "--model", str(folder), "--molecules", "tiny.csv",
                 "--output", "OUT/predicted.csv"),
                (f"{folder}/model.pt",), ("predicted.csv",),
            ),
        ]  # fmt: skip
    return found


def content(path: Path) -> object:
    """What a file says; of tables their values, since a file may name the time."""
    if path.suffix == ".parquet":
        frame = pd.read_parquet(path)
        return frame.drop(columns="seconds", errors="ignore").to_csv()
    return path.read_bytes() if path.is_file() else None


def run_verb(bench: Bench, verb: Verb) -> tuple[int | str, str, list[object]]:
    out = bench.fresh()
    status, said = bench.call(*(word.replace("OUT", str(out)) for word in verb.words))
    found = [content(out / name) if (out / name).exists() else None for name in verb.writes]
    return status, said, found


def references(bench: Bench) -> list[tuple[Verb, list[object]]]:
    """Every verb with what it writes when nothing is wrong."""
    good = []
    for verb in verbs(bench.project):
        status, said, found = run_verb(bench, verb)
        assert status == 0, f"{' '.join(verb.words)}: {status} {said}"
        assert all(one is not None for one in found), verb.words
        good.append((verb, found))
    return good


# ------------------------------------------------------------------ the kinds


def damaged_files(bench: Bench) -> Tally:
    """Tables, arrays and models with a bit flipped, an end cut off or bytes overwritten."""
    tally = Tally("damaged files")
    good = references(bench)
    # Training takes a hundred times what the others take.
    quick = [one for one in good if one[0].words[0] != "train"]
    for number in bench.times(5_000):
        verb, wanted = (good if number % 10 == 0 else quick)[
            bench.rng.integers(len(good if number % 10 == 0 else quick))
        ]
        path = Path(verb.reads[bench.rng.integers(len(verb.reads))])
        damage = DAMAGES[bench.rng.integers(len(DAMAGES))]
        before = path.read_bytes()
        path.write_bytes(damage(before, bench.rng))
        try:
            status, said, found = run_verb(bench, verb)
            judged = outcome(status, said, same=lambda a=found, b=wanted: a == b, names=path.name)
        finally:
            path.write_bytes(before)
        tally.count(judged, f"{verb.words[0]} with {path} after {damage.__name__}")
    return tally


NASTY = [
    "null", "true", "-1", "0", "1e308", ".inf", ".nan", "1000000000", "''", "[]", "{}", "[[[[]]]]",
    "'../../x'", "'a b; touch owned'", "!!python/object:os.system x", "&a [*a]", "'\\0'", "\x00",
    "'" + "x" * 5_000 + "'", "2026-01-01", "0x1F", "{a: 1, a: 2}", "é", "- - -", "|\n  text",
]  # fmt: skip


def fuzzed(text: str, rng: np.random.Generator) -> str:
    """Return a YAML text with one to three things wrong."""
    lines = text.splitlines()
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(len(lines)))
        kind = int(rng.integers(6))
        if kind == 0 and len(lines) > 1:
            del lines[place]
        elif kind == 1:
            lines.insert(place, lines[int(rng.integers(len(lines)))])
        elif kind == 2:
            lines[place] = " " * int(rng.integers(1, 5)) + lines[place]
        elif kind == 3 and ":" in lines[place]:
            key = lines[place].split(":", 1)[0]
            lines[place] = f"{key}: {NASTY[int(rng.integers(len(NASTY)))]}"
        elif kind == 4 and lines[place]:
            cut = int(rng.integers(len(lines[place])))
            lines[place] = lines[place][:cut] + lines[place][cut + 1 :]
        else:
            lines[place] = NASTY[int(rng.integers(len(NASTY)))]
    return "\n".join(lines) + "\n"


def fuzzed_configurations(bench: Bench) -> Tally:
    """Benchmarks, data sets and methods with wrong YAML, given to `drugtail check`."""
    tally = Tally("fuzzed configurations")
    texts = {Path("config/tiny.yaml"): Path("config/tiny.yaml").read_text()}
    for path in sorted(Path("config").glob("*/**/*.yaml")):
        if "schemas" not in path.parts and path.parts[1] != "benchmarks":
            texts[path] = path.read_text()
    names = list(texts)
    for number in bench.times(3_000):
        # Every other is the benchmark, which names all kinds of things.
        name = names[0] if number % 2 else names[int(bench.rng.integers(len(names)))]
        text = fuzzed(texts[name], bench.rng)
        path = bench.fresh() / name.name
        path.write_text(text)
        method = "methods" in name.parts
        started = time.monotonic()
        status, said = bench.call("check", *(["--method"] if method else []), str(path))
        judged = outcome(status, said, same=lambda: True, names=path.name)
        if time.monotonic() - started > 20:
            judged = "took more than 20 seconds"
        tally.count(judged, f"check of {name}:\n{text[:400]}\n")
    return tally


CELLS = [
    "", " ", "NA", "nan", "c1ccccc1", "C1CC", "C(C)(C)(C)(C)C", "[Na+].[Cl-]", "*C", "[Xx]",
    "CCO |x|", "InChI=1S/CH4/h1H4", "CC>>CO", "C" * 3_000, '"', '""', "'", ";", "\t", "\x00", "é",
    "=1+1", "alcohol", "Alcohol ", "1", "1.0", "[2H]C", "[CH3:1]C", "N#N#N", "\ufeff", "%", "C%99",
]  # fmt: skip


def fuzzed_rows(bench: Bench) -> Tally:
    """Tables of molecules with wrong cells, rows and quotes: every row is accounted for."""
    tally = Tally("fuzzed rows")
    table = Path("tiny.csv")
    before = table.read_text()
    try:
        for _ in bench.times(500):
            lines = before.splitlines()
            for _ in range(10):
                place = int(bench.rng.integers(1, len(lines)))
                cells = lines[place].split(",")
                which = int(bench.rng.integers(len(cells)))
                cells[which] = CELLS[int(bench.rng.integers(len(CELLS)))]
                lines[place] = ",".join(cells)
            table.write_text("\n".join(lines) + "\n")
            out = bench.fresh()
            status, said = bench.call("fetch", "--dataset", "tiny", "--output", f"{out}/raw")
            if status == 0:
                status, said = bench.call(
                    "prepare", "--dataset", "tiny", "--raw", f"{out}/raw", "--output", str(out),
                    "--workers", "1",
                )  # fmt: skip
            judged = outcome(status, said, same=lambda o=out: accounted(o), names="tiny")
            tally.count(judged, f"prepare of {[one for one in lines if one not in before]}")
    finally:
        table.write_text(before)
    return tally


def accounted(folder: Path) -> bool:
    """Whether every row of a prepared table is a molecule or was set aside."""
    import json

    said = json.loads((folder / "dataset.json").read_text())
    aside = sum(sum(said[key].values()) for key in ("rejected", "left_out", "merged"))
    molecules = pd.read_parquet(folder / "molecules.parquet")
    rejected = pd.read_csv(folder / "rejected.csv")
    return (
        said["rows"] == said["molecules"] + aside
        and len(molecules) == said["molecules"]
        and len(rejected) == sum(said["rejected"].values())
    )


def hostile_downloads(bench: Bench) -> Tally:
    """A table from a server that answers in wrong ways: the file as registered, or none."""
    tally = Tally("hostile downloads")
    body, register = Path("tiny.csv").read_bytes(), Path("config/datasets/tiny.yaml")
    before = register.read_text()
    digest = hashlib.sha256(body).hexdigest()
    with (
        HostileServer(body, bench.rng) as server,
        mock.patch.object(fetch, "SECONDS_WITHOUT_DATA", 1),
    ):
        os.environ["NO_PROXY"] = "127.0.0.1"
        # Registers of the plan are those that were in the catalogue.
        del os.environ["DRUGTAIL_PLAN"]
        known = f"{{url: '{server.url}', sha256: {digest}, bytes: {len(body)}}}"
        register.write_text(before.replace("{path: tiny.csv}", known))
        try:
            for number in bench.times(400):
                server.behave = BEHAVIOURS[number % len(BEHAVIOURS)]
                out = bench.fresh()
                started = time.monotonic()
                status, said = bench.call(
                    "fetch", "--dataset", "tiny", "--output", f"{out}/raw", "--pause", "0.01"
                )
                found = content(out / "raw/tiny.csv")
                judged = outcome(status, said, same=lambda f=found: f == body, names=server.url)
                if len(said) > LONGEST or re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said):
                    judged = f"{len(said)} characters were printed: {said[:300]!r}"
                if judged == "refused" and found is not None:
                    judged = "a file was left behind"
                if time.monotonic() - started > 30:
                    judged = "took more than 30 seconds"
                tally.count(judged, f"fetch from a server with {server.behave.__name__}")
        finally:
            register.write_text(before)
    return tally


def killed_verbs(bench: Bench) -> Tally:
    """Single commands killed at a random moment, then run again."""
    tally = Tally("kills of single commands")
    good = references(bench)
    environment = {**bench.project.environment, "DRUGTAIL_PLAN": os.environ["DRUGTAIL_PLAN"]}
    longest: dict[Verb, float] = {}
    for _ in bench.times(150):
        verb, wanted = good[bench.rng.integers(len(good))]
        out = bench.fresh()
        words = ["drugtail", *(word.replace("OUT", str(out)) for word in verb.words)]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        if verb not in longest:
            started = time.monotonic()
            subprocess.run(words, env=environment, check=True, **quiet)
            longest[verb] = time.monotonic() - started
            out = bench.fresh()
        process = subprocess.Popen(words, env=environment, start_new_session=True, **quiet)
        time.sleep(float(bench.rng.uniform(0, longest[verb])))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        status, said = bench.call(*words[1:])
        found = [content(out / name) if (out / name).exists() else None for name in verb.writes]
        judged = outcome(status, said, same=lambda a=found, b=wanted: a == b)
        left = [str(path) for path in out.rglob(".*.part")]
        tally.count(f"left behind: {left}" if left else judged, f"kill of {' '.join(words)}")
    return tally


def killed_runs(bench: Bench) -> Tally:
    """Whole runs killed at random moments until one gets to the end."""
    tally = Tally("kills of whole runs")
    wanted = content(Path("results/tables/tiny/head_tail.csv"))
    for _ in bench.times(10):
        project = make_project(bench.fresh())
        for _ in range(5):
            process = subprocess.Popen(
                ["snakemake", "tables", "--cores", "2", "--configfile", "config/tiny.yaml"],
                cwd=project.folder, env=project.environment, start_new_session=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(float(bench.rng.uniform(1, 15)))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            unlocked = project.run("drugtail", "unlock", check=False)
            tally.count("same" if unlocked.returncode == 0 else unlocked.stdout, "freeing a folder")
        done = project.snakemake("tables", check=False)
        found = content(project.folder / "results/tables/tiny/head_tail.csv")
        judged = outcome(done.returncode, done.stdout, same=lambda a=found: a == wanted)
        tally.count(
            "a run was refused" if judged == "refused" else judged, "a run after five kills"
        )
    return tally


def full_disks(bench: Bench) -> Tally:
    """Every stage on a small file system, out of space or of inodes; then on a larger one."""
    tally = Tally("full disks")
    if os.getuid() != 0:
        return tally
    for verb, wanted in itertools.chain.from_iterable(
        itertools.repeat(references(bench), len(bench.times(20)))
    ):
        out = bench.fresh()
        few = bool(bench.rng.integers(2))
        size = int(bench.rng.integers(1, 12)) * 4096
        limit = f"nr_inodes={bench.rng.integers(2, 8)},size=50m" if few else f"size={size}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", limit, "tmpfs", str(out)], check=True)
        try:
            words = [word.replace("OUT", str(out)) for word in verb.words]
            first, said = bench.call(*words)
            if first != 0:
                judged = outcome(first, said, same=lambda: False)
                if judged == "refused" and not re.search("full|No space|quota", said):
                    judged = f"does not say that the disk is full: {said[-300:]}"
                larger = "remount,nr_inodes=1000,size=50m"
                subprocess.run(["mount", "-o", larger, str(out)], check=True)
                status, said = bench.call(*words)
            else:
                judged, status = "same", first
            found = [content(out / n) if (out / n).exists() else None for n in verb.writes]
            if judged in ("same", "refused") and (status != 0 or found != wanted):
                judged = f"after the disk was full: {status}: {said[-300:]}"
        finally:
            subprocess.run(["umount", "-l", str(out)], check=True)
        tally.count(judged, f"{verb.words[0]} with {limit}")
    return tally


def many_writers(bench: Bench) -> Tally:
    """Imports into one MLflow store at the same time."""
    tally = Tally("writers into one store")
    from mlflow.tracking import MlflowClient

    project = make_project(bench.fresh())
    shutil.copytree("results/runs", project.folder / "results/runs")
    blocks = [str(path.parent) for path in project.folder.glob("results/runs/**/status.json")]
    processes = [
        subprocess.Popen(
            ["drugtail", "track", *blocks, "--benchmark", "tiny"], cwd=project.folder, text=True,
            env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        for _ in bench.times(64)
    ]  # fmt: skip
    for process in processes:
        said = process.communicate()[0]
        tally.count("same" if process.returncode == 0 else said[-300:], "an import")
    client = MlflowClient(f"sqlite:///{project.folder}/results/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("tiny")
    runs = client.search_runs([experiment.experiment_id])
    names = sorted(run.data.tags.get("drugtail.run", "") for run in runs)
    # Two seeds of three methods, and the benchmark above them.
    good = len(names) == len(set(names)) == 7
    tally.count("same" if good else f"the store has {len(names)} runs: {names}", "the store")
    return tally


KINDS: dict[str, Callable[[Bench], Tally]] = {
    "damage": damaged_files,
    "configurations": fuzzed_configurations,
    "rows": fuzzed_rows,
    "downloads": hostile_downloads,
    "commands": killed_verbs,
    "runs": killed_runs,
    "disks": full_disks,
    "writers": many_writers,
}


@contextlib.contextmanager
def bench_of(project: Project, seed: int, share: float) -> Iterator[Bench]:
    """Work in a copy of a finished project, as a job of its benchmark does."""
    with tempfile.TemporaryDirectory(prefix="drugtail-faults-") as folder:
        copy = Project(Path(folder, "project"))
        shutil.copytree(project.folder, copy.folder, symlinks=True)
        scratch = Path(folder, "scratch")
        with contextlib.chdir(copy.folder):
            plan = next(iter(Path("results/plans").glob("*.json")))
            before = dict(os.environ)
            os.environ["DRUGTAIL_PLAN"] = str(plan.resolve())
            random.seed(seed)
            try:
                yield Bench(copy, scratch, np.random.default_rng(seed), share)
            finally:
                os.environ.clear()
                os.environ.update(before)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--share", type=float, default=1.0, help="share of the tries")
    parser.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=Path("results/benchmarks/faults.md"))
    options = parser.parse_args()
    output = options.output.resolve()
    lines, failed = [], []

    def write(line: str) -> None:
        print(line, flush=True)
        lines.append(line)

    with tempfile.TemporaryDirectory(prefix="drugtail-finished-") as folder:
        project = make_project(Path(folder))
        project.snakemake()
        write(f"| {'kind':26} | tried | same | refused | failed | seconds |")
        write(f"| {'-' * 26} | ----- | ---- | ------- | ------ | ------- |")
        for name in options.only:
            started = time.monotonic()
            with bench_of(project, options.seed, options.share) as bench:
                tally = KINDS[name](bench)
            write(
                f"| {tally.kind:26} | {tally.tried:5} | {tally.same:4} | {tally.refused:7} | "
                f"{len(tally.failed):6} | {time.monotonic() - started:7.0f} |"
            )
            failed += tally.failed[:SHOWN]
    write_text(output, "\n".join(lines) + "\n")
    for line in failed:
        print(f"\nfailed: {line}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
