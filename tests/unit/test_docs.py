"""Documentation shows what there is, and its links lead somewhere."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from project import PROJECT

from drugtail.benchmark.plan import Plan
from drugtail.config.benchmark import Benchmark
from drugtail.config.catalogue import Catalogue
from drugtail.features.choice import make_featurizer
from drugtail.features.stores import STORES
from drugtail.models.network import Network

CATALOGUE = Catalogue(PROJECT / "config")
PAGE = (PROJECT / "docs/training.md").read_text(encoding="utf-8")
SHOWN = yaml.safe_load(re.findall(r"```yaml\n(.*?)```", PAGE, re.S)[0])


OUTSIDE = [PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def plan(**changes: Any) -> Plan:
    settings = {
        "name": "b", "title": "b", "datasets": ["demo"], "splits": ["random-0"],
        "methods": ["cross_entropy"], "seeds": ["0-0"], "tables": ["head_tail"], **changes,
    }  # fmt: skip
    return Plan(Benchmark.model_validate(settings), CATALOGUE)


@pytest.mark.parametrize("name", [one["name"] for one in SHOWN["encoders"]])
def test_an_encoder_that_is_shown_can_be_used(name: str) -> None:
    encoder: Any = plan(**SHOWN).encoders[name]
    smiles = ["CCO", "c1ccccc1C(=O)O", "C"]
    featurizer = make_featurizer(encoder.featurizer)
    store = STORES[featurizer.form](featurizer.arrays(smiles), torch.device("cpu"))
    network = Network(encoder, store.shape, 2, [0]).eval()
    assert network(store.batch(torch.arange(3)[None])).logits.isfinite().all()


def test_every_encoder_is_on_the_page() -> None:
    missing = [name for name in CATALOGUE.names("encoders") if f"`{name}`" not in PAGE]
    assert missing == []


def test_the_authors_code_has_the_settings_that_the_page_names() -> None:
    recipe = CATALOGUE.recipe("class_distance_official_code").model_dump()
    section = PAGE[PAGE.index("## The proposed method") :]
    named = re.findall(r"\| `([a-z_]+: \{.*?\})` \|", section)
    assert len(named) == 7
    for cell in named:
        ((part, settings),) = yaml.safe_load(cell).items()
        assert settings.items() <= recipe[part].items()
    paper = CATALOGUE.recipe("class_distance").model_dump()
    shown = {next(iter(yaml.safe_load(cell))) for cell in named}
    assert {key for key in paper if paper[key] != recipe[key]} - {"name", "idea"} == shown


def test_a_prior_correction_is_added_to_a_control_as_shown() -> None:
    shown = yaml.safe_load(re.findall(r"`(\{name: permuted_corrected.*?\})`\.", PAGE)[0])
    recipe: Any = plan(methods=["cross_entropy", shown], training={"epochs": 20}).recipes
    assert recipe["permuted_corrected"].class_weights.control == "permuted"
    assert recipe["permuted_corrected"].posthoc.tau == 1.0


def test_the_readme_is_short() -> None:
    assert len((PROJECT / "README.md").read_text(encoding="utf-8").splitlines()) <= 100


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: page.name)
def test_links_of_pages_outside_the_site_lead_somewhere(page: Path) -> None:
    """`make docs` looks at those inside."""
    links = re.findall(r"\]\(([^)\s:#]+)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8"))
    assert links
    for path, heading in links:
        target = page.parent / path
        assert target.exists(), path
        if heading:
            titles = re.findall(r"(?m)^#+ (.*)$", target.read_text(encoding="utf-8"))
            assert heading in {re.sub(r"[^\w -]", "", t.lower()).replace(" ", "-") for t in titles}


def test_every_link_of_the_site_leads_somewhere_and_a_broken_one_is_an_error(
    tmp_path: Path,
) -> None:
    for name in ("docs", "config", "results/published", "workflow", "tests/contract"):
        shutil.copytree(
            PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(PROJECT / "mkdocs.yml", tmp_path)

    def build() -> subprocess.CompletedProcess[str]:
        command = [Path(sys.executable).with_name("mkdocs"), "build"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    done = build()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/site/repository/config/methods/own.html").is_file()
    page = tmp_path / "docs/faq.md"
    page.write_text(page.read_text() + "\n[gone](../config/gone.yaml)\n")
    done = build()
    assert done.returncode != 0
    assert "../config/gone.yaml" in done.stderr
