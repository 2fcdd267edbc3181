"""Tuning: what is tried, how it is scored, and that it can be cut off."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
import yaml

from drugtail.config.base import merged
from drugtail.config.catalogue import Catalogue, read_recipe
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.recipe import Recipe, Space
from drugtail.config.search_space import check_space, count_points, default_point, free_space
from drugtail.config.training import Training
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_json
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet
from drugtail.training.block import Block, train_block
from drugtail.training.tune import Trial, suggest, tune_block, validation_score

MakeFiles = Callable[[Sequence[int]], Any]

CATALOGUE = Catalogue(Path(__file__).resolve().parents[3] / "config")
ENCODER = GraphEncoder(name="tiny", kind="gcn", layers=2, width=8, head=[8])
MORGAN = FingerprintEncoder(name="morgan", kind="fingerprint")
TRAINING = Training(epochs=3, batch_size=32)
RATE = "training.learning_rate"
NAMES = ("tiny", "random-0", "gcn", "mine")
SPACE = {
    "loss.tau": Space(low=0.5, high=2.0),
    RATE: Space(low=1e-4, high=1e-2, log=True),
    "sampler.name": Space(choices=["instance", None, 3]),
    "trees": Space(low=1, high=4),
}
DEFAULT = {"loss.tau": 1.0, RATE: 1e-3, "sampler.name": None, "trees": 2}


@pytest.fixture
def files(make_files: MakeFiles) -> Any:
    return make_files((60, 25, 10))


def tune(
    files: Any,
    output: Path,
    method: str | Recipe = "logit_adjustment",
    *,
    trials: int = 4,
    seeds: Sequence[int] = (0, 1),
    settings: Training = TRAINING,
    inputs: dict[str, Path] | None = None,
) -> dict[str, Any]:
    recipe = CATALOGUE.recipe(method) if isinstance(method, str) else method
    graph = recipe.classifier is None
    block = Block(
        **inputs or files.inputs("atoms" if graph else "morgan"),
        recipe=recipe,
        encoder=ENCODER if graph else MORGAN,
        training=settings,
        seeds=seeds,
        device="cpu",
    )
    tune_block(block, recipe.space, trials, output)
    best: dict[str, Any] = read_json(output / "best.json")
    return best


def tried(output: Path) -> pd.DataFrame:
    """What does not depend on the clock."""
    return read_parquet(output / "trials.parquet").drop(columns="seconds")


def drawn(number: int, names: Sequence[str] = NAMES) -> list[Trial]:
    """Trials with a score that falls with the distance from tau 1.7."""
    done: list[Trial] = []
    for i in range(number):
        point = suggest(optuna, SPACE, DEFAULT, done, names)
        done.append(Trial(i + 1, point, 1 - abs(point["loss.tau"] - 1.7), "finished", 1.0))
    return done


# ------------------------------------------------------------------------------- suggestions


def test_the_first_trial_is_the_default_and_all_others_lie_in_the_space() -> None:
    points = [trial.point for trial in drawn(20)]
    assert points[0] == DEFAULT
    for point in points:
        assert list(point) == list(SPACE)
        assert 0.5 <= point["loss.tau"] <= 2.0
        assert 1e-4 <= point[RATE] <= 1e-2
        assert point["sampler.name"] in ("instance", None, 3)
        assert type(point["trees"]) is int
        assert 1 <= point["trees"] <= 4
    assert len({point[RATE] for point in points}) == 20
    # A logarithm is drawn: about half of them lie below the geometric mean.
    assert 3 <= sum(point[RATE] < 1e-3 for point in points) <= 17


def test_suggestions_depend_on_names_and_on_finished_trials_alone() -> None:
    whole = drawn(9)
    assert drawn(9) == whole
    np.random.seed(1)
    assert suggest(optuna, SPACE, DEFAULT, whole[:5], NAMES) == whole[5].point
    assert suggest(optuna, SPACE, DEFAULT, whole[:5], ("x", *NAMES[1:])) != whole[5].point
    other = [*whole[:7], Trial(8, whole[7].point, -5.0, "finished", 1.0)]
    assert suggest(optuna, SPACE, DEFAULT, other, NAMES) != whole[8].point


def test_later_trials_go_where_earlier_ones_were_good() -> None:
    distances = [1 - trial.score for trial in drawn(40)]
    assert np.mean(distances[25:]) < 0.7 * np.mean(distances[1:5])


def test_no_point_is_tried_twice_and_all_are_found() -> None:
    space = {"a": Space(choices=["x", "y", "z"]), "b": Space(low=1, high=2)}
    default = {"a": "y", "b": 2}
    assert count_points(space, default) == 6
    done: list[Trial] = []
    for i in range(6):
        point = suggest(optuna, space, default, done, NAMES)
        done.append(Trial(i + 1, point, 0.5, "finished", 1.0))
    assert len({(trial.point["a"], trial.point["b"]) for trial in done}) == 6


def test_a_default_outside_of_the_space_is_tried_and_disturbs_nothing() -> None:
    space = {"b": Space(low=1, high=2)}
    assert count_points(space, {"b": 9}) == 3
    done = [Trial(1, {"b": 9}, 1.0, "finished", 1.0)]
    assert suggest(optuna, space, {"b": 9}, done, NAMES)["b"] in (1, 2)


def test_whole_ends_of_a_fraction_are_a_range_of_fractions() -> None:
    space = {"loss.tau": Space(low=0, high=2)}
    assert count_points(space, {"loss.tau": 1.0}) == math.inf
    done = [Trial(1, {"loss.tau": 1.0}, 0.5, "finished", 1.0)]
    assert suggest(optuna, space, {"loss.tau": 1.0}, done, NAMES)["loss.tau"] % 1 != 0


# ------------------------------------------------------------------------------------ spaces


@pytest.mark.parametrize(
    "name", [name for name in CATALOGUE.names("methods") if not CATALOGUE.recipe(name).ensemble]
)
def test_every_method_is_tuned_from_a_default_inside_its_space(name: str) -> None:
    recipe = CATALOGUE.recipe(name)
    assert (RATE in recipe.space) == (recipe.classifier is None)
    default = default_point(recipe.space, recipe, Training())
    for key, value in default.items():
        space = recipe.space[key]
        assert value in space.choices if space.choices else space.low <= value <= space.high, key
    points = count_points(recipe.space, default)
    assert points >= 3
    done = [Trial(1, default, 0.5, "finished", 1.0)]
    assert suggest(optuna, recipe.space, default, done, NAMES) != default
    inside = {key: Space(choices=[*space.ends]) for key, space in recipe.space.items()}
    check_space(inside, recipe, Training(), name)


RECIPE = {"name": "mine", "family": "adjustment", "idea": "An idea."}
LOSS = {"loss": {"name": "logit_adjustment"}}


@pytest.mark.parametrize(
    ("recipe", "tuning", "says"),
    [
        (LOSS, {"loss.taw": {"low": 0.5, "high": 2.0}}, r"key tuning\.loss\.taw: 'taw' cannot be "
         r"tuned; there are: tau \(did you mean tau\?\)"),
        (LOSS, {"lost.tau": {"low": 0.5, "high": 2.0}}, r"'lost' cannot be tuned; there are: .*did "
         r"you mean loss"),
        (LOSS, {"loss.tau": {"low": 2.0, "high": 0.5}}, r"key tuning\.loss\.tau: low, 2\.0, must "
         r"be less than high, 0\.5"),
        (LOSS, {"loss.tau": {"low": 0.0, "high": 0.5, "log": True}}, r"greater than 0 with log"),
        (LOSS, {"loss.tau": {"low": 0.5}}, r"give either low and high \(and log\) or choices"),
        (LOSS, {"loss.tau": {"low": 0.5, "high": 1.0, "choices": [1.0]}}, r"give either low"),
        (LOSS, {"loss.tau": {"low": 0.5, "high": math.inf}}, r"must be a finite number"),
        (LOSS, {"loss.tau": {"choices": []}}, r"tuning\.loss\.tau\.choices: must name at least 1"),
        (LOSS, {"loss.tau": {"choices": [1.0, 1.0]}}, r"1\.0 is named twice"),
        (LOSS, {"loss.tau": {"min": 0.5, "high": 1.0}}, r"loss\.tau\.min: unknown key"),
        (LOSS, {"loss.tau": {"low": -1.0, "high": 2.0}}, r"key tuning\.loss\.tau: .*must be at "
         r"least 0, found -1\.0"),
        (LOSS, {"loss.tau": {"choices": [1.0, "many"]}}, r"must be a number, found 'many'"),
        (LOSS, {"loss": {"choices": ["focal"]}}, r"tuning\.loss: is a component, not a setting; "
         r"write for example loss\.tau"),
        (LOSS, {"views.cap": {"low": 0.5, "high": 0.7}}, r"'mine' has no views with settings"),
        (LOSS, {"training.epochs": {"low": 5, "high": 9}}, r"'epochs' cannot be tuned"),
        (LOSS, {"training.rate": {"low": 0.1, "high": 0.2}}, r"there are: batch_size, learning_r"),
        (LOSS, {"idea": {"choices": ["b", "c"]}}, r"'idea' cannot be tuned"),
        ({"classifier": {"name": "random_forest"}}, {RATE: {"low": 0.1, "high": 0.2}},
         r"trains no network, so it has no training settings"),
        ({"classifier": {"name": "random_forest"}},
         {"classifier.n_estimators": {"low": 1.5, "high": 2.5}}, r"must be a whole number"),
    ],
)  # fmt: skip
def test_a_wrong_space_is_refused_with_file_and_key(
    tmp_path: Path, recipe: dict[str, Any], tuning: dict[str, Any], says: str
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **recipe, "tuning": tuning}))
    with pytest.raises(DrugtailError, match=says) as error:
        read_recipe(path)
    assert all(line.startswith(f"{path}: key tuning.") for line in str(error.value).splitlines())


def test_what_a_user_set_is_not_tuned() -> None:
    recipe = CATALOGUE.recipe("class_distance")
    assert set(free_space(recipe, ["contrastive.beta"])) == {RATE, "contrastive.temperature"}
    assert set(free_space(recipe, ["contrastive", "name"])) == {RATE}


def test_a_recipe_may_give_the_shared_key_a_range_of_its_own() -> None:
    own = Space(low=0.1, high=0.2)
    recipe = CATALOGUE.recipe("cross_entropy").model_copy(update={"tuning": {RATE: own}})
    assert recipe.space == {RATE: own}


# ------------------------------------------------------------------------------------ trials


def test_best_json_is_the_trial_of_the_best_score(files: Any, tmp_path: Path) -> None:
    best = tune(files, tmp_path)
    trials = tried(tmp_path)
    assert trials["number"].tolist() == [1, 2, 3, 4]
    row = trials.loc[trials["score"].idxmax()]
    assert best["score"] == row["score"] == trials["score"].max()
    assert best["trial"] == row["number"]
    assert best["changes"] == {key: row[key] for key in ("loss.tau", RATE)}
    assert best["default_score"] == trials["score"][0]
    assert trials.loc[0, ["loss.tau", RATE]].tolist() == [1.0, 1e-3]
    assert (best["trials"], best["seeds"]) == (4, [0, 1])
    assert {path.name for path in tmp_path.iterdir()} == {
        "best.json", "journal.json", "manifest.json", "trials.parquet",
    }  # fmt: skip


def test_a_trial_is_scored_as_training_with_its_settings_is_on_validation_molecules(
    files: Any, tmp_path: Path
) -> None:
    best = tune(files, tmp_path / "tuning", trials=2)
    trials = tried(tmp_path / "tuning")
    for number, row in trials.iterrows():
        output = tmp_path / str(number)
        block = Block(
            **files.inputs(),
            recipe=merged(CATALOGUE.recipe("logit_adjustment"), {"loss.tau": row["loss.tau"]}),
            encoder=ENCODER,
            training=merged(TRAINING, {"learning_rate": row[RATE]}),
            seeds=(0, 1),
            device="cpu",
        )
        train_block(block, output)
        history = read_parquet(output / "history.parquet")
        mean = history.groupby("seed")["valid_balanced_accuracy"].max().mean()
        assert row["score"] == pytest.approx(mean, abs=1e-6)
        assert validation_score(output) == row["score"]
    assert best["default_score"] == trials["score"][0]


def with_molecules(files: Any, molecules: Path) -> dict[str, Path]:
    """Inputs with other molecules, and features that pass for theirs."""
    features = molecules.parent / "features"
    shutil.copytree(files.atoms, features)
    description = read_json(features / "features.json")
    description["molecules_sha256"] = file_digest(molecules)
    write_json(features / "features.json", description)
    return {**files.inputs(), "molecules": molecules, "features": features}


def test_more_trials_in_a_folder_beside_try_only_what_is_new(
    files: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(files, tmp_path / "a", trials=2)
    capsys.readouterr()
    beside = tune(files, tmp_path / "b", trials=3)
    assert "continues after 2 of 3 trials" in capsys.readouterr().err
    assert beside == tune(files, tmp_path / "else/c", trials=3)


def test_the_labels_of_test_molecules_change_nothing(files: Any, tmp_path: Path) -> None:
    molecules, parts = read_parquet(files.molecules), read_parquet(files.split)
    test = parts["subset"] == "test"
    assert test.sum() > 5
    molecules.loc[test, "label"] = (molecules.loc[test, "label"] + 1) % 3
    other = tmp_path / "molecules.parquet"
    write_parquet(other, molecules, read_parquet_metadata(files.molecules))
    first = tune(files, tmp_path / "first")
    second = tune(files, tmp_path / "second", inputs=with_molecules(files, other))
    assert first == second
    pd.testing.assert_frame_equal(tried(tmp_path / "first"), tried(tmp_path / "second"))


def test_the_labels_of_validation_molecules_do_count(files: Any, tmp_path: Path) -> None:
    molecules, parts = read_parquet(files.molecules), read_parquet(files.split)
    valid = parts["subset"] == "valid"
    molecules.loc[valid, "label"] = (molecules.loc[valid, "label"] + 1) % 3
    other = tmp_path / "molecules.parquet"
    write_parquet(other, molecules, read_parquet_metadata(files.molecules))
    first = tune(files, tmp_path / "first", trials=1)
    second = tune(files, tmp_path / "second", inputs=with_molecules(files, other), trials=1)
    assert first["score"] != second["score"]


def test_a_space_of_few_points_needs_no_more_trials(files: Any, tmp_path: Path) -> None:
    forest = merged(CATALOGUE.recipe("random_forest"), {"classifier.n_estimators": 5})
    weights = {"classifier.class_weight": forest.tuning["classifier.class_weight"]}
    best = tune(files, tmp_path / "few", forest.model_copy(update={"tuning": weights}), trials=9)
    assert best["trials"] == 3
    tried_weights = tried(tmp_path / "few")["classifier.class_weight"]
    assert set(tried_weights.fillna("")) == {"", "balanced", "balanced_subsample"}
    none = tune(files, tmp_path / "none", forest.model_copy(update={"tuning": {}}), trials=9)
    assert (none["trials"], none["changes"]) == (1, {})


def test_a_trial_that_diverges_is_the_worst(files: Any, tmp_path: Path) -> None:
    wild = {RATE: Space(choices=[1e-3, 1e30])}
    recipe = CATALOGUE.recipe("cross_entropy").model_copy(update={"tuning": wild})
    best = tune(files, tmp_path, recipe, trials=2)
    trials = tried(tmp_path)
    assert trials["state"].tolist() == ["finished", "diverged"]
    assert trials["score"][1] == 0
    assert best["changes"] == {RATE: 1e-3}


# ------------------------------------------------------------------------- cut off, and resumed


def test_more_trials_later_are_the_same_as_more_at_once(
    files: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tune(files, tmp_path / "parts", trials=2)
    capsys.readouterr()
    later = tune(files, tmp_path / "parts", trials=4)
    said = capsys.readouterr().err
    assert "continues after 2 of 4 trials" in said
    assert "trial 2 of 4" not in said
    assert later == tune(files, tmp_path / "whole", trials=4)
    pd.testing.assert_frame_equal(tried(tmp_path / "parts"), tried(tmp_path / "whole"))
    assert tune(files, tmp_path / "parts", trials=2) == tune(files, tmp_path / "two", trials=2)


@pytest.mark.parametrize("what", ["training", "space", "seeds", "recipe"])
def test_trials_of_other_settings_are_not_mixed(
    files: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    tune(files, tmp_path / "mixed", trials=2)
    recipe = CATALOGUE.recipe("logit_adjustment")
    narrow = {"loss.tau": Space(low=0.9, high=1.1)}
    changed: dict[str, Any] = {
        "training": {"settings": merged(TRAINING, {"epochs": 2})},
        "space": {"method": recipe.model_copy(update={"tuning": narrow})},
        "seeds": {"seeds": (0, 2)},
        "recipe": {"method": merged(recipe, {"loss.tau": 1.2})},
    }[what]
    mixed = tune(files, tmp_path / "mixed", trials=2, **changed)
    assert "trials of other settings, inputs or code; not used" in capsys.readouterr().err
    assert mixed == tune(files, tmp_path / "else/clean", trials=2, **changed)


def command(files: Any, folder: Path, *more: str) -> list[str]:
    encoder = folder / "tiny.yaml"
    encoder.write_text(yaml.safe_dump(ENCODER.model_dump()))
    inputs = [word for name, path in files.inputs().items() for word in (f"--{name}", str(path))]
    method = CATALOGUE.path("methods", "logit_adjustment")
    return [
        sys.executable, "-m", "drugtail", "tune", *inputs, "--method", str(method), "--encoder",
        str(encoder), "--set", "training.epochs=3", "--set", "training.batch_size=32",
        "--device", "cpu", *more,
    ]  # fmt: skip


def test_tuning_that_is_killed_ends_as_if_it_had_not_been(files: Any, tmp_path: Path) -> None:
    output = tmp_path / "killed"
    line = command(files, tmp_path, "--trials", "12", "--output", str(output))
    process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    journal = output / "journal.json"
    while not journal.is_file() or len(read_json(journal)["trials"]) < 2:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (output / "best.json").exists()
    done = len(read_json(journal)["trials"])
    assert done < 12
    resumed = subprocess.run(line, text=True, capture_output=True, check=True).stderr
    assert f"continues after {done} of 12 trials" in resumed
    assert resumed.count("balanced accuracy (valid)") == 12 - done
    whole = tune(files, tmp_path / "whole", trials=12)
    assert read_json(output / "best.json") == whole
    pd.testing.assert_frame_equal(tried(output), tried(tmp_path / "whole"), check_exact=True)
    # Nothing of the trial that was cut off is left.
    assert {path.name for path in output.iterdir()} == {
        "best.json", "journal.json", "manifest.json", "trials.parquet",
    }  # fmt: skip


# -------------------------------------------------------------------------------- the command


CHOSEN_ON = {
    "method": "logit_adjustment", "dataset": "tiny", "split": "random-0", "encoder": ENCODER.name
}  # fmt: skip


def test_training_takes_what_tuning_chose_and_says_so(files: Any, tmp_path: Path) -> None:
    best = tmp_path / "best.json"
    best.write_text(json.dumps({**CHOSEN_ON, "changes": {"loss.tau": 0.7, RATE: 0.002}}))
    line = command(files, tmp_path, "--seeds", "0-0", "--output", str(tmp_path / "out"))
    line[line.index("tune")] = "train"
    subprocess.run([*line, "--tuned", str(best)], capture_output=True, check=True)
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["settings"]["recipe"]["loss"] == {"name": "logit_adjustment", "tau": 0.7}
    assert "tuning" not in manifest["settings"]["recipe"]
    assert manifest["settings"]["training"]["learning_rate"] == 0.002
    assert manifest["settings"]["training"]["epochs"] == 3
    assert manifest["inputs"]["tuned"]["path"] == str(best)
    header = read_parquet_metadata(tmp_path / "out" / "predictions.parquet")
    assert (header["method"], header["settings"]) == ("logit_adjustment", "tuned")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"method": "focal", "changes": {}}, "was tuned for method 'focal', not 'logit_adjustme"),
        ({"method": "logit_adjustment"}, "has no changes; name the best.json of"),
        ({**CHOSEN_ON, "changes": {"loss.taw": 1.0}}, "taw: unknown key"),
        # Test molecules of one split are validation molecules of another.
        (
            {**CHOSEN_ON, "split": "random-1", "changes": {}},
            "tuned on split 'random-1', not 'random-0'",
        ),
        ({**CHOSEN_ON, "dataset": "hiv", "changes": {}}, "was tuned on dataset 'hiv'"),
        ({**CHOSEN_ON, "encoder": "wide", "changes": {}}, "was tuned on encoder 'wide'"),
    ],
)
def test_a_best_json_that_does_not_fit_is_refused(
    files: Any, tmp_path: Path, content: dict[str, Any], says: str
) -> None:
    best = tmp_path / "best.json"
    best.write_text(json.dumps(content))
    line = command(files, tmp_path, "--seeds", "0-0", "--output", str(tmp_path / "out"))
    line[line.index("tune")] = "train"
    done = subprocess.run([*line, "--tuned", str(best)], text=True, capture_output=True)
    assert done.returncode == 1
    assert f"error: {best}: " in done.stderr
    assert says in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_setting_given_by_hand_is_not_tuned(files: Any, tmp_path: Path) -> None:
    line = command(files, tmp_path, "--trials", "2", "--output", str(tmp_path / "out"))
    line += ["--set", "method.loss.tau=0.3", "--seeds", "0-0"]
    done = subprocess.run(line, text=True, capture_output=True, check=True)
    assert list(read_json(tmp_path / "out" / "best.json")["changes"]) == [RATE]
    recipe = read_json(tmp_path / "out" / "manifest.json")["settings"]["recipe"]
    assert recipe["loss"]["tau"] == 0.3
    # One line per trial of ours, none of Optuna's.
    assert done.stderr.count("balanced accuracy (valid)") == 2
    assert "A new study" not in done.stderr
    assert "Warning" not in done.stderr.replace("UserWarning: Sparse CSR", "")


def test_without_optuna_it_says_what_to_install(files: Any, tmp_path: Path) -> None:
    line = command(files, tmp_path, "--trials", "2", "--output", str(tmp_path / "out"))
    start = (
        "import sys; sys.modules['optuna'] = None; "
        "from drugtail.cli import main; main()"
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", start, *line[3:]], text=True, capture_output=True)
    assert done.returncode == 1
    assert "needs Optuna, which is not installed; install it with: pip install" in done.stderr
    assert not (tmp_path / "out").exists()
