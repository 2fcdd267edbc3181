"""Planned comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from collected_runs import paired_runs

from drugtail.benchmark.plan import Plan
from drugtail.config.base import validated
from drugtail.config.benchmark import Benchmark
from drugtail.config.catalogue import Catalogue
from drugtail.config.table import Table
from drugtail.evaluation.statistics import compare_pairs
from drugtail.report.tables import tabulate
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import write_parquet

CATALOGUE = Catalogue(Path(__file__).parents[3] / "config")
BENCHMARK: dict[str, Any] = {
    "name": "asked", "title": "Asked", "datasets": ["demo"], "splits": ["cv-1x5"],
    "methods": ["cross_entropy", "focal", "random_forest"], "seeds": ["0-0"],
    "encoders": ["gcn", "gin"], "prior_corrections": [0.5],
}  # fmt: skip
GAIN = {"asks": "Does focal gain?", "method": "focal", "against": "cross_entropy"}


def plan_of(*questions: dict[str, Any], **changes: Any) -> Plan:
    value = {**BENCHMARK, "questions": list(questions), **changes}
    return Plan(validated(Benchmark, value, "asked.yaml"), CATALOGUE)


def test_a_benchmarks_questions_are_its_first_table() -> None:
    corrected = {"asks": "Is a correction enough?", "method": "random_forest+prior_0.5",
                 "against": "focal", "metric": "balanced_accuracy_tail"}  # fmt: skip
    plan = plan_of(GAIN, corrected)
    assert [*plan.tables] == ["questions", "head_tail"]
    assert [one.asks for one in plan.tables["questions"].questions] == [
        "Does focal gain?", "Is a correction enough?",
    ]  # fmt: skip
    assert [*plan_of().tables] == ["head_tail"]


def test_a_question_may_be_about_encoders() -> None:
    asked = {"asks": "Does GIN gain?", "method": "focal on gin", "against": "focal on gcn"}
    assert plan_of(asked).tables["questions"].questions[0].method == "focal on gin"


@pytest.mark.parametrize(
    ("question", "changes", "says"),
    [
        ({**GAIN, "method": "fokal"}, {}, r"method: 'fokal' is no row .*did you mean focal\?"),
        ({**GAIN, "against": "focal+prior_1"}, {}, "'focal.prior_1' is no row of the benchmark"),
        ({**GAIN, "method": "random_forest on gcn"}, {}, "'random_forest on gcn' is no row"),
        ({**GAIN, "against": "focal"}, {}, "'focal' with 'focal'; name two methods"),
        (
            {**GAIN, "against": "focal on gin"},
            {},
            "compares 'focal' with 'focal on gin'; name two methods",
        ),
        ({**GAIN, "method": "focal on gnc"}, {}, r"'focal on gnc' .*mean focal on g"),
        ({**GAIN, "metric": "recal"}, {}, "'Does focal gain[?]': metric 'recal' is unknown"),
        (GAIN, {"tables": ["questions"]}, "table of the benchmark's own questions"),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    question: dict[str, Any], changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(DrugtailError, match=says):
        plan_of(question, **changes)


ASKED = [
    {"asks": "Better?", "method": "ours", "against": "plain"},
    {"asks": "The same?", "method": "same", "against": "plain"},
]


def answered(
    folder: Path, runs: pd.DataFrame, asked: list[dict[str, str]] = ASKED
) -> tuple[pd.DataFrame, str]:
    write_parquet(folder / "runs.parquet", runs)
    definition = {"name": "q", "title": "Q", "kind": "questions", "questions": asked}
    tabulate(folder, Table.model_validate(definition), folder / "out")
    return pd.read_csv(folder / "out.csv"), (folder / "out.md").read_text()


def test_questions_are_corrected_among_themselves_on_each_data_set(tmp_path: Path) -> None:
    runs = paired_runs()
    found, text = answered(tmp_path, runs)
    assert found["asks"].tolist() == ["Better?"] * 3 + ["The same?"] * 3
    assert found["dataset"].tolist() == ["a", "b", "all"] * 2
    column = "test_balanced_accuracy"
    pairs = [("ours", "plain", column), ("same", "plain", column)]
    wanted = compare_pairs(runs, pairs).set_index(["method", "dataset"])
    each = found[found["dataset"] != "all"].set_index(["method", "dataset"])
    assert each["p_holm"].to_dict() == pytest.approx(wanted["p_holm"].to_dict())
    assert wanted["p_holm"].max() == 1, "four tests, two of them of no difference"
    assert each.loc["ours", "verdict"].tolist() == ["better", "better"]
    assert each.loc["same", "verdict"].tolist() == ["equal", "equal"]
    over_all = found[found["dataset"] == "all"].set_index("method")
    assert over_all.loc["ours", "better"] > 0.7
    assert "worse 0." in text
    assert "Comparisons that the benchmark registers" in text


def test_encoders_are_averaged_with_a_note_or_compared_where_they_are_named(
    tmp_path: Path,
) -> None:
    runs = paired_runs()
    other = runs.assign(encoder="other")
    other["test_balanced_accuracy"] -= 0.2 * (other["method"] == "ours")
    both = pd.concat([runs, other], ignore_index=True)
    found, text = answered(tmp_path, both)
    mean = found[(found["asks"] == "Better?") & (found["dataset"] == "a")]["difference"]
    assert mean.tolist() == pytest.approx([0.052 - 0.1])
    first = runs["encoder"].iloc[0]
    assert f"means over the encoders that both methods ran on (of {first}, other)" in text
    named = [{"asks": "Other?", "method": "ours on other", "against": f"ours on {first}"}]
    found, text = answered(tmp_path, both, named)
    assert found["difference"].tolist() == pytest.approx([-0.2] * 3, abs=1e-6)
    assert "means over the encoders" not in text


def test_a_question_about_a_row_without_runs_has_no_answer(tmp_path: Path) -> None:
    runs = paired_runs()
    found, text = answered(tmp_path, runs[runs["method"] != "ours"])
    assert found[found["asks"] == "Better?"]["splits"].tolist() == [0, 0]
    assert "n/a" in next(line for line in text.splitlines() if "Better?" in line)


@pytest.mark.parametrize("kind", ["questions", "ranks"])
def test_without_a_finished_run_there_is_a_table_without_rows(tmp_path: Path, kind: str) -> None:
    runs = paired_runs().assign(status="missing")
    write_parquet(tmp_path / "runs.parquet", runs)
    more: dict[str, Any] = {
        "questions": {"questions": [{"asks": "?", "method": "ours", "against": "plain"}]},
        "ranks": {"columns": [{"metric": "balanced_accuracy", "title": "BA"}]},
    }
    table = Table.model_validate({"name": "t", "title": "T", "kind": kind, **more[kind]})
    tabulate(tmp_path, table, tmp_path / "out", reference="plain")
    assert pd.read_csv(tmp_path / "out.csv").empty
