"""Tables in LaTeX."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drugtail.config.table import Table
from drugtail.evaluation.leaders import BEST, TIED
from drugtail.report.latex import MOST_ROWS, display_name, escaped, latex, said_once

TABLE = Table.model_validate(
    {"name": "t", "title": "T", "columns": [{"metric": "mcc", "title": "MCC"}]}
)


def printed(rows: int, method: str = "m") -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Data set": ["a_b"] * rows,
            "Method": [f"{method}_{number}" for number in range(rows)],
            "MCC": ["-0.5 ± 0.1"] * rows,
        }
    )


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cross_entropy", "cross entropy"),
        ("ldam_drw+prior_0.5", "LDAM DRW + prior 0.5"),
        ("xgboost+tuned", "XGBoost + tuned"),
        ("morgan_mlp", "morgan MLP"),
        ("class_distance †", "class distance †"),
    ],
)
def test_names_are_words(name: str, words: str) -> None:
    assert display_name(name) == words


def test_what_all_rows_have_is_said_below() -> None:
    kept, common = said_once(printed(2))
    assert [*kept] == ["Method", "MCC"]
    assert common == ["Data set: a_b."]
    # Of a single row all columns stand.
    assert [*said_once(printed(1))[0]] == ["Data set", "Method", "MCC"]


def test_a_long_table_comes_in_parts_with_one_number_and_one_note() -> None:
    text = latex(printed(2 * MOST_ROWS + 1), TABLE, ["Note."], {})
    assert text.count("\\begin{tabular}") == 3
    assert text.count("\\label{tab:t}") == 1
    assert text.count("\\addtocounter{table}{-1}") == 2
    assert text.count("(continued)") == 2
    assert text.count("Note.") == 1
    rows = re.findall(r"(?m)^m (\d+) & ", text)
    assert [int(row) for row in rows] == [*range(2 * MOST_ROWS + 1)]


def test_a_wide_table_takes_both_columns_of_a_journal_and_none_of_a_thesis() -> None:
    wide = printed(2, "a_method_with_a_name_that_goes_on_and_on_and_on_and_on_and_on")
    assert "\\begin{table*}" in latex(wide, TABLE, [], {})
    assert "\\begin{table}" in latex(printed(2), TABLE, [], {})
    assert "\\begin{table}" in latex(wide, TABLE, [], {}, "thesis")


def test_the_best_and_its_equals_are_marked_and_explained() -> None:
    text = latex(printed(3), TABLE, [], {(0, "MCC"): BEST, (2, "MCC"): TIED})
    cells = re.findall(r"(?m)^m \d & (.*) \\\\$", text)
    value = "$-$0.5 $\\pm$ 0.1"
    assert cells == [f"\\textbf{{{value}}}", value, f"\\textit{{{value}}}"]
    assert "Bold: the best mean; italic: not told apart from it" in text
    assert "Bold" not in latex(printed(3), TABLE, [], {})


@given(st.text(st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_no_character_is_left_that_latex_would_misread(text: str) -> None:
    shown = escaped(text)
    for command in ("textbackslash{}", "textasciitilde{}", "textasciicircum{}"):
        shown = shown.replace(f"\\{command}", "")
    shown = re.sub(r"\\[&%$#_{}]", "", shown)
    shown = re.sub(r"\$[<>|]\$", "", shown)
    assert not set(shown) & set("\\&%$#_{}~^<>|")


def test_greek_letters_are_written_as_latex_has_them() -> None:
    assert escaped("β-lactam, Χ², Δ") == "$\\beta$-lactam, X$^2$, $\\Delta$"
