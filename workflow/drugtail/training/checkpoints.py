"""Checkpoints of blocks: one that was cut off continues to the same result."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from drugtail.models.saved import Damaged, load_archive, save_archive
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import say


class Checkpoint:
    """One file with the state of the seeds of a block.

    Parameters
    ----------
    path
        The file; None keeps nothing.
    key
        Digest of everything the result depends on, but the device. A file with another key is
        not used.
    seconds
        Time between two writes; 0 writes after every epoch. It does not change results.

    Attributes
    ----------
    earlier : dict
        ``wall`` and ``cpu`` seconds that earlier processes spent on what `load` returned.
    """

    def __init__(self, path: Path | None, key: str, seconds: float) -> None:
        self.path = path
        self.key = key
        self.seconds = seconds
        self.earlier = {"wall": 0.0, "cpu": 0.0}
        self._began = _clocks()

    def load(self) -> dict[str, Any] | None:
        """Return the saved state, on the CPU, or None if there is none that fits.

        A damaged file is set aside and said: it can cost time, never a result.

        Raises
        ------
        DrugtailError
            If the file may not be read.
        """
        if self.path is None or not self.path.is_file():
            return None
        saved = self._read()
        if saved is None:
            aside = self.path.replace(self._aside)
            say(
                f"{self.path}: damaged checkpoint, set aside as {aside.name}; these seeds start "
                "from the beginning"
            )
            return None
        if saved["key"] != self.key:
            say(f"{self.path}: checkpoint of other settings, inputs or code; not used")
            return None
        self.earlier = saved["spent"]
        state: dict[str, Any] = saved["state"]
        return state

    def save(self, state: dict[str, Any]) -> None:
        """Write the state atomically."""
        if self.path is not None:
            now = _clocks()
            spent = {name: self.earlier[name] + now[name] - self._began[name] for name in now}
            save_archive(self.path, {"key": self.key, "spent": spent, "state": state})

    def discard(self) -> None:
        """Remove the file, and its folder if nothing else is in it."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            self._aside.unlink(missing_ok=True)
            with suppress(OSError):
                self.path.parent.rmdir()

    @property
    def _aside(self) -> Path:
        """Path of a damaged file until the block is finished."""
        assert self.path is not None
        return self.path.with_name(f"{self.path.name}.damaged")

    def _read(self) -> dict[str, Any] | None:
        """The file's content, or None if it is not what `save` wrote."""
        assert self.path is not None
        try:
            saved = load_archive(self.path)
        except Damaged:
            return None
        except PermissionError:
            raise DrugtailError(
                f"{self.path}: may not be read; make it readable, or delete it to begin anew"
            ) from None
        whole = isinstance(saved, dict) and {"key", "spent", "state"} <= set(saved)
        return saved if whole else None


def _clocks() -> dict[str, float]:
    return {"wall": time.monotonic(), "cpu": time.process_time()}
