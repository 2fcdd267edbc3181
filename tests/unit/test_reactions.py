"""Whole reactions, from a table to predictions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from prepared import Prepared, prepare, register
from small_training import TRAINING, train

from drugtail.benchmark.plan import Plan
from drugtail.config.base import merged
from drugtail.config.benchmark import Benchmark
from drugtail.config.catalogue import Catalogue
from drugtail.config.dataset import Dataset
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.config.encoders.mlp import MLPEncoder
from drugtail.data.split import split_dataset
from drugtail.features.choice import make_featurizer
from drugtail.features.featurize import featurize
from drugtail.features.featurizer import FEATURIZERS
from drugtail.predict.table import predict
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.parquet import read_parquet

CATALOGUE = Catalogue(Path(__file__).resolve().parents[2] / "config")
REACTIONS = sorted(name for name in FEATURIZERS.names() if FEATURIZERS[name].reads == "reaction")
MLP = MLPEncoder(name="tiny", kind="mlp", featurizer="drfp", layers=1, width=32, head=[16])
CHAINS = ["C" * n + m for n in range(1, 12) for m in ("", "C(C)C", "Cc1ccccc1", "OC")]


def reaction_register(**changes: object) -> Dataset:
    columns = {"reaction": "rxn", "label": "label"}
    return register(columns, reaction={"use": "reaction"}, classes=None, **changes)


def rows() -> list[list[str]]:
    """Esters and amides of the same acids, so that one side alone says less than both."""
    esters = [[f"{one}C(=O)O.OC>[Na+].[Cl-]>{one}C(=O)OC", "ester"] for one in CHAINS]
    amides = [[f"{one}C(=O)O.NC>>{one}C(=O)NC", "amide"] for one in CHAINS]
    reduced = [[f"{one}C(=O)O>>{one}CO", "reduced"] for one in CHAINS]
    return [*esters, *amides, *reduced]


def prepared(folder: Path, table: list[list[str]], **changes: object) -> Prepared:
    return prepare(folder, table, reaction_register(**changes), ["rxn", "label"])


def test_a_reaction_is_read_without_maps_and_agents_and_has_its_products_parent(
    tmp_path: Path,
) -> None:
    table = [
        ["[CH3:1][OH:2].Cl>[Pd]>[CH3:1][Cl:3].O", "a"],
        ["CC(=O)O.OC>>CC(=O)OC", "b"],
        ["CCN>>C[C@@H]([NH3+])F.[Cl-]", "a"],
        [">>CC", "b"],
        ["CC>>", "b"],
        ["CC>>C(", "b"],
        ["CC", "a"],
        ["CCCC>>CCC", "b"],
    ]
    found = prepared(tmp_path, table)
    assert found.molecules["smiles"].tolist() == [
        "CO.Cl>>CCl.O", "CC(=O)O.CO>>COC(C)=O", "CCN>>C[C@@H]([NH3+])F.[Cl-]", "CCCC>>CCC",
    ]  # fmt: skip
    assert found.molecules["parent"].tolist() == ["CCl", "COC(C)=O", "CC(N)F", "CCC"]
    assert found.reasons == {
        4: "reaction without reactants", 5: "reaction without product", 6: "unparsable reaction",
        7: "unparsable reaction",
    }  # fmt: skip
    assert found.header["reads"] == "reaction"


def test_two_reactions_to_one_product_are_no_repeat_by_parent(tmp_path: Path) -> None:
    table = [["CCO>>CC=O", "a"], ["CC#N>>CC=O", "b"], ["OCC>>CC=O", "a"], ["CCl>>CO", "b"]]
    found = prepared(tmp_path, table, identity="parent", duplicates="drop", conflicts="drop")
    assert found.reasons == {3: "repeats a molecule"}


def test_a_standardized_form_is_of_single_molecules() -> None:
    with pytest.raises(ValueError, match=r"molecules\.standardize is of single molecules"):
        reaction_register(molecules={"standardize": "parent"})


def numbers(name: str, reactions: list[str]) -> np.ndarray:
    featurizer: Any = make_featurizer(name, reads="reaction")
    (found,) = featurizer.arrays(reactions).values()
    return np.asarray(found)


@pytest.mark.parametrize("name", REACTIONS)
def test_what_both_sides_have_says_nothing(name: str) -> None:
    found = numbers(name, ["CC>>CC", "OCC.CN>>CCO.NC", "CCO>>CC=O"])
    assert [row.any() for row in found] == [False, False, True]


def test_only_the_difference_fingerprint_tells_a_reaction_from_its_reverse() -> None:
    reactions = ["CCO>>CC=O", "CC=O>>CCO"]
    forwards, backwards = numbers("drfp", reactions)
    assert (forwards == backwards).all()
    forwards, backwards = numbers("reaction_difference", reactions)
    assert (forwards == -backwards).all()
    # Every pair of heavy atoms is counted once: three in each molecule.
    assert forwards.sum() == 0
    assert np.abs(forwards).sum() > 0


def test_featurizers_of_molecules_are_refused_by_name(tmp_path: Path) -> None:
    prepared(tmp_path, rows())
    with pytest.raises(DrugtailError, match=r"'morgan' reads smiles, and is given reaction; choo"):
        featurize(tmp_path / "out1/molecules.parquet", "morgan", tmp_path / "f")
    with pytest.raises(DrugtailError, match="'drfp' reads reaction, and is given smiles"):
        make_featurizer("drfp")


@pytest.mark.training
def test_models_of_reactions_are_trained_and_asked(tmp_path: Path) -> None:
    prepared(tmp_path, rows())
    molecules = tmp_path / "out1/molecules.parquet"
    split_dataset(molecules, "random", 0, tmp_path / "random-0")
    summary = read_json(tmp_path / "random-0.json")
    assert summary["overlap"]["train-test"]["parent"] == 0
    featurize(molecules, "drfp", tmp_path / "features")
    inputs = {
        "molecules": molecules, "split": tmp_path / "random-0.parquet",
        "features": tmp_path / "features",
    }  # fmt: skip
    settings = merged(TRAINING, {"epochs": 60})
    network = train(inputs, "cross_entropy", tmp_path / "mlp", encoder=MLP, settings=settings)
    forest = FingerprintEncoder(name="reaction", kind="fingerprint", featurizer="drfp")
    trees = train(inputs, "random_forest", tmp_path / "forest", encoder=forest)
    for block in (network, trees):
        tested = read_parquet(block / "predictions.parquet").query("subset == 'test'")
        logits = tested.filter(like="logit_").to_numpy()
        assert np.mean(logits.argmax(1) == tested["label"]) > 0.8

    asked = tmp_path / "new.csv"
    table = pd.DataFrame(rows()[::5], columns=["rxn", "label"])
    table.loc[len(table)] = ["CCO", "ester"]
    table.to_csv(asked, index=False)
    predict(network / "model.pt", asked, tmp_path / "said.csv", column="rxn")
    said = pd.read_csv(tmp_path / "said.csv", keep_default_na=False)
    said = said.rename(columns=lambda name: name.removeprefix("drugtail_"))
    assert said["reason"].iloc[-1] == "unparsable reaction"
    assert (said["class"] == table["label"])[:-1].mean() > 0.8
    assert said["smiles"].str.contains(">>")[:-1].all()
    assert {"p_amide", "p_ester", "p_reduced"} <= set(said)

    nothing = tmp_path / "none.csv"
    pd.DataFrame({"Reaction": ["CCO", "CCN"]}).to_csv(nothing, index=False)
    with pytest.raises(DrugtailError, match="no cell of column 'Reaction' is a reaction, so that"):
        predict(network / "model.pt", nothing, tmp_path / "none-said.csv")
    assert len(pd.read_csv(tmp_path / "none-said.csv")) == 2
    with pytest.raises(DrugtailError, match=r"said\.xlsx: is written as CSV"):
        predict(network / "model.pt", asked, tmp_path / "said.xlsx", column="rxn")
    # A forest of reactions is asked by its folder; the nearest reaction is one of training.
    predict(trees, asked, tmp_path / "trees.csv", column="rxn")
    said = pd.read_csv(tmp_path / "trees.csv", keep_default_na=False)[:-1]
    assert (said["drugtail_class"] == table["label"][:-1]).mean() > 0.8
    assert said["drugtail_nearest"].str.contains(">>").all()
    assert (said["drugtail_similarity"].astype(float) == 1).mean() > 0.5


def test_a_benchmark_pairs_data_sets_with_the_encoders_that_read_them(tmp_path: Path) -> None:
    register = reaction_register().model_dump(mode="json", exclude_unset=True)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(register))
    settings = {
        "name": "b", "title": "b", "datasets": ["demo", str(path)], "splits": ["random-0"],
        "methods": ["random_forest", "cross_entropy"], "encoders": ["gcn", "reaction_mlp"],
        "seeds": ["0-0"], "tables": ["head_tail"], "figures": [], "reference": "cross_entropy",
    }  # fmt: skip
    plan = Plan(Benchmark.model_validate(settings), CATALOGUE)
    found = {(block.dataset, block.method, block.encoder) for block in plan.blocks()}
    assert found == {
        ("demo", "random_forest", "morgan"), ("demo", "cross_entropy", "gcn"),
        ("tiny", "random_forest", "reaction"), ("tiny", "cross_entropy", "reaction_mlp"),
    }  # fmt: skip
    with pytest.raises(
        DrugtailError,
        match=r"data set tiny is of whole reactions, and none of the encoders of method cross_ent",
    ):
        Plan(Benchmark.model_validate({**settings, "encoders": ["gcn"]}), CATALOGUE)
