"""Files of PyTorch's: tensors, numbers and text, never pickled objects."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch

from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError, is_of_the_machine
from drugtail.runtime.files import atomic_path, read_json

# Keys of every model.pt; networks have last_layer and experts besides, others their classifier.
MODEL_KEYS = {
    "encoder", "class_names", "method", "molecules", "reads", "second", "plugins", "train",
    "shares", "threshold", "unkept", "weights",
}  # fmt: skip


class Damaged(Exception):
    """A file is not what was saved; the message says what is wrong with it."""


def load_model(path: Path) -> dict[str, Any]:
    """Read ``model.pt``: settings, class names, training molecules and weights per seed.

    Its SHA-256 must be the one that ``manifest.json`` beside it says, if there is one.

    Raises
    ------
    DrugtailError
        If it is absent, damaged, another one than its block wrote, or something else.
    """
    _check_digest(path)
    try:
        model: dict[str, Any] = load_archive(path)
    except IsADirectoryError:
        raise DrugtailError(f"{path}: is a folder; name the model.pt in it") from None
    except FileNotFoundError:
        raise DrugtailError(
            f"{path}: no such file; train the block first, or name another model.pt, the folder of "
            "a block, or results/metrics/BENCHMARK"
        ) from None
    except PermissionError:
        raise DrugtailError(f"{path}: may not be read; ask its owner") from None
    except Damaged as error:
        raise DrugtailError(
            f"{path}: cannot be read as a model ({error}); train the block again"
        ) from None
    if not isinstance(model, dict) or not {"encoder", "weights"} <= set(model):
        raise DrugtailError(f"{path}: is not a model; name the model.pt of a finished block")
    if not set(model) >= MODEL_KEYS:
        raise DrugtailError(
            f"{path}: was written by an earlier version of drugtail, which kept less; train the "
            "block again"
        )
    return model


def _check_digest(path: Path) -> None:
    """Refuse a file that is not the one that its block wrote."""
    manifest = path.with_name("manifest.json")
    if not (path.is_file() and manifest.is_file()):
        return
    wanted = read_json(manifest).get("outputs", {}).get(path.name)
    found = file_digest(path)
    if wanted not in (None, found):
        raise DrugtailError(
            f"{path}: is not the file that its block wrote (SHA-256 {found[:16]}…, manifest.json "
            f"says {wanted[:16]}…); train the block again"
        )


def save_archive(path: Path, value: Any) -> None:
    """Save tensors, numbers and text, atomically.

    Raises
    ------
    OSError
        If it cannot be written, as on a full disk.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        try:
            torch.save(value, file)
        except RuntimeError as error:
            # PyTorch hides what went wrong with the file behind words about the archive.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise


def load_archive(path: Path) -> Any:
    """Load tensors, numbers and text, onto the CPU.

    PyTorch does not notice a changed byte inside a tensor; the archive's own checksums do.

    Raises
    ------
    Damaged
        If the file is not what `torch.save` wrote.
    OSError
        If there is no such file, it may not be read, or the machine cannot.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
        if wrong is not None:
            raise Damaged(f"wrong checksum of {wrong!r:.80}")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Damaged:
        raise
    except Exception as error:
        if is_of_the_machine(error):
            raise
        # On damaged content both libraries raise what they like.
        raise Damaged(type(error).__name__) from error
