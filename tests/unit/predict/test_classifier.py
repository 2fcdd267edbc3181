"""A kept model asked from Python says what the command says."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from small_training import MakeFiles, recipe, train

import drugtail
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.predict.table import predict
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet

MORGAN = FingerprintEncoder(name="morgan", kind="fingerprint")


@pytest.fixture
def block(make_files: MakeFiles, tmp_path: Path) -> tuple[Path, list[str]]:
    """Folder of a forest, and the molecules of its problem."""
    files = make_files((40, 25, 12))
    forest = recipe("random_forest", **{"classifier.n_estimators": 15})
    folder = train(files.inputs("morgan"), forest, tmp_path / "block", encoder=MORGAN, seeds=(0, 1))
    return folder, read_parquet(files.molecules)["smiles"].tolist()


def test_it_says_what_the_command_says(block: tuple[Path, list[str]], tmp_path: Path) -> None:
    folder, smiles = block
    table = tmp_path / "new.csv"
    pd.DataFrame({"smiles": [*smiles, "no molecule"]}).to_csv(table, index=False)
    predict(folder, table, tmp_path / "said.csv", prior=0.5, workers=1)
    command = pd.read_csv(tmp_path / "said.csv", keep_default_na=False)
    found = drugtail.load_model(folder, prior=0.5).predict([*smiles, "no molecule"], nearest=True)
    added = command[[name for name in command if name.startswith("drugtail_")]]
    assert list(found.add_prefix("drugtail_")) == list(added)
    assert found["class"][:-1].tolist() == added["drugtail_class"][:-1].tolist()
    assert found["reason"].tolist() == added["drugtail_reason"].tolist()
    assert found["reason"].iloc[-1]
    for name in [column for column in found if column.startswith("p_")]:
        said = added[f"drugtail_{name}"][:-1].astype(float)
        assert found[name][:-1].to_numpy() == pytest.approx(said.to_numpy(), rel=1e-5)


def test_it_needs_no_list_and_no_neighbours(block: tuple[Path, list[str]]) -> None:
    model = drugtail.load_model(str(block[0] / "model.pt"), seed=1)
    found = model.predict(pd.Series(block[1][:3], index=[7, 8, 9]))
    assert len(found) == 3
    assert set(found["class"]) <= set(model.class_names)
    assert not {"nearest", "spread"} & set(found)


def test_molecules_alone_are_not_asked_as_pairs(block: tuple[Path, list[str]]) -> None:
    with pytest.raises(DrugtailError, match="reads molecules alone"):
        drugtail.load_model(block[0]).predict(["CCO"], ["CCN"])


def test_what_there_is_not_is_named() -> None:
    with pytest.raises(AttributeError, match="'drugtail' has no attribute 'load_models'"):
        _ = drugtail.load_models
