"""What the README and results/published/ say agrees with itself and with the configuration."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd
import pytest
import yaml

from drugtail.runtime.files import read_json

PROJECT = Path(__file__).parents[2]
FOLDERS = sorted(path.parent for path in PROJECT.glob("results/published/*/manifest.json"))


def table_rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_there_is_something_published() -> None:
    names = {folder.name for folder in FOLDERS}
    assert names == {
        "real", "separability", "proposed", "ablation", "families", "baselines", "views",
    }  # fmt: skip


def test_the_readme_shows_the_published_table() -> None:
    readme = (PROJECT / "README.md").read_text()
    rows = table_rows((PROJECT / "results/published/real/tables/summary.md").read_text())
    assert len(rows) == 2 + 36
    for row in rows:
        assert row in readme


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
class TestPublished:
    def test_every_run_of_the_tables_was_finished_or_is_named_as_missing(
        self, folder: Path
    ) -> None:
        benchmark = read_json(folder / "manifest.json")
        missing = {Path(block).parts[3] for block in benchmark.get("missing", [])}
        expected = None
        for path in (folder / "tables").glob("*.csv"):
            table = pd.read_csv(path)
            if "expected" in table and path.stem != "trade_off":
                wanted = table["expected"].mask(table["method"].isin(missing), 0)
                assert (table["runs"] == wanted).all()
                expected = table["runs"].sum()
                assert expected == benchmark["runs"]
        assert expected is not None

    def test_gaps_are_counted_where_people_read(self, folder: Path) -> None:
        benchmark = read_json(folder / "manifest.json")
        if missing := benchmark.get("missing"):
            blocks = len(benchmark["blocks"])
            counted = f"**{blocks} of {blocks + len(missing)} methods**"
            assert counted in (folder / "README.md").read_text()
            assert counted in (PROJECT / "README.md").read_text()

    def test_the_configuration_is_todays(self, folder: Path) -> None:
        name = f"{folder.name}.yaml"
        today = yaml.safe_load((PROJECT / "config" / name).read_text())
        assert yaml.safe_load((folder / name).read_text()) == today

    def test_no_file_names_a_folder_of_the_machine_it_was_made_on(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                content = path.read_bytes()
                for machine in ("/tmp/", "/home/", f"{Path.home()}/"):
                    assert machine.encode() not in content


@pytest.mark.parametrize(
    "page", sorted(PROJECT.glob("results/published/*/README.md")), ids=lambda page: page.parent.name
)
def test_a_page_beside_the_tables_quotes_their_rows(page: Path) -> None:
    """Every table row below the mark stands in a published table, here or beside."""
    published = {
        row
        for pattern in ("*/tables/*.md", "clustering/clustering.md", "speed/bench.md")
        for path in PROJECT.glob(f"results/published/{pattern}")
        for row in table_rows(path.read_text())
    }
    quoted = re.findall(r"(?m)^<!-- from tables -->\n((?:\|.*\n)+)", page.read_text())
    assert quoted
    for block in quoted:
        assert set(table_rows(block)) <= published
