"""Hints name commands that can be typed where they are read."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from drugtail.runtime.invocation import program, running

OURS = Path(sys.executable).parent


def test_a_program_that_the_shell_finds_is_called_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", f"{OURS}{os.pathsep}/usr/bin")
    assert program("drugtail") == "drugtail"
    # Another one of that name is not ours.
    other = tmp_path / "drugtail"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{OURS}")
    assert (Path.cwd() / program("drugtail")).resolve() == (OURS / "drugtail").resolve()


def test_a_benchmark_is_run_by_make_in_a_clone_and_by_snakemake_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(OURS))
    benchmark = Path("config/benchmarks/study/my set.yaml")
    assert running(benchmark) == f"snakemake --configfile '{benchmark}'"
    Path("Makefile").touch()
    assert running(benchmark) == "make benchmark NAME='study/my set'"
    assert running(Path("mine.yaml")) == "snakemake --configfile mine.yaml"
