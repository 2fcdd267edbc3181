"""Keeping what a block has learned, so that it can be asked about new molecules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from drugtail.methods.classical import CLASSIFIERS
from drugtail.methods.ghost import ghost_threshold
from drugtail.models.encoder import ENCODERS
from drugtail.models.saved import load_model, save_archive
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import file_of
from drugtail.runtime.files import read_json
from drugtail.runtime.logging import say
from drugtail.runtime.registry import Registry
from drugtail.training.problem import TRAIN, VALID, Problem
from drugtail.training.record import SeedResult

if TYPE_CHECKING:
    from drugtail.config.encoder import Encoder
    from drugtail.config.prior import Shares
    from drugtail.config.recipe import Recipe


def keep_model(
    path: Path,
    recipe: Recipe,
    encoder: Encoder,
    problem: Problem,
    results: Mapping[int, SeedResult],
    shares: Mapping[str, Shares],
    features: Path,
) -> None:
    """Write ``model.pt``: all that `drugtail predict` needs, in numbers, text and tensors.

    Parameters
    ----------
    path
        The file.
    recipe, encoder, problem
        What was trained on what.
    results
        Seed -> what training it gave; a diverged seed keeps nothing.
    shares
        Seed -> class shares that its probabilities have learned.
    features
        Folder of the features, which says whether a plugin made them.
    """
    reasons = {result.unkept for result in results.values() if result.unkept}
    for reason in sorted(reasons):
        say(
            f"{recipe.name}: no model is kept for `predict`: {reason}; give its estimator the "
            "methods arrays() and load_arrays()"
        )
    model = _described(encoder, problem, recipe, results, shares) | {
        "plugins": _needed_plugins(recipe, encoder, features),
        # Number of features that come from a file, and their names.
        "vectors": {
            name: {"width": one["width"], "columns": one["columns"]}
            for name, one in read_json(features / "features.json")["vectors"].items()
        },
        "unkept": "; ".join(sorted(reasons)),
    }
    if recipe.is_network:
        model["last_layer"] = recipe.last_layer.model_dump()
        model["experts"] = recipe.experts and recipe.experts.model_dump()
    else:
        assert recipe.classifier is not None
        model["classifier"] = recipe.classifier.model_dump()
    save_archive(path, model)


def keep_ensemble(
    path: Path,
    recipe: Recipe,
    encoder: Encoder,
    problem: Problem,
    results: Mapping[int, SeedResult],
    shares: Mapping[str, Shares],
    members: Sequence[Path],
) -> None:
    """Write ``model.pt`` of an ensemble, with its members' in it.

    Parameters
    ----------
    path, recipe, encoder, problem, results, shares
        As for `keep_model`.
    members
        Folders of the blocks, whose ``model.pt`` are read.
    """
    assert recipe.ensemble is not None
    kept = [load_model(folder / "model.pt") for folder in members]
    reasons = "; ".join(sorted({one["unkept"] for one in kept} - {""}))
    for one in kept:
        # The ensemble has the same.
        del one["train"]
    model = _described(encoder, problem, recipe, results, shares) | {
        "plugins": {name: sha for one in kept for name, sha in one["plugins"].items()},
        "unkept": reasons,
        "ensemble": recipe.ensemble.model_dump(),
        "members": kept,
    }
    save_archive(path, model)


def _described(
    encoder: Encoder,
    problem: Problem,
    recipe: Recipe,
    results: Mapping[int, SeedResult],
    shares: Mapping[str, Shares],
) -> dict[str, Any]:
    """Return the entries that every model has: its names, training molecules and seeds' states."""
    train = problem.subsets[TRAIN]
    return {
        "encoder": encoder.model_dump(),
        "class_names": problem.class_names,
        "method": recipe.name,
        "dataset": problem.dataset,
        "split": problem.split,
        "molecules": problem.molecules,
        "reads": problem.reads,
        "second": problem.second,
        # For what is most similar among them.
        "train": {
            "smiles": [str(text) for text in problem.smiles[train]],
            "label": torch.from_numpy(problem.labels[train]),
        },
        "shares": dict(shares),
        "threshold": _threshold(problem, results),
        "weights": {
            str(seed): one.weights for seed, one in results.items() if one.weights is not None
        },
    }


def _threshold(problem: Problem, results: Mapping[int, SeedResult]) -> float | None:
    """Probability of the smaller of two classes from which on a molecule is said to be of it."""
    said = [one.logits[VALID] for one in results.values() if VALID in one.logits]
    rare = problem.labels[problem.subsets[VALID]] == problem.train_counts.argmin()
    if problem.classes != 2 or not said:
        return None
    # Here, as it takes a tenth of a second to import.
    from scipy.special import softmax

    mean = np.mean([softmax(logits.astype(float), axis=1) for logits in said], axis=0)
    return ghost_threshold(mean[:, problem.train_counts.argmin()], rare)


def _needed_plugins(recipe: Recipe, encoder: Encoder, features: Path) -> dict[str, str]:
    """Path -> SHA-256 of the files without which the model cannot predict.

    Those are of an encoder, an estimator and a featurizer that are not the package's.
    """
    registry: Registry[Any] = CLASSIFIERS if recipe.classifier else ENCODERS
    name = recipe.classifier.name if recipe.classifier else encoder.kind
    found = {}
    if not registry.is_packaged(name):
        path = file_of(registry[name])
        found[path] = file_digest(Path(path))
    plugin = read_json(features / "features.json")["plugin"]
    return found if plugin is None else found | {plugin["path"]: plugin["sha256"]}
