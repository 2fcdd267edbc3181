"""Progress for people: short lines on standard error, at most one every few seconds."""

from __future__ import annotations

import sys
import time


def say(text: str) -> None:
    """Print one line of progress at once."""
    print(text, file=sys.stderr, flush=True)


def counted(number: int, thing: str) -> str:
    """Return a number and what it counts: ``1 molecule``, ``1,200 molecules``, ``2 classes``."""
    plural = "es" if thing.endswith("s") else "s"
    return f"{number:,} {thing}{'' if number == 1 else plural}"


class Pace:
    """Says when enough time has passed to print again, so that logs stay short."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """True at most once per `seconds`."""
        now = time.monotonic()
        if now - self._last < self.seconds:
            return False
        self._last = now
        return True
