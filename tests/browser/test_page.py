"""A page in a real browser: opened from disk, sorted, filtered, pointed at, at three widths."""

from __future__ import annotations

import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from finished_block import collected_blocks
from playwright.sync_api import Browser, Page, sync_playwright
from project import PROJECT

from drugtail.benchmark.read_back import read_back
from drugtail.report.page import build_page

# 59 methods with and without a corrected prior, on five folds.
PUBLISHED = PROJECT / "results/published/methods"
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page") / "metrics"
    read_back([PUBLISHED], folder)
    # Published metrics are of test molecules alone; here others of theirs stand for validation.
    runs = pd.read_parquet(folder / "runs.parquet")
    runs["valid_balanced_accuracy"] = runs["test_accuracy"]
    runs.to_parquet(folder / "runs.parquet")
    return folder


@pytest.fixture(scope="module")
def page_file(metrics: Path) -> Path:
    output = metrics.parent / "index.html"
    build_page(
        title="Which <method>?",
        notes=[],
        runs=metrics / "runs.parquet",
        classes=metrics / "class_metrics.parquet",
        reference="cross_entropy",
        tables=[PUBLISHED / "tables/methods.md", PUBLISHED / "tables/questions.md"],
        figures=[],
        datasets=[],
        splits=[],
        tunings=[],
        output=output,
    )
    return output


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    assert program is not None, "install Chromium; `make test` leaves these tests out without it"
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        found = playwright.chromium.launch(executable_path=program, args=options)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, page_file: Path) -> Iterator[Page]:
    found = browser.new_page(viewport={"width": 1300, "height": 900})
    faults: list[str] = []
    found.on("pageerror", lambda error: faults.append(str(error)))
    found.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
    open_page(found, page_file)
    yield found
    found.close()
    assert faults == []


def open_page(page: Page, file: Path) -> None:
    page.goto(file.as_uri())
    page.wait_for_selector("html[data-tables=ready]")
    page.wait_for_selector("#plane1 svg")


def column(page: Page, table: int, place: int) -> list[str]:
    """Cells of a column of a table, as they are shown."""
    rows = page.locator(".dt-scroll-body").nth(table).locator("tbody tr")
    return rows.locator(f"td:nth-child({place})").all_inner_texts()


def test_it_asks_for_nothing_from_outside(browser: Browser, page_file: Path) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    open_page(page, page_file)
    page.close()
    outside = [url for url in asked if not url.startswith(("data:", "blob:", page_file.as_uri()))]
    assert outside == []
    assert page_file.stat().st_size < 5_000_000


def test_the_first_screen_names_the_best_by_validation_with_its_interval(
    page: Page, metrics: Path
) -> None:
    runs = pd.read_parquet(metrics / "runs.parquet")
    scores = runs.groupby(["method", "encoder"])["valid_balanced_accuracy"].mean()
    method, encoder = scores.idxmax()
    said = page.locator(".answer").first.inner_text()
    mean = 100 * runs[runs["method"] == method]["test_balanced_accuracy"].mean()
    assert said.startswith(f"{method} on {encoder} is best on validation molecules")
    assert f"balanced accuracy is {mean:.1f} ± " in said
    assert column(page, 0, 1)[0] == method
    box = page.locator(".answer").first.bounding_box()
    assert box is not None
    assert box["y"] < 900


def test_a_click_or_a_key_sorts_by_number(page: Page) -> None:
    head = page.locator(".dt-scroll-head").first.get_by_text("Tail", exact=True)

    def shown() -> list[float]:
        return [float(cell.split(" ")[0]) for cell in column(page, 0, 4)]

    before = shown()
    assert before != sorted(before)
    head.click()
    page.wait_for_selector("th.dt-ordering-asc")
    assert shown() == sorted(shown())
    # From one header to the next by Tab: what is focused is the arrow beside the title.
    tail = page.locator(".dt-scroll-head").first.locator("th", has_text="Tail")
    tail.locator("[tabindex='0']").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("th.dt-ordering-desc")
    assert shown() == sorted(shown(), reverse=True)


def test_a_filter_leaves_the_rows_that_have_the_words(page: Page) -> None:
    page.get_by_label("Filter:").first.fill("random_forest")
    found = column(page, 0, 1)
    assert found
    assert all("random_forest" in name for name in found)
    page.get_by_label("Filter:").first.fill("")
    assert len(column(page, 0, 1)) == 15


def test_a_dot_says_which_method_it_is(page: Page) -> None:
    # The one that is drawn last, which no other covers.
    dot = page.locator("#plane1 path[aria-roledescription=circle]").last
    dot.hover()
    page.wait_for_selector("#vg-tooltip-element.visible")
    said = page.locator("#vg-tooltip-element").inner_text()
    assert re.search(r"method\s+\w+", said)
    assert re.search(r"head\s+[+-]\d+\.\d", said)


def test_two_methods_are_chosen_and_compared_class_by_class(page: Page) -> None:
    chart = page.locator("#classes1")
    choices = chart.locator("select")
    assert choices.count() == 2
    labels = chart.locator("path[aria-roledescription=circle]")

    def drawn() -> set[str]:
        texts = [labels.nth(i).get_attribute("aria-label") or "" for i in range(labels.count())]
        return {found[1] for text in texts if (found := re.search(r"method: ([^;]+)", text))}

    choices.nth(1).select_option("xgboost on morgan")
    page.wait_for_function("document.querySelectorAll('#classes1 path').length > 0")
    assert "xgboost on morgan" in drawn()
    choices.nth(1).select_option("nearest_neighbours on morgan")
    page.wait_for_timeout(300)
    assert "nearest_neighbours on morgan" in drawn()
    assert "xgboost on morgan" not in drawn()


@pytest.mark.parametrize("width", [1300, 800, 400])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.wait_for_timeout(500)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= width


def test_the_tail_is_in_sight_on_a_phone(browser: Browser, page_file: Path) -> None:
    page = browser.new_page(viewport={"width": 420, "height": 900})
    open_page(page, page_file)
    box = page.locator(".dt-scroll-head").first.get_by_text("Tail", exact=True).bounding_box()
    cell = page.locator("table.board tbody td:nth-child(4)").first.bounding_box()
    page.close()
    assert box is not None
    assert cell is not None
    assert box["x"] + box["width"] <= 420
    assert cell["x"] + cell["width"] <= 420


def test_it_is_dark_where_the_reader_wants_that(browser: Browser, page_file: Path) -> None:
    page = browser.new_page(color_scheme="dark")
    open_page(page, page_file)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.close()
    assert max(map(int, re.findall(r"\d+", colour))) < 60


def test_what_was_wrong_is_drawn_when_it_is_opened(browser: Browser, tmp_path: Path) -> None:
    blocks, metrics, dataset = collected_blocks(tmp_path)
    build_page(
        title="t", notes=[], runs=metrics / "runs.parquet",
        classes=metrics / "class_metrics.parquet", reference="plain", tables=[], figures=[],
        datasets=[dataset], splits=[], tunings=[], output=tmp_path / "index.html", blocks=blocks,
    )  # fmt: skip
    page = browser.new_page(viewport={"width": 420, "height": 900})
    page.goto((tmp_path / "index.html").as_uri())
    page.wait_for_selector("html[data-tables=ready]")
    assert page.locator("#confusion1 svg").count() == 0
    page.locator("summary", has_text="gets wrong").focus()
    page.keyboard.press("Enter")
    for chart in ("confusion", "reliability", "rarest"):
        page.wait_for_selector(f"#{chart}1 svg")
        box = page.locator(f"#{chart}1 svg").bounding_box()
        assert box is not None
        assert 200 < box["width"] <= 420
    field = page.locator("#confusion1 path[aria-roledescription='rect mark']").first
    assert re.search(r"true class: \w", field.get_attribute("aria-label") or "")
    picture = page.locator(".molecules img").first
    assert picture.evaluate("image => image.naturalWidth") == 240
    head = page.locator("details .dt-scroll-head").get_by_text("Molecules", exact=True)
    head.click()
    page.wait_for_selector("details th.dt-ordering-asc")
    rows = page.locator("details .dt-scroll-body tbody tr")
    numbers = [float(text) for text in rows.locator("td:nth-child(3)").all_inner_texts()]
    assert numbers == sorted(numbers)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 420
    page.close()


def test_each_row_is_compared_with_each_other_one(page: Page) -> None:
    page.locator("summary", has_text="Each row against each other one").click()
    page.wait_for_selector("#verdicts1 svg")
    fields = page.locator("#verdicts1 path[aria-roledescription='rect mark']")
    # Of 76 rows the first fifteen, each against fourteen.
    assert fields.count() == 15 * 14
    said = fields.first.get_attribute("aria-label") or ""
    assert re.search(r"verdict: (better|equal|undecided|worse)", said)


@pytest.fixture(scope="module")
def followed(metrics: Path) -> Path:
    """A page of three methods on two encoders each, two of which re-cluster."""
    runs = pd.read_parquet(metrics / "runs.parquet")
    names = ["class_distance", "class_distance_official_code", "cross_entropy"]
    few = runs[runs["method"].isin(names)]
    assert few["encoder"].unique().tolist() == ["morgan_mlp"]
    twice = pd.concat([few, few.assign(encoder="gcn")])
    twice.to_parquet(metrics.parent / "runs.parquet")
    keys = itertools.product(
        names[:2], ["morgan_mlp", "gcn"], few["split"].unique(), range(12), [1, 2]
    )
    history = pd.DataFrame(keys, columns=["method", "encoder", "split", "label", "epoch"])
    history["weight"] = 1 + history["label"] / 100
    history["class_distance"] = 5 + history["label"] * history["epoch"]
    history = history.assign(dataset=few["dataset"].iloc[0], seed=0, moment="refresh", n=20)
    history.to_parquet(metrics.parent / "history.parquet")
    output = metrics.parent / "followed.html"
    build_page(
        title="t", notes=[], runs=metrics.parent / "runs.parquet",
        classes=metrics / "class_metrics.parquet", reference="cross_entropy", tables=[], figures=[],
        datasets=[], splits=[], tunings=[], output=output,
        history=metrics.parent / "history.parquet",
    )  # fmt: skip
    return output


def test_weights_and_distances_of_a_class_are_followed_by_choice(
    browser: Browser, followed: Path
) -> None:
    page = browser.new_page(viewport={"width": 420, "height": 900})
    open_page(page, followed)
    page.locator("summary", has_text="Weights and distances").click()
    page.wait_for_selector("#reclusterings1 svg")
    chart = page.locator("#reclusterings1")
    dots = chart.locator("path[aria-roledescription=circle]")

    def values() -> list[float]:
        said = [dots.nth(i).get_attribute("aria-label") or "" for i in range(dots.count())]
        return sorted(
            float(found[1]) for text in said if (found := re.search(r"value: ([\d.]+)", text))
        )

    assert values() == sorted(1 + label / 100 for label in range(12) for _ in range(2))
    chart.locator("select").nth(1).select_option(label="distance to the nearest class")
    page.wait_for_timeout(300)
    assert values() == sorted(5.0 + label * epoch for label in range(12) for epoch in (1, 2))
    dots.first.hover(force=True)
    page.wait_for_selector("#vg-tooltip-element.visible")
    assert re.search(r"class\s+\w", page.locator("#vg-tooltip-element").inner_text())
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 420
    page.close()


def test_methods_stand_against_encoders(browser: Browser, followed: Path) -> None:
    page = browser.new_page(viewport={"width": 1300, "height": 900})
    open_page(page, followed)
    page.wait_for_selector("#encoders1 svg")
    fields = page.locator("#encoders1 path[aria-roledescription='rect mark']")
    assert fields.count() == 3 * 2
    assert re.search(r"encoder: (gcn|morgan_mlp)", fields.first.get_attribute("aria-label") or "")
    page.close()
