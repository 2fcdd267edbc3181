"""A block: its inputs and the files that it leaves."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from reference import ATOMS
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss
from small_training import (
    CATALOGUE,
    CLOCK,
    CPU,
    ENCODER,
    SCRIPT,
    TRAINING,
    MakeFiles,
    in_another_process,
    of_seed,
    recipe,
    results,
    status,
    train,
    training,
)

from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.schedule import refresh_epochs
from drugtail.data.split_digest import split_digest
from drugtail.features.arrays import load_arrays
from drugtail.features.packed import GraphStore
from drugtail.models.inference import predict
from drugtail.models.network import Network
from drugtail.models.saved import load_model
from drugtail.models.stacked import load_state_of
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.manifest import Manifest
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet
from drugtail.training.block import Block, train_block
from drugtail.training.checkpoints import Checkpoint
from drugtail.training.problem import read_problem

MORGAN = FingerprintEncoder(name="morgan", kind="fingerprint")


def test_predictions_cover_validation_and_test_molecules_of_every_seed(
    files: Any, tmp_path: Path
) -> None:
    output = train(files.inputs(), "cross_entropy", tmp_path, seeds=(3, 4))
    predictions = read_parquet(output / "predictions.parquet")
    molecules = read_parquet(files.molecules).merge(read_parquet(files.split), on="id")
    expected = molecules[molecules["subset"].isin(["valid", "test"])].set_index("id")
    assert predictions["seed"].unique().tolist() == [3, 4]
    for seed in (3, 4):
        found = of_seed(predictions, seed).set_index("id")
        assert sorted(found.index) == sorted(expected.index)
        assert found["subset"].equals(expected.loc[found.index, "subset"])
        assert found["label"].equals(expected.loc[found.index, "label"])
    logits = predictions[["logit_0", "logit_1", "logit_2"]]
    assert (logits.dtypes == np.float32).all()
    assert np.isfinite(logits.to_numpy()).all()
    header = read_parquet_metadata(output / "predictions.parquet")
    train_labels = molecules.loc[molecules["subset"] == "train", "label"]
    assert header == {
        "dataset": "tiny", "split": "random-0", "encoder": "tiny", "method": "cross_entropy",
        "settings": "default", "class_names": ["class 0", "class 1", "class 2"],
        "train_counts": np.bincount(train_labels).tolist(), "seeds": [3, 4],
        "class_weights": "uniform",
    }  # fmt: skip


@pytest.mark.parametrize("selection", ["best_smoothed", "best", "last"])
def test_the_chosen_epoch_is_the_one_that_predicts(
    files: Any, tmp_path: Path, selection: str
) -> None:
    settings = training(epochs=12, selection=selection)
    output = train(files.inputs(), "cross_entropy", tmp_path, settings=settings)
    history = read_parquet(output / "history.parquet")
    best = status(output)["seeds"]["0"]["best_epoch"]
    scores = history["valid_balanced_accuracy"]
    wanted = {
        "best": scores.idxmax(),
        # A quarter of twelve epochs.
        "best_smoothed": scores.rolling(3).mean().idxmax(),
        "last": 11,
    }
    assert best == wanted[selection] == history.loc[best, "epoch"]
    predictions = read_parquet(output / "predictions.parquet")
    valid = predictions[predictions["subset"] == "valid"]
    logits = torch.tensor(valid.filter(like="logit_").to_numpy(), dtype=torch.float64)
    guess, truth = logits.argmax(1).numpy(), valid["label"]
    row = history.loc[best]
    score = balanced_accuracy_score(truth, guess)
    assert row["valid_balanced_accuracy"] == pytest.approx(score)
    assert row["valid_accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert row["valid_loss"] == pytest.approx(log_loss(truth, logits.softmax(1)), rel=1e-5)


def test_history_has_every_epoch_with_its_learning_rate_and_losses(
    files: Any, tmp_path: Path
) -> None:
    changed = training(epochs=5, learning_rate=0.002, learning_rate_decay=0.9)
    output = train(files.inputs(), "cross_entropy", tmp_path, settings=changed)
    history = read_parquet(output / "history.parquet")
    assert history["epoch"].tolist() == [0, 1, 2, 3, 4]
    assert history["learning_rate"].tolist() == pytest.approx([0.002 * 0.9**e for e in range(5)])
    assert history["loss"].equals(history["classification_loss"])
    assert (history["contrastive_loss"] == 0).all()
    assert history["loss"].iloc[-1] < history["loss"].iloc[0]
    assert (history[CLOCK] > 0).all(axis=None)
    assert history["finished_at"].is_monotonic_increasing


def test_the_saved_model_gives_the_predictions_again(files: Any, tmp_path: Path) -> None:
    output = train(files.inputs(), "cross_entropy", tmp_path, seeds=(0, 1))
    model = load_model(output / "model.pt")
    assert model["class_names"] == ["class 0", "class 1", "class 2"]
    assert GraphEncoder(**model["encoder"]) == ENCODER
    store = GraphStore(load_arrays(files.atoms), CPU)
    ids = read_parquet(files.molecules)["id"]
    predictions = read_parquet(output / "predictions.parquet")
    for seed in (0, 1):
        network = Network(ENCODER, ATOMS, classes=3, seeds=[99])
        load_state_of(network, 0, model["weights"][str(seed)])
        rows = of_seed(predictions, seed)
        positions = torch.from_numpy(pd.Index(ids).get_indexer(rows["id"]))
        (found,) = predict(network, store, positions[None]).logits
        wanted = torch.from_numpy(rows.filter(like="logit_").to_numpy())
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("content", [None, b"", b"not a model", b"PK\x03\x04 cut off"])
def test_an_absent_or_damaged_model_is_named_in_a_clear_error(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "model.pt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DrugtailError, match=r"model\.pt.*train the block"):
        load_model(path)


def test_a_checkpoint_is_not_taken_for_a_model(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "seeds0-1.pt", "key", 0).save({"epoch": 1})
    with pytest.raises(DrugtailError, match=r"seeds0-1\.pt: is not a model; name the model\.pt"):
        load_model(tmp_path / "seeds0-1.pt")


def test_finishing_a_block_removes_its_own_checkpoint_alone(files: Any, tmp_path: Path) -> None:
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    for other in ("seeds3-5.pt", "notes.txt"):
        (checkpoints / other).write_text("somebody else's")
    train(files.inputs(), "cross_entropy", tmp_path / "out", checkpoints=checkpoints)
    assert sorted(p.name for p in checkpoints.iterdir()) == ["notes.txt", "seeds3-5.pt"]


def test_a_block_that_is_trained_again_is_not_whole_until_it_is_finished(
    files: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = train(files.inputs(), "cross_entropy", tmp_path)
    # Stands for a machine that goes down while results are written.
    monkeypatch.setattr(Manifest, "finish", raise_interrupted)
    with pytest.raises(InterruptedError):
        train(files.inputs(), "cross_entropy", tmp_path, seeds=(1, 2))
    assert not (output / "status.json").exists()


def raise_interrupted(*_: Any, **__: Any) -> None:
    raise InterruptedError


def test_manifest_records_settings_inputs_and_device(files: Any, tmp_path: Path) -> None:
    output = train(files.inputs(), "cost_sensitive", tmp_path)
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["settings"]["training"] == TRAINING.model_dump()
    assert manifest["settings"]["recipe"]["class_weights"]["name"] == "cost_sensitive"
    assert set(manifest["inputs"]) == {"molecules", "split", "features"}
    assert manifest["device"] == "cpu"
    assert manifest["peak_memory_bytes"] > 0


@pytest.mark.parametrize(
    "method", ["cross_entropy", "class_distance_no_subclusters", "class_distance"]
)
def test_mixed_precision_runs_and_stays_close(files: Any, tmp_path: Path, method: str) -> None:
    full = results(train(files.inputs(), method, tmp_path / "a"))["history"]
    mixed = training(mixed_precision=True)
    half = results(train(files.inputs(), method, tmp_path / "b", settings=mixed))["history"]
    # From the first clustering on, sub-clusters can be others, and the loss with them.
    clusterings = refresh_epochs(CATALOGUE.recipe(method), len(full), mixed.schedule_scale)
    alike = clusterings[0] if method == "class_distance" else len(full)
    for name, epochs in (("loss", alike), ("classification_loss", 6), ("valid_loss", 6)):
        wanted = full[name][:epochs].tolist()
        assert half[name][:epochs].tolist() == pytest.approx(wanted, rel=0.05, nan_ok=True)
    assert not half["loss"].equals(full["loss"])


def test_a_split_of_other_molecules_is_refused(
    files: Any, make_files: MakeFiles, tmp_path: Path
) -> None:
    other = make_files((65, 35, 10))
    inputs = {**files.inputs(), "split": other.split}
    with pytest.raises(DrugtailError, match=r"random-0\.parquet.*not those of.*drugtail split"):
        train(inputs, "cross_entropy", tmp_path)


def split_header(split: Path, table: pd.DataFrame) -> dict[str, Any]:
    """Header of a split with another content."""
    return {**read_parquet_metadata(split), "sha256": split_digest(table)}


def test_an_edited_split_is_refused(files: Any, tmp_path: Path) -> None:
    table = read_parquet(files.split)
    table.loc[0, "subset"] = "test" if table.loc[0, "subset"] == "train" else "train"
    write_parquet(tmp_path / "random-0.parquet", table, read_parquet_metadata(files.split))
    with pytest.raises(DrugtailError, match=r"its content has SHA-256 .* it was edited"):
        read_problem(files.molecules, tmp_path / "random-0.parquet")


def test_a_split_that_leaves_a_class_without_training_molecules_is_refused(
    files: Any, tmp_path: Path
) -> None:
    labels, table = read_parquet(files.molecules)["label"], read_parquet(files.split)
    split = tmp_path / "bare-0.parquet"
    moved = table.assign(subset=table["subset"].where(labels != 2, "test"))
    write_parquet(split, moved, split_header(files.split, moved))
    with pytest.raises(DrugtailError, match=r"bare-0\.parquet.*'class 2'.*no training molecule"):
        read_problem(files.molecules, split)


def test_a_split_without_validation_molecules_is_refused(files: Any, tmp_path: Path) -> None:
    table = read_parquet(files.split)
    split = tmp_path / "bare-0.parquet"
    moved = table.assign(subset=table["subset"].replace("valid", "train"))
    write_parquet(split, moved, split_header(files.split, moved))
    with pytest.raises(DrugtailError, match="valid"):
        train({**files.inputs(), "split": split}, "cross_entropy", tmp_path / "run")


@pytest.mark.parametrize("sizes", [(40, 20, 10), (90, 40, 20)], ids=["fewer", "more"])
@pytest.mark.parametrize("method", ["cross_entropy", "random_forest"])
def test_features_of_other_molecules_are_refused(
    files: Any, make_files: MakeFiles, tmp_path: Path, sizes: Sequence[int], method: str
) -> None:
    kind, encoder = ("morgan", MORGAN) if method == "random_forest" else ("atoms", ENCODER)
    inputs = {**files.inputs(kind), "features": getattr(make_files(sizes), kind)}
    with pytest.raises(DrugtailError, match=r"features.json: is of other molecules .*featurize"):
        train(inputs, method, tmp_path, encoder=encoder)


def test_absent_inputs_are_named(files: Any, tmp_path: Path) -> None:
    for name in ("molecules", "split", "features"):
        missing = tmp_path / f"no-{name}"
        with pytest.raises(DrugtailError, match=f"no-{name}.*no such file"):
            train({**files.inputs(), name: missing}, "cross_entropy", tmp_path / "run")


def test_a_network_on_fingerprints_and_a_forest_on_graphs_are_refused_with_what_to_use(
    files: Any, tmp_path: Path
) -> None:
    with pytest.raises(DrugtailError, match=r"'cross_entropy' trains a network.*gcn"):
        train(files.inputs("morgan"), "cross_entropy", tmp_path, encoder=MORGAN)
    with pytest.raises(DrugtailError, match=r"'random_forest'.*'tiny'.*morgan"):
        train(files.inputs("atoms"), "random_forest", tmp_path, encoder=ENCODER)


def test_a_forest_predicts_log_probabilities_of_its_trees(files: Any, tmp_path: Path) -> None:
    forest = recipe("random_forest", **{"classifier.n_estimators": 25})
    output = train(files.inputs("morgan"), forest, tmp_path, encoder=MORGAN, seeds=(0, 1))
    predictions = read_parquet(output / "predictions.parquet")
    logits = predictions.filter(like="logit_").to_numpy()
    # Counts of votes of 25 trees, floored so that the logarithm is finite.
    assert np.isfinite(logits).all()
    assert np.exp(logits).sum(axis=1) == pytest.approx(np.ones(len(logits)), abs=1e-4)
    guess = logits.argmax(axis=1)
    assert balanced_accuracy_score(predictions["label"], guess) > 0.8
    first, second = (of_seed(predictions, seed) for seed in (0, 1))
    assert not first.equals(second)
    assert status(output)["status"] == "finished"
    assert set(load_model(output / "model.pt")["weights"]) == {"0", "1"}
    assert read_parquet(output / "class_history.parquet")["n"].sum() == 2 * len(
        read_problem(files.molecules, files.split).subsets["train"]
    )


def test_a_forest_does_not_depend_on_the_number_of_threads(files: Any, tmp_path: Path) -> None:
    forest = recipe("random_forest", **{"classifier.n_estimators": 10})
    block = Block(
        **files.inputs("morgan"), recipe=forest, encoder=MORGAN, training=TRAINING, seeds=(0,),
        device="cpu",
    )  # fmt: skip
    for threads in (1, 2):
        train_block(replace(block, threads=threads), tmp_path / f"{threads}")
    torch.set_num_threads(1)
    first, second = (read_parquet(tmp_path / f"{n}" / "predictions.parquet") for n in (1, 2))
    pd.testing.assert_frame_equal(first, second)


def test_training_needs_neither_rdkit_nor_snakemake_nor_mlflow(files: Any, tmp_path: Path) -> None:
    report = """
forbidden = {"rdkit", "snakemake", "mlflow", "deepchem", "matplotlib"}
print(sorted(forbidden & {name.split(".")[0] for name in sys.modules}))
"""
    process = in_another_process(
        files.inputs(), "class_distance", tmp_path / "run", tmp_path / "checkpoints",
        training(epochs=3), (0,), SCRIPT + report,
    )  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert out.strip() == "[]"
    assert status(tmp_path / "run")["status"] == "finished"


def test_problem_knows_its_parts_and_counts(files: Any) -> None:
    problem = read_problem(files.molecules, files.split)
    table = read_parquet(files.molecules).merge(read_parquet(files.split), on="id")
    assert problem.classes == 3
    assert (problem.dataset, problem.split) == ("tiny", "random-0")
    for part in ("train", "valid", "test"):
        assert (
            problem.ids[problem.subsets[part]].tolist()
            == table["id"][table["subset"] == part].tolist()
        )
    by_class = table[table["subset"] == "train"].groupby("label").size()
    assert problem.train_counts.tolist() == by_class.tolist()
    assert replace(problem, class_names=[*problem.class_names, "d"]).train_counts[3] == 0
