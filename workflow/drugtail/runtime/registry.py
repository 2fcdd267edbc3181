"""Finding things by the names that configurations give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

from drugtail.runtime.errors import DrugtailError, fault_in, file_of

Implementation = TypeVar("Implementation", bound=Callable[..., object])


class Registry(Generic[Implementation]):
    """Functions or classes of one kind, by name.

    Parameters
    ----------
    kind
        What they are, for messages.
    package
        Dotted name of a package whose modules register one each, under the module's own name. A
        module is imported when it is asked for, so that a stage depends on those alone that it
        uses, and a new one changes nothing for the others.
    """

    def __init__(self, kind: str, package: str | None = None) -> None:
        self.kind = kind
        self.package = package
        self._found: dict[str, Implementation] = {}
        self._settings: dict[str, Any] = {}

    def register(
        self, name: str, settings: Any = None
    ) -> Callable[[Implementation], Implementation]:
        """Register the decorated function or class under `name`.

        Parameters
        ----------
        name
            Name in a configuration.
        settings
            Class of its settings, or what else must be known of it before it is used. What is the
            package's has that apart (`drugtail.config`) and names none here; what is a plugin's
            names it (see `drugtail.plugins`).

        Raises
        ------
        ValueError
            If the name is taken.
        """

        def keep(implementation: Implementation) -> Implementation:
            taken = name in self._found or (
                name in self._modules() and implementation.__module__ != self.module(name)
            )
            if taken:
                raise ValueError(
                    f"{self.kind} {name!r} is registered already, {self._place(name)}; choose "
                    "another name"
                )
            self._found[name] = implementation
            if settings is not None:
                self._settings[name] = settings
            return implementation

        return keep

    def _place(self, name: str) -> str:
        return "by the package" if self.is_packaged(name) else f"in {file_of(self._found[name])}"

    def forget(self, name: str) -> None:
        """Take `name` out again."""
        del self._found[name]
        self._settings.pop(name, None)

    def settings(self, name: str) -> Any:
        """Return the settings that `name` was registered with, or None."""
        return self._settings.get(name)

    def module(self, name: str) -> str | None:
        """Dotted name of the package's module that registers `name`; None if none does."""
        return f"{self.package}.{name}" if name in self._modules() else None

    def is_packaged(self, name: str) -> bool:
        """Return whether `name` is the package's, not a plugin's."""
        found = self._found.get(name)
        return name in self._modules() or (
            found is not None and found.__module__.startswith(f"{__package__.partition('.')[0]}.")
        )

    def __getitem__(self, name: str) -> Implementation:
        """Return what is registered under `name`.

        Raises
        ------
        KeyError
            If nothing is; the message lists what there is.
        """
        if name not in self._found and (module := self.module(name)):
            import_module(module)
        if name not in self._found:
            known = ", ".join(self.names())
            raise KeyError(f"{self.kind} {name!r} is not registered; there are: {known}")
        return self._found[name]

    def guarded(self, name: str) -> Implementation:
        """Return what is registered under `name`; an error in a user's names its file and line."""
        found = self[name]
        if self.is_packaged(name):
            return found

        @wraps(found)
        def named(*given: Any, **keywords: Any) -> Any:
            with self.blamed(name):
                return found(*given, **keywords)

        return cast(Implementation, named)

    @contextmanager
    def blamed(self, name: str, where: str | None = None) -> Iterator[None]:
        """Let an error in what a user registered under `name` say its file and line.

        Parameters
        ----------
        name
            Name of what is at work. An error in what is the package's stays as it is.
        where
            Beginning of the message; by default kind and name.
        """
        try:
            yield
        except DrugtailError:
            raise
        except Exception as error:
            # PyTorch's own error of a full GPU, which says nothing of the function.
            if self.is_packaged(name) or "out of memory" in str(error):
                raise
            place = where or f"{self.kind} {name!r}"
            raise DrugtailError(f"{place}: {fault_in(self[name], error)}") from error

    def names(self) -> list[str]:
        """All names there are, sorted."""
        return sorted(self._modules() | set(self._found))

    def _modules(self) -> set[str]:
        """Names of the package's modules."""
        if self.package is None:
            return set()
        spec = find_spec(self.package)
        assert spec is not None
        folders = spec.submodule_search_locations or []
        return {path.stem for folder in folders for path in Path(folder).glob("[a-z]*.py")}


def first_line(documented: object) -> str:
    """First line of a docstring, which is what lists and notes say of a thing."""
    return (documented.__doc__ or "").strip().partition("\n")[0]
