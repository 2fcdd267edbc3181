"""The command that a manifest records."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drugtail.runtime.manifest import command_line


@pytest.mark.parametrize(
    ("words", "recorded"),
    [
        (["/usr/bin/drugtail", "train", "--block", "a b"], "drugtail train --block 'a b'"),
        (["/lib/drugtail/__main__.py", "train"], "drugtail train"),
        (["drugtail/all.py", "one.yaml"], "python drugtail/all.py one.yaml"),
    ],
)
def test_it_is_the_one_that_a_person_can_run_again(
    words: list[str], recorded: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DRUGTAIL_PLAN", raising=False)
    monkeypatch.setattr(sys, "argv", words)
    assert command_line() == recorded
    monkeypatch.setenv("DRUGTAIL_PLAN", "my plan.json")
    assert command_line() == f"DRUGTAIL_PLAN='my plan.json' {recorded}"


def test_a_script_is_named_and_not_taken_for_the_command(tmp_path: Path) -> None:
    script = tmp_path / "all.py"
    script.write_text("from drugtail.runtime.manifest import command_line\nprint(command_line())\n")
    done = subprocess.run(
        [sys.executable, script, "mine.csv"], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip().endswith(f"python {script} mine.csv")
