"""The page on data sets says what the registers and the prepared sets say."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from prepared import prepare, register
from project import PROJECT

from drugtail.config.catalogue import Catalogue
from drugtail.report.datasets import datasets_page
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import write_parquet

REGISTER = """\
name: tiny
title: Tiny set
task: molecule -> class
licence: two statements
citation: nobody
meaning: It means little.
files: [{name: tiny.csv, columns: [], sources: [{path: tiny.csv}]}]
columns: {smiles: smiles, label: label}
"""


def catalogue(folder: Path) -> Catalogue:
    (folder / "config/datasets").mkdir(parents=True)
    (folder / "config/datasets/tiny.yaml").write_text(REGISTER)
    return Catalogue(folder / "config")


def test_the_page_counts_what_was_prepared(tmp_path: Path) -> None:
    rows = [["CCO", "a"], ["CC[O-].[Na+]", "a"], ["C[13CH3]", "b"], ["C(", "b"], ["CCN", "a"]]
    prepare(tmp_path, rows, register(classes=None))
    results = tmp_path / "results"
    (results / "data").mkdir(parents=True)
    (tmp_path / "out1").rename(results / "data/tiny")
    methods = ["random_forest", "lightgbm", "random_forest+prior_1"]
    runs = pd.DataFrame({"dataset": "tiny", "method": methods})
    runs["test_balanced_accuracy"] = [0.5, 0.75, 1.0]
    write_parquet(results / "metrics/all/runs.parquet", runs)
    page = tmp_path / "docs/datasets.md"
    datasets_page(catalogue(tmp_path), results, "all", page)
    text = page.read_text()
    assert "| tiny | 5 | 4 | 2 | 3.0 | 25.0% | 62.5 |" in text
    assert "Tiny set: molecule -> class." in text
    assert "It means little." in text
    assert "- Licence: two statements" in text
    assert "4 of 5 rows are molecules of the set; 1 unparsable SMILES" in text
    assert "1 with isotope marks cleared; 3 parents, 0 of them in several classes" in text
    assert (tmp_path / "docs/datasets/tiny.png").read_bytes().startswith(b"\x89PNG")
    before = {path.name: path.read_bytes() for path in page.parent.rglob("*") if path.is_file()}
    datasets_page(Catalogue(tmp_path / "config"), results, "all", page)
    assert before == {p.name: p.read_bytes() for p in page.parent.rglob("*") if p.is_file()}


def test_nothing_prepared_is_said(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match="no data set is prepared; run the benchmark first"):
        datasets_page(catalogue(tmp_path), tmp_path / "results", "all", tmp_path / "page.md")


def test_the_page_in_the_repository_tells_of_every_register() -> None:
    text = (PROJECT / "docs/datasets.md").read_text(encoding="utf-8")
    registers = Catalogue(PROJECT / "config")
    for name in registers.names("datasets"):
        dataset = registers.dataset(name)
        assert f"## {name}\n" in text
        assert f"- Licence: {dataset.licence}\n" in text
        assert f"- Cite: {dataset.citation}\n" in text
