"""Packed batches."""

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, rdBase
from reference import edge_index
from torch_geometric.data import Batch as GeometricBatch
from torch_geometric.data import Data
from torch_geometric.nn.conv.gcn_conv import gcn_norm
from varied_molecules import LONG, VARIED, molecules_file, naive_features

from drugtail.features.arrays import load_arrays
from drugtail.features.featurize import featurize
from drugtail.features.packed import GraphStore
from drugtail.features.reading import pack_atoms

POOL = [text for text in VARIED if "." not in text] + ["[Na+].[Cl-]", "CCO.CC", LONG[:300]]


@pytest.fixture(scope="module")
def store() -> GraphStore:
    return GraphStore(pack_atoms(POOL), torch.device("cpu"))


def geometric(smiles: str) -> Data:
    """One molecule as PyTorch Geometric would hold it, from RDKit alone."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in molecule.GetBonds()]
    edges = [pair for a, b in bonds for pair in ((a, b), (b, a))]
    edge_index = torch.tensor(edges, dtype=torch.int64).view(-1, 2).T
    return Data(x=torch.tensor(naive_features(smiles)).view(-1, 74), edge_index=edge_index)


def edges_of(edge_index: torch.Tensor) -> list[tuple[int, int]]:
    return sorted((a, b) for a, b in edge_index.T.tolist())


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=12))
def test_batches_equal_those_of_pytorch_geometric(store: GraphStore, rows: list[int]) -> None:
    batch = store.batch(torch.tensor(rows))
    expected = GeometricBatch.from_data_list([geometric(POOL[row]) for row in rows])
    assert batch.molecules == len(rows)
    assert torch.equal(batch.molecule, expected.batch)
    assert torch.equal(store.type_features[batch.atom_type], expected.x)
    assert edges_of(edge_index(batch)) == edges_of(expected.edge_index)

    # The normalised adjacency matrix, entry by entry.
    index, weight = gcn_norm(expected.edge_index, num_nodes=len(expected.x))
    size = (len(expected.x),) * 2
    wanted = torch.zeros(size).index_put((index[1], index[0]), weight, accumulate=True)
    found = torch.zeros(size).index_put((batch.row, batch.column), batch.norm, accumulate=True)
    assert len(batch.norm) == index.shape[1]
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=0)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=12))
def test_reverse_leads_to_the_opposite_entry_and_back(store: GraphStore, rows: list[int]) -> None:
    batch = store.batch(torch.tensor(rows))
    assert torch.equal(batch.reverse[batch.reverse], torch.arange(len(batch.reverse)))
    assert torch.equal(batch.row[batch.reverse], batch.column)
    assert torch.equal(batch.column[batch.reverse], batch.row)


def test_log_degree_is_that_of_the_target_and_missing_only_at_loops(store: GraphStore) -> None:
    batch = store.batch(torch.arange(len(POOL)))
    degree = torch.bincount(edge_index(batch)[1], minlength=len(batch.atom_type))
    for row, column, value in zip(
        batch.row.tolist(), batch.column.tolist(), batch.log_degree.tolist(), strict=True
    ):
        if row == column:
            assert math.isnan(value)
        else:
            assert value == pytest.approx(math.log(degree[row]), abs=1e-6)


def test_a_data_set_without_any_bond_can_be_stored_and_batched(tmp_path: Path) -> None:
    featurize(molecules_file(tmp_path, ["[Xe]", "[Na+].[Cl-]", "C"]), "atoms", tmp_path / "f")
    store = GraphStore(load_arrays(tmp_path / "f"), torch.device("cpu"))
    batch = store.batch(torch.tensor([1, 0, 1]))
    assert batch.molecule.tolist() == [0, 0, 1, 2, 2]
    assert edge_index(batch).shape == (2, 0)
    assert batch.column.tolist() == [0, 1, 2, 3, 4], "every atom keeps its loop"
    assert batch.norm.tolist() == [1.0] * 5
    expected = naive_features("[Na+].[Cl-]") + naive_features("[Xe]")
    assert store.type_features[batch.atom_type].tolist()[:3] == expected


def test_store_counts_molecules_and_holds_each_kind_of_atom_once(store: GraphStore) -> None:
    assert len(store) == len(POOL)
    assert len(torch.unique(store.type_codes, dim=0)) == len(store.type_codes)
