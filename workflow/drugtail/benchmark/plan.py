"""What a benchmark consists of: its blocks, and what each depends on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from drugtail.config.base import merged
from drugtail.config.benchmark import Benchmark, MethodChoice
from drugtail.config.catalogue import Catalogue, read_recipe
from drugtail.config.encoder import FingerprintEncoder, GraphEncoder
from drugtail.config.recipe import Recipe, Space
from drugtail.config.schedule import check_epochs
from drugtail.config.search_space import check_space, count_trials, free_space, with_settings
from drugtail.plugins import recipe_model
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.names import DEFAULT, TUNED, method_folder

# Of a recipe: what changes no result.
WITHOUT_EFFECT = ("idea", "reference", "tuning")


@dataclass(frozen=True)
class PlannedBlock:
    """One job of training."""

    dataset: str
    split: str
    encoder: str
    method: str
    seeds: str
    epochs: int
    settings: str

    @property
    def path(self) -> str:
        """Its folder below results/runs/."""
        folder = method_folder(self.method, self.settings)
        return "/".join([self.dataset, self.split, self.encoder, folder, f"seeds{self.seeds}"])


@dataclass(frozen=True)
class PlannedTuning:
    """One job of tuning."""

    dataset: str
    split: str
    encoder: str
    method: str
    seeds: str
    epochs: int
    trials: int

    @property
    def path(self) -> str:
        """Its folder below results/tuning/."""
        return "/".join([self.dataset, self.split, self.encoder, self.method])


class Plan:
    """A benchmark with everything it names, read and checked.

    Parameters
    ----------
    benchmark
        The configuration.
    catalogue
        Where names are looked up.

    Raises
    ------
    DrugtailError
        If it names something unknown or a setting does not fit.
    """

    def __init__(self, benchmark: Benchmark, catalogue: Catalogue) -> None:
        self.benchmark = benchmark
        self.catalogue = catalogue
        self.datasets = {name: catalogue.dataset(name) for name in benchmark.datasets}
        self.tables = {name: catalogue.table(name) for name in benchmark.tables}
        self.recipes: dict[str, Recipe] = {
            choice.name: merged(
                read_recipe(self._path(choice), model=recipe_model(self._code(choice))),
                self._changes(choice),
                where=f"benchmark {benchmark.name}: methods: {choice.name}",
            )
            for choice in benchmark.methods
        }
        for name in self.recipes:
            self._check_method(name)
        chosen = {name: catalogue.encoder(name) for name in benchmark.encoders}
        classical = [name for name, recipe in self.recipes.items() if recipe.classifier]
        if classical and not any(e.kind == "fingerprint" for e in chosen.values()):
            # Classical methods read fingerprints whatever the networks read.
            chosen["morgan"] = catalogue.encoder("morgan")
        self.encoders: dict[str, GraphEncoder | FingerprintEncoder] = chosen
        networks = [name for name, recipe in self.recipes.items() if recipe.classifier is None]
        if networks and all(e.kind == "fingerprint" for e in chosen.values()):
            raise DrugtailError(
                f"benchmark {benchmark.name}: encoders: {', '.join(benchmark.encoders)}: the "
                f"network of {networks[0]!r} reads no fingerprints; leave `encoders` out "
                "(classical methods take theirs anyway)"
            )
        for name, dataset in self.datasets.items():
            has_official = dataset.official is not None or dataset.columns.split is not None
            if "official" in benchmark.splits and not has_official:
                raise DrugtailError(
                    f"benchmark {benchmark.name}: splits: official: data set {name!r} has no "
                    "published split; use random-0, standard-0 or scaffold-0"
                )
        if any(t.difference for t in self.tables.values()) and (
            benchmark.reference not in self.recipes
        ):
            raise DrugtailError(
                f"benchmark {benchmark.name}: reference: {benchmark.reference!r} is not among its "
                f"methods ({', '.join(self.recipes)}); add it or name another"
            )

        for table in self.tables.values():
            if table.method is not None and table.method not in self.recipes:
                raise DrugtailError(
                    f"benchmark {benchmark.name}: table {table.name}: compares {table.method!r}, "
                    f"which is not among the methods ({', '.join(self.recipes)}); add it or leave "
                    "the table out"
                )

    def _check_method(self, name: str) -> None:
        """Refuse a space that is none, and a training that is too short for the method."""
        benchmark, recipe = self.benchmark, self.recipes[name]
        where = f"benchmark {benchmark.name}: methods: {name}"
        check_space(self.space(name), recipe, benchmark.training, where)
        for dataset in [] if recipe.classifier else benchmark.datasets:
            try:
                check_epochs(recipe, benchmark.training_for(dataset))
            except DrugtailError as error:
                raise DrugtailError(f"benchmark {benchmark.name}: {dataset}: {error}") from None

    def _changes(self, choice: MethodChoice) -> dict[str, Any]:
        """What a benchmark changes of a recipe."""
        renamed = {"name": choice.name} if self._path(choice).stem != choice.name else {}
        return {**renamed, **choice.settings}

    def _path(self, choice: MethodChoice) -> Path:
        name = choice.recipe or choice.name
        return Path(name) if name.endswith(".yaml") else self.catalogue.path("methods", name)

    @staticmethod
    def _code(choice: MethodChoice) -> Path | None:
        return None if choice.code is None else Path(choice.code)

    def recipe_path(self, method: str) -> Path:
        """File with the recipe of a method of the benchmark."""
        return self._path(self.choice(method))

    def code_path(self, method: str) -> Path | None:
        """File with components of the user's for a method; None if it needs none."""
        return self._code(self.choice(method))

    def choice(self, method: str) -> MethodChoice:
        """What the benchmark says of a method."""
        return next(c for c in self.benchmark.methods if c.name == method)

    def settings(self, method: str) -> str:
        """Whether a method of the benchmark is trained as it stands or as tuned."""
        tunes = self.benchmark.tuning is not None and self.choice(method).tuned
        return TUNED if tunes else DEFAULT

    def space(self, method: str) -> dict[str, Space]:
        """What tuning may change of a method of the benchmark."""
        return free_space(self.recipes[method], self.choice(method).settings)

    def blocks(self) -> Iterator[PlannedBlock]:
        """All blocks, in the order of the tables."""
        for dataset, split, encoder, method in self._combinations():
            for seeds in self.benchmark.seeds:
                yield PlannedBlock(
                    dataset, split, encoder, method, seeds, self._epochs(dataset, method),
                    self.settings(method),
                )  # fmt: skip

    def tunings(self) -> Iterator[PlannedTuning]:
        """All jobs of tuning, in the order of the tables; none if the benchmark does not tune."""
        tuning = self.benchmark.tuning
        if tuning is None:
            return
        for dataset, split, encoder, method in self._combinations():
            if self.settings(method) == TUNED:
                training = self.benchmark.training_for(dataset)
                trials = count_trials(
                    tuning.trials, self.space(method), self.recipes[method], training
                )
                yield PlannedTuning(
                    dataset, split, encoder, method, tuning.seeds, self._epochs(dataset, method),
                    trials,
                )  # fmt: skip

    def notes(self) -> list[str]:
        """What readers of the page must know: the benchmark's notes, and how it was tuned."""
        tuning = self.benchmark.tuning
        if tuning is None:
            return self.benchmark.notes
        return [
            *self.benchmark.notes,
            f"Tuned on each data set and split: {tuning.trials} trials of each method, the first "
            "of them its default (no more than there are different points to try), scored by "
            f"balanced accuracy on validation molecules, mean over seeds {tuning.seeds}.",
        ]

    def _combinations(self) -> Iterator[tuple[str, str, str, str]]:
        """Data set, split, encoder and method, where the encoder is one that the method reads."""
        for dataset in self.benchmark.datasets:
            for split in self.benchmark.splits:
                for method, recipe in self.recipes.items():
                    for name, encoder in self.encoders.items():
                        if (encoder.kind == "fingerprint") == (recipe.classifier is not None):
                            yield dataset, split, name, method

    def _epochs(self, dataset: str, method: str) -> int:
        classical = self.recipes[method].classifier is not None
        return 1 if classical else self.benchmark.training_for(dataset).epochs

    def mapped(self, blocks: Iterable[PlannedBlock]) -> list[PlannedBlock]:
        """Of some blocks those whose embeddings are drawn, one per data set.

        It is the first network that re-clusters, or else the first network.
        """
        networks = [block for block in blocks if self.recipes[block.method].classifier is None]
        networks.sort(key=lambda block: not self.recipes[block.method].needs_geometry)
        first: dict[str, PlannedBlock] = {}
        for block in networks:
            first.setdefault(block.dataset, block)
        return [first[name] for name in self.benchmark.datasets if name in first]

    def block_settings(
        self, dataset: str, encoder: str, method: str, tuned: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Everything of the configuration that the result of a block depends on.

        Parameters
        ----------
        dataset, encoder, method
            Names.
        tuned
            What tuning changed, see `drugtail.config.search_space.read_tuned`.
        """
        recipe, training = with_settings(
            self.recipes[method], self.benchmark.training_for(dataset), tuned or {}
        )
        settings: dict[str, Any] = {
            "recipe": recipe.model_dump(mode="json", exclude=set(WITHOUT_EFFECT)),
            "encoder": self.encoders[encoder].model_dump(mode="json"),
        }
        if recipe.classifier is None:
            settings["training"] = training.model_dump(mode="json")
        code = self.code_path(method)
        if code is not None:
            settings["code"] = file_digest(code)
        return settings

    def assignments(self, block_dataset: str, method: str) -> list[str]:
        """What differs from the files, as ``--set`` options of ``drugtail train``."""
        items: dict[str, Any] = {
            f"method.{key}": value for key, value in self._changes(self.choice(method)).items()
        }
        if self.recipes[method].classifier is None:
            training = self.benchmark.training_for(block_dataset)
            items |= {
                f"training.{key}": value
                for key, value in training.model_dump(exclude_defaults=True).items()
            }
        return [f"{key}={_yaml_scalar(value)}" for key, value in items.items()]


def _yaml_scalar(value: Any) -> str:
    """A value as YAML on one line, readable by `parse_assignments`.

    Python writes small numbers as 1e-05, which YAML takes for text; its own writer knows.
    """
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return text.removesuffix("\n").removesuffix("\n...")
