"""Every encoder of the catalogue, and that of the docs, keeps the contract of encoders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from catalogue import CONFIG, CheckedCatalogue
from rdkit import Chem
from torch import Tensor
from walkthrough import section, shown_files

from drugtail.config.base import merged
from drugtail.config.components.views import Drop
from drugtail.config.encoder import SETTINGS, EncoderSettings, misfit
from drugtail.config.training import Training
from drugtail.features.batch import Store
from drugtail.features.choice import make_featurizer
from drugtail.features.featurize import featurize
from drugtail.features.stores import STORES
from drugtail.methods.views import drop
from drugtail.models.network import Network
from drugtail.models.stacked import load_state_of, state_of
from drugtail.plugins import load_plugin, unload_plugin
from drugtail.runtime.draws import Draws
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet
from drugtail.training.block import Block, train_block

MakeFiles = Callable[[Sequence[int]], Any]

CATALOGUE = CheckedCatalogue()
# Reactions and vectors from files are for other tests; the kind of these encoders is there anyhow.
NETWORKS = [
    name
    for name in CATALOGUE.names("encoders")
    if CATALOGUE.encoder(name).network and name not in ("reaction_mlp", "vector")
]
# Each kind once on each form that it reads, small; vectors are those of the docs' featurizer.
OWN = "own_gine"
CASES = [*NETWORKS, OWN, "mlp on vectors"]
# One for each kind, where a case takes seconds.
KINDS = [
    name
    for name in CASES
    if name not in ("morgan_count_mlp", "fingerprints_mlp", "gine_and_descriptors", "transformer")
]
CPU = torch.device("cpu")
SMILES = [
    "CCO", "C", "[Na+].[Cl-]", "c1ccccc1", "CC(=O)Oc1ccccc1C(=O)O", "C#N", "O=S(=O)(N)c1ccc(Cl)cc1",
    "CN1C=NC2=C1C(=O)N(C(=O)N2C)C", "CC(C)CC1=CC=C(C=C1)C(C)C(=O)O", "FC(F)(F)c1cccnc1", "N", "CCC",
]  # fmt: skip
# One of each kind of training: plain, mixed, branches, experts, second stages, contrast with each
# of its needs, the proposed method, grafting.
REPRESENTATIVES = [
    "cross_entropy", "remix", "bbn", "ride", "crt", "dive", "bcl", "tsc", "paco",
    "class_distance", "two_phase_food",
]  # fmt: skip
SEEDS = (3, 4)


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """The files of the docs, registered."""
    page = (CONFIG.parent / "docs/extending.md").read_text(encoding="utf-8")
    folder, found = tmp_path_factory.mktemp("my"), {}
    for title, name in (("An encoder", "my/own_gine.py"), ("A featurizer", "my/descriptors.py")):
        path = folder / Path(name).name
        path.write_text(shown_files(section(page, title))[name], encoding="utf-8")
        load_plugin(path)
        found[path.stem] = path
    yield found
    for path in found.values():
        unload_plugin(path)


def settings_of(case: str, plugins: dict[str, Path], **changes: Any) -> EncoderSettings:
    if case == OWN:
        kind = load_plugin(plugins["own_gine"]).encoders["own_gine"]
        found: Any = kind(name="own_gine", kind="own_gine", dropout=0.1)
    elif case == "mlp on vectors":
        found = SETTINGS["mlp"](name="vectors", kind="mlp", featurizer="descriptors")
    else:
        found = CATALOGUE.encoder(case)
    small = {"width": 16, "layers": 2}
    if found.kind == "graph_and_vector":
        graph = {**found.graph.model_dump(), **small}
        return merged(found, {"graph": graph, "vector_width": 8, "head": [16], **changes})
    return merged(found, {**small, "head": [16], **changes})


def store_of(settings: EncoderSettings, smiles: Sequence[str]) -> Store:
    featurizer = make_featurizer(settings.featurizer)
    return STORES[featurizer.form](featurizer.arrays(smiles), CPU)


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, plugins: dict[str, Path]) -> EncoderSettings:
    return settings_of(request.param, plugins)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, plugins: dict[str, Path]) -> EncoderSettings:
    return settings_of(request.param, plugins)


@pytest.fixture
def store(case: EncoderSettings) -> Store:
    return store_of(case, SMILES)


def network_of(case: EncoderSettings, store: Store, seeds: Sequence[int] = SEEDS) -> Network:
    network = Network(case, store.shape, 3, seeds)
    # One step, so that nothing is at its first zeros and ones.
    everything = torch.arange(len(store)).expand(len(seeds), -1)
    network.train()(store.batch(everything)).logits.square().mean().backward()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.grad is not None:
                parameter -= 0.1 * parameter.grad
                parameter.grad = None
    return network.eval()


def embeddings(network: Network, store: Store, rows: Sequence[int]) -> Tensor:
    batch = store.batch(torch.tensor(rows).expand(len(network.scale), -1))
    with torch.no_grad():
        return network.encoder(batch)


def test_molecules_have_one_embedding_each_whatever_their_company(
    case: EncoderSettings, store: Store
) -> None:
    network = network_of(case, store)
    rows = list(range(len(SMILES)))
    found = embeddings(network, store, rows)
    assert found.shape == (2, len(SMILES), network.width)
    assert found.isfinite().all()
    order = [7, 1, 1, 0, 11, 2, 5]
    torch.testing.assert_close(
        embeddings(network, store, order), found[:, order], rtol=1e-4, atol=1e-5
    )
    for i in (0, 1, 10):
        alone = embeddings(network, store, [i])
        torch.testing.assert_close(alone[:, 0], found[:, i], rtol=1e-4, atol=1e-5)
    assert float((found[:, 0] - found[:, 3]).abs().max()) > 1e-4


def test_the_order_of_atoms_changes_nothing(case: EncoderSettings, store: Store) -> None:
    other = [
        Chem.MolToSmiles(Chem.MolFromSmiles(one), canonical=False, doRandom=True) for one in SMILES
    ]
    assert other != SMILES
    network = network_of(case, store)
    rows = list(range(len(SMILES)))
    torch.testing.assert_close(
        embeddings(network, store_of(case, other), rows), embeddings(network, store, rows),
        rtol=1e-4, atol=1e-4,
    )  # fmt: skip


def test_seeds_together_are_seeds_alone(case: EncoderSettings, store: Store) -> None:
    together = Network(case, store.shape, 3, SEEDS).train()
    rows = torch.tensor([[0, 1, 4, 6, 8], [3, 7, 7, 2, 1]])
    keys = torch.tensor([11, 12])
    found = together(store.batch(rows), keys).logits
    found.square().sum().backward()
    for i, seed in enumerate(SEEDS):
        alone = Network(case, store.shape, 3, [seed]).train()
        wanted = alone(store.batch(rows[i : i + 1]), keys[i : i + 1]).logits
        torch.testing.assert_close(found[i], wanted[0], rtol=1e-4, atol=1e-5)
        wanted.square().sum().backward()
        for (name, mine), theirs in zip(
            together.named_parameters(), alone.parameters(), strict=True
        ):
            if mine.requires_grad:
                assert mine.grad is not None, name
                torch.testing.assert_close(mine.grad[i], theirs.grad[0], rtol=1e-3, atol=1e-4)
        # So are statistics of normalisation.
        for (name, mine), theirs in zip(together.named_buffers(), alone.buffers(), strict=True):
            torch.testing.assert_close(mine[i], theirs[0], rtol=1e-4, atol=1e-5, msg=name)


def test_a_gradient_reaches_every_parameter(case: EncoderSettings, store: Store) -> None:
    network = Network(case, store.shape, 3, SEEDS).train()
    everything = torch.arange(len(store)).expand(2, -1)
    direction = torch.randn(
        2, len(store), network.width, generator=torch.Generator().manual_seed(0)
    )
    (network.encoder(store.batch(everything)) * direction).sum().backward()
    for name, parameter in network.encoder.named_parameters():
        assert parameter.grad is not None, name
        # A bias before a normalisation has one of zero but for rounding.
        assert parameter.grad.isfinite().all(), name
    reached = [p.grad.abs().sum() > 0 for p in network.encoder.parameters()]
    assert all(reached)


def test_the_weights_of_a_seed_can_be_taken_and_put_back(
    case: EncoderSettings, store: Store
) -> None:
    network = network_of(case, store)
    first = embeddings(network, store, [0, 4, 6])
    kept = state_of(network, 1)
    other = Network(case, store.shape, 3, [9]).eval()
    load_state_of(other, 0, kept)
    torch.testing.assert_close(
        embeddings(other, store, [0, 4, 6])[0], first[1], rtol=1e-4, atol=1e-5
    )


def test_a_seed_draws_from_its_own_source(case: EncoderSettings, store: Store) -> None:
    network = Network(case, store.shape, 3, SEEDS).train()
    batch = store.batch(torch.arange(len(store)).expand(2, -1))
    before = torch.random.get_rng_state()

    def drawn(*keys: int) -> torch.Tensor:
        # Our own layers draw from what a step tells them, others from what they are given.
        network.draw_from(torch.tensor(keys))
        found: torch.Tensor = network.encoder(batch, torch.tensor(keys))
        return found

    with torch.no_grad():
        first, again, other = drawn(5, 6), drawn(5, 6), drawn(5, 7)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, again)
    assert torch.equal(first[0], other[0])
    draws = getattr(case, "dropout", 0) > 0
    assert torch.equal(first[1], other[1]) != draws


def test_batches_of_a_given_size_give_the_same(case: EncoderSettings, store: Store) -> None:
    network = network_of(case, store)
    rows = torch.tensor([[0, 1, 4, 6, 8], [3, 7, 7, 2, 1]])
    size = tuple(number + 9 for number in store.size_of(rows))
    assert store.has_room(size, store.size_of(rows))
    with torch.no_grad():
        found, wanted = (network(store.batch(rows, given)).logits for given in (size, None))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rates", [(0.0, 0.0), (0.1, 0.25)])
def test_views_leave_as_much_out_as_they_say(
    case: EncoderSettings, store: Store, rates: tuple[float, float]
) -> None:
    rows = torch.arange(len(SMILES)).repeat(40)
    batch = store.batch(rows.repeat(2)[None])
    one: Any = batch.with_tensors(tensor[0] for tensor in batch.tensors())
    values = drop(Drop(rates=list(rates), cap=1.0), one, Draws(torch.tensor(5)))
    if store.shape.form == "graph_and_vector":
        seen = batch.viewed(tuple(value[None] for value in values))
        # What becomes of vectors another case says.
        batch, seen = batch.graph, seen.graph
    else:
        seen = batch.viewed(values[None])
    if store.shape.form.startswith("graph"):

        def bonds(some: Any, half: slice) -> int:
            data = some.of_seed(0)
            molecule = data.batch[data.edge_index[0]]
            return int(((molecule >= half.start) & (molecule < half.stop)).sum())
    else:

        def bonds(some: Any, half: slice) -> int:
            return int((some.of_seed(0)[half] != 0).sum())

    for half, rate in zip(
        (slice(0, len(rows)), slice(len(rows), 2 * len(rows))), rates, strict=True
    ):
        left = bonds(seen, half) / bonds(batch, half)
        assert left == pytest.approx(1 - rate, abs=0.05)


@pytest.mark.parametrize("method", REPRESENTATIVES)
def test_methods_train_on_it_or_are_refused_with_the_reason(
    kind: EncoderSettings, method: str, make_files: MakeFiles, tmp_path: Path
) -> None:
    case = kind
    files = make_files((40, 20, 8))
    featurizer = make_featurizer(case.featurizer)
    folder = tmp_path / "features"
    featurize(files.molecules, case.featurizer, folder)
    recipe = CATALOGUE.recipe(method)
    block = Block(
        files.molecules, files.split, folder, recipe, case,
        Training(epochs=2, batch_size=24, schedule_scale=0.01), SEEDS, device="cpu",
    )  # fmt: skip
    reason = misfit(case, featurizer.form, recipe)
    assert (reason is None) == (method != "two_phase_food" or case.atoms)
    if reason is not None:
        with pytest.raises(Exception, match="grafts parts of graphs on each other"):
            train_block(block, tmp_path / "block")
        return
    train_block(block, tmp_path / "block")
    assert read_json(tmp_path / "block/status.json")["status"] == "finished"
    predictions = read_parquet(tmp_path / "block/predictions.parquet")
    assert np.isfinite(predictions.filter(like="logit_").to_numpy()).all()
    by_seed = predictions.groupby("seed")["logit_0"].sum()
    assert by_seed[SEEDS[0]] != by_seed[SEEDS[1]]


def test_a_training_that_was_cut_off_ends_with_the_same_numbers(
    kind: EncoderSettings, make_files: MakeFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = kind
    files = make_files((40, 20, 8))
    featurize(files.molecules, case.featurizer, tmp_path / "features")
    block = Block(
        files.molecules, files.split, tmp_path / "features", CATALOGUE.recipe("supcon"), case,
        Training(epochs=4, batch_size=24, schedule_scale=0.01), SEEDS, device="cpu",
    )  # fmt: skip
    train_block(block, tmp_path / "whole")

    class Cut(Exception):
        pass

    from drugtail.training.checkpoints import Checkpoint

    saved = Checkpoint.save
    times = []

    def save(self: Checkpoint, state: dict[str, Any]) -> None:
        saved(self, state)
        times.append(state["epoch"])
        if state["epoch"] == 2:
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save)
        with pytest.raises(Cut):
            train_block(
                block, tmp_path / "cut", checkpoints=tmp_path / "kept", checkpoint_seconds=0
            )
    train_block(block, tmp_path / "cut", checkpoints=tmp_path / "kept", checkpoint_seconds=0)
    first, second = (
        pd.read_parquet(tmp_path / name / "predictions.parquet") for name in ("whole", "cut")
    )
    pd.testing.assert_frame_equal(first, second, check_exact=True)
