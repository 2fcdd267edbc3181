"""Molecules as a graph and a vector of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from drugtail.features.arrays import ARRAYS, Arrays
from drugtail.features.batch import InputShape
from drugtail.features.packed import GraphBatch, GraphStore
from drugtail.features.vectors import VectorBatch, VectorStore


class GraphAndVector(NamedTuple):
    """The molecules of one seed, for a module of one seed.

    Attributes
    ----------
    graph : torch_geometric.data.Data
        See `GraphBatch.of_seed`.
    vector : Tensor
        [B, F].
    """

    graph: Any
    vector: Tensor


@dataclass(frozen=True)
class GraphAndVectorBatch:
    """Graphs and vectors of some molecules of each of S seeds.

    Attributes
    ----------
    graph : GraphBatch
        Their graphs.
    vector : VectorBatch
        Their vectors.
    """

    graph: GraphBatch
    vector: VectorBatch

    @property
    def molecules(self) -> int:
        """Number of molecules of a seed."""
        return self.graph.molecules

    @property
    def static_shapes(self) -> bool:
        """Return whether the size of the graphs was given."""
        return self.graph.static_shapes

    def tensors(self) -> tuple[Tensor, ...]:
        """Return all tensors that have a first dimension of seeds."""
        return (*self.graph.tensors(), *self.vector.tensors())

    def with_tensors(self, tensors: Iterable[Tensor]) -> GraphAndVectorBatch:
        """Return a batch with other tensors in the place of those of `tensors()`."""
        *graph, vector = tensors
        return GraphAndVectorBatch(
            self.graph.with_tensors(graph), self.vector.with_tensors([vector])
        )

    def viewed(self, values: tuple[Tensor, Tensor]) -> GraphAndVectorBatch:
        """Return a batch with other entries of adjacency matrices, and other vectors."""
        graph, vector = values
        return replace(self, graph=self.graph.viewed(graph), vector=self.vector.viewed(vector))

    def of_seed(self, seed: int) -> GraphAndVector:
        """Return the molecules of one seed."""
        return GraphAndVector(self.graph.of_seed(seed), self.vector.of_seed(seed))


class GraphAndVectorStore:
    """Graphs and vectors of a data set on one device, from which batches are cut.

    Parameters
    ----------
    arrays
        The arrays of a graph, and ``values``.
    device
        Where to keep them.
    """

    def __init__(self, arrays: Arrays, device: torch.device) -> None:
        self.device = device
        self.graph = GraphStore({name: arrays[name] for name in ARRAYS["graph"]}, device)
        self.vector = VectorStore(arrays, device)

    def __len__(self) -> int:
        """Number of molecules."""
        return len(self.graph)

    @property
    def shape(self) -> InputShape:
        """Return the sizes that an encoder is made for."""
        graph = self.graph.shape
        return InputShape(
            "graph_and_vector", graph.features, graph.edge_features, self.vector.shape.features
        )

    def size_of(self, molecules: Tensor) -> tuple[int, ...]:
        """Size of graph that every row of `molecules`, int64 [..., B], fits into."""
        return self.graph.size_of(molecules)

    def has_room(self, held: tuple[int, ...], needed: tuple[int, ...]) -> bool:
        """Return whether graphs of size `needed` fit into those of size `held`."""
        return self.graph.has_room(held, needed)

    def batch(self, molecules: Tensor, size: tuple[int, ...] | None = None) -> GraphAndVectorBatch:
        """Cut out molecules, int64 [S, B] on the store's device, in the order given."""
        return GraphAndVectorBatch(
            self.graph.batch(molecules, size), self.vector.batch(molecules, size)
        )
