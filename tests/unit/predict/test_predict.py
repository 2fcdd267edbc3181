"""Kept models: what they say of new molecules is what their blocks said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import softmax
from small_training import MakeFiles, recipe, train, training
from varied_molecules import VARIED

from drugtail.config.dataset import Molecules
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.data.identity import identify_all
from drugtail.methods.prior import corrected
from drugtail.models.saved import load_model
from drugtail.predict.nearest import TrainingMolecules
from drugtail.predict.table import predict
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_json
from drugtail.runtime.parquet import read_parquet

MORGAN = FingerprintEncoder(name="morgan", kind="fingerprint")
SMALL: dict[str, dict[str, Any]] = {
    "random_forest": {"classifier.n_estimators": 15},
    "balanced_random_forest": {"classifier.n_estimators": 15},
    "easy_ensemble": {"classifier.n_estimators": 3, "classifier.adaboost_n_estimators": 4},
    "smote_logistic": {},
    "lightgbm": {"classifier.n_estimators": 5, "classifier.min_child_samples": 2},
    "xgboost": {"classifier.n_estimators": 5},
    "nearest_neighbours": {},
}


def classical(files: Any, method: str, output: Path, seeds: tuple[int, ...] = (0, 1)) -> Path:
    changed = recipe(method, **SMALL[method])
    return train(files.inputs("morgan"), changed, output, encoder=MORGAN, seeds=seeds)


def asked(files: Any, folder: Path, **more: list[str]) -> tuple[pd.DataFrame, Path]:
    """All molecules of a problem as a table of somebody's."""
    molecules = read_parquet(files.molecules)
    path = folder / "asked.csv"
    table = pd.DataFrame({"Nr": molecules["id"], "SMILES": molecules["smiles"], **more})
    table.to_csv(path, index=False)
    return molecules, path


def said(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, keep_default_na=False, na_values={"drugtail_similarity": [""]})


@pytest.mark.parametrize("method", sorted(SMALL))
@pytest.mark.parametrize("sizes", [(40, 25, 12), (50, 20)])
def test_a_classical_model_says_again_what_its_block_predicted(
    method: str, sizes: tuple[int, ...], make_files: MakeFiles, tmp_path: Path
) -> None:
    files = make_files(sizes)
    block = classical(files, method, tmp_path / "block")
    _, table = asked(files, tmp_path)
    predict(block / "model.pt", table, tmp_path / "said.csv", workers=2)
    answers = said(tmp_path / "said.csv").set_index("Nr")
    stored = read_parquet(block / "predictions.parquet")
    each = [
        softmax(rows.set_index("id").filter(like="logit_").to_numpy(), axis=1)
        for _, rows in stored.groupby("seed")
    ]
    ids = stored.loc[stored["seed"] == 0, "id"]
    names = [f"drugtail_p_class {c}" for c in range(len(sizes))]
    found = answers.loc[ids, names].to_numpy(dtype=float)
    np.testing.assert_allclose(found, np.mean(each, axis=0), rtol=2e-5, atol=1e-7)
    best = np.mean(each, axis=0).argmax(axis=1)
    spread = np.std([one[np.arange(len(best)), best] for one in each], axis=0, ddof=1)
    given = answers.loc[ids, "drugtail_spread"].to_numpy(dtype=float)
    np.testing.assert_allclose(given, spread, rtol=1e-4, atol=1e-6)
    assert answers.loc[ids, "drugtail_class"].tolist() == [f"class {c}" for c in best]


def test_a_correction_of_the_prior_is_that_of_the_tables(
    make_files: MakeFiles, tmp_path: Path
) -> None:
    files = make_files((60, 25, 10))
    block = classical(files, "random_forest", tmp_path / "block", seeds=(0,))
    _, table = asked(files, tmp_path)
    predict(block, table, tmp_path / "said.csv", prior=0.5)
    answers = said(tmp_path / "said.csv").set_index("Nr")
    stored = read_parquet(block / "predictions.parquet")
    logits = stored.filter(like="logit_").to_numpy()
    counts = np.bincount(torch.load(block / "model.pt", weights_only=True)["train"]["label"])
    wanted = softmax(corrected(logits, counts / counts.sum(), 0.5), axis=1)
    names = [f"drugtail_p_class {c}" for c in range(3)]
    found = answers.loc[stored["id"], names].to_numpy(dtype=float)
    np.testing.assert_allclose(found, wanted, rtol=2e-5)
    mlp = train(files.inputs(), "ldam", tmp_path / "ldam", settings=training(epochs=1))
    with pytest.raises(DrugtailError, match=r"no correction of the prior is defined for ldam"):
        predict(mlp, table, tmp_path / "no.csv", prior=0.5)


def test_the_table_is_kept_as_it_is_and_ours_stands_beside_it(
    make_files: MakeFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = make_files((40, 25, 12))
    block = classical(files, "random_forest", tmp_path / "block", seeds=(0,))
    path = tmp_path / "theirs.csv"
    known = load_model(block / "model.pt")["train"]
    rows = [
        ["007", known["smiles"][0], " 1,5", ""], ["x", "nonsense", "NA", "b"],
        ["", "F[Sb-](F)(F)(F)(F)F.[K+]", "2", "c"],
    ]  # fmt: skip
    theirs = pd.DataFrame(rows, columns=["name", "Smiles", "class", "p_x"])
    theirs.to_csv(path, index=False)
    predict(block / "model.pt", path, tmp_path / "said.csv")
    found = pd.read_csv(tmp_path / "said.csv", dtype=str, keep_default_na=False)
    pd.testing.assert_frame_equal(found[theirs.columns.tolist()], theirs)
    assert [one for one in found if one not in theirs] == [
        "drugtail_smiles", "drugtail_class", "drugtail_p_class 0", "drugtail_p_class 1",
        "drugtail_p_class 2", "drugtail_nearest", "drugtail_nearest_class", "drugtail_similarity",
        "drugtail_reason",
    ]  # fmt: skip
    assert found["drugtail_nearest"][0] == known["smiles"][0]
    assert float(found["drugtail_similarity"][0]) == 1
    assert found["drugtail_nearest_class"][0] == f"class {known['label'][0]}"
    assert found["drugtail_reason"].tolist() == ["", "unparsable SMILES", ""]
    assert found.loc[1, "drugtail_class"] == found.loc[1, "drugtail_similarity"] == ""
    said_so = capsys.readouterr().err
    assert "1 of 2 are unlike every training molecule (similarity below 0.3)" in said_so
    assert "1 of 3 rows set aside: 1 unparsable SMILES" in said_so
    # A file of no use is said; an output that cannot be written is not named.
    predict(block, path, tmp_path / "b.csv", vectors={"theirs": path})
    assert "--vectors theirs: is not used; " in capsys.readouterr().err
    with pytest.raises(DrugtailError, match="is a folder; name a file for --output"):
        predict(block, path, tmp_path)
    assert "rows set aside" not in capsys.readouterr().err
    # Its own output is a table like any other, but for the names that it would add again.
    with pytest.raises(DrugtailError, match=r"column 'drugtail_class'.*name another --prefix"):
        predict(block, tmp_path / "said.csv", tmp_path / "again.csv", column="Smiles")
    predict(
        block, tmp_path / "said.csv", tmp_path / "again.csv", column="Smiles", prefix="b_",
        nearest=False,
    )  # fmt: skip
    again = pd.read_csv(tmp_path / "again.csv", dtype=str, keep_default_na=False)
    assert again["b_class"].tolist() == found["drugtail_class"].tolist()
    assert "b_similarity" not in again


def test_the_nearest_training_molecule_is_rdkits(make_files: MakeFiles) -> None:
    from rdkit import Chem, DataStructs
    from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

    smiles = read_parquet(make_files((40, 25, 12)).molecules)["smiles"].tolist()
    train_smiles, others = smiles[:50], [*smiles[50:], *VARIED]
    known = TrainingMolecules(train_smiles, "smiles")
    found = known.nearest(known.featurizer.arrays(others))
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(Chem.MolFromSmiles(one)) for one in train_smiles]
    for one, position, similarity in zip(others, *found, strict=True):
        wanted = DataStructs.BulkTanimotoSimilarity(
            generator.GetFingerprint(Chem.MolFromSmiles(one)), prints
        )
        assert similarity == pytest.approx(max(wanted), abs=1e-6)
        assert position == int(np.argmax(wanted))


def heard(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err


def test_of_two_classes_the_threshold_is_the_one_of_the_validation_molecules(
    make_files: MakeFiles, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from drugtail.methods.ghost import ghost_threshold

    files = make_files((240, 150))
    block = classical(files, "nearest_neighbours", tmp_path / "block")
    stored = read_parquet(block / "predictions.parquet").query("subset == 'valid'")
    each = [softmax(r.filter(like="logit_").to_numpy(), axis=1) for _, r in stored.groupby("seed")]
    rare = (stored.loc[stored["seed"] == 0, "label"] == 1).to_numpy()
    threshold = load_model(block / "model.pt")["threshold"]
    assert threshold == pytest.approx(ghost_threshold(np.mean(each, axis=0)[:, 1], rare))
    _, table = asked(files, tmp_path)
    predict(block, table, tmp_path / "said.csv")
    answers = said(tmp_path / "said.csv")
    is_rare = answers["drugtail_p_class 1"] >= threshold - 1e-6
    assert (answers["drugtail_class_ghost"] == np.where(is_rare, "class 1", "class 0")).all()
    assert f"class_ghost: 'class 1' from a probability of {threshold:.3g} on" in heard(capsys)
    # It would be another one for one seed, or with a correction.
    predict(block, table, tmp_path / "one.csv", seed=0)
    predict(block, table, tmp_path / "prior.csv", prior=0.5)
    assert heard(capsys).count("class_ghost is left out") == 2
    for name in ("one", "prior"):
        assert "drugtail_class_ghost" not in pd.read_csv(tmp_path / f"{name}.csv")
    # With few validation molecules of a class, or more classes, there is none.
    for sizes in ((80, 20), (40, 25, 12)):
        other = classical(make_files(sizes), "nearest_neighbours", tmp_path / str(len(sizes)))
        assert load_model(other / "model.pt")["threshold"] is None


def test_a_model_that_was_changed_is_refused(make_files: MakeFiles, tmp_path: Path) -> None:
    files = make_files((40, 25, 12))
    block = classical(files, "nearest_neighbours", tmp_path / "block")
    _, table = asked(files, tmp_path)
    other = classical(files, "nearest_neighbours", tmp_path / "other", seeds=(0,))
    (block / "model.pt").write_bytes((other / "model.pt").read_bytes())
    with pytest.raises(DrugtailError, match=r"is not the file that its block wrote"):
        predict(block, table, tmp_path / "said.csv")
    # Alone, without its block, a model is good, also in a folder of its own.
    (tmp_path / "alone").mkdir()
    (tmp_path / "alone/model.pt").write_bytes((block / "model.pt").read_bytes())
    predict(tmp_path / "alone", table, tmp_path / "said.csv")
    (block / "manifest.json").unlink()
    predict(block / "model.pt", table, tmp_path / "said.csv")
    old = torch.load(block / "model.pt", weights_only=True)
    del old["train"]
    torch.save(old, block / "model.pt")
    with pytest.raises(DrugtailError, match=r"written by an earlier version of drugtail"):
        predict(block / "model.pt", table, tmp_path / "said.csv")


def test_what_is_not_there_is_named(make_files: MakeFiles, tmp_path: Path) -> None:
    files = make_files((40, 25, 12))
    block = classical(files, "nearest_neighbours", tmp_path / "block")
    _, table = asked(files, tmp_path)
    with pytest.raises(DrugtailError, match=r"is the table that is read; name another file"):
        predict(block, table, table)
    with pytest.raises(DrugtailError, match=r"has no seed 7; there are 0, 1"):
        predict(block, table, tmp_path / "said.csv", seed=7)
    with pytest.raises(DrugtailError, match=r"is a folder without a model; name a model\.pt"):
        predict(tmp_path, table, tmp_path / "said.csv")
    for asked_for in ("dataset", "split", "method"):
        with pytest.raises(DrugtailError, match=r"is no benchmark's folder; --dataset, --split"):
            predict(block, table, tmp_path / "said.csv", **{asked_for: "tiny"})
    (block / "model.pt").unlink()
    for path in (block, block / "model.pt"):
        with pytest.raises(DrugtailError, match=r"trained with keep_models: false"):
            predict(path, table, tmp_path / "said.csv")
    assert not (tmp_path / "said.csv").exists()


def test_a_manifest_says_the_models_digest(make_files: MakeFiles, tmp_path: Path) -> None:
    from drugtail.runtime.digest import file_digest

    block = classical(make_files((40, 25, 12)), "lightgbm", tmp_path / "block", seeds=(0,))
    manifest = read_json(block / "manifest.json")
    assert manifest["outputs"] == {"model.pt": file_digest(block / "model.pt")}
    write_json(block / "manifest.json", {**manifest, "outputs": {"model.pt": "0" * 64}})
    with pytest.raises(DrugtailError, match=r"manifest\.json says 0000"):
        load_model(block / "model.pt")


@pytest.mark.parametrize("standardize", ["as_published", "parent", "uncharged"])
def test_molecules_without_parents_are_the_same_molecules(standardize: str) -> None:
    settings = Molecules.model_validate({"standardize": standardize})
    texts = [*VARIED, "C[NH3+].[Cl-]", "[13CH4]", "nonsense", "C[C@H](N)C(=O)O", "O=[N+]([O-])C"]
    whole = identify_all(texts, settings)
    part = identify_all(texts, settings, whole=False)
    same = ["smiles", "reason", "notes"]
    pd.testing.assert_frame_equal(part[same], whole[same])
