"""Importing finished blocks into MLflow: a view of the files that can be deleted and rebuilt."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import requests
from mlflow.entities import LifecycleStage, Metric, Param, Run, RunStatus, RunTag
from mlflow.environment_variables import MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

from drugtail.config.table import GROUP_SUFFIXES
from drugtail.evaluation.collect import Block, parse_block
from drugtail.evaluation.row_names import row_name
from drugtail.evaluation.statistics import by_split
from drugtail.runtime.digest import file_digest, text_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.logging import counted, say
from drugtail.runtime.names import method_label
from drugtail.runtime.parquet import read_parquet
from drugtail.tracking.answers import log_answers
from drugtail.tracking.store import SQLITE, create_store, set_aside_if_damaged, sole_writer

KEY, CONTENT, PARENT = "drugtail.run", "drugtail.content", "mlflow.parentRunId"
CURVES = ("loss", "classification_loss", "contrastive_loss", "learning_rate", "valid_loss",
          "valid_balanced_accuracy", "valid_accuracy", "molecules_per_second")  # fmt: skip
ANSWER_SECONDS = 10
MEANS = [f"test_balanced_accuracy{group}" for group in ("", *GROUP_SUFFIXES)]
MOST_METRICS = 1000
MOST_PARAMETERS = 100
# Shown by MLflow above the runs of an experiment.
NOTE = (
    "Each benchmark is a run, with the mean recall of every method among its metrics and the model "
    "of its answer. The trainings stand below it: click the + beside its name. Columns: "
    "`final_test_balanced_accuracy`, `…_head` and `…_tail` are on test molecules. Group by: "
    "`method` shows means over splits and seeds."
)
FILES = (
    "manifest.json",
    "status.json",
    "history.parquet",
    "class_history.parquet",
    "metrics.parquet",
)


@dataclass(frozen=True)
class Imported:
    """Outcome of `track_blocks`: runs added, runs renewed since their files changed, runs kept."""

    added: int
    renewed: int
    kept: int


def default_uri(results: Path) -> str:
    """Address of the SQLite store under ``results/mlflow``."""
    return f"{SQLITE}{(results / 'mlflow' / 'mlflow.db').resolve()}"


def track_blocks(
    folders: Sequence[Path],
    *,
    uri: str,
    experiment: str,
    benchmark: str,
    artifacts: Path | None,
    metrics: Path | None = None,
) -> Imported:
    """Import finished blocks; a second import of the same files changes nothing.

    There is one parent run per benchmark and one child per run (block and seed) with parameters,
    per-epoch curves at the times they were measured, every metric, tags (method, whether its
    settings are default or tuned, data set, split, its hash, git commit, code digest, device,
    status) and the block's small files as artifacts. The parent has the mean balanced accuracy of
    each method over the splits of a kind, for all classes and for head, middle and tail.

    Parameters
    ----------
    folders
        Folders of blocks; those without status.json are left out.
    uri
        Tracking server or database.
    experiment
        Name of the experiment.
    benchmark
        Name of the parent run.
    artifacts
        Folder for artifacts of a new experiment, of a store that is ours and can be made again;
        None leaves it to the server.
    metrics
        ``results/metrics/{benchmark}``, if the parent is to get the models of its answers, too
        (`drugtail.tracking.answers`).

    Raises
    ------
    DrugtailError
        If the server does not answer or refuses, or the experiment was deleted.
    """
    logging.getLogger("alembic").setLevel(logging.WARNING)
    # Two lines for each of hundreds of runs.
    os.environ.setdefault(MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.name, "true")
    try:
        with _ready(uri, artifacts):
            client = MlflowClient(uri)
            parent, imported = _import_blocks(
                client, folders, experiment=experiment, benchmark=benchmark, artifacts=artifacts
            )
            if metrics is not None:
                log_answers(client, uri, parent, metrics)
    except mlflow.exceptions.MlflowException as error:
        raise DrugtailError(
            f"{uri}: MLflow does not answer, or refuses ({error.message}); what was imported "
            "stays, and a second start goes on"
        ) from None
    except SQLAlchemyError as error:
        reason = str(error).partition("\n")[0]
        raise DrugtailError(
            f"{uri}: is no database that MLflow can use ({reason}); move it away and start again: "
            "all finished runs are imported into a new one"
        ) from None
    say(
        f"MLflow experiment {experiment!r}: {imported.added} runs added, {imported.renewed} "
        f"renewed, {imported.kept} kept"
    )
    return imported


@contextmanager
def _ready(uri: str, artifacts: Path | None) -> Iterator[None]:
    """Make sure that there is a store or a server, and of a store that nobody else writes it."""
    if uri.startswith(("http://", "https://")):
        _check_answers(uri)
    if not uri.startswith(SQLITE):
        yield
        return
    path = Path(uri.removeprefix(SQLITE))
    with sole_writer(path):
        # A store that the user names may hold runs that cannot be imported again.
        if artifacts is not None:
            set_aside_if_damaged(path, artifacts)
        create_store(path)
        yield


def _check_answers(uri: str) -> None:
    """Refuse a server that does not answer; MLflow itself would try for minutes in silence."""
    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=ANSWER_SECONDS)
    except requests.RequestException as error:
        raise DrugtailError(
            f"{uri}: does not answer within {ANSWER_SECONDS} s ({type(error).__name__}); start the "
            "server, or correct MLFLOW_TRACKING_URI or tracking.uri. What was trained stays"
        ) from None


def _import_blocks(
    client: MlflowClient,
    folders: Sequence[Path],
    *,
    experiment: str,
    benchmark: str,
    artifacts: Path | None,
) -> tuple[str, Imported]:
    """Return the parent run and what was imported."""
    experiment_id = _experiment(client, experiment, artifacts)
    known = _known(client, experiment_id)
    parent = _parent(client, experiment_id, benchmark, known)
    parents = {parent, *(run.info.run_id for run in known.values())}
    added = renewed = kept = 0
    for folder in folders:
        if not (folder / "status.json").is_file():
            continue
        block = parse_block(folder)
        content = text_digest("".join(file_digest(folder / name) for name in FILES))
        for seed, state in read_json(folder / "status.json")["seeds"].items():
            key = "/".join([*block.run_key, block.digest, f"seed{seed}"])
            old = known.get(key)
            if old is not None and old.data.tags.get(CONTENT) == content:
                if old.data.tags.get(PARENT) not in parents:
                    # Its parent was deleted on the server.
                    client.set_tag(old.info.run_id, PARENT, parent)
                kept += 1
                continue
            if old is not None:
                client.delete_run(old.info.run_id)
            _import_run(client, experiment_id, parent, block, int(seed), state, key, content)
            added, renewed = added + (old is None), renewed + (old is not None)
    _log_means(client, parent, folders)
    return parent, Imported(added, renewed, kept)


def _log_means(client: MlflowClient, parent: str, folders: Sequence[Path]) -> None:
    """Log at the parent run what its children have on average, as `MEANS` of each method.

    A mean over the splits of a kind is called ``{dataset}/{kind}/{encoder}/{method}/{metric}``.
    """
    found = []
    for folder in folders:
        if (folder / "metrics.parquet").is_file():
            block = parse_block(folder)
            # MLflow takes no + in a name.
            method = block.run_key[-1].replace("+", " ")
            found.append(read_parquet(folder / "metrics.parquet").assign(method=method))
    if not found:
        return
    known = client.get_run(parent).data.metrics
    means = by_split(pd.concat(found, ignore_index=True), MEANS)
    keys = ["dataset", "kind", "encoder", "method"]
    averaged = means.groupby(keys, sort=False)[MEANS].mean()
    now = int(datetime.now(UTC).timestamp() * 1000)
    changed = []
    for key, row in zip(averaged.index, averaged.to_dict("records"), strict=True):
        for metric, value in row.items():
            name = "/".join([*key, str(metric)])
            if pd.notna(value) and known.get(name) != float(value):
                changed.append(Metric(name, float(value), now, 0))
    for first in range(0, len(changed), MOST_METRICS):
        client.log_batch(parent, metrics=changed[first : first + MOST_METRICS])


def _experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage == LifecycleStage.DELETED:
        raise DrugtailError(
            f"MLflow experiment {name!r} was deleted; restore it with `mlflow experiments restore "
            f"--experiment-id {found.experiment_id}`, or give another name (tracking.experiment)"
        )
    if found is not None:
        return str(found.experiment_id)
    location = artifacts.resolve().as_uri() if artifacts is not None else None
    tags = {"mlflow.note.content": NOTE}
    return str(client.create_experiment(name, artifact_location=location, tags=tags))


def _runs(client: MlflowClient, experiment_id: str) -> Iterator[Run]:
    """All living runs of ours, page by page."""
    token = None
    while True:
        page = client.search_runs([experiment_id], f"tags.`{KEY}` != ''", page_token=token)
        # A run that was cut off while it was imported has no content tag; it is imported anew.
        yield from page
        token = page.token
        if not token:
            return


def _known(client: MlflowClient, experiment_id: str) -> dict[str, Run]:
    """Living runs of ours by key; of several of one key, those of two imports at once, one."""
    known: dict[str, Run] = {}
    extra = []
    for run in _runs(client, experiment_id):
        first = known.setdefault(run.data.tags[KEY], run)
        if first is not run:
            extra.append(run)
    for run in extra:
        client.delete_run(run.info.run_id)
    if extra:
        say(f"{counted(len(extra), 'run')} stood there twice; deleted")
    return known


def _parent(client: MlflowClient, experiment_id: str, benchmark: str, known: dict[str, Run]) -> str:
    key = f"benchmark/{benchmark}"
    if key not in known:
        tags = {KEY: key, "mlflow.runName": benchmark}
        run = client.create_run(experiment_id, tags=tags, run_name=benchmark)
        client.set_terminated(run.info.run_id, RunStatus.to_string(RunStatus.FINISHED))
        return str(run.info.run_id)
    return str(known[key].info.run_id)


def _import_run(
    client: MlflowClient,
    experiment_id: str,
    parent: str,
    block: Block,
    seed: int,
    state: dict[str, Any],
    key: str,
    content: str,
) -> None:
    manifest = read_json(block.folder / "manifest.json")
    history = read_parquet(block.folder / "history.parquet")
    history = history[history["seed"] == seed]
    metrics = read_parquet(block.folder / "metrics.parquet")
    metrics = metrics[metrics["seed"] == seed]
    times = (history["finished_at"] * 1000).astype("int64")
    start = int(times.iloc[0] - history["seconds"].iloc[0] * 1000) if len(times) else None
    end = int(times.iloc[-1]) if len(times) else None
    # The method first: lists of runs show some fifteen letters.
    method = method_label(block.method, block.settings)
    name = f"{row_name(method, block.encoder)}, {block.dataset} {block.split}, seed {seed}"
    tags = {
        KEY: key,
        PARENT: parent,
        "dataset": block.dataset,
        "split": block.split,
        "encoder": block.encoder,
        "method": block.method,
        "settings": block.settings,
        "family": manifest["settings"]["recipe"]["family"],
        "seed": str(seed),
        "status": state["status"],
        "device": manifest["device"],
        "split_sha256": manifest["inputs"]["split"]["sha256"],
        "git_commit": manifest["git_commit"] or "unknown",
        "code_digest": manifest["code_digest"],
    }
    run = client.create_run(experiment_id, start_time=start, tags=tags, run_name=name)
    run_id = run.info.run_id
    parameters = [
        Param(name, str(value)[:500]) for name, value in _flat(manifest["settings"]).items()
    ]
    for first in range(0, len(parameters), MOST_PARAMETERS):
        client.log_batch(run_id, params=parameters[first : first + MOST_PARAMETERS])
    points = [*_curves(history, times), *_finals(metrics, end)]
    for first in range(0, len(points), MOST_METRICS):
        client.log_batch(run_id, metrics=points[first : first + MOST_METRICS])
    for file in FILES:
        client.log_artifact(run_id, str(block.folder / file))
    # Last: only a run that is wholly imported counts as known.
    client.log_batch(run_id, tags=[RunTag(CONTENT, content)])
    ended = RunStatus.FINISHED if state["status"] == "finished" else RunStatus.FAILED
    client.set_terminated(run_id, RunStatus.to_string(ended), end_time=end)


def _curves(history: pd.DataFrame, times: pd.Series) -> Iterator[Metric]:
    for curve in CURVES:
        for value, time, epoch in zip(history[curve], times, history["epoch"], strict=True):
            if pd.notna(value):
                yield Metric(curve, float(value), int(time), int(epoch))


def _finals(metrics: pd.DataFrame, time: int | None) -> Iterator[Metric]:
    for _, row in metrics.iterrows():
        for column, value in row.items():
            if str(column).startswith(("valid_", "test_")) and pd.notna(value):
                # A curve may have the same name; MLflow keeps the last value of each.
                yield Metric(f"final_{column}", float(value), time or 0, 0)


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as dotted names; lists and nothing as JSON."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value if isinstance(value, str) else json.dumps(value)
    return flat
