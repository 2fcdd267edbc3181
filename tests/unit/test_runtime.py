"""Atomic files, digests of code, and seeds."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import drugtail
from drugtail.runtime.digest import file_digest, text_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import (
    atomic_directory,
    atomic_path,
    read_json,
    read_parquet,
    read_parquet_metadata,
    write_json,
    write_parquet,
    write_text,
)
from drugtail.runtime.seeds import derive_seed

PACKAGE = Path(drugtail.__file__).parent


def python(code: str, *arguments: str, path: Path = PACKAGE.parent, **env: str) -> str:
    """What a fresh interpreter prints that finds the package under `path`."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", **env},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


class Stopped(BaseException):
    """Like KeyboardInterrupt: not an Exception."""


# ------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("fault", [RuntimeError, KeyboardInterrupt, Stopped])
@pytest.mark.parametrize("old", [None, "older"])
def test_a_write_that_fails_midway_leaves_what_was_there(
    tmp_path: Path, fault: type[BaseException], old: str | None
) -> None:
    path = tmp_path / "file.txt"
    if old:
        path.write_text(old)

    def half() -> None:
        with atomic_path(path) as temporary, temporary.open("w") as handle:
            handle.write("half of")
            handle.flush()
            raise fault

    with pytest.raises(fault):
        half()
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == ({"file.txt": old} if old else {})


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        # A rename is atomic only within one file system.
        assert temporary.parent == path.parent
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["file.txt"]


def test_a_body_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("older")

    def nothing() -> None:
        with atomic_path(path):
            pass

    with pytest.raises(FileNotFoundError):
        nothing()
    assert path.read_text() == "older"


def test_two_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with atomic_path(path) as one, atomic_path(path) as two:
        one.write_text("one")
        two.write_text("two")
        assert one != two
    assert path.read_text() == "one"


def test_values_that_json_cannot_hold_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, {"a": [1, "β"]})
    for bad in (float("nan"), float("inf"), object()):
        with pytest.raises((ValueError, TypeError)):
            write_json(path, {"a": bad})
    assert read_json(path) == {"a": [1, "β"]}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


def test_a_full_disk_surfaces_and_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    write_json(path, "older")
    # A limit on file sizes makes the kernel refuse a write halfway, as a full disk does.
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from drugtail.runtime.files import write_json\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
        "try:\n    write_json(Path(sys.argv[1]), 'x' * 100_000)\n"
        "except OSError as error:\n    print('refused', error.errno)\n"
    )
    assert python(code, str(path)).startswith("refused")
    assert read_json(path) == "older"
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


def test_a_folder_that_cannot_be_written_surfaces(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("I am no folder")
    with pytest.raises(OSError, match="file"):
        write_text(tmp_path / "file" / "inside.txt", "text")
    with pytest.raises(OSError, match="file"):
        write_parquet(tmp_path / "file" / "deeper" / "inside.parquet", pd.DataFrame({"a": [1]}))
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {"file": "I am no folder"}


def test_a_folder_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    with atomic_directory(path, "a") as folder:
        (folder / "a").write_text("1")
        (folder / "b").write_text("1")

    def half() -> None:
        with atomic_directory(path, "a") as folder:
            (folder / "a").write_text("2")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert {p.name: p.read_text() for p in path.iterdir()} == {"a": "1", "b": "1"}
    with atomic_directory(path, "a") as folder:
        (folder / "c").write_text("3")
    assert {p.name: p.read_text() for p in path.iterdir()} == {"c": "3"}
    assert [p.name for p in tmp_path.iterdir()] == ["raw"]


def test_a_folder_that_holds_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years")

    def replaced(path: Path) -> None:
        with atomic_directory(path, "features.json") as folder:
            (folder / "features.json").write_text("{}")

    with pytest.raises(DrugtailError, match=r"'thesis.tex' and no features.json"):
        replaced(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years"
    with pytest.raises(DrugtailError, match="is a file"):
        replaced(tmp_path / "thesis.tex")
    # What such a command left, and an empty folder, may go.
    (tmp_path / "empty").mkdir()
    for _ in range(2):
        replaced(tmp_path / "empty")
    assert [p.name for p in (tmp_path / "empty").iterdir()] == ["features.json"]


def test_a_folder_moved_aside_by_a_process_that_was_killed_comes_back(tmp_path: Path) -> None:
    """Killed between moving the old folder aside and moving the new one in."""
    dead = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True).stdout.strip()
    aside = tmp_path / f".out.{platform.node()}-{dead}-1234abcd.aside"
    aside.mkdir()
    (aside / "README.md").write_text("what people wrote")
    kept = tmp_path / "out" / "README.md"

    def cut_off() -> None:
        with atomic_directory(tmp_path / "out", "manifest.json"):
            assert kept.read_text() == "what people wrote"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_off()
    assert kept.read_text() == "what people wrote"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"<html>"])
def test_a_damaged_json_file_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "value.json").write_bytes(content)
    with pytest.raises(DrugtailError, match=r"value\.json: not a JSON file"):
        read_json(tmp_path / "value.json")


def test_parquet_keeps_values_types_and_header(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "β"], "n": [1, 2], "x": [0.5, None], "subset": ["", "test"]})
    header = {"class_names": ["no", "ja"], "seed": 3}
    write_parquet(tmp_path / "t.parquet", frame, header)
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "t.parquet"), frame, check_dtype=False)
    assert read_parquet(tmp_path / "t.parquet")["n"].dtype == "int64"
    assert read_parquet_metadata(tmp_path / "t.parquet") == header
    assert list(read_parquet(tmp_path / "t.parquet", ["x", "id"])) == ["x", "id"]


def test_parquet_of_the_same_frame_is_the_same_bytes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "x": [0.1, 0.2]})
    for name in ("one", "two"):
        write_parquet(tmp_path / name, frame, {"a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_parquet_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, pd.DataFrame({"a": range(1000)}))
    with pytest.raises(DrugtailError, match=r"t\.parquet: column 'b' is missing"):
        read_parquet(path, ["a", "b"])
    path.write_bytes(path.read_bytes()[:-20])
    for reader in (read_parquet, read_parquet_metadata):
        with pytest.raises(DrugtailError, match=r"t\.parquet: cannot be read as Parquet"):
            reader(path)
        with pytest.raises(DrugtailError, match=r"none\.parquet: "):
            reader(tmp_path / "none.parquet")


# ----------------------------------------------------------------------------------- digests


@given(st.binary(max_size=300))
def test_a_file_digest_is_the_sha256_of_its_bytes(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes"
    path.write_bytes(content)
    assert file_digest(path) == hashlib.sha256(content).hexdigest()


def test_a_text_digest_is_the_sha256_of_its_utf_8() -> None:
    assert text_digest("β") == hashlib.sha256(b"\xce\xb2").hexdigest()


DIGESTS = """
import json, sys
from drugtail.runtime.digest import code_digest
names = ["methods.losses", "training.block", "data.split", "report.plot", "evaluation.evaluate"]
print(json.dumps({name: code_digest("drugtail." + name) for name in names}))
"""


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package that tests may change; its parent goes on PYTHONPATH."""
    root = tmp_path_factory.mktemp("copy")
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PACKAGE, root / "drugtail", ignore=ignore)
    return root


def changed_digests(root: Path, file: str, old: str, new: str) -> set[str]:
    """Stages whose digest changes when `old` in `file` becomes `new`."""
    path = root / "drugtail" / file
    before, text = json.loads(python(DIGESTS, path=root)), path.read_text()
    assert old in text
    try:
        path.write_text(text.replace(old, new, 1))
        after = json.loads(python(DIGESTS, path=root))
    finally:
        path.write_text(text)
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def derive_seed", "# a comment\n\n\ndef derive_seed"),
        ('    """Return a seed in [0, 2**63)', '    """Another docstring; a seed in [0, 2**63)'),
        ('"""Every random stream', '"""Each random stream'),
        ('name = "\\x1f".join(str(axis) for axis in axes)',
         'name = "\\x1f".join(\n        str(axis) for axis in axes\n    )'),
    ],
    ids=["comment", "docstring", "module-docstring", "layout"],
)  # fmt: skip
def test_words_about_the_code_change_no_digest(copied: Path, old: str, new: str) -> None:
    assert changed_digests(copied, "runtime/seeds.py", old, new) == set()


def test_code_changes_the_digests_of_the_stages_that_use_it_alone(copied: Path) -> None:
    seeds = changed_digests(copied, "runtime/seeds.py", "[:8]", "[8:16]")
    assert {"training.block", "data.split"} <= seeds
    assert "evaluation.evaluate" not in seeds
    loss = changed_digests(copied, "methods/losses.py", "from typing", "import time\nfrom typing")
    assert loss == {"methods.losses", "training.block"}
    plot = changed_digests(copied, "report/plot.py", "import ", "import time\nimport ")
    assert plot == {"report.plot"}


def test_a_constant_changes_the_digest_through_two_imports(copied: Path) -> None:
    assert changed_digests(
        copied, "evaluation/metrics.py", "BINS = 15", "BINS = 10"
    ) == {"evaluation.evaluate"}  # fmt: skip


def test_the_digest_does_not_depend_on_place_or_process(copied: Path) -> None:
    here = python(DIGESTS, PYTHONHASHSEED="1")
    assert python(DIGESTS, PYTHONHASHSEED="2") == here
    assert python(DIGESTS, path=copied) == here


# ------------------------------------------------------------------------------------- seeds


def test_a_seed_is_the_same_in_every_process() -> None:
    code = (
        "from drugtail.runtime.seeds import derive_seed\n"
        "print(derive_seed('order', 'hiv', 'random-0', 3, 17))"
    )
    expected = int(hashlib.sha256(b"order\x1fhiv\x1frandom-0\x1f3\x1f17").hexdigest()[:16], 16) >> 1
    assert derive_seed("order", "hiv", "random-0", 3, 17) == expected == 4429443907688786495
    for salt in ("0", "1", "random"):
        assert python(code, PYTHONHASHSEED=salt) == str(expected)


@given(st.lists(st.one_of(st.integers(), st.text(max_size=8)), max_size=5))
def test_seeds_fit_every_generator(axes: list[str | int]) -> None:
    assert 0 <= derive_seed(*axes) < 2**63


def test_seeds_differ_along_every_axis() -> None:
    grid = [
        (stream, data, split, seed)
        for stream in ("order", "weights", "views")
        for data in ("hiv", "hi", "h")
        for split in ("random-0", "random-1", "vrandom-0")
        for seed in range(40)
    ]
    assert len({derive_seed(*axes) for axes in grid}) == len(grid)
    assert derive_seed("a", "bc") != derive_seed("ab", "c")
