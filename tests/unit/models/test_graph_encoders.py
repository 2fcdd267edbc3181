"""Encoders of PyTorch Geometric's layers and chemprop's, against other ways to the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from chemprop.data import BatchMolGraph
from chemprop.data.molgraph import MolGraph
from chemprop.nn.agg import MeanAggregation
from chemprop.nn.message_passing import BondMessagePassing
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from drugtail.config.encoder import SETTINGS
from drugtail.features.atoms import BONDS, expand
from drugtail.features.choice import make_featurizer
from drugtail.features.packed import GraphStore
from drugtail.models.encoder import make_encoder
from drugtail.models.encoders.dmpnn import both_directions
from drugtail.models.encoders.gps import returns
from drugtail.models.network import Network
from drugtail.runtime.errors import DrugtailError

CPU = torch.device("cpu")
SMILES = ["CCO", "C", "[Na+].[Cl-]", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C#N", "C1CC1CC=C"]


def store_of(smiles: Sequence[str] = SMILES) -> GraphStore:
    return GraphStore(make_featurizer("atoms").arrays(smiles), CPU)


def graphs(smiles: Sequence[str] = SMILES) -> Any:
    return store_of(smiles).batch(torch.arange(len(smiles))[None]).of_seed(0)


def molgraph(smiles: str) -> MolGraph:
    """A molecule as chemprop has it, with our numbers, built bond by bond."""
    molecule = Chem.MolFromSmiles(smiles)
    atoms = expand(make_featurizer("atoms").arrays([smiles])["atoms"])
    edges, kinds = [], []
    for bond in molecule.GetBonds():
        row = np.zeros(len(BONDS), np.float32)
        row[[str(kind) for kind in BONDS].index(str(bond.GetBondType()))] = 1
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        edges += [(i, j), (j, i)]
        kinds += [row, row]
    reverse = np.arange(len(edges)).reshape(-1, 2)[:, ::-1].ravel()
    return MolGraph(
        atoms,
        np.array(kinds, np.float32).reshape(-1, len(BONDS)),
        np.array(edges, int).reshape(-1, 2).T,
        reverse,
    )


def test_dmpnn_is_chemprops_own_model_on_the_same_weights() -> None:
    one = SETTINGS["dmpnn"](name="dmpnn", kind="dmpnn", layers=4, width=24)
    torch.manual_seed(0)
    mine: Any = make_encoder(one, store_of().shape)
    theirs = BondMessagePassing(mine.messages.W_i.in_features - 5, 5, 24, depth=4)
    theirs.load_state_dict(mine.messages.state_dict())
    batch = BatchMolGraph([molgraph(one) for one in SMILES])
    with torch.no_grad():
        wanted = MeanAggregation()(theirs(batch), batch.batch)
        torch.testing.assert_close(mine.eval()(graphs()), wanted, rtol=1e-5, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 7), st.data())
def test_edges_that_have_lost_their_reverse_are_left_out(atoms: int, data: st.DataObject) -> None:
    pairs = [(i, j) for i in range(atoms) for j in range(atoms) if i != j]
    edges = data.draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    kept, reverse = both_directions(torch.tensor(edges, dtype=torch.int64).reshape(-1, 2).T, atoms)
    wanted = [i for i, (a, b) in enumerate(edges) if (b, a) in edges]
    assert kept.tolist() == wanted
    for place, other in enumerate(reverse.tolist()):
        assert edges[wanted[other]] == edges[wanted[place]][::-1]


def test_walks_return_as_often_as_in_each_molecule_alone() -> None:
    found = returns(graphs(), 5).numpy()
    start = 0
    for smiles in SMILES:
        near = Chem.GetAdjacencyMatrix(Chem.MolFromSmiles(smiles)).astype(float)
        step = near / np.maximum(near.sum(1, keepdims=True), 1)
        wanted = [np.diag(np.linalg.matrix_power(step, k)) for k in range(1, 6)]
        np.testing.assert_allclose(
            found[start : start + len(near)], np.array(wanted).T, rtol=1e-5, atol=1e-6
        )
        start += len(near)
    assert start == len(found)


@pytest.mark.parametrize(
    ("kind", "given_settings", "says"),
    [
        ("gat", {"width": 10, "heads": 4}, "width 10 is not divided by 4 heads"),
        ("gps", {"width": 10, "heads": 4}, "width 10 is not divided by 4 heads"),
        ("pyg", {"layer": "torch_geometric.nn.Nonsense"}, "layer torch_geometric.nn.Nonsense: mod"),
        ("pyg", {"layer": "no_such.package.Layer"}, "No module named 'no_such'"),
        ("pyg", {"layer": "torch_geometric.nn.global_add_pool"}, "is no class of layers"),
        (
            "pyg",
            {"layer": "torch_geometric.nn.SAGEConv", "arguments": {"haeds": 3}},
            r"cannot be made with two widths and \{'haeds': 3\}",
        ),
    ],
)
def test_settings_that_no_layer_can_be_made_of_are_refused(
    kind: str, given_settings: dict[str, Any], says: str
) -> None:
    one = SETTINGS[kind](name="mine", kind=kind, **given_settings)
    with pytest.raises(DrugtailError, match=says) as caught:
        make_encoder(one, store_of().shape)
    assert "encoder mine" in str(caught.value)


def test_any_layer_of_pyg_is_an_encoder_and_sees_bonds_if_it_can() -> None:
    alike = ["C1CCCCC1", "C1CCCC=C1"]
    for layer, sees in (("TransformerConv", True), ("ResGatedGraphConv", True)):
        arguments = {"heads": 2, "concat": False} if layer == "TransformerConv" else {}
        one = SETTINGS["pyg"](
            name="mine", kind="pyg", layer=f"torch_geometric.nn.{layer}", width=8, layers=2,
            arguments=arguments,
        )  # fmt: skip
        module: Any = make_encoder(one, store_of().shape).eval()
        assert module.sees_bonds == sees
        with torch.no_grad():
            data = graphs(alike)
            changed = data.clone()
            changed.edge_attr = data.edge_attr.roll(1, dims=1)
            assert not torch.allclose(module(data), module(changed))
    plain: Any = make_encoder(
        SETTINGS["gin"](name="gin", kind="gin", width=8, layers=1), store_of().shape
    )
    assert not plain.sees_bonds


def test_a_single_atom_can_be_trained_on() -> None:
    store = store_of(["C"])
    for kind in ("gin", "gine", "gat", "pna", "gps", "attentivefp", "dmpnn"):
        one = SETTINGS[kind](name=kind, kind=kind, width=8, layers=1, head=[4])
        network = Network(one, store.shape, 2, [0]).train()
        logits = network(store.batch(torch.tensor([[0]])), torch.tensor([1])).logits
        logits.sum().backward()
        assert logits.isfinite().all(), kind


def test_a_vector_beside_a_graph_is_half_of_the_embedding() -> None:
    from drugtail.features.graph_and_vector import GraphAndVectorStore

    one: Any = SETTINGS["graph_and_vector"].model_validate(
        {
            "name": "both", "kind": "graph_and_vector", "vector_width": 6, "head": [4],
            "graph": {"kind": "gcn", "width": 10, "layers": 1},
        }
    )  # fmt: skip
    arrays = make_featurizer("atoms+maccs").arrays(SMILES)
    store = GraphAndVectorStore(arrays, CPU)
    network = Network(one, store.shape, 3, (0, 1)).eval()
    rows = torch.arange(len(SMILES)).expand(2, -1)
    with torch.no_grad():
        found = network.encoder(store.batch(rows))
        arrays["values"] = np.zeros_like(arrays["values"])
        other = network.encoder(GraphAndVectorStore(arrays, CPU).batch(rows))
    assert found.shape == (2, len(SMILES), 16)
    torch.testing.assert_close(found[..., :10], other[..., :10])
    assert not torch.allclose(found[..., 10:], other[..., 10:])


@pytest.mark.parametrize(
    ("graph", "says"),
    [
        ({"kind": "mlp"}, "found 'mlp'; allowed are attentivefp, dmpnn, gat, gcn"),
        ({}, "found None"),
        ({"kind": "gcn", "layesr": 2}, "layesr"),
    ],
)
def test_the_graph_encoder_inside_is_checked_as_any_other(graph: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        SETTINGS["graph_and_vector"].model_validate(
            {"name": "both", "kind": "graph_and_vector", "graph": graph}
        )
