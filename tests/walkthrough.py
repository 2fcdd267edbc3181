"""Whole files and commands that a page of documentation shows, and doing what it says."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from project import Project, make_project


def shown_files(page: str) -> dict[str, str]:
    """Path -> content of the files that a page shows."""
    found = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return dict(found)


def shown_commands(page: str) -> list[str]:
    """The commands of a page, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


def section(page: str, title: str) -> str:
    """Return the text below a heading of the second level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", page, re.DOTALL | re.MULTILINE)
    assert found, f"there is no section {title!r}"
    return found[1]


def changed(text: str, changes: Mapping[str, str]) -> str:
    """A text in which a reader with other data has changed what must stand there once."""
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times"
        text = text.replace(old, new)
    return text


def follow(text: str, folder: Path) -> tuple[Project, str]:
    """Make a project, do in it what a text says, and return it with what its commands said."""
    project = make_project(folder)
    (project.folder / ".venv").symlink_to(sys.prefix)
    (project.folder / "my").mkdir()
    for path, content in shown_files(text).items():
        (project.folder / path).write_text(content, encoding="utf-8")
    return project, "".join(project.run("bash", "-c", line).stdout for line in shown_commands(text))
