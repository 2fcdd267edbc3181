"""Registers of data sets: where the data come from, what is in them, and how they are cleaned."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from drugtail.config.base import NAME, Settings
from drugtail.config.labels import OF_SEVERAL_COLUMNS, ClassLabels, Labels
from drugtail.config.layout import Layout

OTHER = "other"
"""Name of the class that rare classes are merged into."""


def _file_name(value: str) -> str:
    """Refuse a name that leads to another folder, or hides the file."""
    if value.startswith(".") or not value.isprintable() or set(value) & set("/\\{}"):
        raise ValueError(
            f"found {value!r}; write a file name without folders, not beginning with a point"
        )
    if value in ("", "fetch.json"):
        raise ValueError(f"found {value!r}; write another name (fetch.json is the record's)")
    return value


def _as_text(value: Any) -> Any:
    """Take keys that YAML reads as numbers or truth values for the text that stands there."""
    if not isinstance(value, dict):
        return value
    truth = {True: "true", False: "false"}
    return {
        truth[key] if isinstance(key, bool) else str(key) if isinstance(key, int | float) else key:
        item for key, item in value.items()
    }  # fmt: skip


def _with_kind(value: Any) -> Any:
    """Labels without a kind are classes."""
    return {"kind": "class", **value} if isinstance(value, dict) else value


TextKeys = BeforeValidator(_as_text)


class Source(Settings):
    """One place a raw file can come from."""

    url: str | None = Field(None, description="Address.")
    path: str | None = Field(None, description="A file on this machine, instead of an address.")
    sha256: str | None = Field(None, description="SHA-256 of the file; null if unknown.")
    bytes: int | None = Field(
        None,
        description="Bytes of the file; a download is stopped above it. Of a file that is packed "
        "for the way alone, those of the unpacked one.",
    )

    @model_validator(mode="after")
    def _one_place(self) -> Source:
        if (self.url is None) == (self.path is None):
            raise ValueError("give either url or path")
        return self


class RawFile(Layout):
    """A file of the published data."""

    name: Annotated[str, AfterValidator(_file_name)] = Field(
        description="Name under results/data/{dataset}/raw/, without folders."
    )
    mirror: str | None = Field(None, description="Its path inside a local mirror folder.")
    mirror_sha256: str | None = Field(
        None, description="SHA-256 of a mirror's copy that is unpacked or has other line ends."
    )
    sources: list[Source] = Field(min_length=1, description="Addresses or paths, tried in order.")
    columns: list[str] = Field(description="Columns that must be there.")
    rows: int | None = Field(None, description="Number of rows it must have.")
    subset: Literal["train", "valid", "test", "unassigned"] | None = Field(
        None,
        description="Part of the published split that its rows are, where several files are one "
        "table; unassigned if they are none.",
    )


class SecondInput(Settings):
    """A second molecule or a protein that the question is about, too."""

    column: str = Field(description="Column of the table, or one that a lookup adds.")
    kind: Literal["smiles", "sequence"] = Field(
        description="A SMILES, read as the molecule is, or a sequence of amino acids."
    )
    featurizer: str = Field(
        description="Turns it into numbers, which are joined to those of the molecule: morgan or "
        "another one of molecules, kmers of sequences."
    )


class Columns(Settings):
    """Columns of the table of a data set, by their meaning."""

    smiles: str | None = Field(None, description="SMILES (or InChI) of the molecule.")
    reaction: str | None = Field(
        None, description="Reaction SMILES; see `reaction`. Instead of `smiles`."
    )
    label: str | list[str] | None = Field(
        None, description="Class; several columns for labels of kind joined or one_hot."
    )
    id: str | None = Field(None, description="Unique name of the row; null numbers the rows.")
    split: str | None = Field(
        None,
        description="Published split: train, valid and test, or the usual other words. Gives "
        "`official`.",
    )
    time: str | None = Field(
        None, description="When a molecule was made or measured: a number or YYYY-MM-DD."
    )
    second: SecondInput | None = Field(
        None, description="A second input: another drug, or a target."
    )
    group: list[str] = Field(
        [], description="Columns by which splits may keep rows together: random-0-COLUMN."
    )

    @model_validator(mode="after")
    def _one_molecule(self) -> Columns:
        if (self.smiles is None) == (self.reaction is None):
            raise ValueError("give either smiles or reaction")
        return self

    @property
    def labels(self) -> list[str]:
        """Columns that the class is read from."""
        if self.label is None:
            return []
        return [self.label] if isinstance(self.label, str) else self.label

    @property
    def used(self) -> list[str]:
        """All columns that are read."""
        one = [self.smiles, self.reaction, self.id, self.split, self.time]
        second = [self.second.column] if self.second else []
        return [*filter(None, one), *self.labels, *self.group, *second]


class OfficialSubsets(Settings):
    """A published split given as files of reactions that are to be found in the table."""

    valid: str = Field(description="File with the validation reactions.")
    test: str = Field(description="File with the test reactions.")
    reaction: str = Field(description="Column with the (atom-mapped) reaction SMILES.")


class Reaction(Settings):
    """The part of a reaction that is classified."""

    use: Literal["product", "main_product", "reactants", "reaction"] = Field(
        "product",
        description="All products, the largest one, all reactants, or the whole reaction; agents "
        "are left out. Of a whole reaction, parent and scaffold are its product's.",
    )


class Molecules(Settings):
    """Rules for reading molecules."""

    standardize: Literal["as_published", "largest_fragment", "uncharged", "parent"] = Field(
        "as_published",
        description="Form in which molecules are kept and featurized: as published (without atom "
        "maps and isotopes), without counter-ions, without charges, or the parent: the largest "
        "fragment, uncharged, without stereochemistry.",
    )
    wildcards: Literal["keep", "reject"] = Field(
        "keep", description="Molecules with wildcard atoms (*)."
    )
    other_elements: Literal["keep", "reject"] = Field(
        "keep", description="Molecules with elements that the atom features do not know."
    )


class Filter(Settings):
    """Keeps rows by what stands in a column."""

    column: str = Field(description="Column of the table.")
    one_of: list[str] | None = Field(None, description="Values that are kept.")
    none_of: list[str] | None = Field(None, description="Values that are left out.")

    @model_validator(mode="after")
    def _one_rule(self) -> Filter:
        if (self.one_of is None) == (self.none_of is None):
            raise ValueError("give either one_of or none_of")
        return self


class Lookup(Settings):
    """Adds a column whose values stand in another file."""

    file: str = Field(description="Name of that file, one of `files`.")
    key: str = Field(description="Column of that file that the values are looked up in.")
    value: str = Field(description="Column of that file that is added.")
    column: str = Field(description="Column of the table with what is looked up.")
    name: str = Field(description="Name of the added column.")


class Thin(Settings):
    """Thins a data set to a long tail, so that difficulty and imbalance can be told apart.

    Classes are ordered by size; class k of C keeps n_1 r^(-k/(C-1)) molecules (exponential) or
    n_1 (k+1)^(-log r / log C) (Zipf), as in IGL-Bench (Qin et al., ICLR 2025), never more than it
    has.
    """

    tail: Literal["exponential", "zipf"] = Field(description="Shape of the class sizes.")
    ratio: float = Field(ge=1, description="Largest class size divided by the smallest.")
    seed: int = Field(0, ge=0, description="Seed of the choice of molecules.")


class Sample(Settings):
    """A random part of a large data set, in which classes keep their shares but for chance.

    It is drawn before rare classes are set aside.
    """

    molecules: int = Field(ge=1, description="Number of molecules to keep.")
    seed: int = Field(0, ge=0, description="Seed of the draw.")


class Generated(Settings):
    """A data set that is made, not fetched."""

    name: Literal["reactions"]
    seed: int = Field(0, ge=0, description="Seed of the enumeration.")


class Expected(Settings):
    """Facts about the published data that must come out; a difference is an error."""

    unparsable: int | None = Field(None, description="Rows whose SMILES RDKit rejects.")
    class_counts: Annotated[dict[str, int], TextKeys] | None = Field(
        None, description="Rows per class as published, by label."
    )
    molecules: int | None = Field(None, description="Molecules that are left in the end.")
    classes: int | None = Field(None, description="Classes that are left in the end.")
    parents: int | None = Field(None, description="Distinct parents among these molecules.")


class Task(Settings):
    """One of several label columns; each is a data set of its own."""

    title: str | None = Field(None, description="Name for people; null takes the column's.")
    expected: Expected = Field(Expected(), description="Facts that must come out.")


class Dataset(Settings):
    """A data set: where it comes from, what is in it, and what is known about it."""

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    title: str = Field(description="A line for tables and figures.")
    task: str = Field(description="Input and classes, for example molecule -> class.")
    synthetic: bool = Field(False, description="Generated, not measured; said wherever it shows.")
    licence: str = Field(description="Licence of the data as publicly stated.")
    citation: str = Field(description="Publication to cite.")
    note: str | None = Field(None, description="Peculiarities that a user should know.")
    meaning: str | None = Field(None, description="Meaning of a result on it, in a line.")
    files: list[RawFile] = Field(
        [], description="Published files: the table, in one or several, and what else is named."
    )
    generator: Generated | None = Field(None, description="Makes the data, instead of `files`.")
    columns: Columns = Field(description="Columns by their meaning.")
    tasks: dict[str, Task] | None = Field(
        None,
        description="Label columns of which each is a data set NAME.COLUMN of its own; other "
        "signs than letters, digits and _ become _.",
    )
    register_name: str | None = Field(
        None, description="Register of which it is a task; written by the program."
    )
    lookups: list[Lookup] = Field([], description="Columns added from other files, in order.")
    filters: list[Filter] = Field([], description="Rows that are kept, after the lookups.")
    labels: Annotated[Labels, BeforeValidator(_with_kind)] = Field(
        ClassLabels(), description="Kind of labels, and how they become classes."
    )
    reaction: Reaction = Field(Reaction(), description="Part of a reaction that is classified.")
    molecules: Molecules = Field(Molecules(), description="Rules for reading molecules.")
    official: OfficialSubsets | None = Field(None, description="Published split, given as files.")
    classes: Annotated[dict[str, str], TextKeys] | None = Field(
        None, description="Label as published -> name, in class order; null takes them as found."
    )
    one_row_per: str | None = Field(
        None, description="Column of which each value keeps its first usable row."
    )
    identity: Literal["smiles", "parent"] = Field(
        "smiles", description="When `duplicates` and `conflicts` take two molecules for the same."
    )
    duplicates: Literal["keep", "drop"] = Field(
        "keep", description="Repeats of a molecule with one label: as published, or first only."
    )
    conflicts: Literal["keep", "drop"] = Field(
        "keep", description="Molecules with several labels: as published, or left out."
    )
    sample: Sample | None = Field(None, description="Random part that is kept; null takes all.")
    minimum_class_size: int = Field(
        1, ge=1, description="Molecules that a class must have in the end."
    )
    rare_classes: Literal["leave_out", "merge"] = Field(
        "leave_out", description=f"Smaller classes: left out, or merged into the class {OTHER!r}."
    )
    thin: Thin | None = Field(None, description="Thinning to a long tail; null takes all.")
    expected: Expected = Field(Expected(), description="Facts that must come out.")

    @property
    def source(self) -> str:
        """Name of the register whose raw files it reads: its own, or that of its tasks."""
        return self.register_name or self.name

    @property
    def reads(self) -> Literal["smiles", "reaction"]:
        """Return what is classified: molecules (``smiles``) or whole reactions (``reaction``)."""
        whole = self.columns.reaction is not None and self.reaction.use == "reaction"
        return "reaction" if whole else "smiles"

    @property
    def table_files(self) -> list[RawFile]:
        """The files that together are the table."""
        named = {lookup.file for lookup in self.lookups}
        if self.official is not None:
            named |= {self.official.valid, self.official.test}
        return [file for file in self.files if file.name not in named]

    @property
    def has_official(self) -> bool:
        """Return whether the source published a split."""
        by_file = any(file.subset in ("train", "test") for file in self.files)
        return self.official is not None or self.columns.split is not None or by_file

    def each_task(self) -> list[Dataset]:
        """Return the data sets of its tasks, or itself if it has none."""
        if self.tasks is None:
            return [self]
        return [
            Dataset.model_validate(
                self.model_dump(exclude={"tasks"}, exclude_unset=True)
                | {
                    "name": f"{self.name}.{task_name(column)}",
                    "register_name": self.name,
                    "title": f"{self.title}: {task.title or column}",
                    "columns": self.columns.model_dump(exclude_unset=True) | {"label": column},
                    "expected": task.expected.model_dump(exclude_unset=True),
                }
            )
            for column, task in self.tasks.items()
        ]

    def named_task(self, name: str) -> Dataset | None:
        """Return the data set of one task, by the task's name; None if there is none."""
        found = (one for one in self.each_task() if one.name == f"{self.name}.{name}")
        return next(found, None)

    @model_validator(mode="after")
    def _one_origin(self) -> Dataset:
        if bool(self.files) == (self.generator is not None):
            raise ValueError("give either files or generator")
        if self.official is not None and self.columns.reaction is None:
            raise ValueError("official needs columns.reaction: subsets are matched by reaction")
        names = [file.name for file in self.files]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"files: {name!r} is named twice; give every file its own name")
        for subset in ("valid", "test"):
            if self.official is not None and getattr(self.official, subset) not in names:
                raise ValueError(f"official.{subset} is not among the files")
        for lookup in self.lookups:
            if lookup.file not in names:
                raise ValueError(f"lookups: {lookup.file!r} is not among the files")
        if self.reads == "reaction" and self.molecules.standardize != "as_published":
            raise ValueError("molecules.standardize is of single molecules; leave it out")
        self._check_table_files()
        return self

    def _check_table_files(self) -> None:
        """Refuse several files of which it is not said how they are one table."""
        tables = self.table_files
        if self.files and not tables:
            raise ValueError("files: none of them is the table; all are read for something else")
        unsaid = [file.name for file in tables if file.subset is None]
        if len(tables) > 1 and unsaid and self.columns.split is None:
            raise ValueError(
                f"files: {len(tables)} files are one table, and {unsaid[0]!r} does not say which "
                "part of the published split it is; add `subset: train`, valid or test, or "
                "`subset: unassigned` if there is no such split; leave out a file that is not "
                "needed"
            )
        if self.columns.split is not None and any(file.subset for file in tables):
            raise ValueError("files: give either columns.split or subsets of files")

    @model_validator(mode="after")
    def _labels_of_columns(self) -> Dataset:
        several = self.labels.kind in OF_SEVERAL_COLUMNS
        label = self.columns.label
        if self.tasks is not None:
            if label is not None or several:
                raise ValueError("tasks: name the label columns there, and none in columns.label")
            if not self.tasks:
                raise ValueError("tasks: name at least one column")
            if "." in self.name:
                raise ValueError("name: a register with tasks has no point in its name")
            names = [task_name(column) for column in self.tasks]
            for name in names:
                if names.count(name) > 1:
                    raise ValueError(f"tasks: two columns become the name {name!r}")
        elif label is None:
            raise ValueError("columns.label is required; add it")
        elif isinstance(label, list) and not several:
            raise ValueError(
                "columns.label lists several columns; say what they are: labels.kind one_hot (a "
                "column per class) or joined (the class is made of all); columns of different "
                "questions are `tasks`"
            )
        elif several and not isinstance(label, list):
            raise ValueError(f"labels.kind {self.labels.kind} needs a list of columns.label")
        return self


def task_name(column: str) -> str:
    """Return the name of a task: the column's, with _ for all but letters, digits and _."""
    return re.sub(r"[^A-Za-z0-9_]", "_", column)
