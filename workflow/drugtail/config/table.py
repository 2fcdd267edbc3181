"""Definitions of tables."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from drugtail.config.base import NAME, Settings

# Names of the package's metrics, which a workflow knows without importing them; those with a form
# for head, middle and tail, and those without.
OF_GROUPS = (
    "accuracy", "auprc", "auroc", "balanced_accuracy", "balanced_f1", "calibration_error",
    "geometric_mean", "harmonic_mean", "macro_f1", "worst_class_recall",
)  # fmt: skip
GROUP_SUFFIXES = ("_head", "_middle", "_tail")
METRIC_NAMES = (
    *OF_GROUPS, "cohen_kappa", "mcc",
    *(f"{name}{suffix}" for suffix in GROUP_SUFFIXES for name in OF_GROUPS),
)  # fmt: skip
# Columns that say something of a run's training.
OF_A_RUN = ("seconds", "epochs", "best_epoch", "updates", "molecules_seen")
# Kinds of the package; those of plugins check their columns themselves.
KINDS = (
    "metrics", "across", "comparison", "pairs", "questions", "criterion", "classes", "ranks",
    "separability",
)  # fmt: skip
# Those that have columns of their own.
OWN_COLUMNS = ("questions", "criterion", "classes", "separability")


# LaTeX for a journal, where a wide table takes both columns of a page, or for a thesis.
Style = Literal["journal", "thesis"]
# The last one is the test molecules whose parent compound is not in training.
Subset = Literal["valid", "test", "test_new_parents"]


class TableColumn(Settings):
    """One column of a table."""

    metric: str = Field(
        description="Name of a metric, for example balanced_accuracy, or seconds (of training), "
        "epochs or best_epoch."
    )
    title: str = Field(description="Heading.")
    subset: Subset | None = Field(
        None, description="Predictions it is about, if not those of the table."
    )
    scale: float = Field(100.0, description="Factor for print; 100 prints percent.")
    digits: int = Field(1, ge=0, description="Digits after the point.")


class Question(Settings):
    """A comparison that is planned before anything is trained."""

    asks: str = Field(description="The question, in a sentence.")
    method: str = Field(
        description="Row that is asked about: a method, METHOD+prior_TAU of `prior_corrections`, "
        "or either on one encoder, as in METHOD on ENCODER; else encoders are averaged."
    )
    against: str = Field(description="Row that it is compared with.")
    metric: str = Field("balanced_accuracy", description="Name of a metric.")
    subset: Subset = Field("test", description="Predictions it is about.")


class Criterion(Settings):
    """A criterion that methods have to reach on some data sets; written before anything is trained.

    On a data set a candidate reaches it if its balanced accuracy is significantly better than that
    of every baseline, and if it gains enough tail recall for little head recall on the baseline
    with the best balanced accuracy there.
    """

    candidates: list[str] = Field(
        min_length=1, description="Rows that are judged: methods, or METHOD+prior_TAU."
    )
    baselines: list[str] = Field(min_length=1, description="Rows that a candidate has to beat.")
    datasets: int = Field(ge=1, description="Number of data sets on which it has to be reached.")
    tail_gain: float = Field(5.0, description="Least gain of tail recall, in points.")
    head_loss: float = Field(1.0, description="Largest loss of head recall, in points.")
    head_loss_two_classes: float = Field(
        3.0, description="Largest loss of head recall on data sets of two classes, in points."
    )


# A figure, and what stands behind its ±.
Spread = Annotated[list[float], Field(min_length=2, max_length=2)]


class Quoted(Settings):
    """Figures that others published of one metric on one data set, to stand beside ours."""

    source: str = Field(description="Heading: who published them.")
    dataset: str = Field(description="Name of the data set.")
    split: str = Field(description="Kind of split beside which they stand: cv, random-none, ….")
    metric: str = Field(description="Name of the metric, one of the table's.")
    values: dict[str, float | Spread | None] = Field(
        description="Method -> what was printed, in the unit of the column: a figure, or a figure "
        "and what stands behind its ±; null where it is not known."
    )
    differs: str = Field(
        "", description="Sentence on what differs from ours; a note below the table."
    )


class Table(Settings):
    """A table. Its kind says what stands in it.

    ``metrics``: methods down, metrics across, one block of rows per data set and kind of split.
    ``across``: methods down, data sets across, with figures of others beside ours (`quoted`).
    ``comparison``: one method against every other one on each data set, paired by split, with
    intervals, corrected tests and verdicts. ``pairs``: Tukey's and Nemenyi's p values between all
    methods, for description. ``questions``: planned comparisons, which are corrected among
    themselves. ``criterion``: whether methods reach what was wanted of them before they were
    trained. ``classes``: recall of each class with an interval and its number of tested parents.
    ``ranks``: mean ranks and strengths over data sets, and each method's difference to the
    benchmark's reference. ``separability``: how the recall of classes goes with their size, and
    with how far apart they lie on fingerprints.
    """

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    title: str = Field(description="Caption.")
    kind: str = Field(
        "metrics",
        description="Contents: `metrics`, `across`, `comparison`, `pairs`, `classes`, "
        "`ranks`, `separability`, `questions`, `criterion`, or a kind that a file in the "
        "benchmark's `plugins` registers.",
    )
    subset: Subset = Field("test", description="Predictions it is about.")
    columns: list[TableColumn] = Field(
        [],
        description="Metrics, in order; `questions`, `criterion`, `classes` and `separability` "
        "have their own.",
    )
    questions: list[Question] = Field(
        [], description="Questions of a table of kind `questions`; a benchmark has its own."
    )
    criterion: Criterion | None = Field(
        None, description="What a table of kind `criterion` judges by."
    )
    order: str | None = Field(
        None,
        description="Column, by its metric, after which the rows of a data set and split are "
        "sorted, the largest first; by default they stand as in the benchmark.",
    )
    method: str | None = Field(
        None,
        description="Method that a `comparison` compares with all others, or the only one that "
        "`classes` shows.",
    )
    test: str = Field(
        "corrected_t",
        description="Statistical test of a `comparison`: `corrected_t`, `signed_rank` or one that "
        "a file in the benchmark's `plugins` registers.",
    )
    quoted: list[Quoted] = Field([], description="Figures of others, in a table of kind `across`.")
    difference: bool = Field(
        False,
        description="Show the change against the benchmark's reference, paired by split and seed.",
    )

    @property
    def subsets(self) -> set[str]:
        """All subsets that something in it is about."""
        columns = {column.subset for column in self.columns if column.subset is not None}
        return {self.subset, *columns, *(question.subset for question in self.questions)}

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Table:
        if self.kind not in KINDS:
            return self
        if (self.kind in OWN_COLUMNS) == bool(self.columns):
            raise ValueError(
                "columns: a table of kind metrics, across, comparison, pairs or ranks needs "
                "them, questions, criterion, classes and separability have their own"
            )
        if self.difference and self.kind != "metrics":
            raise ValueError("difference: a table of kind metrics may show it, no other")
        if self.quoted and self.kind != "across":
            raise ValueError("quoted: a table of kind across may have it, no other")
        for quoted in self.quoted:
            if quoted.metric not in [column.metric for column in self.columns]:
                raise ValueError(f"quoted: metric {quoted.metric!r} is not that of a column")
        if (self.kind == "questions") != bool(self.questions):
            raise ValueError("questions: a table of kind questions needs them, no other has them")
        if (self.kind == "criterion") != (self.criterion is not None):
            raise ValueError("criterion: a table of kind criterion needs it, no other has it")
        if self.kind == "comparison" and self.method is None:
            raise ValueError("method: a table of kind comparison needs it")
        if self.kind not in ("comparison", "classes") and self.method is not None:
            raise ValueError("method: a table of kind comparison or classes has it, no other")
        if self.order is not None and (
            self.kind != "metrics" or self.order not in [c.metric for c in self.columns]
        ):
            raise ValueError("order: name the metric of a column, in a table of kind metrics")
        if "test" in self.model_fields_set and self.kind != "comparison":
            raise ValueError("test: a table of kind comparison has one, no other")
        if self.kind in OWN_COLUMNS and self.subset != "test":
            raise ValueError(f"subset: {self.kind} is about test")
        return self
