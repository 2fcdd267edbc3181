"""Surroundings of atoms, and layers that compute each once."""

import copy
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from graph_batches import SMILES, cut, one_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import ATOMS, PlainNetwork, plain_norm, separate_graphs
from torch import Tensor, nn
from torch_geometric.loader import DataLoader

from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.features.packed import GraphBatch, GraphStore, Size
from drugtail.features.reading import pack_atoms
from drugtail.models.encoders import gcn
from drugtail.models.environments import (
    Environments,
    Level,
    distinct_environments,
    every_atom,
)
from drugtail.models.network import Network
from drugtail.models.stacked import BatchNorm, stack
from drugtail.training.pool import batches


@pytest.fixture(scope="module")
def store() -> GraphStore:
    return GraphStore(pack_atoms(SMILES), torch.device("cpu"))


LAYERS = 3


def naive_names(batch: GraphBatch, weight: Tensor) -> list[list[object]]:
    """Surroundings of every atom of one seed after each layer, written out as nested tuples."""
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
    # Two seeds, of which the second has fewer atoms and is filled up.
    batch = store.batch(torch.tensor([rows * 2, [rows[0], 1] * len(rows)]))
    weight = batch.norm if seed is None else view_of(batch, seed)
    found = distinct_environments(batch.viewed(weight), LAYERS)
    for i in range(2):
        one = one_of(batch, i)
        real = int((one.molecule < one.molecules).sum())
        named = naive_names(one, weight[i])
        for level, names in zip(found.levels, named, strict=True):
            counts = [n for n in level.count[i].tolist() if n]
            assert sorted(counts) == sorted(Counter(names[:real]).values())
    # Twice the same molecules without dropped edges have twice the same surroundings.
    if seed is None:
        assert all(n == 0 or n >= 2 for level in found.levels for n in level.count[0].tolist())


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(st.integers(0, len(SMILES) - 1), min_size=1, max_size=8),
    seed=st.none() | st.integers(0, 1000),
)
def test_a_sum_over_neighbours_is_that_of_a_dense_matrix(
    store: GraphStore, rows: list[int], seed: int | None
) -> None:
    batch = store.batch(torch.tensor([rows * 2, [rows[0], 1] * len(rows)]))
    weight = (batch.norm if seed is None else view_of(batch, seed)).double()
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(len(store.type_features), 3, dtype=torch.double, generator=generator)
    for find in (distinct_environments, every_atom):
        found = find(replace(batch, norm=weight, type_features=start), LAYERS)
        x = found.x
        for level in found.levels:
            both = torch.stack([x, 2 * x], dim=2).view(-1, 3)
            x = (level.matrix.rows.to_sparse() @ both).view(2, -1, 3)
            torch.testing.assert_close(gcn.sum_of_rows(level.matrix.rows, both), x.view(-1, 3))
        pooled = (found.pooling.rows.to_sparse() @ x.flatten(0, 1)).view(2, -1, 3)[:, :-1]
        for i in range(2):
            torch.testing.assert_close(pooled[i], densely(one_of(batch, i), weight[i], start))
        for matrix in [found.pooling, *(level.matrix for level in found.levels)]:
            dense, transposed = (m.to_sparse().to_dense() for m in (matrix.rows, matrix.columns))
            assert torch.equal(transposed, dense.T)


def densely(batch: GraphBatch, weight: Tensor, start: Tensor) -> Tensor:
    """Three rounds of A X + 2 X and a sum over the atoms of each molecule, by dense matrices."""
    atoms = len(batch.atom_type)
    adjacency = torch.zeros(atoms, atoms, dtype=torch.double)
    adjacency.index_put_((batch.row, batch.column), weight, accumulate=True)
    pool = torch.zeros(batch.molecules + 1, atoms, dtype=torch.double)
    pool[batch.molecule, torch.arange(atoms)] = 1
    x = start[batch.atom_type]
    for _ in range(LAYERS):
        x = adjacency @ x + 2 * x
    return (pool @ x)[:-1]


def test_two_atoms_with_the_same_two_neighbours_are_told_apart_by_their_own_kind() -> None:
    pair = GraphStore(pack_atoms(["CO"]), torch.device("cpu"))
    batch = cut(pair, [0])
    found = distinct_environments(batch, LAYERS)
    assert [level.count.tolist() for level in found.levels] == [[[1, 1]]] * LAYERS


def test_entries_exchanged_between_kinds_are_other_surroundings() -> None:
    """A quarter of one kind and half of another, against half of the one and a quarter."""
    halogens = ["F", "Cl", "Br", "I", "O", "N", "S", "P", "B", "[SiH3]"]
    pairs = [(a, b) for i, a in enumerate(halogens) for b in halogens[:i]]
    smiles = [f"{a}C{b}" for a, b in pairs for _ in range(2)]
    twice = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    batch = cut(twice, torch.arange(len(smiles)))
    one = one_of(batch)
    weight = torch.ones(len(one.column))
    middle = torch.arange(len(smiles)) * 3 + 1
    for i, atom in enumerate(middle.tolist()):
        entries = ((one.row == atom) & (one.column != atom)).nonzero()[:, 0]
        entries = entries[one.column[entries].argsort()]
        weight[entries] = torch.tensor([0.25, 0.5] if i % 2 else [0.5, 0.25])
    found = distinct_environments(batch.viewed(weight[None]), 1)
    names = naive_names(one, weight)[0]
    assert sorted(found.levels[0].count[0].tolist()) == sorted(Counter(names).values())
    assert len(set(names)) >= len(smiles)


def test_many_real_looking_molecules_have_as_many_surroundings_as_a_naive_search_finds(
    demo: pd.DataFrame,
) -> None:
    smiles = demo["smiles"].tolist()[::40]
    many = GraphStore(pack_atoms(smiles), torch.device("cpu"))
    batch = cut(many, torch.arange(len(smiles)).repeat(2))
    weight = view_of(batch, 7)
    found = distinct_environments(batch.viewed(weight), LAYERS)
    # Numbered instead of nested: the same question at a cost that does not explode.
    one = one_of(batch)
    kind = one.atom_type.tolist()
    entries = list(zip(one.row.tolist(), one.column.tolist(), weight[0].tolist(), strict=True))
    for level in found.levels:
        around: list[list[tuple[float, int]]] = [[] for _ in kind]
        for row, column, value in entries:
            if value != 0:
                around[row].append((value, kind[column]))
        names = [(own, tuple(sorted(a))) for own, a in zip(kind, around, strict=True)]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        kind = [numbers[name] for name in names]
        assert sorted(level.count[0].tolist()) == sorted(Counter(kind).values())


def test_surroundings_that_differ_in_a_bond_length_away_are_told_apart() -> None:
    chain = GraphStore(pack_atoms(["CCCCCCCCC"]), torch.device("cpu"))
    batch = cut(chain, [0])
    found = distinct_environments(batch, 5)
    # From either end: end, second, third, … and the middle, which more layers tell apart.
    assert [level.count.shape[1] for level in found.levels] == [3, 4, 5, 5, 5]


def test_equal_sums_of_weights_are_not_equal_surroundings() -> None:
    """Entries of ¼ and ¾ towards like neighbours sum to those of ½ and ½, and are others."""
    two = GraphStore(pack_atoms(["CCC", "CCC"]), torch.device("cpu"))
    batch = cut(two, [0, 1])
    one, weight = one_of(batch), batch.norm.clone()
    middle = [i for i in range(6) if (one.row == i).sum() == 3]
    for atom, values in zip(middle, ([0.25, 0.75], [0.5, 0.5]), strict=True):
        entries = ((one.row == atom) & (one.column != atom)).nonzero()[:, 0]
        weight[0, entries] = torch.tensor(values)
    found = distinct_environments(batch.viewed(weight), 1)
    assert sorted(found.levels[0].count[0].tolist()) == [1, 1, 4]


def test_normalisation_is_pytorchs_of_rows_written_out_for_each_seed() -> None:
    generator = torch.Generator().manual_seed(0)
    counts = torch.tensor([[1, 4, 2, 7], [3, 0, 2, 0]])
    norm = stack([BatchNorm(5), BatchNorm(5)]).double()
    with torch.no_grad():
        norm.weight.copy_(torch.randn(2, 5, generator=generator))
        norm.bias.copy_(torch.randn(2, 5, generator=generator))
    plain = [plain_norm(norm, seed).double() for seed in range(2)]
    for count in (counts, None, counts):
        x = torch.randn(2, 4, 5, dtype=torch.double, generator=generator, requires_grad=True)
        direction = torch.randn(2, 4, 5, dtype=torch.double, generator=generator)
        written = torch.ones(2, 4, dtype=torch.int64) if count is None else count
        mine = torch.autograd.grad(
            (norm(x, count) * direction * written[:, :, None]).sum(),
            [x, norm.weight, norm.bias],
        )
        for seed, other in enumerate(plain):
            rows = x[seed].detach().requires_grad_()
            result = other(rows.repeat_interleave(written[seed], dim=0))
            theirs = torch.autograd.grad(
                (result * direction[seed].repeat_interleave(written[seed], dim=0)).sum(),
                [rows, other.weight, other.bias],
            )
            for a, b in zip(mine, theirs, strict=True):
                torch.testing.assert_close(a[seed], b)
    x = torch.randn(2, 4, 5, dtype=torch.double, generator=generator)
    for seed, other in enumerate(plain):
        torch.testing.assert_close(norm.running_mean[seed], other.running_mean)
        torch.testing.assert_close(norm.running_var[seed], other.running_var)
        torch.testing.assert_close(norm.eval()(x, counts)[seed], other.eval()(x[seed]))


def test_a_single_row_is_normalised_to_the_shift_and_no_molecule_can_be_embedded(
    store: GraphStore,
) -> None:
    norm = BatchNorm(3)
    with torch.no_grad():
        norm.bias.copy_(torch.tensor([[1.0, 2.0, 3.0]]))
    x = torch.tensor([[[5.0, -5.0, 0.5]]], requires_grad=True)
    result = norm(x)
    assert result.tolist() == [[[1.0, 2.0, 3.0]]]
    result.sum().backward()
    assert x.grad.tolist() == [[[0.0, 0.0, 0.0]]]
    assert norm.running_var.isfinite().all()
    model = gcn.GCN(TINY, ATOMS)
    nothing = cut(store, torch.tensor([], dtype=torch.int64))
    assert model.eval()(nothing).shape == (1, 0, 4)


TINY = GraphEncoder(name="gcn", kind="gcn", layers=2, width=4)


def through_layers(model: gcn.GCN, found: Environments) -> Tensor:
    x = found.x
    for layer, level in zip(model.layers, found.levels, strict=True):
        x = layer(x, level)
    return gcn.multiply_(found.pooling, x.flatten(0, 1))


def test_an_atom_that_hears_of_nobody_keeps_its_residual_alone(store: GraphStore) -> None:
    batch = cut(store, torch.arange(len(SMILES)))
    weight = batch.norm.clone()
    weight[batch.row == 0] = 0
    model = gcn.GCN(TINY, ATOMS).train()
    first, second = (
        through_layers(model, find(batch.viewed(weight), 2))
        for find in (distinct_environments, every_atom)
    )
    torch.testing.assert_close(first[:-1], second[:-1])


def test_gradients_of_a_layer_are_those_of_finite_differences(store: GraphStore) -> None:
    batch = store.batch(torch.tensor([[0, 1, 4, 4], [2, 2, 1, 0]]))
    weight = view_of(batch, 3).double()
    generator = torch.Generator().manual_seed(1)
    kinds = torch.zeros(len(store.type_features), 3)
    layer = stack([gcn.GraphConvolutionLayer(3, 2) for _ in range(2)]).double()
    for find in (distinct_environments, every_atom):
        found = find(replace(batch, norm=weight, type_features=kinds), 1)
        x = torch.randn(found.x.shape, dtype=torch.double, generator=generator, requires_grad=True)

        def run(x: Tensor, *_: Tensor, level: Level = found.levels[0]) -> Tensor:
            # Of rows that belong to no atom nothing is asked.
            return layer(x, level) * (level.count > 0)[:, :, None]

        assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def in_double(store: GraphStore) -> GraphStore:
    """The same molecules with features and entries in double precision."""
    double = copy.copy(store)
    double.type_features = store.type_features.double()
    double.norm = store.norm.double()
    return double


@pytest.mark.parametrize("fixed", [False, True])
def test_a_whole_training_is_that_of_pytorch_geometric_with_its_data_loader(
    store: GraphStore, fixed: bool
) -> None:
    """Two seeds together, in exact and in fixed shapes, and two networks of ready-made layers."""
    exact = in_double(store)
    whole = store.batch(torch.arange(len(store)))
    degree = whole.row_start.diff().double()
    exact.norm = (degree[whole.row] * degree[whole.column]).rsqrt()
    encoder = GraphEncoder(name="gcn", kind="gcn", layers=LAYERS, width=16, head=[12])
    network = Network(encoder, ATOMS, classes=3, seeds=[0, 1]).double()
    plain = [PlainNetwork(network, seed).double() for seed in range(2)]
    mine = torch.optim.Adam(network.parameters(), lr=0.01)
    theirs = [torch.optim.Adam(other.parameters(), lr=0.01) for other in plain]
    labels = torch.arange(len(SMILES)) % 3
    labels[SMILES.index("OCC")] = labels[SMILES.index("CCO")]
    graphs = [graph.update({"x": graph.x.double()}) for graph in separate_graphs(store, labels)]
    generator = torch.Generator().manual_seed(4)
    size = Size(200, 700) if fixed else None
    history = []
    for _ in range(40):
        order = torch.stack([torch.randperm(len(SMILES), generator=generator) for _ in range(2)])
        pieces = batches(order, 6)
        loaders = [
            list(DataLoader(graphs, batch_sampler=[rows[s].tolist() for rows in pieces]))
            for s in range(2)
        ]
        for step, rows in enumerate(pieces):
            logits = network(exact.batch(rows, size)).logits
            losses = torch.stack(
                [nn.functional.cross_entropy(logits[s], labels[rows[s]]) for s in range(2)]
            )
            mine.zero_grad()
            losses.sum().backward()
            mine.step()
            for seed in range(2):
                loss = nn.functional.cross_entropy(
                    plain[seed](loaders[seed][step]), labels[rows[seed]]
                )
                theirs[seed].zero_grad()
                loss.backward()
                theirs[seed].step()
                history.append([losses[seed].item(), loss.item()])
    # Adam divides rounding errors by their own size, so they grow with the steps.
    np.testing.assert_allclose(*np.transpose(history[:40]), rtol=1e-9)
    np.testing.assert_allclose(*np.transpose(history), rtol=1e-3)
    learned = np.mean(history[-8:]) < np.mean(history[:8]) / 2
    assert learned, "the comparison is of a training that learns something"
    network.eval()
    everything = torch.arange(len(SMILES)).repeat(2, 1)
    found = network(exact.batch(everything)).logits
    data = next(iter(DataLoader(graphs, batch_size=len(graphs))))
    for seed in range(2):
        torch.testing.assert_close(found[seed], plain[seed].eval()(data), rtol=1e-3, atol=1e-4)


def test_single_precision_stays_close_to_double(store: GraphStore) -> None:
    encoder = GraphEncoder(name="gcn", kind="gcn", layers=LAYERS, width=16, head=[12])
    single = Network(encoder, ATOMS, classes=3, seeds=[0])
    double = copy.deepcopy(single).double()
    batch = cut(store, torch.arange(len(SMILES)).repeat(2))
    weight = view_of(batch, 5)
    for network, features, entries in (
        (single, store.type_features, weight),
        (double, store.type_features.double(), weight.double()),
    ):
        given = replace(batch, norm=entries, type_features=features)
        network(given).logits.square().sum().backward()
    trained = [[p for p in network.parameters() if p.requires_grad] for network in (single, double)]
    for a, b in zip(*trained, strict=True):
        torch.testing.assert_close(a.grad.double(), b.grad, rtol=1e-3, atol=1e-3)


def test_the_plain_form_makes_one_row_per_atom(store: GraphStore) -> None:
    batch = cut(store, [0, 0, 2])
    found = every_atom(batch, LAYERS)
    atoms = batch.atom_type.shape[1]
    assert [len(level.matrix.rows.start) - 1 for level in found.levels] == [atoms] * LAYERS
    assert all(level.count.tolist() == [[1] * atoms] for level in found.levels)
