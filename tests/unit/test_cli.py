"""Commands that cannot run say why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from drugtail.cli import main

MakeFiles = Callable[[Sequence[int]], Any]


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str
) -> str:
    """Return the message of a command that must end with status 1."""
    monkeypatch.setattr(sys, "argv", ["drugtail", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    return capsys.readouterr().err


def test_a_package_of_an_extra_that_is_not_installed_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    # As where it was never installed.
    monkeypatch.setitem(sys.modules, "rdkit", None)
    monkeypatch.delitem(sys.modules, "drugtail.data.inspect", raising=False)
    (tmp_path / "mine.csv").write_text("smiles,label\nCCO,a\nCCN,b\n")
    said = refused(monkeypatch, capsys, "inspect", str(tmp_path / "mine.csv"))
    assert "the Python package rdkit is not installed" in said
    assert "install it, or drugtail again with its extra `all`" in said


def test_a_featurizer_of_deepchem_says_that_deepchem_is_not_installed(
    make_files: MakeFiles,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("deepchem", "deepchem.feat"):
        monkeypatch.setitem(sys.modules, name, None)
    words = ("--molecules", str(make_files((9, 6)).molecules), "--output", str(tmp_path / "f"))
    name = "deepchem:MACCSKeysFingerprint"
    said = refused(monkeypatch, capsys, "featurize", "--featurizer", name, *words)
    assert f"featurizer {name!r}: the Python package deepchem" in said
    assert "is not installed" in said
    assert not (tmp_path / "f").exists()
