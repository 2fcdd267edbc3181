"""Small trainings on the inputs that `make_files` makes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from reference import ATOMS
from torch import Tensor

import drugtail
from drugtail.config.base import merged
from drugtail.config.catalogue import Catalogue
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.recipe import Recipe
from drugtail.config.training import Training
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.models.companion import Companion
from drugtail.models.network import Network
from drugtail.runtime.parquet import read_parquet
from drugtail.training.block import Block, train_block
from drugtail.training.objective import Objective
from drugtail.training.problem import Problem, read_problem

MakeFiles = Callable[[Sequence[int]], Any]


CATALOGUE = Catalogue(Path(__file__).resolve().parents[1] / "config")


ENCODER = GraphEncoder(name="tiny", kind="gcn", layers=2, width=16, head=[16])


SIZES = (70, 30, 10)


# Warm-up of 2 epochs and a re-clustering every 2 for class_distance.
TRAINING = Training(epochs=6, batch_size=16, schedule_scale=0.2)


CPU = torch.device("cpu")


def recipe(name: str, **changes: Any) -> Recipe:
    return merged(CATALOGUE.recipe(name), changes)


CLOCK = ["molecules_per_second", "seconds", "finished_at"]


def training(**changes: Any) -> Training:
    return merged(TRAINING, changes)


def train(
    inputs: dict[str, Path],
    method: str | Recipe,
    output: Path,
    *,
    encoder: GraphEncoder | FingerprintEncoder = ENCODER,
    settings: Training = TRAINING,
    seeds: Sequence[int] = (0,),
    checkpoints: Path | None = None,
) -> Path:
    block = Block(
        **inputs,
        recipe=recipe(method) if isinstance(method, str) else method,
        encoder=encoder,
        training=settings,
        seeds=seeds,
        device="cpu",
    )
    train_block(block, output, checkpoints=checkpoints, checkpoint_seconds=0)
    return output


def seed_inputs(files: Any, method: str) -> tuple[Problem, GraphStore, Recipe]:
    store = GraphStore(load_arrays(files.atoms), CPU)
    return read_problem(files.molecules, files.split), store, recipe(method)


def status(output: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((output / "status.json").read_text())
    return content


class Step:
    """One call of an objective on a batch of a tiny problem."""

    def __init__(self, files: Any, method: str, scale: float = 0.2) -> None:
        self.problem, self.store, self.recipe = seed_inputs(files, method)
        self.train = torch.from_numpy(self.problem.subsets["train"])
        self.labels = torch.from_numpy(self.problem.labels)[self.train]
        self.network = Network(ENCODER, ATOMS, self.problem.classes, seeds=[0]).train()
        self.companion = Companion(self.recipe, self.network, self.problem.classes, seeds=[0])
        self.objective = Objective(
            self.recipe, self.train, self.labels, self.problem.classes, scale
        )

    def cluster(self) -> None:
        with torch.no_grad():
            batch = self.store.batch(self.train[None])
            (embeddings,) = self.network.encoder(batch)
        self.objective.classes.refresh(0, embeddings, embeddings[:9], self.labels[:9], 0)

    def losses(self, drawn: Tensor, epoch: int) -> Any:
        drawn, keys = drawn[None], torch.tensor([0])
        return self.objective(self.network, self.companion, self.store, drawn, epoch, keys)


def results(output: Path) -> dict[str, pd.DataFrame]:
    """Everything in a block's tables that is not a time."""
    names = ("predictions", "class_history")
    tables = {name: read_parquet(output / f"{name}.parquet") for name in names}
    return tables | {"history": read_parquet(output / "history.parquet").drop(columns=CLOCK)}


def assert_same(first: Path, second: Path) -> None:
    for (name, mine), theirs in zip(results(first).items(), results(second).values(), strict=True):
        pd.testing.assert_frame_equal(mine, theirs, check_exact=True, obj=name)


def of_seed(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    return frame[frame["seed"] == seed].drop(columns="seed").reset_index(drop=True)


SCRIPT = """
import json, sys
from pathlib import Path
from drugtail.config.catalogue import Catalogue
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.training import Training
from drugtail.training.block import Block, train_block

call = json.loads(sys.argv[1])
paths = {name: Path(path) for name, path in call["paths"].items()}
output, checkpoints = paths.pop("output"), paths.pop("checkpoints")
block = Block(
    **paths,
    recipe=Catalogue(Path(call["config"])).recipe(call["method"]),
    encoder=GraphEncoder(**call["encoder"]),
    training=Training(**call["training"]),
    seeds=call["seeds"],
    device="cpu",
)
train_block(block, output, checkpoints=checkpoints, checkpoint_seconds=0)
"""


def in_another_process(
    inputs: dict[str, Path], method: str, output: Path, checkpoints: Path, settings: Training,
    seeds: Sequence[int], script: str = SCRIPT,
) -> subprocess.Popen[str]:  # fmt: skip
    call = {
        "paths": {
            name: str(path)
            for name, path in {**inputs, "output": output, "checkpoints": checkpoints}.items()
        },
        "config": str(CATALOGUE.folder),
        "method": method,
        "encoder": ENCODER.model_dump(),
        "training": settings.model_dump(),
        "seeds": list(seeds),
    }
    library = str(Path(drugtail.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-c", script, json.dumps(call)],
        env={**os.environ, "PYTHONPATH": library, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
