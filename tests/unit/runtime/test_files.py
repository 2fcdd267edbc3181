"""Files."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from other_process import python

from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, atomic_path, read_json, write_json, write_text
from drugtail.runtime.parquet import write_parquet


class Stopped(BaseException):
    """Like KeyboardInterrupt: not an Exception."""


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
