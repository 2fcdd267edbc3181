"""Training a block: one data set, split, encoder and method, and a run of seeds."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from drugtail.config.code import code_of
from drugtail.config.encoder import FORMS, EncoderSettings, Form, misfit
from drugtail.config.search_space import check_tuned
from drugtail.features.arrays import Arrays, load_arrays
from drugtail.features.batch import Store
from drugtail.features.stores import STORES, as_table
from drugtail.methods.classical import CLASSIFIERS, fit, log_probabilities
from drugtail.methods.kept import CannotBeKept, kept
from drugtail.runtime.devices import device_name, exclusive_device, resolve_device
from drugtail.runtime.digest import code_digest, file_digest, text_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path, read_json, write_json
from drugtail.runtime.logging import say
from drugtail.runtime.manifest import Manifest
from drugtail.runtime.names import DEFAULT, TUNED
from drugtail.runtime.seeds import derive_seed
from drugtail.training.block_files import block_header, status_of, write_tables
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.kept import keep_model
from drugtail.training.problem import (
    TEST,
    TRAIN,
    VALID,
    Problem,
    read_problem,
)
from drugtail.training.record import SeedResult, learned_shares
from drugtail.training.trainer import train_seeds

if TYPE_CHECKING:
    from drugtail.config.encoder import Encoder
    from drugtail.config.recipe import Recipe
    from drugtail.config.training import Training


@dataclass(frozen=True)
class Block:
    """A block: one data set, split, encoder and method, and a run of seeds.

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
    if not block.recipe.is_network:
        place = torch.device("cpu")
        results = _fit_classical(block, problem, form, arrays)
    else:
        name = f"seeds{block.seeds[0]}-{block.seeds[-1]}.pt"
        key = _digest(settings, block)
        checkpoint = Checkpoint(checkpoints and checkpoints / name, key, checkpoint_seconds)
        with exclusive_device(resolve_device(block.device)) as place:
            store = STORES[form](arrays, place)
            results = _train_networks(block, problem, store, checkpoint, static_shapes)

    by_seed = dict(zip(block.seeds, results, strict=True))
    # What is there of an earlier training is no whole block from here on.
    (output / "status.json").unlink(missing_ok=True)
    recipe, encoder = block.recipe, block.encoder
    kind = DEFAULT if block.tuned is None else TUNED
    header = block_header(problem, recipe, encoder, kind, block.seeds)
    write_tables(output, problem, header, by_seed, embeddings=recipe.is_network)
    shares = learned_shares(recipe, problem.train_counts.tolist(), by_seed)
    model = output / "model.pt"
    model.unlink(missing_ok=True)
    if block.keep_model:
        keep_model(model, recipe, encoder, problem, by_seed, shares, block.features)
    for path in block.plugins:
        # So that the model can be used when the file has changed.
        with atomic_path(output / "plugins" / path.name) as temporary:
            shutil.copy(path, temporary)
    peak = torch.cuda.max_memory_allocated(place) if place.type == "cuda" else None
    write_json(
        output / "manifest.json",
        manifest.finish(
            settings=settings,
            inputs=block.inputs if block.tuned is None else {**block.inputs, "tuned": block.tuned},
            digests={"split": problem.split_sha256},
            outputs={model.name: file_digest(model)} if block.keep_model else {},
            shares=shares,
            earlier=None if checkpoint is None else checkpoint.earlier,
            device=device_name(place),
            device_peak_memory_bytes=peak,
        ),
    )
    # Last, so that a block with status.json is a whole block.
    write_json(output / "status.json", status_of(by_seed))
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
    if recipe.is_network and not encoder.network:
        raise DrugtailError(
            f"method {recipe.name!r} trains a network, but encoder {encoder.name!r} is none; use "
            "one such as gcn or morgan_mlp"
        )
    if not recipe.is_network and encoder.network:
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
