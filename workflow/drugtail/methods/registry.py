"""Finding the implementation of a part by its name in a recipe."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Implementation = TypeVar("Implementation", bound=Callable[..., object])


class Registry(Generic[Implementation]):
    """Implementations of one kind of part, by name.

    Parameters
    ----------
    kind
        What the parts are, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._found: dict[str, Implementation] = {}

    def register(self, name: str) -> Callable[[Implementation], Implementation]:
        """Register the decorated function under `name`."""

        def keep(implementation: Implementation) -> Implementation:
            if name in self._found:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._found[name] = implementation
            return implementation

        return keep

    def __getitem__(self, name: str) -> Implementation:
        """Return what is registered under `name`."""
        if name not in self._found:
            known = ", ".join(sorted(self._found))
            raise KeyError(f"{self.kind} {name!r} is not registered; there are: {known}")
        return self._found[name]

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._found)
