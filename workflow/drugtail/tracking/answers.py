"""The best method of a benchmark as a model of MLflow, for ``mlflow models serve``."""

from __future__ import annotations

import shlex
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
from mlflow.environment_variables import MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ColSpec, Schema

from drugtail import __version__
from drugtail.features.file_vectors import is_file_vectors
from drugtail.predict.choice import Chosen, find_models
from drugtail.runtime.digest import file_digest, text_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_json
from drugtail.runtime.invocation import program
from drugtail.runtime.logging import say
from drugtail.runtime.parquet import read_parquet

SERVED = Path(__file__).with_name("served.py")
# Beside the parent run: data set -> what its model was made of.
TAG = "drugtail.answer"


def log_answers(client: MlflowClient, uri: str, parent: str, metrics: Path) -> int:
    """Log, for every data set of a benchmark, the model that `drugtail predict` would ask.

    Parameters
    ----------
    client
        Client of the store.
    uri
        Its address.
    parent
        Run that gets the models, called ``answer_{dataset}``. One that is there and made of the
        same files is kept; one that is not is deleted.
    metrics
        ``results/metrics/{benchmark}``.

    Returns
    -------
    int
        How many were logged. Why one could not be is said.
    """
    tags = client.get_run(parent).data.tags
    logged = 0
    for dataset in read_parquet(metrics / "runs.parquet")["dataset"].unique():
        try:
            chosen = find_models(metrics, str(dataset))
            _check_inputs(chosen)
        except DrugtailError as error:
            say(f"MLflow gets no model of {dataset}: {error}")
            continue
        content = text_digest("".join([*map(file_digest, chosen.models), str(chosen.tau)]))
        tag = f"{TAG}.{dataset}"
        former, _, model = tags.get(tag, "").partition(" ")
        if former == content:
            continue
        with tempfile.TemporaryDirectory() as folder, _writing_to(uri):
            # MLflow takes no dot in a model's name.
            name = f"answer_{dataset}".replace(".", "_")
            found = _log(Path(folder), chosen, parent, name)
        say(
            f"MLflow keeps the chosen model of {dataset} as {name}; to serve it: "
            f"MLFLOW_TRACKING_URI={shlex.quote(uri)} "
            f"{program('mlflow')} models serve --env-manager local --model-uri models:/{found}"
        )
        client.set_tag(parent, tag, f"{content} {found}")
        if model:
            client.delete_logged_model(model)
        logged += 1
    return logged


def _check_inputs(chosen: Chosen) -> None:
    """Refuse a model that reads what cannot be sent to it."""
    settings = read_json(chosen.models[0].with_name("manifest.json"))["settings"]
    name = str(settings.get("encoder", {}).get("featurizer"))
    if is_file_vectors(name):
        raise DrugtailError(f"it reads {name}, vectors of a file, beside the molecules")


def _log(folder: Path, chosen: Chosen, parent: str, name: str) -> str:
    """Put the files of a model together and log them; return MLflow's name of the model."""
    names = []
    for number, model in enumerate(chosen.models):
        target = folder / str(number)
        target.mkdir()
        shutil.copy(model, target)
        if (plugins := model.with_name("plugins")).is_dir():
            shutil.copytree(plugins, target / "plugins")
        names.append(f"{number}/{model.name}")
    write_json(folder / "answer.json", {"models": names, "tau": chosen.tau})
    columns: list[Any] = [ColSpec("string", "smiles"), ColSpec("string", "second", required=False)]
    with mlflow.start_run(run_id=parent):
        info = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(SERVED),
            artifacts={"answer": str(folder)},
            signature=ModelSignature(inputs=Schema(columns)),
            pip_requirements=[f"drugtail=={__version__}"],
            metadata={"chosen": chosen.remark},
        )
    return str(info.model_id)


@contextmanager
def _writing_to(uri: str) -> Iterator[None]:
    """Let MLflow's functions that have no client write to a store, without bars of progress."""
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(uri)
    MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.set("false")
    try:
        with warnings.catch_warnings():
            # That there is no example of an input.
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR.unset()
        mlflow.set_tracking_uri(before)
