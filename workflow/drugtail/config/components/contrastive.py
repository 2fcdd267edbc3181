"""Settings of contrastive terms."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import Settings


class ContrastiveSettings(Settings):
    """Settings that every contrastive term has."""

    # Whether the classification loss is already in the term, or is added to it.
    whole: ClassVar[bool] = False
    # What it compares with besides views: "centres" of classes, learned, "targets" of classes, or a
    # "queue" of earlier molecules (then its settings have ``queue`` and ``momentum``).
    needs: ClassVar[tuple[str, ...]] = ()
    needs_geometry: ClassVar[bool] = False
    # Whether it is a classification loss by itself, beside which loss and class weights do nothing.
    replaces_loss: ClassVar[bool] = False

    temperature: float = Field(0.1, gt=0, description="Temperature.")
    weight: float = Field(1.0, ge=0, description="Factor on the term.")


class SupervisedContrastive(ContrastiveSettings):
    """Supervised contrastive loss over classes (Khosla et al., NeurIPS 2020)."""

    name: Literal["supervised"]


class BalancedContrastive(ContrastiveSettings):
    """Every class counts alike in the denominator (BCL; Zhu et al., CVPR 2022)."""

    needs: ClassVar[tuple[str, ...]] = ("centres",)

    name: Literal["balanced"]
    weight: float = Field(0.3, ge=0, description="Factor on the term.")


class _KPositive(ContrastiveSettings):
    positives: int = Field(6, ge=1, description="k: besides the molecule's own other view.")


class KPositiveContrastive(_KPositive):
    """At most k + 1 positives for each molecule (KCL; Kang et al., ICLR 2021)."""

    name: Literal["k_positive"]


class TargetedContrastive(_KPositive):
    """Classes drawn to points spread evenly on the sphere (TSC; Li et al., CVPR 2022)."""

    needs: ClassVar[tuple[str, ...]] = ("targets",)
    needs_geometry: ClassVar[bool] = True

    name: Literal["targeted"]
    target_weight: float = Field(1.0, ge=0, description="Weight of the class's own target.")
    start: float = Field(
        0.5, ge=0, le=1, description="Share of the epochs after which classes have targets."
    )


class ParametricContrastive(ContrastiveSettings):
    """Learned class centres beside a queue of molecules (PaCo; Cui et al., ICCV 2021)."""

    whole: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("queue",)
    replaces_loss: ClassVar[bool] = True

    name: Literal["parametric"]
    temperature: float = Field(0.05, gt=0, description="Temperature.")
    alpha: float = Field(0.01, ge=0, description="Weight of a molecule among the positives.")
    queue: int = Field(1024, ge=1, description="Molecules of earlier batches compared with.")
    momentum: float = Field(
        0.999,
        ge=0,
        lt=1,
        description="Momentum of the encoder that embeds the molecules of the queue.",
    )


class ClassInstanceContrastive(ContrastiveSettings):
    """Contrast for frequent classes, cross-entropy for rare ones (Lavoie, Waslander, 2023)."""

    whole: ClassVar[bool] = True

    name: Literal["class_instance"]


class SubclusterContrastive(ContrastiveSettings):
    """Two-level contrastive loss: within the sub-cluster, and between classes.

    Before the first re-clustering it is the supervised contrastive loss over classes.
    """

    needs_geometry: ClassVar[bool] = True

    name: Literal["subcluster"]
    temperature: float = Field(0.1, gt=0, description="Temperature within a sub-cluster.")
    beta: float = Field(0.25, ge=0, description="Weight of the class-level term.")
    variant: Literal["paper", "official_code"] = Field(
        "paper", description="Formula of the paper, or of its authors' code."
    )


Contrastive = Annotated[
    SupervisedContrastive | SubclusterContrastive | BalancedContrastive | KPositiveContrastive
    | TargetedContrastive | ParametricContrastive | ClassInstanceContrastive,
    Field(discriminator="name"),
]  # fmt: skip
