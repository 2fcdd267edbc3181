"""Layers of any class, by its dotted name."""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import Any

from torch import nn

from drugtail.config.encoders.pyg import PyGEncoder
from drugtail.features.batch import InputShape
from drugtail.models.encoder import ENCODERS
from drugtail.models.graph_layers import GraphLayerStack
from drugtail.runtime.errors import DrugtailError


@ENCODERS.register("pyg")
class PyG(GraphLayerStack):
    """A stack of layers of any class of PyTorch Geometric, or of an installed package like it."""

    def __init__(self, settings: PyGEncoder, shape: InputShape) -> None:
        layer, where = _found(settings), f"encoder {settings.name}: layer {settings.layer}"
        arguments: dict[str, Any] = dict(settings.arguments)
        if "edge_dim" in signature(layer.__init__).parameters:
            arguments.setdefault("edge_dim", shape.edge_features)

        def make() -> nn.Module:
            try:
                return layer(settings.width, settings.width, **arguments)
            except (TypeError, ValueError, AssertionError) as error:
                raise DrugtailError(
                    f"{where}: cannot be made with two widths and {arguments} ({error}); correct "
                    "`arguments`"
                ) from error

        super().__init__(settings, shape, make)


def _found(settings: PyGEncoder) -> type[nn.Module]:
    """Return the class that is named."""
    module, _, name = settings.layer.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise DrugtailError(f"encoder {settings.name}: layer {settings.layer}: {error}") from None
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise DrugtailError(
            f"encoder {settings.name}: layer {settings.layer}: is no class of layers, such as "
            "torch_geometric.nn.TransformerConv"
        )
    return found
