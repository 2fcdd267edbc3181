"""YAML of anybody: safe types, no key twice, and an error within a moment for what is too much."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from drugtail.config.base import validated
from drugtail.config.catalogue import read_benchmark
from drugtail.config.training import Training
from drugtail.config.yaml_reader import MOST_BYTES, parse_yaml, read_yaml
from drugtail.runtime.errors import DrugtailError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18) + 1, 10**18 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs", "Cc"]))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc"), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text("xyz", min_size=1), VALUES, max_size=5))
def test_what_was_written_is_read(value: dict[str, Any]) -> None:
    assert parse_yaml(yaml.safe_dump(value, allow_unicode=True), "here") == value


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]")
    return "\n".join(lines)


def test_aliases_may_stand_for_what_people_write() -> None:
    assert len(parse_yaml(bomb(3), "here")["a2"]) == 10
    assert parse_yaml("a: &x {lr: 0.1}\nb: *x", "here") == {"a": {"lr": 0.1}, "b": {"lr": 0.1}}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (bomb(9), "line 5, column 5: not valid YAML: more than 100,000 entries"),
        ("a: " + "[" * 5000, "nested deeper than 30 levels"),
        ("a: " + "{a: " * 20_000, "nested deeper than 30 levels"),
        ("a: &a [*a]", "an alias of itself"),
        ("a: &a {b: {c: *a}}", "an alias of itself"),
        (f"a: {'9' * 5000}", "a number of more than 18 digits"),
        (f"a: -1{'0' * 18}", "a number of more than 18 digits"),
        ("a: 0x" + "f" * 30, "a number of more than 18 digits"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: 2020-13-01", "not valid YAML: month must be in"),
        ("a: b\0c", "unacceptable character #x0000"),
        ("a: 1\na: 2", "key 'a' is given twice"),
        ("? [1]\n: 2", "cannot be a key"),
        ("a: *nothing", "found undefined alias"),
        ("a: !!bool perhaps", "not valid YAML: 'perhaps'"),
        ("a: !!int ''", "not valid YAML: "),
        ("a: !!timestamp x", "not valid YAML: "),
        ("a: !!map [1]", "expected a mapping node"),
        ("a: !!set [1]", "expected a mapping node"),
        ("b: &b {c: 1}\na: {<<: *b}", "merge keys (<<) are not read; write the keys out"),
        ("k" * 900 + ": 1\n" + "k" * 900 + ": 2", "is given twice"),
    ],
)
def test_what_nobody_writes_is_an_error_in_a_line(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(DrugtailError) as error:
        read_yaml(path)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert says in message
    assert len(message) < 1000
    assert "\n" not in message


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("a: " + "x" * MOST_BYTES)
    with pytest.raises(DrugtailError, match=r"has 1,000,003 bytes, a configuration at most"):
        read_yaml(path)


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
def test_numbers_are_finite(number: str) -> None:
    with pytest.raises(DrugtailError, match=r"key learning_rate: must be a finite number"):
        validated(Training, parse_yaml(f"learning_rate: {number}", "here"), "here")


@pytest.mark.parametrize("seeds", ["0-999999999", "0-1000", "9999999999-9999999999", "1" * 99])
def test_seeds_are_of_a_number_that_can_be_trained(seeds: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nseeds: ['{seeds}']")
    with pytest.raises(DrugtailError, match=r"key seeds: .*(at most 1,000|not a block of seeds)"):
        read_benchmark(path)


def test_a_file_of_many_faults_shows_some_of_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("".join(f"key{i}: {'x' * 2000}\n" for i in range(400)))
    with pytest.raises(DrugtailError) as error:
        read_benchmark(path)
    assert " more faults" in str(error.value)
    assert len(str(error.value)) < 2_000
