"""Tuning: the settings of a method that are best on validation molecules, for every method alike.

Each trial trains as `drugtail train` does. Trial 1 is the method as it stands, so that tuning never
ends below the default on validation molecules; later trials are suggested by the tree-structured
Parzen estimator (Bergstra et al., NeurIPS 2011) of Optuna (Akiba et al., KDD 2019). A suggestion
depends on its number, the names of what is tuned and the trials before it, and on nothing else:
tuning that was cut off ends as it would have ended, and more trials later are the same as more
trials at once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from drugtail.config.code import code_of
from drugtail.config.search_space import (
    contains,
    count_trials,
    default_point,
    is_whole,
    with_settings,
)
from drugtail.runtime.digest import code_digest, file_digest, text_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, temporary_directory, write_json
from drugtail.runtime.logging import say
from drugtail.runtime.manifest import Manifest
from drugtail.runtime.parquet import read_parquet, write_parquet
from drugtail.runtime.seeds import derive_seed
from drugtail.training.block import Block, train_block
from drugtail.training.problem import VALID, read_problem

if TYPE_CHECKING:
    from drugtail.config.recipe import Space

STAGE = "drugtail.training.tune"
# Trials, the default among them, before suggestions follow from those before: few enough that a
# small number of trials is not random search alone.
FIRST_TRIALS = 4
FINISHED, DIVERGED = "finished", "diverged"


@dataclass(frozen=True)
class Trial:
    """A point that was tried.

    Attributes
    ----------
    number : int
        From 1, the default.
    point : dict
        Key -> value.
    score : float
        Mean over seeds of the balanced accuracy on validation molecules; 0 if a seed diverged.
    state : str
        ``finished``, or ``diverged`` if any seed did.
    seconds : float
        Time it took.
    """

    number: int
    point: dict[str, Any]
    score: float
    state: str
    seconds: float


def tune_block(block: Block, space: Mapping[str, Space], trials: int, output: Path) -> None:
    """Try points of a space and write the best one into `output`.

    Writes trials.parquet (a row per trial), manifest.json and, last, best.json. Every trial that
    ends is noted in journal.json there, from which a start with the same settings, inputs and code
    continues; with others it starts anew. The journal stays: a start with more trials, also one
    into a folder beside this one, needs only those that are new.

    Parameters
    ----------
    block
        What is tuned; the mean over its seeds is a trial's score.
    space
        Key -> values to choose from; see `drugtail.config.search_space`.
    trials
        How many trials there are; fewer if the space has fewer points, one if it is empty.
    output
        Folder.

    Raises
    ------
    DrugtailError
        If Optuna is not installed, or as `train_block` does.
    """
    optuna = _optuna()
    manifest = Manifest(code_of(block.encoder, block.recipe, STAGE))
    problem = read_problem(block.molecules, block.split)
    names = {
        "dataset": problem.dataset, "split": problem.split, "encoder": block.encoder.name,
        "method": block.recipe.name,
    }  # fmt: skip
    settings = {
        **names,
        "recipe": block.recipe.model_dump(exclude={"idea", "reference", "tuning"}),
        "encoder": block.encoder.model_dump(),
        "training": block.training.model_dump(),
        "space": {key: one.model_dump() for key, one in space.items()},
        "seeds": list(block.seeds),
        "threads": block.threads,
    }
    number = count_trials(trials, space, block.recipe, block.training)
    key = _digest(settings, block, optuna)
    done = _run_trials(optuna, block, space, names, number, output, key)
    # What is there of an earlier tuning is no whole one from here on.
    (output / "best.json").unlink(missing_ok=True)
    header = {**names, "seeds": list(block.seeds)}
    write_parquet(output / "trials.parquet", _table(done, space), header)
    digests = {"split": problem.split_sha256}
    finished = manifest.finish(settings=settings, inputs=block.inputs, digests=digests)
    write_json(output / "manifest.json", finished)
    write_json(output / "best.json", {**names, **_best(done), "seeds": list(block.seeds)})


def _digest(settings: dict[str, Any], block: Block, optuna: ModuleType) -> str:
    """Return a digest of everything that a tuning's continuation depends on."""
    return text_digest(
        json.dumps(settings, sort_keys=True)
        + code_digest(*code_of(block.encoder, block.recipe, STAGE))
        # Another version may suggest other points.
        + optuna.__version__
        + "".join(file_digest(path) for path in block.inputs.values())
    )


def _run_trials(
    optuna: ModuleType,
    block: Block,
    space: Mapping[str, Space],
    names: Mapping[str, str],
    number: int,
    output: Path,
    key: str,
) -> list[Trial]:
    """Run the trials that the journal in `output` does not hold yet; return all of them."""
    journal = output / "journal.json"
    default = default_point(space, block.recipe, block.training)
    done = _read_journal(journal, key)[:number]
    title = f"tuning {' '.join(names.values())}"
    if done:
        say(f"{title}: continues after {len(done)} of {number} trials")
    while len(done) < number:
        point = suggest(optuna, space, default, done, tuple(names.values()))
        done.append(_run_trial(block, point, len(done) + 1, output))
        write_json(journal, {"key": key, "trials": [asdict(trial) for trial in done]})
        say(f"{title}: {_line(done, number)}")
    return done


def _run_trial(block: Block, point: dict[str, Any], number: int, output: Path) -> Trial:
    """Train a block at a point and score it on validation molecules."""
    recipe, training = with_settings(block.recipe, block.training, point)
    started = time.monotonic()
    with temporary_directory(output / "trial") as folder:
        train_block(
            replace(block, recipe=recipe, training=training), folder,
            checkpoints=output / "checkpoints",
        )  # fmt: skip
        score = validation_score(folder)
    state = DIVERGED if score is None else FINISHED
    return Trial(number, point, score or 0.0, state, round(time.monotonic() - started, 3))


def _best(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return what best.json says of the trials."""
    best = best_trial(trials)
    return {
        "changes": best.point,
        "score": best.score,
        "default_score": trials[0].score,
        "trial": best.number,
        "trials": len(trials),
    }


def suggest(
    optuna: ModuleType,
    space: Mapping[str, Space],
    default: Mapping[str, Any],
    done: Sequence[Trial],
    names: Sequence[str],
) -> dict[str, Any]:
    """The point of the next trial: the default first, then one that was not tried yet.

    Parameters
    ----------
    optuna
        The package.
    space, default
        What may be chosen, and where the method stands without tuning. A default outside of the
        space is tried, but the sampler, which could not have suggested it, is not told.
    done
        The trials so far; there must be a point that is not among them.
    names
        What the seed is derived from, beside the number of the trial.
    """
    if not done:
        return dict(default)
    distributions = {key: _distribution(optuna, one, default[key]) for key, one in space.items()}
    for attempt in count():
        seed = derive_seed("tuning", *names, len(done), attempt) % 2**32
        # A point that was tried says nothing new; where the estimator insists, chance decides.
        sampler = (
            optuna.samplers.RandomSampler(seed=seed)
            if attempt
            else optuna.samplers.TPESampler(seed=seed, n_startup_trials=FIRST_TRIALS)
        )
        # A study of its own for each trial: a sampler's generator has a state that no file holds.
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in done:
            if all(contains(one, trial.point[key]) for key, one in space.items()):
                study.add_trial(
                    optuna.trial.create_trial(
                        params={k: _encoded(space[k], v) for k, v in trial.point.items()},
                        distributions=distributions,
                        value=trial.score,
                    )
                )
        drawn = study.ask(distributions).params
        point = {key: _decoded(space[key], value) for key, value in drawn.items()}
        if point not in [trial.point for trial in done]:
            break
    return point


def _distribution(optuna: ModuleType, space: Space, default: Any) -> Any:
    if space.choices is not None:
        # Places among the choices, which may be of any type.
        return optuna.distributions.CategoricalDistribution(range(len(space.choices)))
    if is_whole(space, default):
        return optuna.distributions.IntDistribution(space.low, space.high, log=space.log)
    return optuna.distributions.FloatDistribution(space.low, space.high, log=space.log)


def _encoded(space: Space, value: Any) -> Any:
    return value if space.choices is None else space.choices.index(value)


def _decoded(space: Space, value: Any) -> Any:
    return value if space.choices is None else space.choices[value]


def validation_score(folder: Path) -> float | None:
    """Mean over a block's seeds of its balanced accuracy on validation molecules.

    Predictions are made with the weights of the best epoch. Those on test molecules are not read.

    Returns
    -------
    float or None
        None if a seed diverged.
    """
    states = read_json(folder / "status.json")["seeds"].values()
    if any(state["status"] != FINISHED for state in states):
        return None
    predictions = read_parquet(folder / "predictions.parquet")
    predictions = predictions[predictions["subset"] == VALID]
    guess = predictions.filter(like="logit_").to_numpy().argmax(1)
    # Mean over the classes that have validation molecules, then over seeds.
    correct = (predictions["label"] == guess).groupby([predictions["seed"], predictions["label"]])
    return float(correct.mean().groupby("seed").mean().mean())


def best_trial(trials: Sequence[Trial]) -> Trial:
    """The trial of the best score; of several, the first."""
    return max(trials, key=lambda trial: (trial.score, -trial.number))


def _read_journal(path: Path, key: str) -> list[Trial]:
    """Return the trials of a journal, or those of one beside it that has more of the same.

    Requests for other numbers of trials have folders of their own and try the same points.
    """
    most: list[Trial] = []
    for other in (path, *sorted(path.parent.parent.glob("*/journal.json"))):
        journal = read_json(other) if other.is_file() else None
        if isinstance(journal, dict) and journal.get("key") == key:
            found = [Trial(**trial) for trial in journal["trials"]]
            most = max(most, found, key=len)
        elif other == path and journal is not None:
            say(f"{path}: trials of other settings, inputs or code; not used")
    return most


def _line(done: Sequence[Trial], number: int) -> str:
    last, best = done[-1], best_trial(done)
    point = ", ".join(f"{key} {_shown(value)}" for key, value in last.point.items())
    score = "diverged" if last.state == DIVERGED else f"{100 * last.score:.2f}"
    return (
        f"trial {last.number} of {number}: {score} % balanced accuracy (valid) with "
        f"{'the default' if last.number == 1 else point}; best {100 * best.score:.2f} "
        f"(trial {best.number})"
    )


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _table(trials: Sequence[Trial], space: Mapping[str, Space]) -> pd.DataFrame:
    """Rows of trials.parquet: number, a column per key, score, state, seconds."""
    points = {key: _column([t.point[key] for t in trials]) for key in space}
    rest = {name: [getattr(t, name) for t in trials] for name in ("score", "state", "seconds")}
    return pd.DataFrame({"number": np.arange(1, len(trials) + 1), **points, **rest})


def _column(values: list[Any]) -> list[Any]:
    """Values of a column, which has one type: as JSON where they have several."""
    kinds = {type(value) for value in values if value is not None}
    simple = len(kinds) <= 1 and kinds <= {int, float, str, bool}
    return values if simple or kinds <= {int, float} else [json.dumps(value) for value in values]


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError:
        raise DrugtailError(
            "tuning needs Optuna, which is not installed; install it with: "
            "pip install 'drugtail[tune]'"
        ) from None
    # One line per trial is ours.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
