"""Reading saved models."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from drugtail.runtime.errors import DrugtailError

MODEL_KEYS = {
    "encoder", "last_layer", "experts", "class_names", "molecules", "reads", "second",
    "plugins", "weights",
}  # fmt: skip

DAMAGE = (OSError, RuntimeError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError)


def load_model(path: Path) -> dict[str, Any]:
    """Read ``model.pt``: settings of the encoder, class names and weights per seed.

    Raises
    ------
    DrugtailError
        If it is absent, damaged or something else.
    """
    try:
        model: dict[str, Any] = _load_archive(path)
    except IsADirectoryError:
        raise DrugtailError(f"{path}: is a folder; name the model.pt in it") from None
    except FileNotFoundError:
        raise DrugtailError(f"{path}: no such file; train the block first") from None
    except DAMAGE as error:
        raise DrugtailError(
            f"{path}: cannot be read as a model ({type(error).__name__}); train the block again"
        ) from None
    if not isinstance(model, dict) or not set(model) >= MODEL_KEYS:
        raise DrugtailError(f"{path}: is not a model; name the model.pt of a finished block")
    return model


def _load_archive(path: Path) -> Any:
    """Load tensors, numbers and text, onto the CPU.

    PyTorch does not notice a changed byte inside a tensor; the archive's own checksums do.
    """
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"wrong checksum of {damaged}")
    return torch.load(path, map_location="cpu", weights_only=True)
