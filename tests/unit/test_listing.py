"""Lists of what there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from drugtail import plugins
from drugtail.config.catalogue import Catalogue
from drugtail.listing import COMMAND, address, listed, methods, methods_page, needs
from drugtail.plugins import all_registries

CONFIG = Path(__file__).parents[2] / "config"


CATALOGUE = Catalogue(CONFIG)


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """Take out again what a test registered."""
    yield
    for path in list(plugins._loaded):
        plugins._forget(all_registries(), plugins._loaded.pop(path).names)


def test_the_page_of_methods_is_up_to_date() -> None:
    made = methods_page(methods(map(CATALOGUE.recipe, CATALOGUE.names("methods"))))
    assert (CONFIG / "methods/README.md").read_text(encoding="utf-8") == made, (
        f"config/methods/README.md is out of date; run: {COMMAND}"
    )


def test_featurizers_that_are_named_after_something_are_listed() -> None:
    rows, faults = listed(CATALOGUE, "featurizers")
    assert not faults
    found = {row["name"]: row["gives"] for row in rows}
    assert found["deepchem:NAME"] == found["vectors:NAME"] == "vector"
    assert found["morgan"] == "bits"


def test_every_link_of_the_page_leads_to_a_recipe_or_a_publication() -> None:
    text = (CONFIG / "methods/README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) > 2 * 40
    for link in links:
        assert link.startswith("https://") or (CONFIG / "methods" / link).is_file(), link


def test_rows_have_the_keys_that_programs_read() -> None:
    rows = methods(map(CATALOGUE.recipe, CATALOGUE.names("methods")))
    assert {tuple(row) for row in rows} == {
        ("name", "family", "idea", "reference", "reads", "needs")
    }
    assert next(iter(rows))["name"] == "cross_entropy"
    assert {row["reads"] for row in rows if row["family"] == "classical"} == {"fingerprints"}


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("cross_entropy", []),
        ("random_forest", []),
        ("bcl", ["two views of each molecule (twice the work)", "learned class centres"]),
        (
            "supcon",
            [
                "two views of each molecule (twice the work)",
                "a second stage, 20% of the epochs: a new last layer on frozen features",
            ],
        ),
        ("class_separability", ["re-clustering every 10 epochs"]),
        ("ride", ["3 heads", "cosine last layer"]),
        ("crt", ["a second stage, 20% of the epochs: a new last layer on frozen features"]),
        ("bbn", ["two batches a step (twice the work)", "2 heads"]),
    ],
)
def test_what_a_method_needs_is_read_from_its_recipe(method: str, words: list[str]) -> None:
    assert needs(CATALOGUE.recipe(method)) == words


def test_references_become_addresses() -> None:
    assert address("arXiv:2504.04647") == "https://arxiv.org/abs/2504.04647"
    assert address("doi:10.1016/0377-0427(87)9") == "https://doi.org/10.1016/0377-0427%2887%299"
    assert address("https://openreview.net/x") == "https://openreview.net/x"
