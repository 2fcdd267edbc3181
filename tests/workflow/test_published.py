"""What the README and results/published/ say agrees with itself and with the configuration."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import yaml

from drugtail.runtime.files import read_json

PROJECT = Path(__file__).parents[2]
PUBLISHED = PROJECT / "results/published/real"


def test_the_readme_shows_the_published_table() -> None:
    readme = (PROJECT / "README.md").read_text()
    table = (PUBLISHED / "tables/summary.md").read_text()
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 36
    for row in rows:
        assert row in readme


def test_every_run_of_the_published_tables_was_finished() -> None:
    table = pd.read_csv(PUBLISHED / "tables/head_tail.csv")
    assert (table["runs"] == table["expected"]).all()
    assert table["runs"].sum() == read_json(PUBLISHED / "manifest.json")["runs"] == 108


def test_the_published_configuration_is_todays() -> None:
    today = yaml.safe_load((PROJECT / "config/real.yaml").read_text())
    assert yaml.safe_load((PUBLISHED / "real.yaml").read_text()) == today


def test_the_published_files_name_no_folder_of_the_machine_they_were_made_on() -> None:
    for path in PUBLISHED.rglob("*"):
        if path.is_file():
            text = path.read_text()
            assert "/tmp/" not in text
            assert "/home/" not in text
            assert f"{Path.home()}/" not in text
