"""Settings of encoders: what makes an embedding of a molecule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from drugtail.config.base import NAME, Settings

# What features of a molecule can be: a graph of atoms and bonds, the bits of a fingerprint that are
# set, or a vector of numbers.
Form = Literal["graph", "bits", "vector"]
FORMS: tuple[Form, ...] = ("graph", "bits", "vector")


class EncoderSettings(Settings):
    """What the settings of every encoder have.

    The settings class of an encoder derives from this and adds ``kind``, a literal that is the
    name under which the encoder is registered, and settings of its own.

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
    network: ClassVar[bool] = True

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    kind: str = Field(description="Which encoder.")
    featurizer: str = Field("atoms", description="Features it reads.")
    head: list[int] = Field([128, 128], description="Widths of the head's hidden layers.")


class GraphEncoder(EncoderSettings):
    """Graph convolutions on the packed molecular graphs, and the head on top."""

    batched: ClassVar[bool] = True
    atoms: ClassVar[bool] = True

    kind: Literal["gcn"] = Field(description="Which encoder.")
    layers: int = Field(3, ge=1, description="Graph convolutions.")
    width: int = Field(128, ge=1, description="Width of each layer.")


class MLPEncoder(EncoderSettings):
    """Fully connected layers on a fingerprint or another vector, and the head on top."""

    reads: ClassVar[tuple[Form, ...]] = ("bits", "vector")
    batched: ClassVar[bool] = True

    kind: Literal["mlp"] = Field(description="Which encoder.")
    featurizer: str = Field("morgan", description="Features it reads.")
    layers: int = Field(2, ge=1, description="Fully connected layers.")
    width: int = Field(256, ge=1, description="Width of each layer.")


class FingerprintEncoder(Settings):
    """No network: the classifier reads the features as they are."""

    reads: ClassVar[tuple[Form, ...]] = ("bits", "vector")
    batched: ClassVar[bool] = False
    atoms: ClassVar[bool] = False
    network: ClassVar[bool] = False

    name: str = Field(pattern=NAME, description="Name; equals the file name.")
    kind: Literal["fingerprint"] = Field(description="No encoder at all.")
    featurizer: str = Field("morgan", description="Features it reads.")


Encoder = EncoderSettings | FingerprintEncoder
# Kind -> class of its settings.
KINDS: Mapping[str, type[Encoder]] = {
    "gcn": GraphEncoder,
    "mlp": MLPEncoder,
    "fingerprint": FingerprintEncoder,
}


def code_of(encoder: Encoder, stage: str = "drugtail.training.block") -> tuple[str, ...]:
    """Return the package's modules that the result of a stage on this encoder depends on.

    The encoder's own is among them, and no other encoder's: a new one trains nothing again. One of
    a plugin's is none of them; the digest of its file stands for it.
    """
    own = encoder.network and KINDS.get(encoder.kind) is type(encoder)
    return (stage, *([f"drugtail.models.encoders.{encoder.kind}"] * own))


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
