"""A benchmark: data sets x splits x encoders x methods x blocks of seeds."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    GetJsonSchemaHandler,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from drugtail.config.base import NAME, Settings
from drugtail.config.split_name import each_split, parse_split
from drugtail.config.table import Question
from drugtail.config.training import Training
from drugtail.runtime.names import TUNED_SUFFIX

SEEDS = re.compile(r"(\d{1,12})-(\d{1,12})")
LARGEST_SEED, MOST_SEEDS = 2**31 - 1, 1_000


def _folder(value: str) -> str:
    """Refuse what Snakemake takes for a wildcard, and what no terminal shows."""
    if not value or not value.isprintable() or set(value) & set("{}"):
        raise ValueError(f"found {value!r}; write the path of a folder, without braces")
    return value


# The figures of the package that every benchmark can fill.
FIGURES = ("class_sizes", "recall_by_class_size", "class_history", "embedding_map")


class MethodChoice(Settings):
    """A method of a benchmark, with what differs from its recipe."""

    name: str = Field(
        pattern=NAME, description="Name of a recipe, or with `recipe` any name of your own."
    )
    recipe: str | None = Field(
        None,
        description="Recipe to start from, if `name` is a name of your own: several variants of "
        "one method can then stand side by side. A name in the catalogue, or the path of a file "
        "of your own, ending in `.yaml` and relative to the folder the command is run in.",
    )
    plugin: str | None = Field(
        None,
        description="Python file with components of your own that the recipe names; a path as for "
        "`recipe`. Any change of it trains the method again.",
    )
    settings: dict[str, Any] = Field(
        {},
        description="Changes to the recipe, for example `classifier.n_estimators: 100`. What is "
        "set here is not tuned.",
    )
    tuned: bool = Field(
        True, description="False keeps the method as it is in a benchmark that tunes."
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Its schema: an object, or a name alone."""
        return {"anyOf": [{"type": "string"}, handler(core)]}


class EncoderChoice(Settings):
    """An encoder of a benchmark, with what differs from its file."""

    name: str = Field(
        pattern=NAME, description="Name of an encoder, or with `encoder` any name of your own."
    )
    encoder: str | None = Field(
        None,
        description="Encoder to start from, if `name` is a name of your own. A name in the "
        "catalogue, one that a file in `plugins` registers, or the path of a YAML file of your "
        "own.",
    )
    settings: dict[str, Any] = Field(
        {}, description="Changes to the encoder, for example `width: 256`."
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Its schema: an object, or a name alone."""
        return {"anyOf": [{"type": "string"}, handler(core)]}


class Tuning(Settings):
    """Equal tuning of all methods, on validation molecules, before they are trained.

    Each method is tuned on each data set and split with the benchmark's own training settings; what
    may be changed stands in the recipes (`tuning`).
    """

    trials: int = Field(
        ge=1,
        le=10_000,
        description="Trials of each method, the first of them its default. A method with fewer "
        "different points to try needs no more trials than those.",
    )
    seeds: str = Field("0-1", description="Training seeds whose mean is the score of a trial.")

    @field_validator("seeds")
    @classmethod
    def _is_a_block(cls, value: str) -> str:
        parse_seeds(value)
        return value


class Tracking(Settings):
    """Import of finished blocks into MLflow."""

    uri: str | None = Field(
        None,
        description="Server; null is that of MLFLOW_TRACKING_URI, or without it SQLite under "
        "results/mlflow/.",
    )
    experiment: str | None = Field(None, description="Experiment; null is the benchmark's name.")


class Benchmark(Settings):
    """A benchmark: data sets x splits x encoders x methods x blocks of seeds."""

    name: str = Field(pattern=NAME, description="Names the tables, figures and the experiment.")
    extends: str | None = Field(
        None,
        description="Another benchmark's file, whose values hold for all keys that are left out "
        "here; `name` must be given. A path as for `plugins`.",
    )
    title: str = Field(description="Heading of the page.")
    notes: list[str] = Field([], description="Notes for readers, for example reductions.")
    results: Annotated[str, AfterValidator(_folder)] = Field(
        "results", description="Folder for everything produced."
    )
    mirror: str | None = Field(None, description="Folder tried before any address.")
    datasets: list[str] = Field(
        min_length=1,
        description="Names of registered data sets, or paths of registers of your own, ending in "
        "`.yaml`.",
    )
    splits: list[str] = Field(
        min_length=1,
        description="A split strategy and a split seed, for example random-0, or the strategy "
        "alone if it knows no seeds (official); cv-R-F is fold F (0 to 4) of repetition R, and "
        "cv-5x5 stands for 25 of them (cv-1x3 for three folds of five). Parents stay together; "
        "random-0-none, random-0-scaffold and random-0-COLUMN group otherwise. `drugtail list "
        "splits` shows all.",
    )
    plugins: list[str] = Field(
        [],
        description="Python files with split strategies, featurizers, encoders, metrics, "
        "statistical tests, kinds of tables or figures of your own; paths are relative to the "
        "folder the command is run in.",
    )
    vectors: dict[Annotated[str, Field(pattern=NAME)], str] = Field(
        {},
        description="NAME -> file with vectors of the molecules, such as embeddings of another "
        "model, which featurizer `vectors:NAME` reads; a path as for `plugins`.",
    )
    encoders: list[EncoderChoice] = Field(
        [EncoderChoice(name="gcn")], min_length=1, description="Names of encoders."
    )
    methods: list[MethodChoice] = Field(min_length=1, description="Names of recipes.")
    seeds: list[str] = Field(
        min_length=1, description="Blocks of training seeds, first-last, for example [0-2, 3-4]."
    )
    training: Training = Field(Training(), description="Training of networks.")
    training_by_dataset: dict[str, Training] = Field(
        {}, description="Data set -> settings of `training` that differ there."
    )
    tuning: Tuning | None = Field(None, description="Tune first; null takes the defaults.")
    questions: list[Question] = Field(
        [],
        description="Comparisons planned before anything is trained: the table `questions` answers "
        "them first, corrected among themselves; what other tables compare is exploratory.",
    )
    tables: list[str] = Field(
        ["head_tail"],
        min_length=1,
        description="Names of tables, or paths of definitions of your own, ending in `.yaml`.",
    )
    figures: list[str] = Field(
        [*FIGURES], description="Figures; `drugtail list figures` shows all."
    )
    reference: str = Field(
        "cross_entropy", description="Method that the trade-off table compares with."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="Device that networks train on."
    )
    keep_models: bool = Field(
        True,
        description="Keep what every block has learned, for `drugtail predict`; false saves space, "
        "some 20 MB for each seed of a forest.",
    )
    prior_corrections: list[Annotated[float, Field(gt=0, le=10)]] = Field(
        [],
        description="Strengths tau of a fixed log-prior correction: each adds a row to tables for "
        "every method, METHOD+prior_TAU, from stored predictions. 0.5 and 1 are usual.",
    )
    ghost_thresholds: bool = Field(
        False,
        description="Add a row METHOD+ghost for every method on data sets of two classes: the "
        "decision by the threshold that GHOST chooses on each run's validation molecules.",
    )
    partial: bool = Field(
        False, description="Make tables from the blocks that are finished, gaps marked."
    )
    tracking: Tracking = Field(Tracking(), description="MLflow.")

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Its schema: one that extends another needs a name alone."""
        found = handler(core)
        found["anyOf"] = [{"required": found.pop("required")}, {"required": ["name", "extends"]}]
        return found

    @field_validator("methods", "encoders", mode="before")
    @classmethod
    def _names_are_choices(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"name": item} if isinstance(item, str) else item for item in value]

    @field_validator("prior_corrections")
    @classmethod
    def _each_once(cls, value: list[float]) -> list[float]:
        for tau in value:
            if value.count(tau) > 1:
                raise ValueError(f"{tau:g} is named twice; name it once")
        return value

    @field_validator("splits")
    @classmethod
    def _known_splits(cls, value: list[str]) -> list[str]:
        names = [name for given in value for name in each_split(given)]
        for name in names:
            parse_split(name)
        return names

    @field_validator("seeds", mode="before")
    @classmethod
    def _a_list_of_blocks(cls, value: Any) -> Any:
        if isinstance(value, str | int):
            raise ValueError(f"found {value!r}; write a list of blocks, for example [0-2]")
        for block in value if isinstance(value, list) else []:
            if isinstance(block, int):
                raise ValueError(
                    f"found {block!r}; a block of seeds is first-last: [0-2] are seeds 0, 1 and 2, "
                    f"[{block}-{block}] is seed {block} alone"
                )
        return value

    @field_validator("seeds")
    @classmethod
    def _separate_blocks(cls, value: list[str]) -> list[str]:
        owner: dict[int, str] = {}
        for block in value:
            for seed in parse_seeds(block):
                if seed in owner:
                    raise ValueError(
                        f"block {block!r} overlaps block {owner[seed]!r} at seed {seed}; "
                        "give each seed to one block"
                    )
                owner[seed] = block
        return value

    @model_validator(mode="after")
    def _no_repeats(self) -> Benchmark:
        lists = {
            "datasets": self.dataset_names,
            "splits": self.splits,
            "encoders": [encoder.name for encoder in self.encoders],
            "methods": [method.name for method in self.methods],
            "tables": [name_of(table) for table in self.tables],
            "figures": self.figures,
            "plugins": self.plugins,
        }
        for key, names in lists.items():
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"{key}: {name!r} is named twice; name it once")
        for method in self.methods:
            if method.name.endswith(TUNED_SUFFIX):
                raise ValueError(
                    f"methods: {method.name!r} must not end in {TUNED_SUFFIX}, which marks the "
                    "folders of tuned runs; rename it"
                )
        for name in self.training_by_dataset:
            if not {name, name.rpartition(".")[0]} & set(self.dataset_names):
                raise ValueError(f"training_by_dataset: {name!r} is not among the datasets")
        return self

    @property
    def dataset_names(self) -> list[str]:
        """Names of the data sets, also of those that are named by path."""
        return [name_of(named) for named in self.datasets]

    def training_for(self, dataset: str) -> Training:
        """Return the training settings of one data set."""
        changes = self.training_by_dataset.get(dataset)
        if changes is None:
            return self.training
        return self.training.model_copy(
            update={key: getattr(changes, key) for key in changes.model_fields_set}
        )


def parse_seeds(block: str) -> range:
    """Return the seeds of a block such as ``0-2``, both ends included."""
    match = SEEDS.fullmatch(block)
    if not match or int(match[1]) > int(match[2]):
        raise ValueError(
            f"{block!r:.100} is not a block of seeds; write first-last, for example 0-2"
        )
    if int(match[2]) > LARGEST_SEED or int(match[2]) - int(match[1]) >= MOST_SEEDS:
        raise ValueError(
            f"block {block!r:.100}: seeds are at most {LARGEST_SEED:,}, and a block has at most "
            f"{MOST_SEEDS:,} of them"
        )
    return range(int(match[1]), int(match[2]) + 1)


def name_of(named: str) -> str:
    """Return the name of what is named by its name, or by the path of its file."""
    return Path(named).stem if named.endswith(".yaml") else named
