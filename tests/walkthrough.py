"""Whole files and commands that a page of documentation shows."""

from __future__ import annotations

import re


def shown_files(page: str) -> dict[str, str]:
    """Path -> content of the files that a page shows."""
    found = re.findall(r"^`(\S+)`:\n\n```\w+\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return dict(found)


def shown_commands(page: str) -> list[str]:
    """The commands of a page, in order."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]
