"""Augmented views."""

import math
from itertools import pairwise

import pytest
import torch
from reference import edge_index
from torch import Tensor
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from drugtail.config.components.views import Drop
from drugtail.features.packed import GraphBatch, GraphStore
from drugtail.features.reading import pack_atoms
from drugtail.methods.views import VIEWS, drop_probability
from drugtail.runtime.draws import Draws

SMILES = ["CC(C)(C)c1ccc(CC(=O)O)cc1", "CCO", "[Xe]", "CC(N)C(=O)O", "c1ccccc1", "FS(F)(F)(F)(F)F"]


REGULAR = ["c1ccccc1", "C1CCCCC1"]


DROP = Drop(rates=[0.15, 0.10], cap=0.7)


def drawing(key: int) -> Draws:
    return Draws(torch.tensor(key))


def twice(smiles: list[str]) -> GraphBatch:
    """The molecules twice, as the loss of a recipe with views cuts them out."""
    store = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    return store.batch(torch.arange(len(smiles)).repeat(2))


def dense(batch: GraphBatch, weight: Tensor) -> Tensor:
    size = (len(batch.atom_type),) * 2
    return torch.zeros(size).index_put((batch.row, batch.column), weight, accumulate=True)


def probabilities(batch: GraphBatch, rate: float, cap: float) -> Tensor:
    is_bond = batch.row != batch.column
    rates = torch.full((len(batch.row),), rate)
    return drop_probability(batch.log_degree, is_bond, rates, cap)


@pytest.mark.parametrize("rate", [0.15, 0.10])
def test_drop_probability_is_proportional_to_the_missing_log_degree_with_the_rate_as_mean(
    rate: float,
) -> None:
    batch = twice(SMILES)
    found = probabilities(batch, rate, cap=1.0)
    degree = torch.bincount(edge_index(batch)[1], minlength=len(batch.atom_type)).tolist()
    bonds = [(r, c) for r, c in zip(batch.row.tolist(), batch.column.tolist(), strict=True)]
    largest = math.log(max(degree))
    missing = [largest - math.log(degree[r]) if r != c else 0.0 for r, c in bonds]
    mean = sum(missing) / sum(r != c for r, c in bonds)
    assert found.tolist() == pytest.approx([rate * m / mean for m in missing], abs=1e-6)
    assert found.max() < 0.7, "otherwise the mean below would not be the rate"
    is_bond = batch.row != batch.column
    assert found[is_bond].mean().item() == pytest.approx(rate, rel=1e-5)
    assert found[~is_bond].tolist() == [0.0] * int((~is_bond).sum())


def test_drop_probability_never_exceeds_the_cap() -> None:
    found = probabilities(twice(SMILES), rate=0.5, cap=0.7)
    assert found.max().item() == pytest.approx(0.7)
    assert (found == found.max()).sum() > 1


def test_atoms_of_one_degree_leave_every_bond_the_rate_itself() -> None:
    batch = twice(REGULAR)
    found = probabilities(batch, rate=0.15, cap=0.7)
    is_bond = batch.row != batch.column
    torch.testing.assert_close(found[is_bond], torch.full((int(is_bond.sum()),), 0.15))


def test_dropped_share_of_either_view_is_its_rate() -> None:
    batch = twice(SMILES * 40)
    half = len(batch.row) // 2
    is_bond = batch.row != batch.column
    kept = torch.stack([VIEWS["drop"](DROP, batch, drawing(s)) > 0 for s in range(20)])
    for rate, view in ((0.15, slice(0, half)), (0.10, slice(half, None))):
        dropped = 1 - kept[:, view][:, is_bond[view]].double().mean().item()
        draws = 20 * int(is_bond[view].sum())
        assert dropped == pytest.approx(rate, abs=4 * math.sqrt(rate * (1 - rate) / draws))


def test_bonds_to_atoms_of_few_bonds_go_first_and_those_to_the_best_connected_atom_never() -> None:
    batch = twice(["CC(C)(C)C"] * 200)
    kept = VIEWS["drop"](DROP, batch, drawing(0)) > 0
    is_bond = batch.row != batch.column
    degree = torch.bincount(edge_index(batch)[1], minlength=len(batch.atom_type))[batch.row]
    assert kept[is_bond & (degree == 4)].all()
    assert not kept[is_bond & (degree == 1)].all()


def test_loops_stay_and_kept_edges_are_normalised_as_by_pyg() -> None:
    batch = twice(SMILES)
    weight = VIEWS["drop"](Drop(rates=[0.5, 0.4], cap=0.9), batch, drawing(0))
    is_bond = batch.row != batch.column
    kept = weight > 0
    assert kept[~is_bond].all()
    assert 0 < int((~kept).sum()) < int(is_bond.sum())
    edges = torch.stack([batch.column, batch.row])[:, kept & is_bond]
    index, norm = gcn_norm(edges, num_nodes=len(batch.atom_type))
    wanted = torch.zeros((len(batch.atom_type),) * 2).index_put((index[1], index[0]), norm)
    torch.testing.assert_close(dense(batch, weight), wanted)


def test_rate_zero_gives_back_the_plain_adjacency_matrix() -> None:
    batch = twice(SMILES)
    weight = VIEWS["drop"](Drop(rates=[0.0, 0.0]), batch, drawing(0))
    torch.testing.assert_close(weight, batch.norm)


def test_views_depend_on_their_key_alone() -> None:
    batch = twice(SMILES)
    torch.manual_seed(1)
    first = VIEWS["drop"](DROP, batch, drawing(3))
    torch.manual_seed(2)
    assert torch.equal(VIEWS["drop"](DROP, batch, drawing(3)), first)
    others = [VIEWS["drop"](DROP, batch, drawing(s)) for s in range(4, 8)]
    assert all(not torch.equal(a, b) for a, b in pairwise([first, *others]))


@pytest.mark.parametrize("smiles", [["[Xe]"], ["[Xe]", "[Na+].[Cl-]"], ["CC"]])
def test_molecules_without_anything_to_prefer_get_finite_views(smiles: list[str]) -> None:
    weight = VIEWS["drop"](DROP, twice(smiles), drawing(0))
    assert weight.isfinite().all()
    assert (weight >= 0).all()
