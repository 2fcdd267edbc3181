"""The one reader of configuration: what it accepts, and how it says no."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from drugtail.benchmark.plan import Plan
from drugtail.config.base import merged
from drugtail.config.benchmark import Benchmark, parse_seeds
from drugtail.config.catalogue import (
    Catalogue,
    check_described,
    parse_assignments,
    read_benchmark,
    read_dataset,
    read_encoder,
    read_recipe,
)
from drugtail.config.schema import COMMAND, KINDS, schema
from drugtail.config.split_name import parse_split
from drugtail.config.training import Training
from drugtail.config.yaml_reader import read_yaml
from drugtail.evaluation.metrics import metric_names
from drugtail.report.tables import OF_A_RUN
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json

CONFIG = Path(__file__).parents[3] / "config"
CATALOGUE = Catalogue(CONFIG)
METHODS = CATALOGUE.paths("methods")

BENCHMARK = {
    "name": "mine",
    "title": "Mine",
    "datasets": ["demo", "hiv"],
    "splits": ["random-0"],
    "methods": ["cross_entropy"],
    "seeds": ["0-2"],
}
RECIPE = {"name": "mine", "family": "baseline", "idea": "An idea."}
DATASET = {
    "name": "mine", "title": "t", "task": "t", "licence": "l", "citation": "c",
    "files": [{"name": "a.csv", "columns": ["s", "y"], "sources": [{"url": "http://x/a.csv"}]}],
    "columns": {"smiles": "s", "label": "y"},
}  # fmt: skip
GEOMETRY = {
    "contrastive": {"name": "subcluster"},
    "views": {"name": "drop"},
    "subclusters": {"name": "balanced_kmeans"},
    "schedule": {"warmup_epochs": 2},
}


def written(folder: Path, value: Any, name: str = "mine.yaml") -> Path:
    path = folder / name
    path.write_text(value if isinstance(value, str) else yaml.safe_dump(value), encoding="utf-8")
    return path


def refusal(reader: Any, path: Path) -> str:
    """The message with which a file is refused; every line names the file."""
    with pytest.raises(DrugtailError) as error:
        reader(path)
    message = str(error.value)
    assert str(path) in message
    return message


# ---------------------------------------------------------------- what is in the repository


@pytest.mark.parametrize("name", CATALOGUE.names("datasets"))
def test_every_data_set_reads(name: str) -> None:
    assert CATALOGUE.dataset(name).name == name


@pytest.mark.parametrize("name", CATALOGUE.names("encoders"))
def test_every_encoder_reads(name: str) -> None:
    assert CATALOGUE.encoder(name).name == name


@pytest.mark.parametrize("path", METHODS, ids=[path.stem for path in METHODS])
def test_every_method_reads_and_stands_in_the_folder_of_its_family(path: Path) -> None:
    recipe = CATALOGUE.recipe(path.stem)
    assert recipe.name == path.stem
    assert recipe.family == path.parent.name


@pytest.mark.parametrize("name", CATALOGUE.names("tables"))
def test_every_table_reads_and_names_known_metrics(name: str) -> None:
    table = CATALOGUE.table(name)
    assert {column.metric for column in table.columns} <= {*metric_names(), *OF_A_RUN}


@pytest.mark.parametrize("path", sorted(CONFIG.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_benchmark_reads_and_names_what_exists(path: Path) -> None:
    benchmark = read_benchmark(path)
    for name in benchmark.datasets:
        assert CATALOGUE.dataset(name)
        assert benchmark.training_for(name).epochs >= 1
    for encoder in benchmark.encoders:
        assert CATALOGUE.encoder(encoder.encoder or encoder.name)
    for name in benchmark.tables:
        assert CATALOGUE.table(name)
    for method in benchmark.methods:
        path = CATALOGUE.path("methods", method.recipe or method.name)
        assert read_recipe(path, method.settings)


def test_every_yaml_is_of_a_known_kind() -> None:
    kinds = {"benchmarks", "datasets", "encoders", "methods", "tables"}
    for path in CONFIG.rglob("*.y*ml"):
        assert path.suffix == ".yaml"
        assert path.parent == CONFIG or path.relative_to(CONFIG).parts[0] in kinds


# -------------------------------------------------------------------------- YAML as a format


@pytest.mark.parametrize(
    ("file", "fault"),
    [("datasets/taste", "licence"), ("encoders/gine", "width"), ("tables/head_tail", "columns")],
)
def test_a_file_outside_the_catalogue_is_known_by_its_keys(
    file: str, fault: str, tmp_path: Path
) -> None:
    value = yaml.safe_load((CONFIG / f"{file}.yaml").read_text())
    path = written(tmp_path, value, f"{value['name']}.yaml")
    assert check_described(path)
    said = refusal(check_described, written(tmp_path, {**value, fault: 3.5}, path.name))
    assert f"{path}: key {fault}" in said
    benchmark = yaml.safe_load((CONFIG / "config.yaml").read_text())
    assert not check_described(written(tmp_path, benchmark))
    assert check_described(written(tmp_path, {"name": "mine", "kind": "gcn", "layers": 2}))


def test_a_byte_order_mark_and_crlf_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + yaml.safe_dump(BENCHMARK).replace("\n", "\r\n").encode())
    assert read_benchmark(path).seeds == ["0-2"]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"title: caf\xe9\n", "not UTF-8"),
        (b"name: [1, 2\n", "line 2, column 1: not valid YAML: expected ',' or ']'"),
        (b"a: 1\nb: 2\na: 3\n", "key 'a' is given twice"),
        (b"top:\n  in: 1\n  in: 2\n", "key 'in' is given twice"),
        (b"? [1, 2]\n: x\n", "not valid YAML"),
        (b"- a\n- b\n", "expected keys and values, found list"),
        (b"", "expected keys and values"),
        (b"a: \x00\n", "not valid YAML"),
        (b"a: !!python/object/apply:os.system [id]\n", "not valid YAML"),
    ],
    ids=["latin-1", "syntax", "twice", "twice-inside", "list-as-key", "list", "empty", "nul",
         "python-tag"],
)  # fmt: skip
def test_a_faulty_yaml_is_refused_by_name(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    assert says in refusal(read_yaml, path)


def test_a_repeated_key_is_shown_with_its_line(tmp_path: Path) -> None:
    assert "line 3" in refusal(read_yaml, written(tmp_path, "a: 1\nb: 2\na: 3\n"))


def test_an_absent_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(read_yaml, tmp_path / "none.yaml")
    assert "is a folder" in refusal(read_yaml, tmp_path)


# --------------------------------------------------------------------------------- benchmark


@pytest.mark.parametrize(
    ("change", "key", "says"),
    [
        ({"epoch": 3}, "epoch", "unknown key; allowed here: "),
        ({"training": {"epoch": 3}}, "training.epoch", "unknown key; allowed here: batch_size"),
        ({"partial": "yes"}, "partial", "found 'yes'"),
        ({"training": {"epochs": "3"}}, "training.epochs", "found '3'"),
        ({"training": {"epochs": 3.5}}, "training.epochs", "found 3.5"),
        ({"training": {"epochs": True}}, "training.epochs", "found True"),
        ({"training": {"epochs": 0}}, "training.epochs", "must be at least 1"),
        ({"training": {"mixed_precision": 1}}, "training.mixed_precision", "found 1"),
        ({"title": 3}, "title", "found 3"),
        ({"title": None}, "title", "found None"),
        ({"datasets": "hiv"}, "datasets", "found 'hiv'"),
        ({"datasets": []}, "datasets", "at least 1"),
        ({"name": "../mine"}, "name", "found '../mine'"),
        ({"splits": ["random-"]}, "splits", "'random-' is not a split; write a strategy and a"),
        ({"splits": ["0"]}, "splits", "'0' is not a split"),
        ({"splits": ["official 0"]}, "splits", "'official 0' is not a split"),
        ({"seeds": ["0-2", "2-4"]}, "seeds", "'2-4' overlaps block '0-2' at seed 2"),
        ({"seeds": ["4-2"]}, "seeds", "'4-2' is not a block of seeds"),
        ({"seeds": ["0"]}, "seeds", "'0' is not a block of seeds"),
        ({"seeds": [0]}, "seeds", "found 0; a block of seeds is first-last"),
        ({"datasets": ["hiv", "hiv"]}, "datasets", "'hiv' is named twice"),
        ({"splits": ["random-0", "random-0"]}, "splits", "'random-0' is named twice"),
        ({"methods": ["focal", {"name": "focal"}]}, "methods", "'focal' is named twice"),
        ({"methods": [{"nam": "focal"}]}, "methods.0.nam",
         "unknown key; allowed here: name, plugin, recipe, s"),
        ({"training_by_dataset": {"mesh": {}}}, "training_by_dataset", "'mesh' is not among"),
        ({"training_by_dataset": {"hiv": {"epoch": 3}}}, "training_by_dataset.hiv.epoch",
         "unknown key; allowed here: batch_size"),
        ({"training_by_dataset": {"hiv": {"epochs": "3"}}}, "training_by_dataset.hiv.epochs",
         "found '3'"),
    ],
)  # fmt: skip
def test_a_faulty_benchmark_is_refused_with_file_and_key(
    tmp_path: Path, change: dict, key: str, says: str
) -> None:
    message = refusal(read_benchmark, written(tmp_path, {**BENCHMARK, **change}))
    assert re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.])", message), message
    assert says in message


def test_a_required_key_that_is_left_out_is_named(tmp_path: Path) -> None:
    value = {key: item for key, item in BENCHMARK.items() if key != "datasets"}
    assert "key datasets: is required; add it" in refusal(read_benchmark, written(tmp_path, value))


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, {**BENCHMARK, "a": 1, "b": 2, "title": 3})
    lines = refusal(read_benchmark, path).splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"{path}: key ") for line in lines)


def test_a_benchmark_that_extends_another_says_only_what_differs(tmp_path: Path) -> None:
    base = written(tmp_path, {**BENCHMARK, "questions": [], "training": {"epochs": 7}}, "base.yaml")
    middle = {
        "name": "middle",
        "extends": str(base),
        "seeds": ["5-6"],
    }
    middle["training"] = {"learning_rate": 0.01}
    last = {"name": "last", "extends": str(written(tmp_path, middle, "middle.yaml")), "title": "L"}
    found = read_benchmark(written(tmp_path, last, "last.yaml"))
    whole = {**BENCHMARK, "name": "last", "title": "L", "seeds": ["5-6"], "questions": []}
    # A mapping is replaced as a whole: the epochs are the default again.
    assert found == read_benchmark(
        written(tmp_path, {**whole, "training": {"learning_rate": 0.01}}, "whole.yaml")
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": None}, "extending.yaml: key name: write a name of its own; 'small' is that of"),
        ({"name": "small"}, "extending.yaml: key name: write a name of its own"),
        ({"extends": "nowhere.yaml"}, "nowhere.yaml: no such file"),
        ({"extends": 3}, "extending.yaml: key extends: found 3; write the path of a benchmark"),
        ({"colour": 1}, "extending.yaml: key colour: unknown key"),
        ({"extends": "faulty.yaml"}, "faulty.yaml: key seeds: is required; add it"),
        ({"extends": "extending.yaml"}, "extending.yaml extends itself"),
    ],
)
def test_a_faulty_extension_names_the_file_to_mend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path, {**BENCHMARK, "name": "small"}, "base.yaml")
    written(tmp_path, {k: v for k, v in BENCHMARK.items() if k != "seeds"}, "faulty.yaml")
    value = {"name": "extending", "extends": "base.yaml"} | change
    value = {key: item for key, item in value.items() if item is not None}
    written(tmp_path, value, "extending.yaml")
    assert says in refusal(read_benchmark, Path("extending.yaml"))


def test_methods_may_be_names_or_names_with_settings(tmp_path: Path) -> None:
    methods = [
        "cross_entropy",
        {"name": "random_forest", "settings": {"classifier.n_estimators": 9}},
    ]
    found = read_benchmark(written(tmp_path, {**BENCHMARK, "methods": methods})).methods
    assert [(method.name, method.settings) for method in found] == [
        ("cross_entropy", {}),
        ("random_forest", {"classifier.n_estimators": 9}),
    ]


def test_training_differs_only_for_the_data_set_that_says_so(tmp_path: Path) -> None:
    value = {
        **BENCHMARK,
        "training": {"epochs": 50, "learning_rate": 0.01},
        "training_by_dataset": {"hiv": {"epochs": 5}},
    }
    benchmark = read_benchmark(written(tmp_path, value))
    assert benchmark.training_for("demo") == Training(epochs=50, learning_rate=0.01)
    assert benchmark.training_for("hiv") == Training(epochs=5, learning_rate=0.01)


# ---------------------------------------------------------------------------------- recipes


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"los": {"name": "cross_entropy"}}, "key los: unknown key; allowed here: class_weights"),
        ({"loss": {"name": "vocal"}}, r"key loss.name: 'vocal' is unknown.*did you mean focal\?"),
        ({"loss": {}}, "key loss.name: is required; known are: balanced_softmax, "),
        ({"loss": "focal"}, r"key loss: found 'focal'; write \{name: focal\}"),
        ({"loss": {"name": "focall"}},
         r"key loss.name: 'focall' is unknown; known are: .*did you mean focal\?"),
        ({"second_stage": {"name": "crt"}},
         "key second_stage.name: 'crt' is unknown; known are: classifier_retraining"),
        ({"second_stage": {"name": "learned_scales", "sampler": {"name": "reverted"}}},
         r"key second_stage.sampler.name: 'reverted' is unknown.*did you mean reverse\?"),
        ({"second_stage": {"name": "distillation", "loss": {"name": "ldam"}}},
         "second_stage.loss ldam also needs: last_layer cosine"),
        ({"loss": {"name": "ldam"}}, "loss ldam also needs: last_layer cosine"),
        ({"loss": {"name": "diverse_experts"}}, "loss diverse_experts also needs: experts"),
        ({"mixing": {"name": "bilateral"}}, "bilateral also needs: experts with number 2"),
        ({"posthoc": {"name": "tau_norm"}, "last_layer": {"name": "cosine"}},
         "tau_norm works on one linear last layer only"),
        ({"second_stage": {"name": "two_phase"}, "posthoc": {"name": "nearest_class_mean"}},
         "second_stage and posthoc cannot be together"),
        ({"loss": "cross_entropy"}, "key loss: .*found 'cross_entropy'"),
        ({"sampler": {"name": "balanced"}},
         "key sampler.name: 'balanced' is unknown.*class_balanced"),
        ({"class_weights": {"name": "cost_sensitive", "gama": 1}}, "gama: unknown key.*gamma"),
        ({"class_weights": {"name": "cost_sensitive", "gamma": "1"}},
         "key class_weights.gamma: .*found '1'"),
        ({"class_weights": {"name": "cost_sensitive", "gamma": -1}}, "gamma: .*at least 0"),
        ({"family": "magic"}, "key family: .*'reweighting'.*found 'magic'"),
        ({"name": "other"}, "key name: found 'other', but the file is called 'mine'"),
        ({"contrastive": GEOMETRY["contrastive"]}, "contrastive also needs: views"),
        ({"schedule": GEOMETRY["schedule"]}, "schedule also needs: subclusters"),
        ({"class_weights": {"name": "class_distance"}}, "class_distance also needs: subclusters"),
        ({"classifier": {"name": "random_forest"}, "loss": {"name": "cross_entropy"}},
         "a classical classifier takes no loss"),
        ({"classifier": {"name": "random_forest", "n_estimators": 0}},
         "classifier.n_estimators: .*found 0"),
        ({**GEOMETRY, "views": {"name": "drop", "rates": [0.1]}}, "views.rates: .*at least 2"),
    ],
)  # fmt: skip
def test_a_faulty_recipe_is_refused_with_file_and_key(
    tmp_path: Path, change: dict, says: str
) -> None:
    message = refusal(read_recipe, written(tmp_path, {**RECIPE, **change}))
    assert re.search(says, message), message


def test_the_parts_of_the_proposed_method_read_together(tmp_path: Path) -> None:
    recipe = read_recipe(written(tmp_path, {**RECIPE, **GEOMETRY}))
    assert recipe.needs_geometry
    assert not read_recipe(written(tmp_path, RECIPE)).needs_geometry


def test_dotted_changes_touch_one_setting_each() -> None:
    recipe = CATALOGUE.recipe("class_distance")
    changed = merged(recipe, {"contrastive.beta": 0.5, "schedule.warmup_epochs": 3})
    assert changed.contrastive.beta == 0.5
    assert changed.schedule.warmup_epochs == 3
    before, after = recipe.model_dump(), changed.model_dump()
    before["contrastive"]["beta"], before["schedule"]["warmup_epochs"] = 0.5, 3
    assert after == before
    assert recipe == CATALOGUE.recipe("class_distance")


def test_a_change_may_add_a_whole_part() -> None:
    recipe = CATALOGUE.recipe("cross_entropy")
    assert merged(recipe, {"loss.name": "balanced_softmax"}).loss.name == "balanced_softmax"
    gamma = merged(recipe, {"class_weights": {"name": "cost_sensitive", "gamma": 0.5}})
    assert gamma.class_weights.gamma == 0.5


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"classifier.tree": 5},
            "classifier.tree: unknown key; allowed here: class_weight, max_leaf_nodes, "
            "n_estimators, name",
        ),
        ({"classifier.n_estimators": "5"}, "classifier.n_estimators: .*found '5'"),
        ({"classifier.n_estimators.depth": 5}, "'n_estimators' has no settings of its own"),
        ({"loss.name": "balanced_softmax"}, "a classical classifier takes no loss"),
    ],
)
def test_a_faulty_change_is_refused_with_file_and_key(changes: dict, says: str) -> None:
    path = CATALOGUE.path("methods", "random_forest")
    with pytest.raises(DrugtailError) as error:
        read_recipe(path, changes)
    assert str(path) in str(error.value)
    assert re.search(says, str(error.value)), str(error.value)


def test_assignments_on_the_command_line_are_yaml() -> None:
    items = ["classifier.n_estimators=100", "partial=true", "a=0.5", "b=[1, 2]", "c=x=y", "d=null"]
    assert parse_assignments(items) == {
        "classifier.n_estimators": 100,
        "partial": True, "a": 0.5, "b": [1, 2], "c": "x=y", "d": None,
    }  # fmt: skip


@pytest.mark.parametrize("item", ["trees", "=5", "a=[1,"])
def test_a_faulty_assignment_is_shown(item: str) -> None:
    with pytest.raises(DrugtailError, match=re.escape(repr(item))):
        parse_assignments([item])


# ------------------------------------------------------------------------ data sets and names


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"colums": {}}, "key colums: unknown key; allowed here: citation, classes"),
        ({"files": []}, "give either files or generator"),
        ({"generator": {"name": "reactions"}}, "give either files or generator"),
        ({"columns": {"label": "y"}}, "key columns: give either smiles or reaction"),
        ({"columns": {"smiles": "s", "reaction": "r", "label": "y"}}, "either smiles or reaction"),
        ({"duplicates": "first"}, "key duplicates: .*'keep' or 'drop'.*found 'first'"),
        ({"classes": {0: 1}}, "key classes.0"),
        ({"official": {"valid": "a.csv", "test": "a.csv", "reaction": "r"}}, "columns.reaction"),
        ({"columns": {"reaction": "r", "label": "y"},
          "official": {"valid": "v.csv", "test": "a.csv", "reaction": "r"}},
         "official.valid is not among the files"),
        ({"files": [{"name": "a.csv", "columns": [], "sources": [{}]}]},
         r"key files.0.sources.0: give either url or path"),
        ({"files": [{"name": "a.csv", "columns": [], "sources": []}]}, r"files.0.sources: .*least"),
    ],
)  # fmt: skip
def test_a_faulty_register_is_refused_with_file_and_key(
    tmp_path: Path, change: dict, says: str
) -> None:
    message = refusal(read_dataset, written(tmp_path, {**DATASET, **change}))
    assert re.search(says, message), message


def test_an_unknown_kind_of_encoder_is_refused(tmp_path: Path) -> None:
    message = refusal(read_encoder, written(tmp_path, {"name": "mine", "kind": "resnet"}))
    assert "'resnet'" in message
    assert "known are: attentivefp, dmpnn, fingerprint, gat, gcn," in message


@pytest.mark.parametrize("kind", ["datasets", "methods", "encoders", "tables"])
def test_an_unknown_name_lists_the_known_ones(kind: str) -> None:
    with pytest.raises(DrugtailError, match=f"{kind}: 'nonsense' is unknown") as error:
        CATALOGUE.path(kind, "nonsense")
    for name in CATALOGUE.names(kind):
        assert name in str(error.value)


def test_a_misspelt_name_is_answered_with_the_one_that_is_meant() -> None:
    with pytest.raises(DrugtailError) as error:
        CATALOGUE.path("methods", "cross_entropi")
    said = str(error.value)
    assert "'cross_entropi' is unknown (did you mean cross_entropy?)" in said
    assert said.endswith("`drugtail list methods` names all")


@given(st.integers(0, 10**6), st.integers(0, 50), st.sampled_from(["random", "standard"]))
def test_names_of_splits_and_seed_blocks_round_trip(first: int, more: int, kind: str) -> None:
    assert list(parse_seeds(f"{first}-{first + more}")) == [first + i for i in range(more + 1)]
    assert parse_split(f"{kind}-{first}") == (kind, first, None, None)


@given(st.text(max_size=12))
def test_other_text_is_neither_split_nor_seed_block(text: str) -> None:
    name = r"[A-Za-z][A-Za-z0-9_]*(-[0-9]+)?(-[0-9]+)?(-[A-Za-z_][A-Za-z0-9_.]*)?"
    if not re.fullmatch(name, text):
        with pytest.raises(ValueError, match="is not a split"):
            parse_split(text)
    if not re.fullmatch(r"\d+-\d+", text):
        with pytest.raises(ValueError, match="is not a block"):
            parse_seeds(text)


@pytest.mark.parametrize("name", ["random-0\n", "official\n", "random-0 ", "random--1", "random-٣"])
def test_a_split_with_something_around_it_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a split"):
        parse_split(name)


def test_a_split_may_have_no_seed() -> None:
    assert parse_split("official") == ("official", None, None, None)


def test_a_number_that_yaml_takes_for_text_is_told_how_to_be_written(tmp_path: Path) -> None:
    value = {**BENCHMARK, "training": {"learning_rate": "1e-3"}}
    assert "write it with a point, 1.0e-3" in refusal(read_benchmark, written(tmp_path, value))


# ------------------------------------------------------ the proposed method and what it loses


DISTANCE = {"name": "class_distance", "distances": "both", "control": None, "spread": None}
PAPER: dict[str, Any] = {
    "sampler": {"name": "instance"},
    "class_weights": DISTANCE,
    "loss": {"name": "cross_entropy"},
    "contrastive": {
        "name": "subcluster", "temperature": 0.1, "weight": 1.0, "beta": 0.25, "variant": "paper",
    },
    "views": {"name": "drop", "rates": [0.15, 0.10], "cap": 0.7, "classified": "both"},
    "subclusters": {
        "name": "balanced_kmeans", "minimum_size": 10, "rounds": 50, "tolerance": 1e-3,
        "counted": "molecules",
    },
    "schedule": {"warmup_epochs": 10, "refresh_epochs": 10, "classifier_delay": 0},
    "optimizer": None,
    "mixing": None,
    "last_layer": {"name": "linear"},
    "experts": None,
    "posthoc": None,
    "second_stage": None,
    "classifier": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("suffix", "changed"),
    [
        ("", {}),
        ("_no_contrastive", {"contrastive": None}),
        (
            "_no_subclusters",
            {
                "contrastive": {"name": "supervised", "temperature": 0.1, "weight": 1.0},
                "subclusters": {"name": "whole_classes"},
            },
        ),
        ("_class_only", {"class_weights": {**DISTANCE, "distances": "class"}}),
        ("_subcluster_only", {"class_weights": {**DISTANCE, "distances": "subcluster"}}),
        ("_permuted", {"class_weights": {**DISTANCE, "control": "permuted"}}),
        ("_inverted", {"class_weights": {**DISTANCE, "control": "inverted"}}),
        ("_size_matched", {"class_weights": {**DISTANCE, "control": "size_matched"}}),
        ("_sharpened_3", {"class_weights": {**DISTANCE, "spread": 3.0}}),
        ("_sharpened_10", {"class_weights": {**DISTANCE, "spread": 10.0}}),
        ("_no_reweighting", {"class_weights": {"name": "uniform"}}),
        (
            "_official_code",
            {
                "sampler": {"name": "oversample_once"},
                "views": {**PAPER["views"], "classified": "first"},
                "schedule": {**PAPER["schedule"], "classifier_delay": 1},
                "optimizer": {"name": "adam", "weight_decay": 0.0003},
                "contrastive": {**PAPER["contrastive"], "variant": "official_code"},
                "subclusters": {
                    **PAPER["subclusters"], "name": "kmeans", "counted": "oversampled",
                },
            },
        ),
    ],
)  # fmt: skip
def test_an_ablation_differs_from_the_paper_in_the_part_it_is_named_after_alone(
    suffix: str, changed: dict[str, Any]
) -> None:
    recipe = CATALOGUE.recipe(f"class_distance{suffix}").model_dump()
    parts = {key: recipe[key] for key in PAPER}
    assert parts == PAPER | changed


@pytest.mark.parametrize(
    ("method", "epochs", "says"),
    [
        ("class_distance", 3, "mine: demo: method 'class_distance': its warm-up takes 10 epochs"),
        ("crt", 1, "mine: demo: method 'crt': its second stage begins after an epoch"),
    ],
)
def test_a_training_too_short_for_a_method_is_refused_before_anything_runs(
    method: str, epochs: int, says: str
) -> None:
    benchmark = Benchmark.model_validate(
        {"name": "mine", "title": "Mine", "datasets": ["demo"], "splits": ["random-0"],
         "methods": [method], "seeds": ["0-0"], "training": {"epochs": epochs}}
    )  # fmt: skip
    with pytest.raises(DrugtailError, match=says):
        Plan(benchmark, CATALOGUE)
    longer = benchmark.training.model_copy(update={"epochs": 12})
    assert Plan(benchmark.model_copy(update={"training": longer}), CATALOGUE).recipes


def test_two_files_of_one_name_are_refused_when_it_is_asked_for(tmp_path: Path) -> None:
    for family in ("baseline", "mixing"):
        (tmp_path / "methods" / family).mkdir(parents=True)
        (tmp_path / "methods" / family / "twin.yaml").write_text("name: twin\n")
    with pytest.raises(DrugtailError, match=r"'twin' is the name of .*baseline.* and of .*mixing"):
        Catalogue(tmp_path).recipe("twin")


@pytest.mark.parametrize(
    "name", ["../../x.csv", "/tmp/x.csv", "a/b.csv", "..", ".hidden", "a\\b", "a\nb", "{x}.csv", ""]
)
def test_a_raw_file_cannot_lie_outside_its_folder(tmp_path: Path, name: str) -> None:
    value = copy.deepcopy(DATASET)
    value["files"][0]["name"] = name
    assert "files.0.name: found" in refusal(read_dataset, written(tmp_path, value))


def test_a_raw_file_is_named_once_and_not_as_the_record_of_fetching(tmp_path: Path) -> None:
    value = copy.deepcopy(DATASET)
    value["files"] *= 2
    assert "files: 'a.csv' is named twice" in refusal(read_dataset, written(tmp_path, value))
    value["files"] = [value["files"][0] | {"name": "fetch.json"}]
    assert "write another name" in refusal(read_dataset, written(tmp_path, value))


@pytest.mark.parametrize("folder", ["", "a{b}", "a\nb", "a\x00b"])
def test_a_results_folder_is_one_that_snakemake_takes_as_it_stands(
    tmp_path: Path, folder: str
) -> None:
    message = refusal(read_benchmark, written(tmp_path, BENCHMARK | {"results": folder}))
    assert "key results: found" in message


# ------------------------------------------------------------------------------------ schemas

SCHEMAS = {kind: Draft202012Validator(schema(kind)) for kind in KINDS}
FILES = {
    "benchmark": [
        CONFIG / "config.yaml",
        *CONFIG.glob("benchmarks/*.yaml"),
        *CONFIG.glob("benchmarks/study/*.yaml"),
    ],
    "dataset": [*CONFIG.glob("**/datasets/*.yaml")],
    "encoder": [*CONFIG.glob("encoders/*.yaml")],
    "method": [*CONFIG.glob("methods/*/*.yaml")],
    "table": [*CONFIG.glob("tables/*.yaml")],
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_schema_of_a_kind_is_up_to_date_and_fits_its_files(kind: str) -> None:
    kept = CONFIG / f"schemas/{kind}.json"
    assert read_json(kept) == schema(kind), f"renew with: {COMMAND}"
    assert FILES[kind]
    for path in FILES[kind]:
        faults = SCHEMAS[kind].iter_errors(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert [(path, fault.json_path, fault.message) for fault in faults] == []


@pytest.mark.parametrize(
    ("kind", "file", "change"),
    [
        ("benchmark", "config.yaml", {"epochs": 3}),
        ("benchmark", "config.yaml", {"training": {"epochs": "many"}}),
        ("benchmark", "config.yaml", {"methods": [{"recipe": "focal"}]}),
        ("dataset", "datasets/hiv.yaml", {"columns": {"smile": "smiles"}}),
        ("encoder", "encoders/gcn.yaml", {"kind": "gnc"}),
        ("method", "methods/reweighting/focal.yaml", {"loss": {"name": "focl"}}),
        ("method", "methods/reweighting/focal.yaml", {"loss": {"name": "focal", "gamma": "2"}}),
        ("table", "tables/head_tail.yaml", {"columns": 3}),
    ],
)
def test_a_schema_sees_unknown_keys_and_wrong_types(
    kind: str, file: str, change: dict[str, Any]
) -> None:
    content = yaml.safe_load((CONFIG / file).read_text(encoding="utf-8"))
    assert SCHEMAS[kind].is_valid(content)
    assert not SCHEMAS[kind].is_valid({**content, **change})


def test_editors_are_told_which_schema_is_for_which_file() -> None:
    told = read_json(CONFIG.parent / ".vscode/settings.json")["yaml.schemas"]
    found = {}
    for place, patterns in told.items():
        patterns = [patterns] if isinstance(patterns, str) else patterns
        found[Path(place).stem] = sorted(p for q in patterns for p in CONFIG.parent.glob(q))
    assert found == {kind: sorted(paths) for kind, paths in FILES.items()}
