"""Choosing the device, taking turns on it, and making it compute the same thing twice."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import say


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


@contextmanager
def exclusive_device(device: torch.device) -> Iterator[torch.device]:
    """Wait for a GPU on which no other training of this user is at work; yield it.

    Of several GPUs the first free one is taken. CUDA_VISIBLE_DEVICES, which schedulers set, says
    which ones there are. A CPU is yielded as it is.
    """
    if device.type != "cuda":
        yield device
        return
    count = torch.cuda.device_count()
    # Numbers depend on what is visible to a process; this name does not.
    names = [f"gpu-{torch.cuda.get_device_properties(one).uuid}" for one in range(count)]
    with first_free(names) as number, torch.cuda.device(number):
        yield torch.device("cuda", number)


@contextmanager
def first_free(
    names: Sequence[str], folder: Path | None = None, pause: float = 1.0
) -> Iterator[int]:
    """Wait for a thing that no other process of this user has, and keep it until the end.

    A process that is killed keeps nothing.

    Parameters
    ----------
    names
        The things.
    folder
        Where the locks lie; by default the folder for temporary files.
    pause
        Seconds between two looks.

    Yields
    ------
    int
        Which one it is.
    """
    user = getattr(os, "getuid", int)()
    place = folder or Path(tempfile.gettempdir())
    locks = [FileLock(place / f"drugtail-{user}-{name}.lock") for name in names]
    said = False
    while True:
        for number, lock in enumerate(locks):
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            try:
                yield number
            finally:
                lock.release()
            return
        if not said:
            say(f"{', '.join(names)}: in use by other trainings; waiting for one of them to end")
            said = True
        time.sleep(pause)


def device_name(device: torch.device) -> str:
    """A person's name for the device, for manifests."""
    return str(torch.cuda.get_device_name(device)) if device.type == "cuda" else "cpu"
