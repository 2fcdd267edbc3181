"""Distinct surroundings against a naive search, PyTorch Geometric, and the plain form."""

import copy
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import PlainNetwork, separate_graphs
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from drugtail.config import GraphEncoder
from drugtail.data.generate import generate_reactions
from drugtail.features.featurize import pack_atoms
from drugtail.features.packed import Batch, GraphStore
from drugtail.methods.recipe import EdgeDrop
from drugtail.methods.views import edge_drop
from drugtail.models import encoders
from drugtail.models.encoders import CountedBatchNorm
from drugtail.models.environments import (
    Environments,
    Level,
    distinct_environments,
    every_atom,
)
from drugtail.models.network import Network
from drugtail.training.engine import batches

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O", "[Xe]", "CCO", "OCC", "[Na+].[Cl-]", "C1CC1N", "c1ccc2ccccc2c1",
    "CS(C)(=O)=O", "CCCCCCCC", "CC(C)(C)C", "Cn1c(=O)c2c(ncn2C)n(C)c1=O", "CCN(CC)CC", "c1ccccc1",
    "CC(=O)Nc1ccc(O)cc1", "C[C@H](N)C(=O)O", "BrCCBr", "CO",
]  # fmt: skip
LAYERS = 3
Find = Callable[[Batch, Tensor, int, int], Environments]


@pytest.fixture(scope="module")
def store() -> GraphStore:
    return GraphStore(pack_atoms(SMILES), torch.device("cpu"))


def view_of(batch: Batch, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return edge_drop(EdgeDrop(rates=[0.4, 0.2]), batch, generator)


def naive_names(batch: Batch, weight: Tensor) -> list[list[object]]:
    """Surroundings of every atom after each layer, written out as nested tuples."""
    names: list[object] = batch.atom_type.tolist()
    found = []
    for _ in range(LAYERS):
        around: list[list[tuple[float, object]]] = [[] for _ in names]
        entries = zip(batch.row.tolist(), batch.column.tolist(), weight.tolist(), strict=True)
        for row, column, value in entries:
            if value != 0:
                around[row].append((value, names[column]))
        names = [(name, tuple(sorted(a, key=repr))) for name, a in zip(names, around, strict=True)]
        found.append(names)
    return found


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.integers(0, len(SMILES) - 1), min_size=1, max_size=8),
    seed=st.none() | st.integers(0, 1000),
)
def test_levels_hold_each_of_the_surroundings_once_with_its_number_of_atoms(
    store: GraphStore, rows: list[int], seed: int | None
) -> None:
    batch = store.batch(torch.tensor(rows).repeat(2))
    weight = batch.norm if seed is None else view_of(batch, seed)
    found = distinct_environments(batch, weight, len(store.type_features), LAYERS)
    for level, names in zip(found.levels, naive_names(batch, weight), strict=True):
        assert level.count is not None
        assert sorted(level.count.tolist()) == sorted(Counter(names).values())
    # Twice the same molecules without dropped edges have twice the same surroundings.
    if seed is None:
        assert all(float(level.count.min()) >= 2 for level in found.levels)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.integers(0, len(SMILES) - 1), min_size=1, max_size=8),
    seed=st.none() | st.integers(0, 1000),
)
def test_a_sum_over_neighbours_is_that_of_a_dense_matrix(
    store: GraphStore, rows: list[int], seed: int | None
) -> None:
    batch = store.batch(torch.tensor(rows).repeat(2))
    weight = (batch.norm if seed is None else view_of(batch, seed)).double()
    atoms = len(batch.atom_type)
    adjacency = torch.zeros(atoms, atoms, dtype=torch.double)
    adjacency.index_put_((batch.row, batch.column), weight)
    pool = torch.zeros(batch.molecules, atoms, dtype=torch.double)
    pool[batch.molecule, torch.arange(atoms)] = 1
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(len(store.type_features), 3, dtype=torch.double, generator=generator)
    for find in (distinct_environments, every_atom):
        found = find(batch, weight, len(store.type_features), LAYERS)
        x, wanted = start, start[batch.atom_type]
        for level in found.levels:
            x = x if level.repeat is None else x[level.repeat]
            x = level.matrix.rows @ torch.stack([x, 2 * x], dim=1).flatten(0, 1)
            wanted = adjacency @ wanted + 2 * wanted
        torch.testing.assert_close(found.pooling.rows @ x, pool @ wanted)
        for matrix in [found.pooling, *(level.matrix for level in found.levels)]:
            assert torch.equal(matrix.columns.to_dense(), matrix.rows.to_dense().T)


def test_two_atoms_with_the_same_two_neighbours_are_told_apart_by_their_own_kind() -> None:
    pair = GraphStore(pack_atoms(["CO"]), torch.device("cpu"))
    batch = pair.batch(torch.tensor([0]))
    found = distinct_environments(batch, batch.norm, len(pair.type_features), LAYERS)
    assert [level.count.tolist() for level in found.levels] == [[1, 1]] * LAYERS


def test_entries_exchanged_between_kinds_are_other_surroundings() -> None:
    """A quarter of one kind and half of another, against half of the one and a quarter."""
    halogens = ["F", "Cl", "Br", "I", "O", "N", "S", "P", "B", "[SiH3]"]
    pairs = [(a, b) for i, a in enumerate(halogens) for b in halogens[:i]]
    smiles = [f"{a}C{b}" for a, b in pairs for _ in range(2)]
    twice = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    batch = twice.batch(torch.arange(len(smiles)))
    weight = torch.ones(len(batch.column))
    middle = torch.arange(len(smiles)) * 3 + 1
    for i, atom in enumerate(middle.tolist()):
        entries = ((batch.row == atom) & (batch.column != atom)).nonzero()[:, 0]
        entries = entries[batch.column[entries].argsort()]
        weight[entries] = torch.tensor([0.25, 0.5] if i % 2 else [0.5, 0.25])
    found = distinct_environments(batch, weight, len(twice.type_features), 1)
    names = naive_names(batch, weight)[0]
    assert sorted(found.levels[0].count.tolist()) == sorted(Counter(names).values())
    assert len(set(names)) >= len(smiles)


def test_many_real_looking_molecules_have_as_many_surroundings_as_a_naive_search_finds() -> None:
    smiles = generate_reactions()["smiles"].tolist()[::40]
    many = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    batch = many.batch(torch.arange(len(smiles)).repeat(2))
    weight = view_of(batch, 7)
    found = distinct_environments(batch, weight, len(many.type_features), LAYERS)
    # Numbered instead of nested: the same question at a cost that does not explode.
    kind = batch.atom_type.tolist()
    entries = list(zip(batch.row.tolist(), batch.column.tolist(), weight.tolist(), strict=True))
    for level in found.levels:
        around: list[list[tuple[float, int]]] = [[] for _ in kind]
        for row, column, value in entries:
            if value != 0:
                around[row].append((value, kind[column]))
        names = [(own, tuple(sorted(a))) for own, a in zip(kind, around, strict=True)]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        kind = [numbers[name] for name in names]
        assert sorted(level.count.tolist()) == sorted(Counter(kind).values())


def test_surroundings_that_differ_in_a_bond_length_away_are_told_apart() -> None:
    chain = GraphStore(pack_atoms(["CCCCCCCCC"]), torch.device("cpu"))
    batch = chain.batch(torch.tensor([0]))
    found = distinct_environments(batch, batch.norm, len(chain.type_features), 5)
    # From either end: end, second, third, … and the middle, which more layers tell apart.
    assert [len(level.count) for level in found.levels] == [3, 4, 5, 5, 5]


def test_equal_sums_of_weights_are_not_equal_surroundings() -> None:
    """Entries of ¼ and ¾ towards like neighbours sum to those of ½ and ½, and are others."""
    two = GraphStore(pack_atoms(["CCC", "CCC"]), torch.device("cpu"))
    batch = two.batch(torch.tensor([0, 1]))
    weight = batch.norm.clone()
    middle = [i for i in range(6) if (batch.row == i).sum() == 3]
    for atom, values in zip(middle, ([0.25, 0.75], [0.5, 0.5]), strict=True):
        entries = ((batch.row == atom) & (batch.column != atom)).nonzero()[:, 0]
        weight[entries] = torch.tensor(values)
    found = distinct_environments(batch, weight, len(two.type_features), 1)
    assert sorted(found.levels[0].count.tolist()) == [1, 1, 4]


# ------------------------------------------------------------------------------- the layers


def test_counted_normalisation_is_that_of_rows_written_out() -> None:
    generator = torch.Generator().manual_seed(0)
    count = torch.tensor([1, 4, 2, 7])
    norm, plain = CountedBatchNorm(5).double(), nn.BatchNorm1d(5).double()
    with torch.no_grad():
        norm.weight.copy_(torch.randn(5, generator=generator))
        norm.bias.copy_(torch.randn(5, generator=generator))
    plain.load_state_dict(norm.state_dict())
    for _ in range(3):
        x = torch.randn(4, 5, dtype=torch.double, generator=generator, requires_grad=True)
        direction = torch.randn(4, 5, dtype=torch.double, generator=generator)
        mine = torch.autograd.grad(
            (norm(x, count.double()) * direction * count[:, None]).sum(),
            [x, norm.weight, norm.bias],
        )
        written_out = plain(x.repeat_interleave(count, dim=0))
        theirs = torch.autograd.grad(
            (written_out * direction.repeat_interleave(count, dim=0)).sum(),
            [x, plain.weight, plain.bias],
        )
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b)
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(norm.state_dict()[name], value)
    x = torch.randn(4, 5, dtype=torch.double, generator=generator)
    torch.testing.assert_close(norm.eval()(x, count), plain.eval()(x))


def test_a_single_atom_cannot_be_normalised_in_training_and_no_atom_can_be_embedded(
    store: GraphStore,
) -> None:
    model = encoders.GCN(store.type_features.shape[1], layers=2, width=4)
    with pytest.raises(ValueError, match="single atom"):
        model(store.batch(torch.tensor([SMILES.index("[Xe]")])), store.type_features)
    nothing = store.batch(torch.tensor([], dtype=torch.int64))
    assert model.eval()(nothing, store.type_features).shape == (0, 4)


def test_an_atom_that_hears_of_nobody_keeps_its_residual_alone(store: GraphStore) -> None:
    batch = store.batch(torch.arange(len(SMILES)))
    weight = batch.norm.clone()
    weight[batch.row == 0] = 0
    model = encoders.GCN(store.type_features.shape[1], layers=2, width=4).train()
    found = {}
    for find in (distinct_environments, every_atom):
        environments = find(batch, weight, len(store.type_features), 2)
        x = store.type_features
        for layer, level in zip(model.layers, environments.levels, strict=True):
            x = layer(x, level)
        found[find] = encoders.multiply_(environments.pooling, x)
    torch.testing.assert_close(found[distinct_environments], found[every_atom])


def test_gradients_of_a_layer_are_those_of_finite_differences(store: GraphStore) -> None:
    batch = store.batch(torch.tensor([0, 1, 4, 4]))
    weight = view_of(batch, 3).double()
    kinds = len(store.type_features)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(kinds, 3, dtype=torch.double, generator=generator, requires_grad=True)
    layer = encoders.GraphConvolutionLayer(3, 2).double()
    for find in (distinct_environments, every_atom):
        (level,) = find(batch, weight, kinds, 1).levels

        def run(x: Tensor, *_: Tensor, level: Level = level) -> Tensor:
            return layer(x, level)

        assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def exact_norm(batch: Batch) -> Tensor:
    """Entries of D^-1/2 (A + I) D^-1/2 in double precision."""
    degree = batch.row_start.diff().double()
    return (degree[batch.row] * degree[batch.column]).rsqrt()


@pytest.mark.parametrize("find", [distinct_environments, every_atom])
def test_a_whole_training_is_that_of_pytorch_geometric_with_its_data_loader(
    store: GraphStore, find: Find, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoders, "distinct_environments", find)
    encoder = GraphEncoder(name="gcn", kind="gcn", layers=LAYERS, width=16, head=[12])
    network = Network(encoder, classes=3, seed=0).double()
    plain = PlainNetwork(network).double()
    mine, theirs = (torch.optim.Adam(m.parameters(), lr=0.01) for m in (network, plain))
    labels = torch.arange(len(SMILES)) % 3
    labels[SMILES.index("OCC")] = labels[SMILES.index("CCO")]
    graphs = [graph.update({"x": graph.x.double()}) for graph in separate_graphs(store, labels)]
    features = store.type_features.double()
    generator = torch.Generator().manual_seed(4)
    history = []
    for _ in range(40):
        order = torch.randperm(len(SMILES), generator=generator)
        loader = DataLoader([graphs[i] for i in order.tolist()], batch_size=6)
        for rows, data in zip(batches(order, 6), loader_batches(loader), strict=True):
            batch = store.batch(rows)
            losses = []
            for optimizer, logits in (
                (mine, network(batch, features, exact_norm(batch)).logits),
                (theirs, plain(data)),
            ):
                loss = nn.functional.cross_entropy(logits, labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            history.append(losses)
    # Adam divides rounding errors by their own size, so they grow with the steps.
    np.testing.assert_allclose(*np.transpose(history[:20]), rtol=1e-9)
    np.testing.assert_allclose(*np.transpose(history), rtol=1e-3)
    learned = np.mean(history[-4:]) < np.mean(history[:4]) / 2
    assert learned, "the comparison is of a training that learns something"
    network.eval()
    plain.eval()
    everything = store.batch(torch.arange(len(SMILES)))
    found = network(everything, features, exact_norm(everything)).logits
    data = next(iter(DataLoader(graphs, batch_size=len(graphs))))
    torch.testing.assert_close(found, plain(data), rtol=1e-3, atol=1e-4)


def loader_batches(loader: DataLoader) -> list[Data]:
    """Batches of the loader, a last one of a single molecule joined to the one before."""
    found = list(loader)
    if found[-1].num_graphs == 1:
        joined = found[-2].to_data_list() + found[-1].to_data_list()
        found[-2:] = list(DataLoader(joined, batch_size=len(joined)))
    return found


def test_single_precision_stays_close_to_double(store: GraphStore) -> None:
    encoder = GraphEncoder(name="gcn", kind="gcn", layers=LAYERS, width=16, head=[12])
    single = Network(encoder, classes=3, seed=0)
    double = copy.deepcopy(single).double()
    batch = store.batch(torch.arange(len(SMILES)).repeat(2))
    weight = view_of(batch, 5)
    for network, features, entries in (
        (single, store.type_features, weight),
        (double, store.type_features.double(), weight.double()),
    ):
        network(batch, features, entries).logits.square().sum().backward()
    for a, b in zip(single.parameters(), double.parameters(), strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-3, atol=1e-3)


def test_the_plain_form_makes_one_row_per_atom(store: GraphStore) -> None:
    batch = store.batch(torch.tensor([0, 0, 2]))
    found = every_atom(batch, batch.norm, len(store.type_features), LAYERS)
    atoms = len(batch.atom_type)
    assert [level.matrix.rows.shape[0] for level in found.levels] == [atoms] * LAYERS
    assert all(level.count is None for level in found.levels)
    assert found.pooling.rows.shape == (3, atoms)
