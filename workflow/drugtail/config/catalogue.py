"""The files of configuration: every YAML of the project is validated here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from drugtail.config.base import Settings, meant, merged, validated
from drugtail.config.benchmark import Benchmark
from drugtail.config.dataset import Dataset
from drugtail.config.encoder import Encoder, package_kinds
from drugtail.config.recipe import Recipe
from drugtail.config.search_space import check_space
from drugtail.config.table import Table
from drugtail.config.training import Training
from drugtail.config.yaml_reader import parse_yaml, read_yaml
from drugtail.runtime.errors import DrugtailError

Named = TypeVar("Named", Dataset, Recipe, Encoder, Table)
# Kind of encoder -> class of its settings.
Kinds = Mapping[str, type[Encoder]]


# Names that were given up, and what took their place.
RENAMED = {"class_distance_as_published": "class_distance_official_code"}


class Catalogue:
    """The folder of configuration: data sets, methods, encoders and tables by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def dataset(self, name: str) -> Dataset:
        """Return the register of one data set; of ``REGISTER.TASK`` that of the task.

        Raises
        ------
        DrugtailError
            If there is none; the message names the most similar, or all where none is similar.
        """
        base, _, task = name.rpartition(".")
        names = self.names("datasets")
        if name in names or base not in names:
            return read_dataset(self.path("datasets", name))
        register = read_dataset(self.path("datasets", base))
        found = register.named_task(task)
        if found is None:
            tasks = [one.name for one in register.each_task() if one.name != base]
            raise DrugtailError(
                f"datasets: {name!r}: {base} has "
                + (f"the tasks {', '.join(tasks)}{meant(name, tasks)}" if tasks else "no tasks")
            )
        return found

    def table(self, name: str) -> Table:
        """Return the definition of one table."""
        return read_table_definition(self.path("tables", name))

    def encoder(self, name: str) -> Encoder:
        """Return the settings of one encoder."""
        return read_encoder(self.path("encoders", name))

    def recipe(self, name: str) -> Recipe:
        """Return the recipe of one method."""
        return read_recipe(self.path("methods", name))

    def path(self, kind: str, name: str) -> Path:
        """File that describes `name`; searched in subfolders too.

        Raises
        ------
        DrugtailError
            If there is none; the message names the most similar, or all where none is similar.
        """
        found = [path for path in self.paths(kind) if path.stem == name]
        if not found and name in RENAMED:
            raise DrugtailError(f"{kind}: {name!r} is called {RENAMED[name]!r} now; write that")
        if not found:
            known = self.names(kind)
            place = self.folder / kind / ("<family>" if kind == "methods" else "")
            variant = ", name the recipe it varies (recipe: …)" if kind == "methods" else ""
            near = meant(name, known)
            rest = f"`drugtail list {kind}` names all" if near else f"known are: {', '.join(known)}"
            raise DrugtailError(
                f"{kind}: {name!r} is unknown{near}. Correct the name{variant} or add "
                f"{place / name}.yaml; {rest}"
            )
        if len(found) > 1:
            raise DrugtailError(
                f"{kind}: {name!r} is the name of {' and of '.join(map(str, found))}; rename one"
            )
        return found[0]

    def paths(self, kind: str) -> list[Path]:
        """All files of one kind, sorted."""
        return sorted((self.folder / kind).rglob("*.yaml"))

    def names(self, kind: str) -> list[str]:
        """All names of one kind, sorted."""
        return sorted(path.stem for path in self.paths(kind))


def read_dataset(path: Path) -> Dataset:
    """Read one register of a data set."""
    return _same_name(validated(Dataset, read_yaml(path), path), path)


def read_recipe(
    path: Path, changes: Mapping[str, Any] | None = None, model: type[Recipe] = Recipe
) -> Recipe:
    """Read one recipe.

    Parameters
    ----------
    path
        The YAML file.
    changes
        Such as ``{"classifier.n_estimators": 100}``.
    model
        Class of the recipe: that of a plugin knows the plugin's components, too.
    """
    recipe = _same_name(validated(model, read_yaml(path), path), path)
    check_space(recipe.tuning, recipe, Training(), path)
    return merged(recipe, changes or {}, where=str(path))


def read_table_definition(path: Path) -> Table:
    """Read the definition of one table."""
    return _same_name(validated(Table, read_yaml(path), path), path)


def read_encoder(path: Path, kinds: Kinds | None = None) -> Encoder:
    """Read one encoder.

    Parameters
    ----------
    path
        The YAML file.
    kinds
        Kind -> class of its settings; by default those of the package.
    """
    return _same_name(validated_encoder(read_yaml(path), path, kinds), path)


def validated_encoder(
    value: Mapping[str, Any],
    where: Path | str,
    kinds: Kinds | None = None,
) -> Encoder:
    """Validate settings of an encoder as those of its kind.

    Raises
    ------
    DrugtailError
        One line per fault: the file, the key, what was found and what is allowed.
    """
    kinds = package_kinds() if kinds is None else kinds
    if "kind" not in value:
        raise DrugtailError(f"{where}: key kind: is required; known are: {', '.join(kinds)}")
    kind = str(value["kind"])
    if kind not in kinds:
        raise DrugtailError(
            f"{where}: key kind: {kind!r} is unknown; known are: {', '.join(kinds)}"
            f"{meant(kind, [*kinds])}. An encoder of your own needs its file in the benchmark's "
            "`plugins`, or --plugin"
        )
    return validated(kinds[kind], value, where)


def read_benchmark(path: Path) -> Benchmark:
    """Read a benchmark configuration."""
    return parse_benchmark(read_yaml(path), path)


def parse_benchmark(value: dict[str, Any], where: Path | str) -> Benchmark:
    """Validate the values of a benchmark, and of the one that it extends.

    Parameters
    ----------
    value
        Keys and values as they stand in the file.
    where
        The file, for messages.

    Raises
    ------
    DrugtailError
        If a key is unknown, missing or has a wrong value, in this file or in that which it extends.
    """
    return validated(Benchmark, with_extended(value, where), where)


def with_extended(
    value: dict[str, Any], where: Path | str, extending: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return the values of a benchmark, those of the one that it extends where it says nothing.

    A value that is given replaces the other's as a whole: lists and mappings are not joined.
    """
    if (file := value.get("extends")) is None:
        return value
    if not isinstance(file, str):
        raise DrugtailError(f"{where}: key extends: found {file!r}; write the path of a benchmark")
    if file in extending:
        raise DrugtailError(f"{where}: key extends: {file} extends itself; take one of them out")
    try:
        base = with_extended(read_yaml(Path(file)), file, (*extending, file))
        validated(Benchmark, base, file)
    except DrugtailError as error:
        lines = str(error).splitlines()
        raise DrugtailError("\n".join(f"{where}: key extends: {line}" for line in lines)) from None
    if value.get("name", base["name"]) == base["name"]:
        raise DrugtailError(
            f"{where}: key name: write a name of its own; {base['name']!r} is that of {file}, "
            "whose tables it would replace"
        )
    return base | {key: given for key, given in value.items() if key != "extends"}


def check_described(path: Path, own: Kinds | None = None) -> Settings | None:
    """Validate and return a register, recipe, encoder or table; None if it is none of them.

    In datasets/, methods/, encoders/ and tables/, the folder says what a file is; elsewhere its
    keys do, but for recipes, which may need a plugin. `own` are kinds of encoders of plugins.
    """
    readers: dict[str, Callable[[Path], Settings]] = {
        "datasets": read_dataset,
        "methods": read_recipe,
        "encoders": partial(read_encoder, kinds={**package_kinds(), **(own or {})}),
        "tables": read_table_definition,
    }
    kinds = readers.keys() & set(path.resolve().parent.parts[-2:]) or {_kind_by_keys(path)}
    for kind in kinds & readers.keys():
        return readers[kind](path)
    return None


def _kind_by_keys(path: Path) -> str:
    """Folder of the catalogue that a file could lie in; empty for benchmarks and recipes."""
    keys = read_yaml(path).keys()
    if keys & {"extends", "methods", "splits", "family", "idea"}:
        return ""
    if keys & {"citation", "files", "licence", "task"}:
        return "datasets"
    if "title" in keys:
        return "tables" if keys & {"columns", "kind", "subset"} else ""
    return "encoders" if keys & {"featurizer", "head", "kind"} else ""


def parse_assignments(items: Iterable[str]) -> dict[str, Any]:
    """Turn ``["loss.tau=0.5"]`` into ``{"loss.tau": 0.5}``; values are YAML."""
    changes: dict[str, Any] = {}
    for item in items:
        key, sign, text = item.partition("=")
        if not sign or not key:
            raise DrugtailError(f"--set {item!r}: write it as key=value")
        changes[key] = parse_yaml(text, f"--set {item!r:.100}")
    return changes


def _same_name(value: Named, path: Path) -> Named:
    if value.name != path.stem:
        raise DrugtailError(
            f"{path}: key name: found {value.name!r}, but the file is called {path.stem!r}; "
            "make them equal"
        )
    return value
