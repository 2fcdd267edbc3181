"""Finding things by the names that configurations give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

Implementation = TypeVar("Implementation", bound=Callable[..., object])


class Registry(Generic[Implementation]):
    """Functions or classes of one kind, by name.

    Parameters
    ----------
    kind
        What they are, for messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._found: dict[str, Implementation] = {}
        self._settings: dict[str, type[Any]] = {}

    def register(
        self, name: str, settings: type[Any] | None = None
    ) -> Callable[[Implementation], Implementation]:
        """Register the decorated function under `name`.

        Parameters
        ----------
        name
            Name in a configuration.
        settings
            Class of its settings. Components of the package have theirs in
            `drugtail.config.components` and name none here; those of a plugin name one (see
            `drugtail.plugins`).

        Raises
        ------
        ValueError
            If the name is taken.
        """

        def keep(implementation: Implementation) -> Implementation:
            if name in self._found:
                raise ValueError(f"{self.kind} {name!r} is registered twice; choose another name")
            self._found[name] = implementation
            if settings is not None:
                self._settings[name] = settings
            return implementation

        return keep

    def forget(self, name: str) -> None:
        """Take `name` out again."""
        del self._found[name]
        self._settings.pop(name, None)

    def settings(self, name: str) -> type[Any] | None:
        """Class of settings that `name` was registered with; None if with none."""
        return self._settings.get(name)

    def __getitem__(self, name: str) -> Implementation:
        """Return what is registered under `name`."""
        if name not in self._found:
            known = ", ".join(sorted(self._found))
            raise KeyError(f"{self.kind} {name!r} is not registered; there are: {known}")
        return self._found[name]

    def names(self) -> list[str]:
        """All registered names, sorted."""
        return sorted(self._found)
