"""Faults in an encoder of a user's own are named with file and line, or with what is expected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from project import PROJECT
from walkthrough import section, shown_files

from drugtail.features.featurizer import FEATURIZERS
from drugtail.features.stores import STORES
from drugtail.models.network import Network
from drugtail.plugins import load_plugin, unload_plugin
from drugtail.runtime.errors import DrugtailError

SMILES = ["CCO", "C", "c1ccccc1", "CC#N", "CCBr"]


@pytest.fixture
def plugin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """The encoder of docs/extending.md, with one text replaced by another."""
    page = (PROJECT / "docs/extending.md").read_text(encoding="utf-8")
    text = shown_files(section(page, "An encoder"))["my/own_gine.py"]
    old, new = request.param
    assert text.count(old) == 1
    path = tmp_path / "own_gine.py"
    path.write_text(text.replace(old, new), encoding="utf-8")
    yield path
    unload_plugin(path)


@pytest.mark.parametrize(
    ("plugin", "says"),
    [
        (("data.x)", "data.xx)"), "encoder 'own_gine': {path}: line 4"),
        (("self.width = settings.width", "self.wide = 1"), "does not say how wide"),
        (
            ("size=data.num_graphs)", "size=data.num_graphs)[:3]"),
            "({path}): gives embeddings of shape [3, 64] for 5 molecules; it must give [5, 64]",
        ),
        (("GINEConv(inner, ", "GINEConv(iner, "), "encoder 'own_gine': {path}: line 3"),
    ],
    indirect=["plugin"],
)
def test_a_fault_is_named(plugin: Path, says: str) -> None:
    kind = load_plugin(plugin).encoders["own_gine"]
    featurizer = FEATURIZERS["atoms"]()
    store = STORES[featurizer.form](featurizer.arrays(SMILES), torch.device("cpu"))

    def computed() -> None:
        network = Network(kind(name="own_gine", kind="own_gine"), store.shape, 3, (0, 1))
        network(store.batch(torch.arange(len(SMILES)).expand(2, -1)))

    with pytest.raises(DrugtailError) as caught:
        computed()
    assert says.format(path=plugin) in str(caught.value)
