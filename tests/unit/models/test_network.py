"""The graph network against PyTorch Geometric's layers and dense matrices."""

import copy

import pytest
import torch
from reference import ATOMS, PlainGCN, edge_index
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GINConv, global_add_pool

from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.features.atoms import FEATURES
from drugtail.features.packed import GraphBatch, GraphStore
from drugtail.features.reading import pack_atoms
from drugtail.models.classifiers import Head
from drugtail.models.encoders.gcn import GCN
from drugtail.models.network import Network
from drugtail.models.stacked import BatchNorm, Dropout, Linear

SMILES = [
    "CC(=O)Oc1ccccc1C(=O)O", "[Xe]", "CCO", "[Na+].[Cl-]", "C1CC1N", "c1ccc2ccccc2c1",
    "CS(C)(=O)=O",
]  # fmt: skip
ROWS = [3, 0, 0, 6, 1, 5, 2, 4]
ENCODER = GraphEncoder(name="gcn", kind="gcn", layers=3, width=16, head=[12, 8])


@pytest.fixture(scope="module")
def store() -> GraphStore:
    return GraphStore(pack_atoms(SMILES), torch.device("cpu"))


@pytest.fixture
def batch(store: GraphStore) -> GraphBatch:
    """Of one seed, without the dimension of seeds."""
    return store.batch(torch.tensor(ROWS))


def embeddings(model: GCN, store: GraphStore, rows: list[int]) -> Tensor:
    """Of molecules by the network of one seed, [molecules, width]."""
    (found,) = model(store.batch(torch.tensor([rows])))
    return found


def make_gcn() -> GCN:
    """A GCN whose biases and norms are not at their initial zeros and ones."""
    torch.manual_seed(0)
    model = GCN(ENCODER, ATOMS)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("training", [True, False])
def test_gcn_and_its_gradients_equal_a_plain_one_of_pyg_layers(
    store: GraphStore, batch: GraphBatch, training: bool
) -> None:
    model = make_gcn().train(training)
    plain = PlainGCN(model).double().train(training)
    features = store.type_features.double()[batch.atom_type]

    found = embeddings(model, store, ROWS)
    wanted = plain(features, edge_index(batch), batch.molecule)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-4, atol=1e-4)

    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(1))
    (found * direction).sum().backward()
    (wanted * direction.double()).sum().backward()
    for layer, other in zip(model.layers, plain.layers, strict=True):
        pairs = [
            (layer.convolution.weight, other.convolution.lin.weight),
            (layer.residual.weight, other.residual.weight),
            (layer.residual.bias, other.residual.bias),
            (layer.norm.weight, other.norm.weight),
            (layer.norm.bias, other.norm.bias),
        ]
        for mine, theirs in pairs:
            torch.testing.assert_close(mine.grad[0].double(), theirs.grad, rtol=1e-3, atol=1e-3)


def dense(batch: GraphBatch, weight: Tensor) -> Tensor:
    size = (len(batch.atom_type),) * 2
    return torch.zeros(size, dtype=weight.dtype).index_put(
        (batch.row, batch.column), weight, accumulate=True
    )


def asymmetric_weight(batch: GraphBatch) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(len(batch.norm), generator=generator)
    assert not torch.equal(weight, weight[batch.reverse])
    return weight


def test_a_view_with_its_own_edge_weights_changes_the_embedding_as_a_dense_matrix_would(
    store: GraphStore, batch: GraphBatch
) -> None:
    model = make_gcn().eval()
    weight = asymmetric_weight(batch)
    x = store.type_features.double()[batch.atom_type]
    double = copy.deepcopy(model).double()
    for layer in double.layers:
        spread = dense(batch, weight.double()) @ x @ layer.convolution.weight[0].T
        residual = torch.relu(layer.residual(x[None])[0])
        x = layer.norm((spread + residual)[None])[0]
    wanted = torch.stack([x[batch.molecule == i].sum(0) for i in range(batch.molecules)])
    stacked = store.batch(torch.tensor([ROWS]))
    (found,) = model(stacked.viewed(weight[None]))
    torch.testing.assert_close(found.double(), wanted, rtol=1e-3, atol=1e-3)


def test_the_embedding_of_a_molecule_does_not_depend_on_its_company(store: GraphStore) -> None:
    model = make_gcn().eval()
    together = embeddings(model, store, list(range(len(SMILES))))
    for i in range(len(SMILES)):
        alone = embeddings(model, store, [i])
        torch.testing.assert_close(alone[0], together[i], rtol=1e-5, atol=1e-5)


def test_the_embedding_does_not_depend_on_how_the_atoms_are_numbered() -> None:
    pair = GraphStore(
        pack_atoms(["CC(=O)Nc1ccc(O)cc1", "c1(O)ccc(NC(C)=O)cc1"]), torch.device("cpu")
    )
    x = embeddings(make_gcn().eval(), pair, [0, 1])
    torch.testing.assert_close(x[0], x[1], rtol=1e-5, atol=1e-5)


def test_a_batch_serves_any_pyg_layer_by_its_edge_index(
    store: GraphStore, batch: GraphBatch
) -> None:
    features = store.type_features[batch.atom_type]
    size = (len(features),) * 2
    neighbours = torch.zeros(size)
    neighbours[edge_index(batch)[1], edge_index(batch)[0]] = 1
    layer = GINConv(nn.Linear(FEATURES, 4), eps=0.5)
    wanted = layer.nn(1.5 * features + neighbours @ features)
    torch.testing.assert_close(layer(features, edge_index(batch)), wanted)
    attention = GATConv(FEATURES, 4)(features, edge_index(batch))
    assert global_add_pool(attention, batch.molecule).shape == (batch.molecules, 4)


def test_head_is_linear_norm_relu_blocks_and_a_last_linear_layer() -> None:
    head = Head(16, [12, 8], 3)
    layers = [*head.hidden, head.last]
    block = [Linear, BatchNorm, nn.ReLU, Dropout]
    assert [type(layer) for layer in layers] == [*block, *block, Linear]
    assert [m.weight.shape[1] for m in layers if isinstance(m, Linear)] == [12, 8, 3]
    features, logits = head(torch.randn(1, 2, 16))
    assert features.shape == (1, 2, 8)
    assert torch.equal(logits, head.last(features))
    x = torch.zeros(1, 2, 16)
    features, logits = Head(16, [], 3)(x)
    assert features is x
    assert logits.shape == (1, 2, 3)


def test_network_gives_embeddings_and_the_logits_of_its_classifier(
    store: GraphStore,
) -> None:
    network = Network(ENCODER, ATOMS, classes=3, seeds=[0, 1]).eval()
    batch = store.batch(torch.tensor([ROWS, ROWS[::-1]]))
    output = network(batch)
    assert output.embedding.shape == (2, 8, 16)
    assert output.logits.shape == (2, 8, 3)
    assert torch.equal(output.embedding, network.encoder(batch))
    features, logits = network.heads[0](output.embedding)
    assert torch.equal(output.features, features)
    assert torch.equal(output.logits, logits)


def test_weights_depend_on_the_seed_alone_and_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = Network(ENCODER, ATOMS, classes=3, seeds=[5]).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    again = Network(ENCODER, ATOMS, classes=3, seeds=[5]).state_dict()
    other = Network(ENCODER, ATOMS, classes=3, seeds=[6]).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    random = [name for name in first if name.endswith("weight") and "norm" not in name]
    random = [name for name in random if first[name].dim() == 3]
    assert len(random) == 9, "two per graph layer and three in the head"
    assert not any(torch.equal(first[name], other[name]) for name in random)


def test_more_classes_leave_the_encoders_first_weights_as_they_are() -> None:
    two, twelve = (
        Network(ENCODER, ATOMS, classes=c, seeds=[5]).encoder.state_dict() for c in (2, 12)
    )
    assert all(torch.equal(two[name], twelve[name]) for name in two)


def test_a_molecule_without_bonds_in_training_mode_has_a_finite_gradient(store: GraphStore) -> None:
    network = Network(ENCODER, ATOMS, classes=2, seeds=[0]).train()
    output = network(store.batch(torch.tensor([[1, 1]])))
    output.logits.sum().backward()
    trained = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained)


def test_mixed_precision_stays_close_to_full_precision(store: GraphStore) -> None:
    model = make_gcn().eval()
    full = embeddings(model, store, ROWS)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = embeddings(model, store, ROWS)
    assert not torch.equal(full, mixed)
    error = (mixed.float() - full).norm(dim=1) / full.norm(dim=1)
    assert error.max() < 0.03


def test_dropout_draws_from_each_seeds_own_source() -> None:
    layer = Dropout(0.4).train()
    x = torch.ones(2, 500, 40)
    assert torch.equal(layer(x), x), "nothing is left out before there is a source"
    layer.keys = torch.tensor([5, 6])
    first = layer(x)
    assert torch.equal(layer(x), first)
    assert sorted(first.unique().tolist()) == pytest.approx([0, 1 / 0.6])
    assert (first == 0).float().mean().item() == pytest.approx(0.4, abs=0.01)
    assert not torch.equal(first[0], first[1])
    layer.keys = torch.tensor([6])
    assert torch.equal(layer(x[:1])[0], first[1]), "a seed alone leaves out the same"
    assert torch.equal(layer(x[:1, :3])[0], first[1, :3]), "so does a shorter batch"
    assert torch.equal(layer.eval()(x), x)


def test_every_layer_with_dropout_has_draws_of_its_own(store: GraphStore) -> None:
    encoder = ENCODER.model_copy(update={"dropout": 0.5, "head": [16, 16]})
    network = Network(encoder, ATOMS, classes=3, seeds=[0, 1]).train()
    network.draw_from(torch.tensor([7, 8]))
    keys = [module.keys.tolist() for module in network.modules() if isinstance(module, Dropout)]
    assert len(keys) == 2
    assert keys[0] != keys[1]
