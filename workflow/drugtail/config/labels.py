"""Kinds of labels, and how they become classes."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from drugtail.config.base import Settings

MISSING_MARKS = (
    "", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NAN", "null", "NULL",
)  # fmt: skip
"""Cells without a value, by the habits of pandas, R and Excel."""


class LabelSettings(Settings):
    """Settings that all kinds of labels have."""

    missing: list[str] = Field(
        list(MISSING_MARKS),
        description="Cells that hold no value; take out the name of a class, such as NA.",
    )
    spelling: Literal["refuse", "merge", "keep"] = Field(
        "refuse",
        description="Labels that differ in case, blanks or decimals only: an error that names "
        "both, one class under the more frequent spelling, or two classes. 1 and 1.0 are one "
        "class always.",
    )


class ClassLabels(LabelSettings):
    """One class in one column."""

    kind: Literal["class"] = "class"


class JoinedLabels(LabelSettings):
    """The class is made of several columns: `columns.label` lists them."""

    kind: Literal["joined"]
    separator: str = Field(" / ", description="Stands between the parts of the name.")


class SeveralLabels(LabelSettings):
    """Labels of which a molecule may have several."""

    several: Literal["refuse", "first", "single_only"] = Field(
        "refuse",
        description="Rows with several labels: an error, the first label, or set aside.",
    )


class ListLabels(SeveralLabels):
    """One cell holds a list of labels."""

    kind: Literal["list"]
    separator: str = Field(
        description='Stands between labels; " " is any number of blanks.', min_length=1
    )


class OneHotLabels(SeveralLabels):
    """A column per class: `columns.label` lists them; the class is the one that is set."""

    kind: Literal["one_hot"]
    on: list[str] = Field(["1", "1.0", "True", "true", "TRUE"], description="A class that is set.")
    off: list[str] = Field(
        ["0", "0.0", "False", "false", "FALSE", ""], description="A class that is not set."
    )


class ThresholdLabels(LabelSettings):
    """A number, cut into two classes."""

    kind: Literal["threshold"]
    below: float | None = Field(None, description="The first class is what is smaller.")
    above: float | None = Field(None, description="The first class is what is larger.")
    names: tuple[str, str] = Field(
        ("positive", "negative"), description="Names of the first class and of all else.",
        strict=False,
    )  # fmt: skip
    decimal: Literal[".", ","] = Field(".", description="Decimal mark of the numbers.")

    def named(self, numbers: Any) -> Any:
        """Return the class of each number of a pandas.Series; missing ones have the second."""
        first = numbers < self.below if self.below is not None else numbers > self.above
        return first.map({True: self.names[0], False: self.names[1]})

    @model_validator(mode="after")
    def _one_bound(self) -> ThresholdLabels:
        if (self.below is None) == (self.above is None):
            raise ValueError("give either below or above")
        if self.names[0] == self.names[1]:
            raise ValueError("give two different names")
        return self


Labels = Annotated[
    ClassLabels | JoinedLabels | ListLabels | OneHotLabels | ThresholdLabels,
    Field(discriminator="kind"),
]
OF_SEVERAL_COLUMNS = ("joined", "one_hot")
"""Kinds of labels that are read from a list of columns."""
