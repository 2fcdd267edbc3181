"""The plan of a benchmark: its blocks, and what each depends on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from drugtail.benchmark.additions import Additions
from drugtail.benchmark.ensembles import Ensembles, check_members
from drugtail.benchmark.inputs import Inputs
from drugtail.benchmark.method_notes import notes_on_methods, other_names
from drugtail.benchmark.pairs import Pairs
from drugtail.benchmark.planned import PlannedBlock, PlannedTuning
from drugtail.benchmark.source import FromCatalogue, FromPlan, Source
from drugtail.benchmark.split_checks import check_splits
from drugtail.benchmark.table_checks import check_tables, questions_table
from drugtail.config.base import validated
from drugtail.config.benchmark import Benchmark, EncoderChoice, MethodChoice, name_of
from drugtail.config.catalogue import Catalogue
from drugtail.config.dataset import Dataset
from drugtail.config.encoder import Encoder
from drugtail.config.recipe import Recipe, Space
from drugtail.config.schedule import check_epochs
from drugtail.config.search_space import check_space, count_trials, free_space, with_settings
from drugtail.config.split_name import parse_split
from drugtail.config.training import Training
from drugtail.features.choice import parts_of
from drugtail.plugins import (
    ENCODERS,
    FEATURIZERS,
    FIGURES,
    METRICS,
    SPLITS,
    TABLE_KINDS,
    TESTS,
    load_plugin,
)
from drugtail.runtime.digest import file_digest, text_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.names import DEFAULT, TUNED, block_folder

# Keys of a recipe that change no result.
WITHOUT_EFFECT = ("idea", "reference", "reconstruction", "tuning")
# What is classified -> encoder of the classical methods, where the benchmark names none of theirs.
FINGERPRINT_OF = {"smiles": "morgan", "reaction": "reaction"}
# Digits of the digest in the name of a block's folder.
DIGITS = 8


class Plan:
    """A benchmark with everything it names, read and checked.

    Parameters
    ----------
    benchmark
        The configuration.
    source
        Where names are looked up.

    Raises
    ------
    DrugtailError
        If it names something unknown or a setting does not fit.
    """

    def __init__(self, benchmark: Benchmark, source: Catalogue | Source) -> None:
        if isinstance(source, Catalogue):
            source = FromCatalogue(source)
        self.benchmark = benchmark
        self.additions = Additions(
            benchmark,
            {path: load_plugin(source.plugin(path)) for path in map(Path, benchmark.plugins)},
        )
        # A register with several tasks is as many data sets, which share its raw files.
        chosen = [one for named in benchmark.datasets for one in source.dataset(named).each_task()]
        self.datasets = {dataset.name: dataset for dataset in chosen}
        if len(chosen) > len(self.datasets):
            names = [dataset.name for dataset in chosen]
            twice = next(name for name in names if names.count(name) > 1)
            raise DrugtailError(f"benchmark {benchmark.name}: datasets: {twice!r} is named twice")
        self.registers = self._registers(source)
        self.tables = {
            **questions_table(benchmark),
            **{name_of(named): source.table(named) for named in benchmark.tables},
        }
        where = f"benchmark {benchmark.name}: methods"
        self.recipes: dict[str, Recipe] = {
            choice.name: source.method(choice, where=f"{where}: {choice.name}")
            for choice in benchmark.methods
        }
        check_members(self.recipes, where)
        for name in self.recipes:
            self._check_method(name)
        kinds = {name: self.settings(name) for name in self.recipes}
        self.other_names = other_names(benchmark.methods, self.recipes, kinds)
        if benchmark.reference in self.other_names:
            raise DrugtailError(
                f"benchmark {benchmark.name}: reference: {benchmark.reference!r} is "
                f"{self.other_names[benchmark.reference]!r} by another name; name that"
            )
        self.encoders = self._chosen_encoders(source)
        self.vectors = {
            name: source.vectors(Path(path)) for name, path in benchmark.vectors.items()
        }
        self.inputs = Inputs(
            self.encoders, self.vectors, self.additions, f"benchmark {benchmark.name}"
        )
        self.pairs = Pairs(self.datasets, self.recipes, self.encoders, self.inputs.features)
        self.pairs.check(f"benchmark {benchmark.name}")
        self.ensembles = Ensembles(benchmark, self.recipes, self.pairs, self.other_names)
        self.ensembles.check(self.datasets)
        check_splits(benchmark, self.datasets, self.additions)
        check_tables(
            benchmark, self.tables, self.recipes,
            {name: self._encoders_of(name) for name in self.recipes}, self.additions,
        )  # fmt: skip

    @classmethod
    def read(cls, path: Path) -> Plan:
        """Read a plan that was kept, see `resolved`.

        Raises
        ------
        DrugtailError
            If the file is not one.
        """
        resolved = read_json(path)
        if not isinstance(resolved, dict) or not set(resolved) >= {"benchmark", "methods"}:
            raise DrugtailError(f"{path}: is not a plan; start the benchmark again")
        benchmark = validated(Benchmark, resolved["benchmark"], path)
        return cls(benchmark, FromPlan(resolved, path))

    def _registers(self, source: Source) -> dict[str, Dataset]:
        """Registers that the data sets are of, by name."""
        paths = {name_of(named): named for named in self.benchmark.datasets}
        names = {dataset.source for dataset in self.datasets.values()}
        return {name: source.dataset(paths.get(name, name)) for name in sorted(names)}

    # ------------------------------------------------------------------------------ checks

    def _chosen_encoders(self, source: Source) -> dict[str, Encoder]:
        benchmark, own = self.benchmark, self.additions.encoder_kinds()
        where = f"benchmark {benchmark.name}: encoders"
        chosen = {
            choice.name: source.encoder(choice, own, where=f"{where}: {choice.name}")
            for choice in benchmark.encoders
        }
        classical = [name for name, recipe in self.recipes.items() if recipe.classifier]
        if classical and all(e.network for e in chosen.values()):
            # Classical methods read fingerprints whatever the networks read.
            for reads in dict.fromkeys(dataset.reads for dataset in self.datasets.values()):
                name = FINGERPRINT_OF[reads]
                chosen[name] = source.encoder(EncoderChoice(name=name), own, where=where)
        networks = [name for name, recipe in self.recipes.items() if recipe.is_network]
        if networks and not any(e.network for e in chosen.values()):
            raise DrugtailError(
                f"{where}: {', '.join(chosen)}: {networks[0]!r} trains a network, and none of them "
                "is one; leave `encoders` out (classical methods take theirs anyway)"
            )
        return chosen

    def _check_method(self, name: str) -> None:
        """Refuse a space that is none, and a training that is too short for the method."""
        benchmark, recipe = self.benchmark, self.recipes[name]
        where = f"benchmark {benchmark.name}: methods: {name}"
        check_space(self.space(name), recipe, benchmark.training, where)
        for dataset in self.datasets if recipe.is_network else ():
            try:
                check_epochs(recipe, benchmark.training_for(dataset))
            except DrugtailError as error:
                raise DrugtailError(f"benchmark {benchmark.name}: {dataset}: {error}") from None

    def _encoders_of(self, method: str) -> list[str]:
        """Encoders that a method runs on, on any data set."""
        found = [self.pairs.encoders_of(dataset, method) for dataset in self.datasets]
        return list(dict.fromkeys(name for names in found for name in names))

    # ------------------------------------------------------------------------- shared files

    def split_plugin(self, split: str) -> Path | None:
        """Return the file that a split's strategy comes from; None if from the package."""
        return self.additions.path(SPLITS, parse_split(split)[0])

    def split_name(self, split: str) -> str:
        """Return the path of a split below results/splits/{dataset}/, without extension."""
        return self.additions.folder(SPLITS, parse_split(split)[0]) + split

    # ------------------------------------------------------------------- tables and figures

    @property
    def own_metrics(self) -> list[str]:
        """Names of the metrics that the benchmark's plugins register."""
        return self.additions.names(METRICS)

    def unused_plugins(self) -> list[Path]:
        """Return the benchmark's plugins of which it names nothing; metrics need no naming."""
        used = {
            SPLITS: {parse_split(split)[0] for split in self.benchmark.splits},
            ENCODERS: {encoder.kind for encoder in self.encoders.values()},
            FEATURIZERS: {
                part for encoder in self.encoders.values() for part in parts_of(encoder.featurizer)
            },
            TESTS: {table.test for table in self.tables.values()},
            TABLE_KINDS: {table.kind for table in self.tables.values()},
            FIGURES: set(self.benchmark.figures),
            METRICS: set(self.own_metrics),
        }
        return [
            path
            for path, plugin in self.additions.plugins.items()
            if not any(used[axis] & set(plugin.names.get(axis, ())) for axis in used)
        ]

    def remarks(self) -> list[str]:
        """Return what a reader of the benchmark might not expect, a sentence each."""
        remarks = self.method_notes()
        remarks += [f"plugins: {path}: the benchmark names nothing of it"
                   for path in self.unused_plugins()]  # fmt: skip
        remarks += [f"vectors: {name}: no encoder reads vectors:{name}"
                    for name in self.inputs.unread()]  # fmt: skip
        named = {choice.name for choice in self.benchmark.encoders}
        classical = [name for name, recipe in self.recipes.items() if recipe.classifier]
        chosen = "encoders" in self.benchmark.model_fields_set
        for encoder in self.encoders.keys() - named if chosen else ():
            remarks.append(
                f"{', '.join(classical)}: no network, so none of `encoders` is for it; it reads "
                f"{self.encoders[encoder].featurizer} (encoder {encoder})"
            )
        for dataset in self.datasets:
            for method in self.recipes:
                unread = self.pairs.unread(dataset, method)
                if unread:
                    remarks.append(
                        f"{dataset}: {', '.join(unread)} does not read it, so that {method} is "
                        "not trained on that"
                    )
        return remarks

    def plugins_of(self, *axes: str) -> list[Path]:
        """Return the benchmark's plugins that register something on one of some axes."""
        return [p for p, plugin in self.additions.plugins.items() if set(axes) & set(plugin.names)]

    # ----------------------------------------------------------------------------- methods

    def choice(self, method: str) -> MethodChoice:
        """Return what the benchmark says of a method."""
        return next(c for c in self.benchmark.methods if c.name == method)

    def method_plugin(self, method: str) -> Path | None:
        """Return the plugin with components of a method; None if it needs none."""
        plugin = self.choice(method).plugin
        return None if plugin is None else Path(plugin)

    def block_plugins(self, encoder: str, method: str) -> list[Path]:
        """Return the plugins that a block is a result of: of its method, and of its encoder."""
        found = [
            self.method_plugin(method),
            self.additions.path(ENCODERS, self.encoders[encoder].kind),
        ]
        return list(dict.fromkeys(path for path in found if path is not None))

    def settings(self, method: str) -> str:
        """Return whether a method is trained as it stands (``default``) or as ``tuned``."""
        ensemble = self.recipes[method].ensemble
        if ensemble is not None:
            kinds = [self.settings(member.method) for member in ensemble.of]
            return TUNED if TUNED in kinds else DEFAULT
        tunes = self.benchmark.tuning is not None and self.choice(method).tuned
        return TUNED if tunes else DEFAULT

    def is_tuned(self, method: str) -> bool:
        """Return whether a method is tuned itself; an ensemble's members are, not the ensemble."""
        return self.settings(method) == TUNED and self.recipes[method].ensemble is None

    def space(self, method: str) -> dict[str, Space]:
        """Return what tuning may change of a method of the benchmark."""
        return free_space(self.recipes[method], self.choice(method).settings)

    def resolved_settings(
        self, dataset: str, method: str, tuned: Mapping[str, Any] | None = None
    ) -> tuple[Recipe, Training]:
        """Return recipe and training settings of a method on a data set.

        Parameters
        ----------
        dataset, method
            Names.
        tuned
            What tuning changed, see `drugtail.config.search_space.read_tuned`.
        """
        training = self.benchmark.training_for(dataset)
        return with_settings(self.recipes[method], training, tuned or {})

    def wanted(
        self, dataset: str, encoder: str, method: str, tuned: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Return what a block's result depends on, as far as it is known when jobs are planned.

        Parameters
        ----------
        dataset, encoder, method
            Names.
        tuned
            What tuning changed; without it a tuned block's settings are those it is tuned from.

        Returns
        -------
        dict
            ``recipe`` and ``encoder``, for networks ``training``, the SHA-256 of the plugins
            (``plugins``) if there are any, and the request to tune (``tuning``) if there is one.
        """
        recipe, training = self.resolved_settings(dataset, method, tuned)
        settings: dict[str, Any] = {
            "recipe": recipe.model_dump(mode="json", exclude=set(WITHOUT_EFFECT)),
            "encoder": self.encoders[encoder].model_dump(mode="json"),
        }
        if recipe.is_network:
            settings["training"] = training.model_dump(mode="json")
        plugins = self.block_plugins(encoder, method)
        if plugins:
            settings["plugins"] = sorted(map(file_digest, plugins))
        if self.is_tuned(method):
            settings["tuning"] = self._tuning_request(dataset, method)
        return settings

    def _tuning_request(self, dataset: str, method: str) -> dict[str, Any]:
        tuning = self.benchmark.tuning
        assert tuning is not None
        space = self.space(method)
        training = self.benchmark.training_for(dataset)
        return {
            "trials": count_trials(tuning.trials, space, self.recipes[method], training),
            "seeds": tuning.seeds,
            "space": {key: one.model_dump(mode="json") for key, one in space.items()},
        }

    # ------------------------------------------------------------------------------ blocks

    def blocks(self) -> Iterator[PlannedBlock]:
        """All blocks, in the order of the tables."""
        yield from self._blocks

    @cached_property
    def _blocks(self) -> list[PlannedBlock]:
        return [
            self._planned(*names, seeds)
            for names in self._combinations()
            for seeds in self.ensembles.seeds(names[-1])
        ]

    @property
    def features_read(self) -> dict[tuple[str, str], str]:
        """Data set and folder of features that blocks read of it -> an encoder that reads them."""
        return {
            (block.dataset, self.inputs.folder(block.encoder)): block.encoder
            for block in self.blocks()
        }

    def _planned(
        self, dataset: str, split: str, encoder: str, method: str, seeds: str
    ) -> PlannedBlock:
        members = tuple(
            f"{dataset}/{split}/{on}/{block_folder(name, digest)}/seeds{each}"
            for name, on, digest in self._members(dataset, split, encoder, method)
            for each in self.ensembles.member_seeds(method, seeds)
        )
        return PlannedBlock(
            dataset, split, encoder, method, seeds, self._epochs(dataset, method),
            self.settings(method), self._digest(dataset, split, encoder, method), members,
        )  # fmt: skip

    def _members(
        self, dataset: str, split: str, encoder: str, method: str
    ) -> list[tuple[str, str, str]]:
        """Method, encoder and digest of what an ensemble averages; nothing of another method."""
        if self.recipes[method].ensemble is None:
            return []
        members = self.ensembles.members(dataset, encoder, method)
        return [(name, on, self._digest(dataset, split, on, name)) for name, on in members]

    def block(self, path: str) -> PlannedBlock:
        """Return the block of a folder below results/runs/.

        Raises
        ------
        DrugtailError
            If the benchmark has none there.
        """
        found = self._by_path.get(path)
        if found is None:
            raise DrugtailError(
                f"{path}: is no block of benchmark {self.benchmark.name}; it was planned with "
                "other settings, or is of another benchmark"
            )
        return found

    @cached_property
    def _by_path(self) -> dict[str, PlannedBlock]:
        return {block.path: block for block in self._blocks}

    def tunings(self) -> Iterator[PlannedTuning]:
        """All jobs of tuning, in the order of the tables; none if the benchmark does not tune."""
        first: dict[str, PlannedBlock] = {}
        for block in self._blocks:
            if self.is_tuned(block.method):
                first.setdefault(block.setting_path, block)
        for path, block in first.items():
            request = self._tuning_request(block.dataset, block.method)
            yield PlannedTuning(
                block.dataset, block.split, block.encoder, block.method, request["seeds"],
                block.epochs, request["trials"], path,
            )  # fmt: skip

    def _combinations(self) -> Iterator[tuple[str, str, str, str]]:
        """Data set, split, encoder and method, where the encoder is one that the method reads."""
        for dataset in self.datasets:
            for split in self.benchmark.splits:
                for method in (one for one in self.recipes if one not in self.other_names):
                    for name in self.pairs.encoders_of(dataset, method):
                        yield dataset, split, name, method

    def _epochs(self, dataset: str, method: str) -> int:
        recipe = self.recipes[method]
        if recipe.is_network:
            return self.benchmark.training_for(dataset).epochs
        return 0 if recipe.ensemble else 1

    def _digest(self, dataset: str, split: str, encoder: str, method: str) -> str:
        wanted = self.wanted(dataset, encoder, method)
        vectors = self.inputs.vectors_of(self.encoders[encoder].featurizer)
        makers = [self.split_plugin(split), self.inputs.plugin(encoder), *vectors.values()]
        if any(makers):
            wanted["makers"] = [path and file_digest(path) for path in makers]
        ensemble = self.recipes[method].ensemble
        if ensemble is not None:
            wanted["members"] = self._members(dataset, split, encoder, method)
            wanted["seeds"] = self.benchmark.seeds if ensemble.over_seeds else []
        # The name of a variant stands beside the digest already.
        text = json.dumps({**wanted, "method": method}, sort_keys=True)
        return text_digest(text)[:DIGITS]

    def mapped(self, blocks: Iterable[PlannedBlock]) -> list[PlannedBlock]:
        """Return those of some blocks whose embeddings are drawn, one per data set.

        It is the first network that re-clusters, or else the first network.
        """
        networks = [block for block in blocks if self.recipes[block.method].is_network]
        networks.sort(key=lambda block: not self.recipes[block.method].needs_geometry)
        first: dict[str, PlannedBlock] = {}
        for block in networks:
            first.setdefault(block.dataset, block)
        return [first[name] for name in self.datasets if name in first]

    # ------------------------------------------------------------------------------- texts

    def method_notes(self) -> list[str]:
        """Return what readers of tables must know of methods, a sentence each."""
        return notes_on_methods(self.other_names, self.recipes, self.benchmark.methods)

    def notes(self) -> list[str]:
        """Return the notes for readers of the page: the benchmark's, and how it was tuned."""
        tuning = self.benchmark.tuning
        if tuning is None:
            return self.benchmark.notes
        return [
            *self.benchmark.notes,
            f"Tuned on each data set and split: {tuning.trials} trials of each method, the first "
            "of them its default (no more than there are different points to try), scored by "
            f"balanced accuracy on validation molecules, mean over seeds {tuning.seeds}.",
        ]

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """Everything the benchmark names, for a file that later edits do not change.

        ``benchmark``, ``datasets``, ``encoders``, ``tables`` and ``methods`` are the settings that
        were given, by name (of a method with the SHA-256 of its plugin); ``plugins`` and
        ``vectors`` have the SHA-256 of each of the benchmark's files; ``blocks`` says which folders
        below results/runs/ belong to it, and what is in them.
        """

        def given(one: Any) -> Any:
            # What was left out stays so: a classical recipe may not name what it does not use.
            return one.model_dump(mode="json", exclude_unset=True)

        plugins = {name: self.method_plugin(name) for name in self.recipes}
        return {
            "benchmark": given(self.benchmark),
            "plugins": {str(path): file_digest(path) for path in map(Path, self.benchmark.plugins)},
            "vectors": {str(path): file_digest(path) for path in self.vectors.values()},
            "datasets": {
                name: given(one) for name, one in (self.datasets | self.registers).items()
            },
            "encoders": {name: given(one) for name, one in self.encoders.items()},
            "tables": {name: given(one) for name, one in self.tables.items()},
            "methods": {
                name: {
                    "recipe": given(recipe),
                    "plugin": None if (path := plugins[name]) is None else file_digest(path),
                }
                for name, recipe in self.recipes.items()
            },
            "blocks": {
                block.path: {
                    "method": block.method,
                    # Other methods have none.
                    "epochs": block.epochs if self.recipes[block.method].is_network else None,
                    "settings": block.settings,
                    "changes": self.choice(block.method).settings,
                }
                for block in self._blocks
            },
        }  # fmt: skip

    @property
    def file_name(self) -> str:
        """Name of the file that keeps `resolved`, with a digest of its content."""
        text = json.dumps(self.resolved, sort_keys=True)
        return f"{self.benchmark.name}-{text_digest(text)[:16]}.json"
