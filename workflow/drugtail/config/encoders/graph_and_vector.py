"""Settings of the encoder graph_and_vector."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field, SerializeAsAny, WithJsonSchema

from drugtail.config.encoder import SETTINGS, EncoderSettings, Form


def _graph_encoder(value: Any) -> Any:
    """Read settings by their kind, as those of an encoder of its own."""
    if not isinstance(value, dict):
        return value
    kind = value.get("kind")
    known = [name for name in SETTINGS.names() if "graph" in SETTINGS[name].reads]
    if kind not in known:
        raise ValueError(f"kind: found {kind!r}; allowed are {', '.join(known)}")
    return SETTINGS[kind].model_validate({"name": kind, **value})


@SETTINGS.register("graph_and_vector")
class GraphAndVectorEncoder(EncoderSettings):
    """An encoder of graphs, with a vector of numbers beside its embedding."""

    reads: ClassVar[tuple[Form, ...]] = ("graph_and_vector",)

    kind: Literal["graph_and_vector"] = Field(description="A graph encoder and a vector.")
    featurizer: str = Field(
        "atoms+morgan", description="Features it reads: a graph, and others joined by +."
    )
    graph: Annotated[
        SerializeAsAny[EncoderSettings],
        BeforeValidator(_graph_encoder),
        # Which keys it may have depends on its kind.
        WithJsonSchema({"type": "object", "required": ["kind"]}),
    ] = Field(
        description="Encoder of the graph, by its kind, with its settings; its head is not used."
    )
    vector_layers: int = Field(1, ge=1, le=100, description="Fully connected layers on the vector.")
    vector_width: int = Field(128, ge=1, le=16_384, description="Their width.")
