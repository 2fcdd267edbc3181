"""Registers of data sets: where the data come from, and what is known about them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from drugtail.config.base import NAME, Settings


def _file_name(value: str) -> str:
    """Refuse a name that leads to another folder, or hides the file."""
    if value.startswith(".") or not value.isprintable() or set(value) & set("/\\{}"):
        raise ValueError(
            f"found {value!r}; write a file name without folders, not beginning with a point"
        )
    if value in ("", "fetch.json"):
        raise ValueError(f"found {value!r}; write another name (fetch.json is the record's)")
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


class OfficialSubsets(Settings):
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
    official: OfficialSubsets | None = Field(None, description="Published split, given as files.")
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
            raise ValueError("official needs columns.reaction: subsets are matched by reaction")
        names = [file.name for file in self.files]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"files: {name!r} is named twice; give every file its own name")
        known = set(names)
        for subset in ("valid", "test"):
            if self.official is not None and getattr(self.official, subset) not in known:
                raise ValueError(f"official.{subset} is not among the files")
        return self
