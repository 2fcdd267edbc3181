"""Settings of encoders: what makes an embedding of a molecule."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import NAME, Settings
from drugtail.runtime.registry import Registry

# What features of a molecule can be: a graph of atoms and bonds, the bits of a fingerprint that are
# set, a vector of numbers, or a graph and a vector.
Form = Literal["graph", "bits", "vector", "graph_and_vector"]
FORMS: tuple[Form, ...] = ("graph", "bits", "vector", "graph_and_vector")


class Encoder(Settings):
    """Reader of features: a network's encoder, or none, where an estimator reads them.

    Attributes
    ----------
    reads : tuple of str
        Forms of features that it can read, of `FORMS`.
    batched : bool
        Whether all seeds are computed together; else the encoder is a module of one seed, and
        seeds are computed one after the other.
    atoms : bool
        Whether it has the method ``atoms``: features of single atoms whose sum is the embedding.
    network : bool
        Whether it is trained; if not, a classical estimator reads the features as they are.
    """

    reads: ClassVar[tuple[Form, ...]] = ("graph",)
    batched: ClassVar[bool] = False
    atoms: ClassVar[bool] = False
    network: ClassVar[bool] = False

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    kind: str = Field(description="Name of the encoder.")
    featurizer: str = Field(
        "atoms", description="Features it reads; several are joined by +, as in morgan+maccs."
    )


class EncoderSettings(Encoder):
    """Settings that every network's encoder has.

    The settings class of an encoder derives from this and adds ``kind``, a literal that is the
    name under which the encoder is registered, and settings of its own.
    """

    network: ClassVar[bool] = True

    head: list[Annotated[int, Field(ge=1, le=16_384)]] = Field(
        [128, 128], max_length=20, description="Widths of the head's hidden layers."
    )
    dropout: float = Field(
        0.0, ge=0, lt=1,
        description="Dropout after each hidden layer of the head, and of encoders but gcn.",
    )  # fmt: skip


# Classes of settings by kind, a module each, found by name: a new one changes no other's code.
SETTINGS: Registry[type[Encoder]] = Registry("kind of encoder", "drugtail.config.encoders")


def package_kinds() -> dict[str, type[Encoder]]:
    """Return kind -> class of settings of the package's encoders."""
    return {kind: SETTINGS[kind] for kind in SETTINGS.names()}


def misfit(encoder: Encoder, form: Form, recipe: Any) -> str | None:
    """Say why an encoder, its features and a method do not go together; None if they do.

    Parameters
    ----------
    encoder
        Settings of the encoder.
    form
        What its featurizer gives.
    recipe
        The method.
    """
    reads = " or ".join(encoder.reads)
    if form not in encoder.reads:
        return (
            f"encoder {encoder.name} reads {reads}, but featurizer {encoder.featurizer} "
            f"gives {form}; name another featurizer"
        )
    if not encoder.network:
        return None
    if recipe.views is not None and form not in recipe.views.reads:
        known = " or ".join(recipe.views.reads)
        return (
            f"views {recipe.views.name} are of {known}, but encoder {encoder.name} reads {form}; "
            "choose other views or another encoder"
        )
    if getattr(recipe.second_stage, "needs_atoms", False) and not encoder.atoms:
        return (
            f"second_stage {recipe.second_stage.name} grafts parts of graphs on each other, for "
            f"which it asks the encoder for features of single atoms; {encoder.name} has none: "
            "choose another encoder, such as gcn, or leave the method out"
        )
    return None
