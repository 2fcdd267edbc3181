"""Digests."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from other_process import PACKAGE, python

from drugtail.runtime.digest import file_digest, text_digest


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
