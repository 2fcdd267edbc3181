"""Additions of a benchmark's plugins, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from drugtail.config.base import meant
from drugtail.config.benchmark import Benchmark
from drugtail.config.encoder import EncoderSettings
from drugtail.plugins import BENCHMARK_AXES, Plugin, registry
from drugtail.runtime.digest import file_digest, text_digest
from drugtail.runtime.errors import DrugtailError

# Digits of a plugin's digest in the name of a folder.
DIGITS = 8


def folder_of(files: Sequence[Path]) -> str:
    """Return the folder that what is made with files of the user's lies in, by their digest."""
    digests = [file_digest(path) for path in files]
    whole = digests[0] if len(digests) == 1 else text_digest("".join(digests))
    return f"plugin-{whole[:DIGITS]}/" if files else ""


class Additions:
    """Names that plugins register, and the file that each is from.

    Parameters
    ----------
    benchmark
        The benchmark, for messages.
    plugins
        Its plugins, by path.

    Raises
    ------
    DrugtailError
        If a plugin has nothing that a benchmark names, such as components of methods alone.
    """

    def __init__(self, benchmark: Benchmark, plugins: Mapping[Path, Plugin]) -> None:
        self.where = f"benchmark {benchmark.name}"
        self.plugins = plugins
        for path, plugin in plugins.items():
            if not set(plugin.names) & set(BENCHMARK_AXES):
                found = ", ".join(f"{key} {' '.join(names)}" for key, names in plugin.names.items())
                raise DrugtailError(
                    f"{self.where}: plugins: {path}: has components of methods alone ({found}); "
                    "name it at the method that uses them: {name: …, plugin: " + f"{path}" + "}"
                )

    def path(self, axis: str, name: str) -> Path | None:
        """Return the file that `name` is from; None if it is the package's or of no file here."""
        for path, plugin in self.plugins.items():
            if name in plugin.names.get(axis, ()):
                return path
        return None

    def names(self, axis: str) -> list[str]:
        """Return all names that plugins register on an axis."""
        return [name for plugin in self.plugins.values() for name in plugin.names.get(axis, ())]

    def one_path(self, axis: str, names: Sequence[str]) -> Path | None:
        """Return the one file that some names are from; None if all are the package's.

        Raises
        ------
        DrugtailError
            If they are from several files.
        """
        paths = {path for name in names if (path := self.path(axis, name)) is not None}
        if len(paths) > 1:
            raise DrugtailError(
                f"{self.where}: {', '.join(names)} are of several plugins "
                f"({', '.join(sorted(map(str, paths)))}); put them into one file"
            )
        return paths.pop() if paths else None

    def folder(self, axis: str, *names: str) -> str:
        """Return the folder that what is made by `names` lies in: of a plugin's its digest's.

        Files of one name that say different things then never take each other's place.
        """
        path = self.one_path(axis, names)
        return folder_of([] if path is None else [path])

    def find(self, axis: str, name: str, where: str) -> Any:
        """Return what is registered under `name`, by the package or by a plugin of this benchmark.

        Raises
        ------
        DrugtailError
            If nothing is. What another benchmark's plugin registered is not this one's.
        """
        there = registry(axis)
        known = [
            one
            for one in there.names()
            if there.is_packaged(one) or self.path(axis, one) is not None
        ]
        if name not in known:
            raise DrugtailError(
                f"{where}: there is no {there.kind} {name!r}{meant(name, known)}; there are "
                f"{', '.join(known)}; one of your own needs its file in `plugins`"
            )
        return there[name]

    def encoder_kinds(self) -> dict[str, type[EncoderSettings]]:
        """Return the kinds of encoders that plugins register, and the classes of their settings."""
        return {
            kind: settings
            for plugin in self.plugins.values()
            for kind, settings in plugin.encoders.items()
        }
