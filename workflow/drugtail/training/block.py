"""Training a block: one data set, split, encoder and method, and a run of seeds."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch

from drugtail.config.code import code_of
from drugtail.config.encoder import FORMS, EncoderSettings, Form, misfit
from drugtail.config.search_space import check_tuned
from drugtail.features.arrays import Arrays, load_arrays
from drugtail.features.batch import Store
from drugtail.features.stores import STORES, as_table
from drugtail.methods.classical import CLASSIFIERS, fit, log_probabilities
from drugtail.methods.kept import CannotBeKept, kept
from drugtail.runtime.devices import device_name, resolve_device
from drugtail.runtime.digest import code_digest, file_digest, text_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path, read_json, write_json, write_parquet
from drugtail.runtime.logging import say
from drugtail.runtime.manifest import Manifest
from drugtail.runtime.names import DEFAULT, TUNED
from drugtail.runtime.seeds import derive_seed
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.kept import keep_model
from drugtail.training.problem import (
    TEST,
    TRAIN,
    VALID,
    Problem,
    prediction_frame,
    read_problem,
)
from drugtail.training.record import SeedResult
from drugtail.training.trainer import train_seeds

if TYPE_CHECKING:
    from drugtail.config.encoder import Encoder
    from drugtail.config.recipe import Recipe
    from drugtail.config.training import Training

HISTORY = {
    "seed": "int64", "epoch": "int64", "loss": "float64", "classification_loss": "float64",
    "contrastive_loss": "float64", "learning_rate": "float64", "valid_loss": "float64",
    "valid_balanced_accuracy": "float64", "valid_accuracy": "float64",
    "molecules_per_second": "float64", "seconds": "float64", "finished_at": "float64",
}  # fmt: skip
CLASS_HISTORY = {
    "seed": "int64", "moment": "str", "epoch": "int64", "label": "int64", "n": "int64",
    "weight": "float64", "nearest_class": "Int64", "class_distance": "float64",
    "subclusters": "Int64", "subcluster_distance": "float64", "separability": "float64",
    "valid_separability": "float64", "valid_recall": "float64",
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """What a block is: one data set, split, encoder and method, and a run of seeds.

    Attributes
    ----------
    molecules, split, features
        ``molecules.parquet``, the split's Parquet file, and the folder of features.
    recipe, encoder, training
        The method, the encoder and the training settings.
    seeds
        Training seeds.
    plugins
        Plugins that `recipe` and `encoder` were read with, if any (`drugtail.plugins`).
    tuned
        ``best.json`` that recipe and training settings were changed by, if they were tuned.
    device
        ``auto``, ``cpu`` or ``cuda``.
    threads
        CPU threads. Sums are taken in another order with another number, so results are equal
        only to rounding.
    keep_model
        Whether ``model.pt`` is written; nothing else depends on it.
    """

    molecules: Path
    split: Path
    features: Path
    recipe: Recipe
    encoder: Encoder
    training: Training
    seeds: Sequence[int]
    plugins: Sequence[Path] = ()
    tuned: Path | None = None
    device: str = "auto"
    threads: int = 1
    keep_model: bool = True

    @property
    def inputs(self) -> dict[str, Path]:
        """Name and path of every file that results depend on."""
        files = {
            "molecules": self.molecules,
            "split": self.split,
            "features": self.features / "features.json",
        }
        return files | {f"plugin {path}": path for path in self.plugins}

    def settings(self, problem: Problem) -> dict[str, Any]:
        """Return everything of the configuration that results depend on, for JSON."""
        return {
            "dataset": problem.dataset,
            "split": problem.split,
            # What tuning may choose from changes no result.
            "recipe": self.recipe.model_dump(exclude={"tuning"}),
            "encoder": self.encoder.model_dump(),
            "training": self.training.model_dump(),
            "seeds": list(self.seeds),
            "threads": self.threads,
        }

    def header(self, problem: Problem) -> dict[str, Any]:
        """Return what the header of each of the block's Parquet files says."""
        return {
            "dataset": problem.dataset,
            "split": problem.split,
            "encoder": self.encoder.name,
            "method": self.recipe.name,
            "settings": DEFAULT if self.tuned is None else TUNED,
            "class_names": problem.class_names,
            "train_counts": problem.train_counts.tolist(),
            "class_weights": self.recipe.class_weights.name,
            "seeds": list(self.seeds),
        }


def train_block(
    block: Block,
    output: Path,
    *,
    checkpoints: Path | None = None,
    checkpoint_seconds: float = 60.0,
    static_shapes: bool | None = None,
) -> None:
    """Train every seed of a block and write its files into `output`.

    Writes predictions.parquet, history.parquet, class_history.parquet, status.json, manifest.json,
    model.pt (unless the block keeps none) and, for networks, embeddings.parquet. A seed whose loss
    is no longer a number is recorded as ``diverged`` and the others go on.

    Parameters
    ----------
    block
        What is trained.
    output
        Folder.
    checkpoints
        Folder of this block for the state of unfinished seeds; removed when it is finished.
    checkpoint_seconds
        Time between two checkpoints; 0 writes one after every epoch.
    static_shapes
        See `train_seeds`; by default on a GPU only.
    """
    manifest = Manifest(code_of(block.encoder, block.recipe))
    torch.set_num_threads(block.threads)
    problem = read_problem(block.molecules, block.split)
    if block.tuned is not None:
        names = {
            "dataset": problem.dataset, "split": problem.split, "encoder": block.encoder.name,
        }  # fmt: skip
        check_tuned(block.tuned, names)
    form, arrays = _read_features(block)
    settings = block.settings(problem)
    checkpoint = None
    if block.recipe.classifier is not None:
        place = torch.device("cpu")
        results = _fit_classical(block, problem, form, arrays)
    else:
        place = resolve_device(block.device)
        name = f"seeds{block.seeds[0]}-{block.seeds[-1]}.pt"
        key = _digest(settings, block)
        checkpoint = Checkpoint(checkpoints and checkpoints / name, key, checkpoint_seconds)
        store = STORES[form](arrays, place)
        results = _train_networks(block, problem, store, checkpoint, static_shapes)

    by_seed = dict(zip(block.seeds, results, strict=True))
    # What is there of an earlier training is no whole block from here on.
    (output / "status.json").unlink(missing_ok=True)
    _write_results(output, block, problem, by_seed)
    model = output / "model.pt"
    model.unlink(missing_ok=True)
    if block.keep_model:
        keep_model(model, block.recipe, block.encoder, problem, by_seed, block.features)
    for path in block.plugins:
        # So that the model can be used when the file has changed.
        with atomic_path(output / "plugins" / path.name) as temporary:
            shutil.copy(path, temporary)
    peak = torch.cuda.max_memory_allocated() if place.type == "cuda" else None
    write_json(
        output / "manifest.json",
        manifest.finish(
            settings=settings,
            inputs=block.inputs if block.tuned is None else {**block.inputs, "tuned": block.tuned},
            digests={"split": problem.split_sha256},
            outputs={model.name: file_digest(model)} if block.keep_model else {},
            earlier=None if checkpoint is None else checkpoint.earlier,
            device=device_name(place),
            device_peak_memory_bytes=peak,
        ),
    )
    # Last, so that a block with status.json is a whole block.
    write_json(output / "status.json", _status(by_seed))
    if checkpoint is not None:
        checkpoint.discard()


def _digest(settings: dict[str, Any], block: Block) -> str:
    """Return a digest of everything that a checkpoint's continuation depends on."""
    return text_digest(
        json.dumps(settings, sort_keys=True)
        + code_digest(*code_of(block.encoder, block.recipe))
        + "".join(file_digest(path) for path in block.inputs.values())
    )


def _train_networks(
    block: Block,
    problem: Problem,
    store: Store,
    checkpoint: Checkpoint,
    static_shapes: bool | None,
) -> list[SeedResult]:
    assert isinstance(block.encoder, EncoderSettings)
    return train_seeds(
        problem, store, block.recipe, block.encoder, block.training, block.seeds, checkpoint,
        static_shapes=store.device.type == "cuda" if static_shapes is None else static_shapes,
    )  # fmt: skip


def _read_features(block: Block) -> tuple[Form, Arrays]:
    """Map the arrays that the encoder reads, after checking that everything fits together."""
    features, recipe, encoder = block.features, block.recipe, block.encoder
    if recipe.classifier is None and not encoder.network:
        raise DrugtailError(
            f"method {recipe.name!r} trains a network, but encoder {encoder.name!r} is none; use "
            "one such as gcn or morgan_mlp"
        )
    if recipe.classifier is not None and encoder.network:
        raise DrugtailError(
            f"method {recipe.name!r} reads features as they are, but encoder {encoder.name!r} is a "
            "network; use the encoder morgan"
        )
    description = read_json(features / "features.json")
    form = description.get("form") if isinstance(description, dict) else None
    if form not in FORMS:
        raise DrugtailError(
            f"{features / 'features.json'}: does not say what form its features have; run "
            "`drugtail featurize` again"
        )
    if (made_by := description["featurizer"]) != encoder.featurizer:
        raise DrugtailError(
            f"{features}: has the features {made_by}, but encoder {encoder.name!r} reads "
            f"{encoder.featurizer}; name the folder of those"
        )
    if reason := misfit(encoder, form, recipe):
        raise DrugtailError(f"method {recipe.name!r}: {reason}")
    _check_molecules(features / "features.json", block.molecules)
    return form, load_arrays(features, form)


def _check_molecules(description: Path, molecules: Path) -> None:
    """Refuse features that were made of other molecules."""
    made_of, now = read_json(description).get("molecules_sha256"), file_digest(molecules)
    if made_of != now:
        raise DrugtailError(
            f"{description}: is of other molecules (SHA-256 {str(made_of)[:16]}…) than {molecules} "
            f"({now[:16]}…); run `drugtail featurize` again"
        )


def _fit_classical(block: Block, problem: Problem, form: Form, arrays: Arrays) -> list[SeedResult]:
    recipe, seeds, threads = block.recipe, block.seeds, block.threads
    settings = recipe.classifier
    assert settings is not None
    x = {subset: as_table(form, arrays, rows) for subset, rows in problem.subsets.items()}
    y = problem.labels[problem.subsets[TRAIN]]
    results = []
    for seed in seeds:
        started = time.monotonic()
        stream = derive_seed("weights", problem.dataset, problem.split, seed, settings.name)
        classifier = CLASSIFIERS[settings.name](settings, stream % 2**32, threads)
        fit(classifier, x[TRAIN], y)
        seconds = time.monotonic() - started
        say(
            f"{problem.dataset} {problem.split} {recipe.name} seed {seed}: fitted in "
            f"{seconds:.1f} s, {len(y) / seconds:,.0f} molecules/s"
        )
        logits = {
            subset: log_probabilities(classifier, x[subset], problem.classes)
            for subset in (VALID, TEST)
        }
        row = {
            "epoch": 0,
            "seconds": seconds,
            "molecules_per_second": len(y) / seconds,
            "finished_at": time.time(),
        }
        classes = [
            {"moment": "chosen", "epoch": 0, "label": c, "n": int(n)}
            for c, n in enumerate(problem.train_counts)
        ]
        result = SeedResult("finished", 1, 0, [row], classes, logits=logits)
        if block.keep_model:
            try:
                result.weights = kept(classifier)
            except CannotBeKept as error:
                result.unkept = str(error)
        results.append(result)
    return results


def _write_results(
    output: Path, block: Block, problem: Problem, results: dict[int, SeedResult]
) -> None:
    recipe, header = block.recipe, block.header(problem)
    frames = [
        prediction_frame(problem, subset, seed, logits, result.uncertainty.get(subset))
        for seed, result in results.items()
        for subset, logits in result.logits.items()
    ]
    if not frames:
        empty = np.empty((0, problem.classes), dtype=np.float32)
        frames = [prediction_frame(problem, VALID, 0, empty).head(0)]
    write_parquet(output / "predictions.parquet", pd.concat(frames, ignore_index=True), header)
    histories = _rows((seed, r.history) for seed, r in results.items())
    write_parquet(output / "history.parquet", _typed(histories, HISTORY), header)
    classes = _rows((seed, r.class_history) for seed, r in results.items())
    write_parquet(output / "class_history.parquet", _typed(classes, CLASS_HISTORY), header)
    if recipe.classifier is None:
        # One seed is enough for a picture: the first that finished.
        finished = [item for item in results.items() if item[1].status == "finished"]
        seed, result = (finished or list(results.items()))[0]
        frame = _embedding_frame(problem, result.embeddings)
        write_parquet(output / "embeddings.parquet", frame, {**header, "seeds": [seed]})


def _status(results: dict[int, SeedResult]) -> dict[str, Any]:
    runs = {
        str(seed): {
            "status": result.status,
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "updates": result.updates,
            "molecules": result.molecules,
            "seconds": round(sum(row["seconds"] for row in result.history), 3),
        }
        for seed, result in results.items()
    }
    whole = all(run["status"] == "finished" for run in runs.values())
    return {"status": "finished" if whole else "failed", "seeds": runs}


def _embedding_frame(problem: Problem, kept: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of embeddings.parquet: moment, epoch, id, label, subcluster, embedding (a list)."""
    train = problem.subsets[TRAIN]
    frames = []
    for one in kept:
        rows = train[one["position"].numpy()]
        frames.append(
            pd.DataFrame(
                {
                    "moment": one["moment"],
                    "epoch": one["epoch"],
                    "id": np.asarray(problem.ids)[rows],
                    "label": problem.labels[rows],
                    "subcluster": one["subcluster"].numpy(),
                    "embedding": list(one["embedding"].numpy()),
                }
            )
        )
    columns = ["moment", "epoch", "id", "label", "subcluster", "embedding"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _rows(groups: Iterable[tuple[int, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    return [{"seed": seed, **row} for seed, rows in groups for row in rows]


def _typed(rows: list[dict[str, Any]], types: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows).reindex(columns=list(types)).astype(types)
