"""Choosing the device, and making it compute the same thing twice."""

from __future__ import annotations

import os
from typing import Any

import torch

from drugtail.runtime.errors import DrugtailError


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device, with deterministic kernels.

    ``auto`` takes the GPU if there is one.

    Raises
    ------
    DrugtailError
        If ``cuda`` is asked for and there is none, or the name is unknown.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise DrugtailError(f"--device {name!r}: not a device; use auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise DrugtailError(
            "--device cuda: this machine's PyTorch sees no GPU; use --device cpu, or install the "
            "CUDA packages listed in envs/"
        )
    device = torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        # Scatter additions on a GPU differ from run to run unless made deterministic.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
        # That would also fill all new memory, which is written before it is read.
        deterministic: Any = torch.utils.deterministic
        deterministic.fill_uninitialized_memory = False
    return device


def device_name(device: torch.device) -> str:
    """A person's name for the device, for manifests."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else "cpu"
