"""A user adds components, and more, in a file of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from project import PROJECT
from walkthrough import shown_files

from drugtail import plugins
from drugtail.benchmark.plan import Plan
from drugtail.config.base import validated
from drugtail.config.benchmark import Benchmark
from drugtail.config.catalogue import Catalogue, read_recipe
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.recipe import Recipe
from drugtail.config.training import Training
from drugtail.data.strategy import STRATEGIES
from drugtail.methods.losses import LOSSES
from drugtail.plugins import all_registries, component_registries, load_plugin, recipe_model
from drugtail.predict.table import predict
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_json
from drugtail.runtime.parquet import read_parquet
from drugtail.training.block import Block, train_block

CONFIG = Path(__file__).parents[2] / "config"


CATALOGUE = Catalogue(CONFIG)


HEAD = """\
from typing import Literal
from pydantic import Field
from drugtail.methods.losses import LOSSES, negative_log_likelihood
from drugtail.config.base import Settings
"""


SETTINGS = """\
class Tilted(Settings):
    name: Literal["tilted"]
    tilt: float = Field(1.0, ge=0)
"""


LOSS = """\
@LOSSES.register("tilted", Tilted)
def tilted(settings, batch):
    return settings.tilt * negative_log_likelihood(batch.logits, batch.labels)
"""


CODE = HEAD + SETTINGS + LOSS


RECIPE = {"name": "mine", "family": "other", "idea": "An idea."}


Write = Callable[..., Path]


CUT = """\
from drugtail.data.strategy import STRATEGIES, Strategy


@STRATEGIES.register("odd")
class Odd(Strategy):
    def cut(self, molecules, rng):
        return ["train"] * len(molecules)
"""


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Take out again what a test registered."""
    yield
    for path in list(plugins._loaded):
        plugins._forget(all_registries(), plugins._loaded.pop(path).names)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: str | dict[str, Any], name: str = "mine.py") -> Path:
        path = tmp_path / name
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        path.write_text(text, encoding="utf-8")
        return path

    return write


def recipe_with(write: Write, code: str, **parts: Any) -> Recipe:
    return read_recipe(write({**RECIPE, **parts}, "mine.yaml"), model=recipe_model([write(code)]))


def test_a_recipe_holds_a_part_of_ones_own_with_its_settings_and_defaults(write: Write) -> None:
    recipe = recipe_with(write, CODE, loss={"name": "tilted", "tilt": 2.5})
    assert recipe.model_dump(mode="json")["loss"] == {"name": "tilted", "tilt": 2.5}
    default = recipe_with(write, CODE, loss={"name": "tilted"})
    assert default.loss.model_dump() == {"name": "tilted", "tilt": 1.0}
    changed = read_recipe(
        write({**RECIPE, "loss": {"name": "tilted"}}, "mine.yaml"),
        {"loss.tilt": 7.0},
        recipe_model([write(CODE)]),
    )
    assert changed.loss.model_dump() == {"name": "tilted", "tilt": 7.0}


def test_parts_of_the_package_stay_what_they_are(write: Write) -> None:
    code = write(CODE)
    for path in CATALOGUE.paths("methods"):
        assert (
            read_recipe(path, model=recipe_model([code])).model_dump()
            == read_recipe(path).model_dump()
        )
    # And a recipe that names no code does not see the part.
    with pytest.raises(DrugtailError, match=r"key loss.name: 'tilted' is unknown.*cross_entropy"):
        read_recipe(write({**RECIPE, "loss": {"name": "tilted"}}, "mine.yaml"))


def test_a_part_can_stand_inside_another_one(write: Write) -> None:
    stage = {"name": "distillation", "loss": {"name": "tilted", "tilt": 3.0}}
    recipe = recipe_with(write, CODE, second_stage=stage)
    assert recipe.model_dump()["second_stage"]["loss"]["tilt"] == 3.0
    with pytest.raises(DrugtailError, match=r"second_stage\.loss\.tilt: "):
        recipe_with(write, CODE, second_stage={**stage, "loss": {"name": "tilted", "tilt": -1.0}})


# One part of every kind: key, module, registry, base of the settings, function.
KINDS = {
    "sampler": ("samplers", "SAMPLERS", "Settings"),
    "class_weights": ("weights", "CLASS_WEIGHTS", "Settings"),
    "loss": ("losses", "LOSSES", "Settings"),
    "contrastive": ("contrastive", "CONTRASTIVE", "ContrastiveSettings"),
    "views": ("views", "VIEWS", "ViewsSettings"),
    "mixing": ("mixing", "MIXING", "Settings"),
    "posthoc": ("posthoc", "POSTHOC", "PosthocSettings"),
    "second_stage": ("second_stage", "SECOND_STAGES", "SecondStageSettings"),
    "subclusters": ("clustering", "CLUSTERINGS", "Settings"),
    "classifier": ("classical", "CLASSIFIERS", "Settings"),
}


@pytest.mark.parametrize("key", KINDS)
def test_every_kind_of_part_can_be_ones_own(write: Write, key: str) -> None:
    module, registry, base = KINDS[key]
    wing = "training" if key == "second_stage" else "methods"
    place = "base" if base == "Settings" else f"components.{module}"
    code = f"""\
from typing import Literal
from drugtail.{wing}.{module} import {registry}
from drugtail.config.{place} import {base}

class Mine({base}):
    name: Literal["mine"]
    strength: int = 3

@{registry}.register("mine", Mine)
def mine(settings, *given):
    return settings.strength
"""
    views: dict[str, Any] = {"views": {"name": "drop"}} if key == "contrastive" else {}
    if key == "subclusters":
        views = {"schedule": {"warmup_epochs": 1}}
    recipe = recipe_with(write, code, **views, **{key: {"name": "mine"}})
    settings = getattr(recipe, key)
    assert settings.strength == 3
    assert component_registries()[key]["mine"](settings) == 3
    with pytest.raises(DrugtailError, match=rf"key {key}\.strenth: unknown key.*strength"):
        recipe_with(write, code, **views, **{key: {"name": "mine", "strenth": 3}})


def test_settings_can_be_written_with_postponed_annotations(write: Write) -> None:
    code = "from __future__ import annotations\n" + CODE
    assert recipe_with(write, code, loss={"name": "tilted"}).loss.name == "tilted"


def test_a_part_says_what_it_needs_besides(write: Write) -> None:
    needy = SETTINGS.replace("    tilt", "    for_experts: ClassVar[bool] = True\n    tilt")
    code = "from typing import ClassVar\n" + HEAD + needy + LOSS
    loss = {"name": "tilted"}
    with pytest.raises(DrugtailError, match="loss tilted also needs: experts"):
        recipe_with(write, code, loss=loss)
    assert recipe_with(write, code, loss=loss, experts={"number": 2}).experts is not None


def test_a_file_is_loaded_once_and_again_after_a_change(write: Write) -> None:
    path = write(CODE)
    first = load_plugin(path)
    assert load_plugin(path) is first
    assert load_plugin(Path(path.parent, "..", path.parent.name, path.name)) is first
    # Of the same length and most likely in the same second: Python's own cache would miss it.
    write(CODE.replace("ge=0", "ge=5"))
    second = load_plugin(path)
    assert second.digest != first.digest
    with pytest.raises(DrugtailError, match="must be at least 5"):
        read_recipe(
            write({**RECIPE, "loss": {"name": "tilted", "tilt": 1.0}}, "mine.yaml"),
            model=recipe_model([path]),
        )
    write(CODE.replace('"tilted"', '"leaning"'))
    load_plugin(path)
    assert "tilted" not in LOSSES.names()
    assert "leaning" in LOSSES.names()
    assert not (path.parent / "__pycache__").exists()


def test_a_file_may_add_a_split_alone_or_beside_components(write: Write) -> None:
    assert load_plugin(write(CUT)).names == {"splits": ("odd",)}
    both = load_plugin(write(CODE + "\n\n" + CUT.replace('"odd"', '"even"'))).names
    assert both == {"loss": ("tilted",), "splits": ("even",)}
    assert "odd" not in STRATEGIES.names()
    write(CODE)
    load_plugin(write(CODE))
    assert "even" not in STRATEGIES.names()


def test_two_files_stand_beside_each_other(write: Write) -> None:
    load_plugin(write(CODE))
    load_plugin(write(CODE.replace('"tilted"', '"leaning"'), "other.py"))
    assert {"tilted", "leaning"} <= set(LOSSES.names())


FAULTS = {
    "syntax": (HEAD + "class Tilted(\n", "line 5: SyntaxError: .*; mend the file"),
    "exception": (HEAD + "\n\n1 / 0\n", "line 7: ZeroDivisionError: division by zero; mend"),
    "exit": ("import sys\nsys.exit('no')\n", "line 2: SystemExit: no; mend the file"),
    "import": ("import nothing_like_it\n", "line 1: ModuleNotFoundError: .*nothing_like_it"),
    "not text": ("x = '\0'\n", "SyntaxError|ValueError"),
    "nothing": (HEAD, r'registers nothing; decorate a function, .* with @LOSSES\.reg'),
    "taken": (
        CODE.replace('"tilted"', '"focal"'),
        "line 8: ValueError: loss 'focal' is registered already, by the package; choose",
    ),
    "taken by experts": (CODE.replace('"tilted"', '"diverse_experts"'), "registered already"),
    "no settings": (
        CODE.replace(", Tilted)", ")"),
        r"loss 'tilted': is registered without settings; .*register\(\"tilted\", <its settings",
    ),
    "other settings": (
        CODE.replace("(Settings)", ""),
        r"its settings, .*Tilted.*, are not a class derived from .*base\.Settings; derive",
    ),
    "no class": (CODE.replace(", Tilted)", ", {'a': 1})"), "are not a class derived from"),
    "no name": (
        CODE.replace('    name: Literal["tilted"]\n', ""),
        r"its settings class Tilted must have the line name: Literal\[\"tilted\"\]",
    ),
    "other name": (CODE.replace('name: Literal["tilted"]', 'name: Literal["x"]'), "must have the"),
    "any name": (CODE.replace('name: Literal["tilted"]', "name: str"), "must have the line"),
    "unknown type": (
        "from __future__ import annotations\n" + CODE.replace("tilt: float", "tilt: flaot"),
        "settings class Tilted: .*flaot",
    ),
    "taken split": (CUT.replace('"odd"', '"scaffold"'), "'scaffold' is registered already"),
    "name of a split": (CUT.replace('"odd"', '"odd-0"'), "'odd-0': use letters, digits and _"),
    "no cut": (CUT.replace("def cut", "def cuts"), "derived from .*Strategy that has cut"),
    "no strategy": (CUT.replace("(Strategy)", ""), "'odd': register a class derived from"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_file_is_refused_by_name_and_leaves_nothing_behind(
    write: Write, fault: str
) -> None:
    code, says = FAULTS[fault]
    path = write(code)
    registries = all_registries()
    before = {key: registry.names() for key, registry in registries.items()}
    with pytest.raises(DrugtailError) as error:
        load_plugin(path)
    assert str(error.value).startswith(f"{path}: ")
    assert re.search(says, str(error.value), re.DOTALL), str(error.value)
    assert {key: registry.names() for key, registry in registries.items()} == before
    # What was mended is loaded as if nothing had been.
    write(CODE)
    assert load_plugin(path).names == {"loss": ("tilted",)}


def test_a_contrastive_term_needs_the_settings_of_one(write: Write) -> None:
    code = CODE.replace("LOSSES", "CONTRASTIVE").replace(
        "methods.losses import CONTRASTIVE, negative_log_likelihood", "methods.contrastive import *"
    )
    path = write("from drugtail.methods.contrastive import CONTRASTIVE\n" + code)
    with pytest.raises(DrugtailError, match=r"derived from .*contrastive\.ContrastiveSettings"):
        load_plugin(path)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none.py", "no such file; paths are relative to the folder the command is run in"),
        ("mine.txt", "is no Python file; its name must end in .py"),
        ("folder.py", "is a folder"),
    ],
)
def test_what_is_no_file_of_python_is_refused(tmp_path: Path, name: str, says: str) -> None:
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(DrugtailError) as error:
        load_plugin(tmp_path / name)
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert says in str(error.value)


def test_an_unknown_part_is_refused_with_what_is_known_ones_own_too(write: Write) -> None:
    with pytest.raises(
        DrugtailError, match=r"key loss.name: 'tiltd' is unknown.*cross_entropy.*tilted"
    ):
        recipe_with(write, CODE, loss={"name": "tiltd"})


def plan(choice: dict[str, Any]) -> Plan:
    value = {
        "name": "mine", "title": "t", "datasets": ["demo"], "splits": ["random-0"],
        "seeds": ["0-0"], "methods": ["cross_entropy", choice],
    }  # fmt: skip
    return Plan(validated(Benchmark, value, "mine.yaml"), CATALOGUE)


def test_a_benchmark_names_recipe_and_code_by_path(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(CODE)
    write({**RECIPE, "loss": {"name": "tilted"}}, "mine.yaml")
    monkeypatch.chdir(tmp_path)
    made = plan({"name": "mine", "recipe": "mine.yaml", "plugin": "mine.py"})
    assert made.recipes["mine"].loss.name == "tilted"
    assert made.method_plugin("mine") == Path("mine.py")
    assert made.method_plugin("cross_entropy") is None
    assert made.wanted("demo", "gcn", "mine")["plugins"] == [file_digest(Path("mine.py"))]
    assert "plugins" not in made.wanted("demo", "gcn", "cross_entropy")
    variant = plan(
        {
            "name": "steep",
            "recipe": "mine.yaml",
            "plugin": "mine.py",
            "settings": {"loss.tilt": 9.0},
        }
    )
    assert variant.recipes["steep"].name == "steep"
    assert variant.wanted("demo", "gcn", "steep")["recipe"]["loss"]["tilt"] == 9.0
    # As a job reads it, also if the recipe has changed meanwhile.
    write_json(tmp_path / "plan.json", variant.resolved)
    write({**RECIPE, "loss": {"name": "tilted", "tilt": 3.0}}, "mine.yaml")
    again = Plan.read(tmp_path / "plan.json")
    assert again.recipes == variant.recipes
    assert [b.path for b in again.blocks()] == [b.path for b in variant.blocks()]
    write(CODE + "# A remark.\n")
    with pytest.raises(DrugtailError, match=r"mine\.py: has changed since .*plan\.json was made"):
        Plan.read(tmp_path / "plan.json")


def test_code_may_serve_a_recipe_of_the_catalogue(write: Write) -> None:
    choice = {"name": "mine", "recipe": "cross_entropy", "plugin": str(write(CODE))}
    made = plan({**choice, "settings": {"loss.name": "tilted"}})
    assert made.recipes["mine"].loss.name == "tilted"


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"recipe": "none.yaml"}, "none.yaml: no such file"),
        ({"recipe": "cross_entropy", "plugin": "none.py"}, "none.py: no such file"),
        ({"recipe": "none"}, "methods: 'none' is unknown"),
    ],
)
def test_what_a_benchmark_names_must_be_there(choice: dict[str, str], says: str) -> None:
    with pytest.raises(DrugtailError, match=re.escape(says)):
        plan({"name": "mine", **choice})


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "drugtail", *map(str, words)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_command_checks_an_encoders_settings_with_its_file(write: Write) -> None:
    page = (PROJECT / "docs/extending.md").read_text(encoding="utf-8")
    code = write(shown_files(page)["my/own_gine.py"], "own_gine.py")
    settings = write({"name": "narrow", "kind": "own_gine", "width": 16}, "narrow.yaml")
    done = command("check", settings, "--plugin", code)
    assert (done.returncode, done.stdout) == (0, f"{settings}: good\n"), done.stderr
    assert "'own_gine' is unknown" in command("check", settings).stderr
    write({"name": "narrow", "kind": "own_gine", "widht": 16}, "narrow.yaml")
    assert "did you mean width?" in command("check", settings, "--plugin", code).stderr


def test_the_command_checks_a_recipe_outside_the_catalogue(write: Write) -> None:
    recipe, code = write({**RECIPE, "loss": {"name": "tilted"}}, "mine.yaml"), write(CODE)
    done = command("check", "--method", recipe, "--plugin", code)
    assert (done.returncode, done.stdout) == (0, f"{recipe}: good\n")
    without = command("check", "--method", recipe)
    assert without.returncode == 1
    assert f"{recipe}: key loss.name: " in without.stderr
    assert "name what it is for" in command("check", "--plugin", code).stderr
    write("1 / 0\n")
    faulty = command("check", "--method", recipe, "--plugin", code)
    assert faulty.returncode == 1
    assert f"drugtail: error: {code}: line 1: ZeroDivisionError" in faulty.stderr
    assert "Traceback" not in faulty.stderr


def test_recipes_without_code_are_read_without_pytorch() -> None:
    program = (
        "import sys; from pathlib import Path; from drugtail.config.catalogue import Catalogue\n"
        "from drugtail.listing import methods\n"
        f"c = Catalogue(Path({str(CONFIG)!r}))\n"
        "methods(c.recipe(n) for n in c.names('methods')); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_results_are_bound_to_the_file_and_a_classifier_of_ones_own_predicts(
    write: Write, tmp_path: Path, make_files: Any
) -> None:
    code = write(
        """\
from typing import Literal
from drugtail.methods.classical import CLASSIFIERS
from drugtail.config.base import Settings

class Bayes(Settings):
    name: Literal["bayes"]

@CLASSIFIERS.register("bayes", Bayes)
def bayes(settings, seed, threads):
    from sklearn.naive_bayes import BernoulliNB
    return BernoulliNB()
"""
    )
    recipe = read_recipe(
        write({**RECIPE, "classifier": {"name": "bayes"}}, "mine.yaml"), model=recipe_model([code])
    )
    block = Block(
        **make_files((30, 20, 10)).inputs("morgan"), recipe=recipe,
        encoder=FingerprintEncoder(name="morgan", kind="fingerprint"), training=Training(),
        seeds=[0], plugins=[code], device="cpu",
    )  # fmt: skip
    train_block(block, tmp_path / "out")
    manifest = read_json(tmp_path / "out/manifest.json")
    assert manifest["inputs"][f"plugin {code}"] == {"path": str(code), "sha256": file_digest(code)}
    logits = read_parquet(tmp_path / "out/predictions.parquet").filter(like="logit_").to_numpy()
    assert np.isfinite(logits).all()
    assert np.exp(logits).sum(axis=1) == pytest.approx(1, abs=1e-4)
    # It is kept, and asked with the file that it is from.
    asked = tmp_path / "asked.csv"
    asked.write_text("smiles\nCCCO\nCCCN\n")
    with pytest.raises(DrugtailError, match=r"needs an encoder, featurizer or estimator of .*plug"):
        predict(tmp_path / "out", asked, tmp_path / "said.csv")
    predict(tmp_path / "out", asked, tmp_path / "said.csv", plugins=[code])
    assert pd.read_csv(tmp_path / "said.csv")["drugtail_class"].str.startswith("class").all()


STOPPING = """\
from pathlib import Path
from typing import Literal
import torch
from drugtail.config.base import Settings
from drugtail.methods.samplers import SAMPLERS

class Stopping(Settings):
    name: Literal["stopping"]

@SAMPLERS.register("stopping", Stopping)
def stopping(settings, labels, generator, progress):
    if progress > 0 and (Path(__file__).parent / "stop").exists():
        raise RuntimeError("stopped")
    return torch.randperm(len(labels), generator=generator)
"""


@pytest.mark.parametrize("edited", [False, True])
def test_a_checkpoint_is_used_if_the_file_is_as_it_was(
    write: Write, tmp_path: Path, make_files: Any, capfd: pytest.CaptureFixture[str], edited: bool
) -> None:
    recipe = write({**RECIPE, "sampler": {"name": "stopping"}}, "mine.yaml")
    code, stop = write(STOPPING), write("", "stop")

    def train() -> None:
        block = Block(
            **make_files((30, 20, 10)).inputs(),
            recipe=read_recipe(recipe, model=recipe_model([code])),
            encoder=GraphEncoder(name="tiny", kind="gcn", layers=1, width=8, head=[8]),
            training=Training(epochs=2, batch_size=16), seeds=[0], plugins=[code], device="cpu",
        )  # fmt: skip
        checkpoints = tmp_path / "checkpoints"
        train_block(block, tmp_path / "out", checkpoints=checkpoints, checkpoint_seconds=0)

    with pytest.raises(DrugtailError, match="line 13: RuntimeError: stopped"):
        train()
    stop.unlink()
    if edited:
        write(STOPPING + "# A remark.\n")
    capfd.readouterr()
    train()
    said = "".join(capfd.readouterr())
    assert ("checkpoint of other settings, inputs or code; not used" in said) == edited
    assert ("continues after epoch 1 of 2" in said) != edited
