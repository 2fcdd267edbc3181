"""docs/extending.md on encoders and featurizers, word for word, but on the tiny data."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from project import PROJECT, Project, listed_jobs
from rdkit import Chem
from rdkit.Chem import Descriptors
from walkthrough import changed, follow, section, shown_files

from drugtail.runtime.files import read_json

PAGE = (PROJECT / "docs/extending.md").read_text(encoding="utf-8")
# What a reader with other data would change, and less work.
CHANGES = {
    "datasets: [demo]": "datasets: [tiny]\nfigures: []\ntables: [head_tail]",
    "epochs: 8": "epochs: 2, batch_size: 16",
}


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which the section on encoders was followed, and what its commands said."""
    return follow(changed(section(PAGE, "An encoder"), CHANGES), tmp_path_factory.mktemp("encoder"))


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which the section on featurizers was followed, and what its commands said."""
    text = changed(section(PAGE, "A featurizer"), CHANGES)
    return follow(text, tmp_path_factory.mktemp("features"))


def test_an_encoder_takes_at_most_sixty_lines_and_a_featurizer_forty() -> None:
    assert len(shown_files(section(PAGE, "An encoder"))["my/own_gine.py"].splitlines()) <= 60
    assert len(shown_files(section(PAGE, "A featurizer"))["my/descriptors.py"].splitlines()) <= 40


def test_each_encoder_has_its_rows_in_the_table(encoders: tuple[Project, str]) -> None:
    project, said = encoders
    assert "good, 8 training jobs" in said
    table = pd.read_csv(project.folder / "results/tables/encoders/head_tail.csv")
    assert set(zip(table["encoder"], table["method"], strict=True)) == {
        (encoder, method)
        for encoder in ("gcn", "morgan_mlp", "own_gine", "own_gine_small")
        for method in ("cross_entropy", "class_distance")
    }
    assert (table["runs"] == 2).all()


def test_an_encoder_that_is_named_alone_has_its_default_settings(
    encoders: tuple[Project, str],
) -> None:
    blocks = encoders[0].folder / "results/runs/tiny/random-0"
    widths = {}
    for name in ("own_gine", "own_gine_small"):
        (manifest,) = blocks.glob(f"{name}/cross_entropy-*/seeds0-1/manifest.json")
        settings = read_json(manifest)
        widths[name] = settings["settings"]["encoder"]["width"]
        assert "plugin my/own_gine.py" in settings["inputs"]
    assert widths == {"own_gine": 64, "own_gine_small": 32}


def test_a_model_on_an_encoder_of_ones_own_predicts_what_it_predicted(
    encoders: tuple[Project, str],
) -> None:
    project = encoders[0]
    (model,) = (project.folder / "results/runs").glob("*/*/own_gine/cross_entropy-*/*/model.pt")
    frame = pd.read_parquet(project.folder / "results/data/tiny/molecules.parquet")
    frame[["smiles"]].to_csv(project.folder / "asked.csv", index=False, quoting=csv.QUOTE_ALL)
    words = ("predict", "--model", str(model), "--molecules", "asked.csv", "--output", "said.csv")
    refused = project.run("drugtail", *words, check=False)
    assert refused.returncode == 1
    assert "--plugin my/own_gine.py" in refused.stdout
    assert "Traceback" not in refused.stdout
    project.run("drugtail", *words, "--plugin", "my/own_gine.py", "--seed", "0")
    found = pd.read_csv(project.folder / "said.csv")
    by_name = ["results/metrics/encoders" if word == str(model) else word for word in words]
    chosen = ("--method", "cross_entropy", "--encoder", "own_gine")
    said = project.run("drugtail", *by_name, *chosen, "--plugin", "my/own_gine.py", "--seed", "0")
    assert "takes cross_entropy on own_gine on tiny" in said.stdout
    pd.testing.assert_frame_equal(pd.read_csv(project.folder / "said.csv"), found)
    refused = project.run("drugtail", *by_name, "--encoder", "gin", check=False)
    assert "--encoder gin: results/metrics/encoders has none; it has gcn, " in refused.stdout
    stored = pd.read_parquet(model.parent / "predictions.parquet")
    stored = stored[stored["seed"] == 0].set_index("id")
    logits = stored.filter(like="logit_").to_numpy()
    wanted = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    rows = frame.reset_index().set_index("id").loc[stored.index, "index"]
    names = [f"drugtail_p_{name}" for name in ("alcohol", "amine", "bromide")]
    np.testing.assert_allclose(found.loc[rows, names].to_numpy(), wanted, rtol=1e-3, atol=1e-4)


def test_a_change_of_the_encoder_trains_what_stands_on_it_alone(
    encoders: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(encoders[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    words = ("snakemake", "train", "--dry-run", "--cores", "2", "--configfile", "my/encoders.yaml")
    assert listed_jobs(project.run(*words).stdout) == {}
    project.edit("my/own_gine.py", "x = x + self", "x = x - self")
    assert listed_jobs(project.run(*words).stdout) == {"train_network": 4, "train": 1}
    # And one of the package's, for which nothing else is trained again.
    project.edit("my/own_gine.py", "x = x - self", "x = x + self")
    project.edit("workflow/drugtail/models/encoders/mlp.py", "if layer:", "if layer > 0:")
    jobs = listed_jobs(project.run(*words).stdout)
    assert jobs == {"train_network": 2, "train": 1}


def test_a_declaration_of_a_component_trains_the_methods_that_have_it(
    encoders: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(encoders[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    # Only class_distance is contrastive.
    project.edit(
        "workflow/drugtail/config/components/contrastive.py",
        'name: Literal["subcluster"]\n',
        'name: Literal["subcluster"]\n    odd: ClassVar[int] = 1\n',
    )
    words = ("snakemake", "train", "--dry-run", "--cores", "2", "--configfile", "my/encoders.yaml")
    assert listed_jobs(project.run(*words).stdout) == {"train_network": 4, "train": 1}


def test_a_new_encoder_featurizer_and_strategy_of_the_package_train_nothing_that_exists(
    encoders: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(encoders[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    package = project.folder / "workflow/drugtail"
    for kind, name, new in (
        ("config/encoders", "mlp", "wide"), ("models/encoders", "mlp", "wide"),
        ("features/featurizers", "morgan", "circular"), ("data/strategies", "random", "chance"),
        ("report/figures", "class_sizes", "sizes"),
    ):  # fmt: skip
        text = (package / kind / f"{name}.py").read_text()
        (package / kind / f"{new}.py").write_text(text.replace(f'"{name}"', f'"{new}"'))
    assert "wide" in project.run("drugtail", "list", "encoder-kinds").stdout
    words = ("snakemake", "--dry-run", "--cores", "2", "--configfile", "my/encoders.yaml")
    assert listed_jobs(project.run(*words).stdout) == {}


def test_an_encoder_that_does_not_fit_is_refused_with_the_reason(
    encoders: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(encoders[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    project.edit("my/encoders.yaml", "class_distance]", "two_phase_food]")
    said = project.run("drugtail", "check", "my/encoders.yaml", check=False).stdout
    assert "method two_phase_food: second_stage two_phase grafts parts of graphs" in said
    assert "morgan_mlp has none" in said
    project.edit("my/encoders.yaml", "  - morgan_mlp\n", "")
    project.edit("my/own_gine.py", "    atoms: ClassVar[bool] = True\n", "")
    said = project.run("drugtail", "check", "my/encoders.yaml", check=False).stdout
    assert "own_gine has none" in said
    project.edit("my/encoders.yaml", "plugins: [my/own_gine.py]\n", "")
    said = project.run("drugtail", "check", "my/encoders.yaml", check=False).stdout
    assert "encoders: own_gine: there is no encoder 'own_gine'" in said
    assert "one of your own needs its file in `plugins`" in said
    assert "Traceback" not in said


def test_a_typo_is_answered_with_what_the_file_adds_too(
    encoders: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(encoders[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    project.edit("my/encoders.yaml", "  - own_gine\n", "  - own_gien\n")
    said = project.run("drugtail", "check", "my/encoders.yaml", check=False).stdout
    assert "there is no encoder 'own_gien' (did you mean own_gine?)" in said


def test_a_model_says_that_its_encoder_has_changed_and_where_a_copy_lies(
    encoders: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(encoders[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    (model,) = (project.folder / "results/runs").glob("*/*/own_gine/cross_entropy-*/*/model.pt")
    (project.folder / "asked.csv").write_text("smiles\nCCO\nCCN\n")
    project.edit("my/own_gine.py", "sees bonds", "sees every bond")
    words = ("predict", "--model", str(model), "--molecules", "asked.csv", "--output", "said.csv")
    refused = project.run("drugtail", *words, "--plugin", "my/own_gine.py", check=False)
    assert refused.returncode == 1
    assert "my/own_gine.py has changed since it was trained" in refused.stdout
    copy = model.parent / "plugins/own_gine.py"
    assert f"--plugin {copy}" in refused.stdout
    project.run("drugtail", *words, "--plugin", str(copy))
    assert len(pd.read_csv(project.folder / "said.csv")) == 2


def test_an_encoder_that_fails_ends_its_job_with_the_line(
    encoders: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(encoders[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    project.edit("my/own_gine.py", "data.x)", "data.xx)")
    project.edit("my/encoders.yaml", "encoders:\n  - gcn\n  - morgan_mlp\n", "encoders:\n")
    words = ("snakemake", "train", "--cores", "2", "--configfile", "my/encoders.yaml")
    done = project.run(*words, check=False)
    assert done.returncode != 0
    assert "encoder 'own_gine': my/own_gine.py: line 4" in done.stdout
    assert "Traceback" not in done.stdout


def test_features_of_ones_own_are_what_the_file_says(features: tuple[Project, str]) -> None:
    folder = features[0].folder / "results"
    (found,) = (folder / "features/tiny").glob("plugin-*/descriptors")
    smiles = pd.read_parquet(folder / "data/tiny/molecules.parquet")["smiles"]
    values = np.load(found / "values.npy")
    assert values.shape == (len(smiles), 8)
    wanted = [Descriptors.MolLogP(Chem.MolFromSmiles(one)) for one in smiles]
    np.testing.assert_allclose(values[:, 1], wanted, rtol=1e-5)
    table = pd.read_csv(folder / "tables/features/head_tail.csv")
    assert set(zip(table["encoder"], table["method"], strict=True)) == {
        ("morgan", "random_forest"), ("descriptors", "random_forest"),
        ("descriptors_mlp", "cross_entropy"),
    }  # fmt: skip


def test_a_model_on_features_of_ones_own_is_not_asked_with_those_of_another_file(
    features: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(features[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    (model,) = (project.folder / "results/runs").glob("*/*/descriptors_mlp/*/*/model.pt")
    (project.folder / "asked.csv").write_text("smiles\nCCO\nCCN\n")
    words = ("predict", "--model", str(model), "--molecules", "asked.csv", "--output", "said.csv")
    refused = project.run("drugtail", *words, check=False)
    assert refused.returncode == 1
    assert "--plugin my/descriptors.py" in refused.stdout
    words += ("--plugin", "my/descriptors.py")
    project.run("drugtail", *words)
    assert len(pd.read_csv(project.folder / "said.csv")) == 2
    project.edit("my/descriptors.py", "MolWt MolLogP", "MolLogP MolWt")
    refused = project.run("drugtail", *words, check=False)
    assert refused.returncode == 1
    assert "my/descriptors.py has changed since it was trained" in refused.stdout


def test_a_forest_reads_fingerprints_whatever_the_networks_read_and_check_says_so(
    features: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(features[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    text = (project.folder / "my/features.yaml").read_text()
    (project.folder / "my/other.yaml").write_text(
        text[: text.index("encoders:")] + "encoders: [gcn]\n" + text[text.index("methods:") :]
    )
    said = project.run("drugtail", "check", "my/other.yaml").stdout
    assert "random_forest: no network" in said
    assert "it reads morgan (encoder morgan)" in said
    assert "my/descriptors.py: the benchmark names nothing of it" in said


def test_counts_are_not_taken_for_bits(features: tuple[Project, str], tmp_path: Path) -> None:
    shutil.copytree(features[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    path = project.folder / "my/descriptors.py"
    text = path.read_text().replace("VectorFeaturizer", "FingerprintFeaturizer")
    path.write_text(text.replace("def vectors", "def fingerprints"))
    words = ("snakemake", "data", "--cores", "2", "--configfile", "my/features.yaml")
    said = project.run(*words, check=False).stdout
    assert "featurizer 'descriptors': gives " in said
    assert "a bit is 0 or 1. Derive from VectorFeaturizer to keep counts" in said


def test_numbers_that_are_not_finite_end_with_molecule_and_column(
    features: tuple[Project, str], tmp_path: Path
) -> None:
    shutil.copytree(features[0].folder, tmp_path / "copy", symlinks=True)
    project = Project(tmp_path / "copy")
    project.edit("my/descriptors.py", "[one(molecule) for one in read]", "[float('nan')] * 8")
    words = ("snakemake", "data", "--cores", "2", "--configfile", "my/features.yaml")
    said = project.run(*words, check=False).stdout
    assert "featurizer 'descriptors': gives nan in column 0 for " in said
    assert "Traceback" not in said
