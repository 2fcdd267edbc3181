"""Models and checkpoints: what is read is what was saved, or an error."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from damage import DAMAGES, Damage

from drugtail.models.saved import Damaged, load_archive
from drugtail.runtime.errors import DrugtailError, is_of_the_machine
from drugtail.training.checkpoints import Checkpoint

STATE = {
    "network": {f"layer.{i}": torch.arange(120.0).reshape(2, 3, 20) / (i + 1) for i in range(4)},
    "names": ["a", "ü"], "epoch": 3, "best": None, "loss": 1.5,
}  # fmt: skip


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return bool(one == other)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_archive_is_refused_or_harmless(damage: Damage, tmp_path: Path) -> None:
    path, rng = tmp_path / "one.pt", np.random.default_rng(0)
    torch.save(STATE, path)
    whole, refused = path.read_bytes(), 0
    assert same(load_archive(path), STATE)
    for _ in range(300):
        path.write_bytes(damage(whole, rng))
        try:
            found = load_archive(path)
        except Damaged:
            refused += 1
            continue
        assert same(found, STATE)
    assert refused > 200


@pytest.mark.parametrize(
    ("error", "of_the_machine"),
    [
        (MemoryError(), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (OSError(errno.EIO, "Input/output error"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (PermissionError(errno.EACCES, "Permission denied"), True),
        (OSError(errno.EINVAL, "Invalid argument"), False),
        (RuntimeError("PytorchStreamReader failed"), False),
        (ValueError("embedded null byte"), False),
    ],
)
def test_what_the_machine_cannot_do_is_no_damage(error: Exception, of_the_machine: bool) -> None:
    assert is_of_the_machine(error) == of_the_machine


def test_a_damaged_checkpoint_is_set_aside_until_the_block_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoints"
    checkpoint = Checkpoint(folder / "seeds0-1.pt", "key", 0)
    checkpoint.save(STATE)
    content = checkpoint.path.read_bytes()[:-7] if checkpoint.path else b""
    (folder / "seeds0-1.pt").write_bytes(content)
    assert checkpoint.load() is None
    assert "damaged checkpoint, set aside as seeds0-1.pt.damaged" in capsys.readouterr().err
    assert (folder / "seeds0-1.pt.damaged").read_bytes() == content
    assert checkpoint.load() is None
    checkpoint.save(STATE)
    assert same(checkpoint.load(), STATE)
    checkpoint.discard()
    assert not folder.exists()


def test_a_checkpoint_that_may_not_be_read_is_no_damaged_one() -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "seeds0-1.pt"
        Checkpoint(path, "key", 0).save(STATE)
        path.parent.chmod(0o755)
        path.chmod(0)
        me = os.geteuid()
        try:
            # Root may read every file.
            os.seteuid(65534 if me == 0 else me)
            with pytest.raises(DrugtailError, match=r"seeds0-1\.pt: may not be read; make it rea"):
                Checkpoint(path, "key", 0).load()
        finally:
            os.seteuid(me)
        assert path.is_file()
