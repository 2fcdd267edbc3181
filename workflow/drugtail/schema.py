"""What the files of configuration may hold: data sets, encoders, training, benchmarks and tables.

Recipes are in `drugtail.methods.recipe`. Nothing is read here; `drugtail.config` does.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from drugtail.runtime.names import TUNED_SUFFIX
from drugtail.runtime.settings import Settings

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.+]*$"
SPLIT = re.compile(r"(random|standard|scaffold)-(\d+)|official")
SEEDS = re.compile(r"(\d+)-(\d+)")

# ------------------------------------------------------------------------------ data sets


def _file_name(value: str) -> str:
    """Refuse a name that leads to another folder, or hides the file."""
    if value.startswith(".") or not value.isprintable() or set(value) & set("/\\{}"):
        raise ValueError(
            f"found {value!r}; write a file name without folders, not beginning with a point"
        )
    if value in ("", "fetch.json"):
        raise ValueError(f"found {value!r}; write another name (fetch.json is the record's)")
    return value


def _folder(value: str) -> str:
    """Refuse what Snakemake takes for a wildcard, and what no terminal shows."""
    if not value or not value.isprintable() or set(value) & set("{}"):
        raise ValueError(f"found {value!r}; write the path of a folder, without braces")
    return value


class Source(Settings):
    """One place a raw file can come from."""

    url: str | None = Field(None, description="Address.")
    path: str | None = Field(None, description="A file on this machine, instead of an address.")
    sha256: str | None = Field(None, description="SHA-256 of the bytes served; null if unknown.")
    bytes: int | None = Field(None, description="Number of bytes served.")

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url or path")
        return self


class RawFile(Settings):
    """A file of the published data."""

    name: Annotated[str, AfterValidator(_file_name)] = Field(
        description="Name under results/data/{dataset}/raw/, without folders."
    )
    mirror: str | None = Field(None, description="Its path inside a local mirror folder.")
    sources: list[Source] = Field(min_length=1, description="Where to get it, in order.")
    columns: list[str] = Field(description="Columns that must be there.")
    rows: int | None = Field(None, description="Number of rows it must have.")


class Columns(Settings):
    """Which column holds what, in the first file of a data set."""

    smiles: str | None = Field(None, description="SMILES of the molecule.")
    reaction: str | None = Field(
        None, description="Reaction SMILES; its product is the molecule. Instead of `smiles`."
    )
    label: str = Field(description="Class.")
    id: str | None = Field(None, description="Unique name of the row; null numbers the rows.")
    split: str | None = Field(
        None, description="Published split: train, valid (or val) and test. Gives `official`."
    )

    @model_validator(mode="after")
    def _one_molecule(self) -> Columns:
        if (self.smiles is None) == (self.reaction is None):
            raise ValueError("give either smiles or reaction")
        return self


class OfficialParts(Settings):
    """A published split given as files of reactions that are to be found in the first file."""

    valid: str = Field(description="File with the validation reactions.")
    test: str = Field(description="File with the test reactions.")
    reaction: str = Field(description="Column with the (atom-mapped) reaction SMILES.")


class Generated(Settings):
    """A data set that is made, not fetched."""

    name: Literal["reactions"]
    seed: int = Field(0, ge=0, description="Seed of the enumeration.")


class Expected(Settings):
    """Facts about the published data that must come out; a difference is an error."""

    unparsable: int | None = Field(None, description="Rows whose SMILES RDKit rejects.")
    class_counts: dict[str, int] | None = Field(
        None, description="Rows per class as published, by label."
    )


class Dataset(Settings):
    """A data set: where it comes from, what is in it, and what is known about it."""

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    title: str = Field(description="A line for tables and figures.")
    task: str = Field(description="What is classified into what.")
    synthetic: bool = Field(False, description="Generated, not measured; said wherever it shows.")
    licence: str = Field(description="Licence of the data as publicly stated.")
    citation: str = Field(description="What to cite.")
    note: str | None = Field(None, description="What a user should know.")
    files: list[RawFile] = Field([], description="Published files; the first is the table.")
    generator: Generated | None = Field(None, description="Makes the data, instead of `files`.")
    columns: Columns = Field(description="Which column holds what.")
    official: OfficialParts | None = Field(None, description="Published split, given as files.")
    classes: dict[str, str] | None = Field(
        None, description="Label as published -> name, in class order; null takes them as found."
    )
    duplicates: Literal["keep", "drop"] = Field(
        "keep", description="Repeats of a molecule with one label: as published, or first only."
    )
    conflicts: Literal["keep", "drop"] = Field(
        "keep", description="Molecules with several labels: as published, or left out."
    )
    expected: Expected = Field(Expected(), description="Facts that must come out.")

    @model_validator(mode="after")
    def _one_origin(self) -> Dataset:
        if bool(self.files) == (self.generator is not None):
            raise ValueError("give either files or generator")
        if self.official is not None and self.columns.reaction is None:
            raise ValueError("official needs columns.reaction: parts are matched by reaction")
        names = [file.name for file in self.files]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"files: {name!r} is named twice; give every file its own name")
        known = set(names)
        for part in ("valid", "test"):
            if self.official is not None and getattr(self.official, part) not in known:
                raise ValueError(f"official.{part} is not among the files")
        return self


# ------------------------------------------------------------------------------- encoders


class GraphEncoder(Settings):
    """Graph convolutions on the packed molecular graphs, and the head on top."""

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    kind: Literal["gcn"] = Field(description="Which encoder.")
    featurizer: Literal["atoms"] = Field("atoms", description="Features it reads.")
    layers: int = Field(3, ge=1, description="Graph convolutions.")
    width: int = Field(128, ge=1, description="Width of each layer.")
    head: list[int] = Field([128, 128], description="Widths of the head's hidden layers.")


class FingerprintEncoder(Settings):
    """No network: the classifier reads fingerprints."""

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    kind: Literal["fingerprint"] = Field(description="No encoder at all.")
    featurizer: Literal["morgan"] = Field("morgan", description="Features it reads.")


# ------------------------------------------------------------------------------- training


class Training(Settings):
    """How a network is trained; the same for every method of a benchmark."""

    epochs: int = Field(300, ge=1, description="Passes over the training set.")
    batch_size: int = Field(
        128, ge=2,
        description="Molecules per step, or a little less: an epoch is cut into equal batches.",
    )  # fmt: skip
    learning_rate: float = Field(1e-3, gt=0, description="Of Adam, at the first epoch.")
    learning_rate_decay: float = Field(
        0.99, gt=0, le=1, description="Factor on the learning rate after each epoch."
    )
    weight_decay: float = Field(3e-4, ge=0, description="Of Adam, added to the gradient.")
    schedule_scale: float = Field(
        1.0, gt=0, le=1,
        description="Factor on the epoch counts a recipe names (warm-up, re-clustering), rounded, "
        "at least 1. A training shortened to a tenth keeps its proportions with 0.1.",
    )  # fmt: skip
    mixed_precision: bool = Field(False, description="bfloat16 for the dense products.")


# ------------------------------------------------------------------------------ benchmark


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
    code: str | None = Field(
        None,
        description="Python file with parts of your own that the recipe names; a path as for "
        "`recipe`. Any change of it trains the method again.",
    )
    settings: dict[str, Any] = Field(
        {},
        description="Changes to the recipe, for example `classifier.trees: 100`. What is set here "
        "is not tuned.",
    )
    tuned: bool = Field(
        True, description="False keeps the method as it is in a benchmark that tunes."
    )


class Tuning(Settings):
    """Equal tuning of all methods, on validation molecules, before they are trained.

    Each method is tuned on each data set and split with the benchmark's own training settings; what
    may be changed stands in the recipes (`tuning`).
    """

    trials: int = Field(
        ge=1,
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
    """What to run: data sets x splits x encoders x methods x blocks of seeds."""

    name: str = Field(pattern=NAME, description="Names the tables, figures and the experiment.")
    title: str = Field(description="Heading of the page.")
    notes: list[str] = Field([], description="What readers must know, for example reductions.")
    results: Annotated[str, AfterValidator(_folder)] = Field(
        "results", description="Folder for everything produced."
    )
    mirror: str | None = Field(None, description="Folder tried before any address.")
    datasets: list[str] = Field(min_length=1, description="Names of registered data sets.")
    splits: list[str] = Field(
        min_length=1, description="random-S, standard-S, scaffold-S (S: split seed) or official."
    )
    encoders: list[str] = Field(["gcn"], min_length=1, description="Names of encoders.")
    methods: list[MethodChoice] = Field(min_length=1, description="Names of recipes.")
    seeds: list[str] = Field(
        min_length=1, description="Blocks of training seeds, first-last, for example [0-2, 3-4]."
    )
    training: Training = Field(Training(), description="Training of networks.")
    training_by_dataset: dict[str, Training] = Field(
        {}, description="Data set -> settings of `training` that differ there."
    )
    tuning: Tuning | None = Field(None, description="Tune first; null takes the defaults.")
    tables: list[str] = Field(["head_tail"], min_length=1, description="Names of tables.")
    reference: str = Field(
        "cross_entropy", description="Method that the trade-off table compares with."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="Where networks train.")
    partial: bool = Field(
        False, description="Make tables from the blocks that are finished, gaps marked."
    )
    tracking: Tracking = Field(Tracking(), description="MLflow.")

    @field_validator("methods", mode="before")
    @classmethod
    def _names_are_choices(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return [{"name": item} if isinstance(item, str) else item for item in value]

    @field_validator("splits")
    @classmethod
    def _known_splits(cls, value: list[str]) -> list[str]:
        for name in value:
            parse_split(name)
        return value

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
            "datasets": self.datasets,
            "splits": self.splits,
            "encoders": self.encoders,
            "methods": [method.name for method in self.methods],
            "tables": self.tables,
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
            if name not in self.datasets:
                raise ValueError(f"training_by_dataset: {name!r} is not among the datasets")
        return self

    def training_for(self, dataset: str) -> Training:
        """Return the training settings of one data set."""
        changes = self.training_by_dataset.get(dataset)
        if changes is None:
            return self.training
        return self.training.model_copy(
            update={key: getattr(changes, key) for key in changes.model_fields_set}
        )


class TableColumn(Settings):
    """One column of a table."""

    metric: str = Field(
        description="Name of a metric, for example balanced_accuracy, or seconds (of training), "
        "epochs or best_epoch."
    )
    title: str = Field(description="Heading.")
    scale: float = Field(100.0, description="Factor for print; 100 prints percent.")
    digits: int = Field(1, ge=0, description="Digits after the point.")


class Table(Settings):
    """A table. Its kind says what stands in it.

    ``metrics``: methods down, metrics across, one block of rows per data set and split.
    ``comparison``: one method against every other one, paired by data set, split and seed, with
    intervals and corrected tests. ``identifiability``: rank correlation, over classes, of recall
    with class size and with separability.
    """

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    title: str = Field(description="Caption.")
    kind: Literal["metrics", "comparison", "identifiability"] = Field(
        "metrics", description="What stands in it."
    )
    part: Literal["valid", "test"] = Field("test", description="Which predictions it is about.")
    columns: list[TableColumn] = Field(
        [], description="Metrics, in order; `identifiability` has its own."
    )
    order: str | None = Field(
        None,
        description="Column, by its metric, after which the rows of a data set and split are "
        "sorted, the largest first; by default they stand as in the benchmark.",
    )
    method: str | None = Field(
        None, description="Of a `comparison`: the method that is compared with all others."
    )
    difference: bool = Field(
        False, description="Show the change against the benchmark's reference, paired by seed."
    )

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Table:
        if (self.kind == "identifiability") == bool(self.columns):
            raise ValueError(
                "columns: a table of kind metrics or comparison needs them, identifiability has "
                "its own"
            )
        if (self.kind == "comparison") != (self.method is not None):
            raise ValueError("method: a table of kind comparison needs it, and no other does")
        if self.order is not None and (
            self.kind != "metrics" or self.order not in [c.metric for c in self.columns]
        ):
            raise ValueError("order: name the metric of a column, in a table of kind metrics")
        if self.kind == "identifiability" and self.part != "test":
            raise ValueError("part: identifiability is about test")
        return self


def parse_split(name: str) -> tuple[str, int]:
    """Return strategy and seed of a split's name; ``official`` has seed 0."""
    match = SPLIT.fullmatch(name)
    if not match:
        raise ValueError(
            f"{name!r} is not a split; use random-S, standard-S or scaffold-S with a split seed S "
            "(for example random-0), or official"
        )
    return (match[1], int(match[2])) if match[1] else ("official", 0)


def parse_seeds(block: str) -> range:
    """Return the seeds of a block such as ``0-2``, both ends included."""
    match = SEEDS.fullmatch(block)
    if not match or int(match[1]) > int(match[2]):
        raise ValueError(f"{block!r} is not a block of seeds; write first-last, for example 0-2")
    return range(int(match[1]), int(match[2]) + 1)
