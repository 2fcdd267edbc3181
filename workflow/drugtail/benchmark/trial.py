"""A trial of a user's own code on made-up molecules, in seconds and before any job starts."""

from __future__ import annotations

import contextlib
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from drugtail.benchmark.plan import Plan
from drugtail.plugins import ENCODERS
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json

# Alcohols, amines and acids, of which a data set of two classes has the first two.
CLASSES = {"alcohol": ("O", 60), "amine": ("N", 30), "acid": ("C(=O)O", 12)}
STARTS = ("C", "CC(C)", "CC(C)(C)", "FC", "ClC", "c1ccccc1", "C1CCCCC1")
LENGTHS = range(1, 10)
# Every recipe of the catalogue has all its stages in three epochs where warm-ups are of one.
SHORT = {"epochs": 3, "batch_size": 32, "schedule_scale": 1e-6}


class Combination(NamedTuple):
    """A method on an encoder, on molecules like those of a data set."""

    dataset: str
    encoder: str
    method: str


class Trial(NamedTuple):
    """The outcome of a trial.

    Attributes
    ----------
    tried : list of Combination
        Those that were trained.
    left_out : list of str
        Method and encoder of those that could not be, with the reason.
    """

    tried: list[Combination]
    left_out: list[str]


def try_own_code(plan: Plan) -> Trial:
    """Train each method, encoder and featurizer of the user's own for three epochs, with one seed.

    A method of one's own is trained on the first of its encoders, an encoder or a featurizer with
    the first of its methods, and metrics of one's own are computed from the predictions. Nothing is
    kept.

    Parameters
    ----------
    plan
        The benchmark; without code of the user's own nothing is trained.

    Returns
    -------
    Trial
        What was trained, and what was left out for what it reads.

    Raises
    ------
    DrugtailError
        If one fails, with all that failed; or if its loss or gradient is no number.
    """
    chosen, left_out = _chosen(plan)
    # Encoders and methods that share a fault name it once.
    faults: dict[str, Combination] = {}
    with TemporaryDirectory(prefix="drugtail-") as folder:
        for one in chosen:
            try:
                _try(plan, one, Path(folder))
            # PyTorch's backward pass raises errors of its own, which name no function of a user's.
            except Exception as error:
                kind = "" if isinstance(error, DrugtailError) else f"{type(error).__name__}: "
                faults.setdefault(f"{kind}{error}", one)
    if faults:
        lines = [f"{one.method} on {one.encoder}: {fault}" for fault, one in faults.items()]
        raise DrugtailError("\n".join(lines))
    return Trial(chosen, left_out)


def _chosen(plan: Plan) -> tuple[list[Combination], list[str]]:
    """Return a combination for each thing of the user's own, and why there is none for others.

    Combinations that made-up molecules can stand for go before others.
    """
    pairs = [
        Combination(dataset, encoder, method)
        for dataset in plan.datasets
        for method, recipe in plan.recipes.items()
        if recipe.ensemble is None and method not in plan.other_names
        for encoder in plan.pairs.encoders_of(dataset, method)
    ]
    pairs.sort(key=lambda one: _unreadable(plan, one) is not None)
    by_method: dict[str, Combination] = {}
    by_encoder: dict[str, Combination] = {}
    for one in pairs:
        if plan.method_plugin(one.method):
            by_method.setdefault(one.method, one)
        if _has_own_code(plan, one.encoder):
            by_encoder.setdefault(one.encoder, one)
    found = list(dict.fromkeys([*by_method.values(), *by_encoder.values()]))
    if not found and plan.own_metrics:
        found = pairs[:1]
    reasons = {one: _unreadable(plan, one) for one in found}
    left_out = [f"{one.method} on {one.encoder}: {why}" for one, why in reasons.items() if why]
    return [one for one in found if not reasons[one]], left_out


def _has_own_code(plan: Plan, encoder: str) -> bool:
    own = plan.additions.path(ENCODERS, plan.encoders[encoder].kind)
    return own is not None or plan.inputs.plugin(encoder) is not None


def _unreadable(plan: Plan, one: Combination) -> str | None:
    """Say why made-up molecules cannot stand for what a combination reads; None if they can."""
    if plan.datasets[one.dataset].columns.second is not None:
        return f"{one.dataset} has a second input"
    if plan.inputs.vectors_of(plan.encoders[one.encoder].featurizer):
        return "it reads vectors from a file"
    return None


def _try(plan: Plan, one: Combination, folder: Path) -> None:
    from drugtail.data.split import split_dataset
    from drugtail.evaluation.evaluate import further_metrics
    from drugtail.features.featurize import featurize
    from drugtail.training.block import Block, train_block

    recipe, training = plan.resolved_settings(one.dataset, one.method)
    encoder, dataset = plan.encoders[one.encoder], plan.datasets[one.dataset]
    # Some losses are of two classes only.
    named = dataset.classes or dataset.expected.class_counts or {}
    known = dataset.expected.classes or len(named) or len(CLASSES)
    classes = min(known, len(CLASSES))
    data = folder / dataset.reads / str(classes)
    molecules, split = data / "molecules.parquet", data / "random-0"
    features, output = data / encoder.featurizer, folder / one.encoder / one.method
    output.mkdir(parents=True, exist_ok=True)
    with _quiet():
        if not molecules.is_file():
            data.mkdir(parents=True)
            _write_molecules(molecules, dataset.reads, classes)
            split_dataset(molecules, "random", 0, split)
        if not features.is_dir():
            featurize(molecules, encoder.featurizer, features)
        block = Block(
            molecules, split.with_suffix(".parquet"), features, recipe, encoder,
            training.model_copy(update=SHORT), seeds=[0], device="cpu",
            keep_model=plan.benchmark.keep_models,
        )  # fmt: skip
        train_block(block, output)
    if read_json(output / "status.json")["status"] != "finished":
        raise DrugtailError(
            "its loss or gradient is no longer a number (NaN or infinite) within three epochs; "
            "look for logarithms, roots and divisions of what may be 0"
        )
    if plan.own_metrics:
        further_metrics(output / "predictions.parquet", plan.own_metrics)


def _write_molecules(path: Path, reads: str, classes: int) -> None:
    """Write made-up molecules, or reactions that make them from chlorides."""
    import pandas as pd

    from drugtail.runtime.parquet import write_parquet

    rows = []
    names = list(CLASSES)[:classes]
    for label, (group, size) in enumerate(CLASSES[name] for name in names):
        for i, chain in enumerate(itertools.islice(_chains(), size)):
            product = chain + group
            smiles = product if reads == "smiles" else f"{chain}Cl>>{product}"
            rows.append((f"{label}-{i}", smiles, product, "", label))
    frame = pd.DataFrame(rows, columns=["id", "smiles", "parent", "scaffold", "label"])
    write_parquet(path, frame, {"dataset": "trial", "class_names": names, "reads": reads})


def _chains() -> Iterator[str]:
    for length, start in itertools.product(LENGTHS, STARTS):
        yield start + "C" * length


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what a training prints from people who asked whether it would work."""
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        yield
