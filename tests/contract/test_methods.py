"""What every recipe under config/methods has to do, whoever adds it."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from catalogue import CheckedCatalogue

from drugtail.config.base import declares, merged
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.config.encoders.gcn import GraphEncoder
from drugtail.config.encoders.mlp import MLPEncoder
from drugtail.config.recipe import Recipe
from drugtail.config.training import Training
from drugtail.predict.model import Model
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import read_parquet
from drugtail.training.block import Block, train_block

MakeFiles = Callable[[Sequence[int]], Any]

CATALOGUE = CheckedCatalogue()
# Ensembles train nothing.
TRAINED = [name for name in CATALOGUE.names("methods") if not CATALOGUE.recipe(name).ensemble]
NETWORKS = [name for name in TRAINED if CATALOGUE.recipe(name).is_network]
GRAPH = GraphEncoder(name="tiny", kind="gcn", layers=2, width=16, head=[16])
MORGAN = FingerprintEncoder(name="morgan", kind="fingerprint")
PERCEPTRON = MLPEncoder(name="mlp", kind="mlp", layers=1, width=32, head=[16], dropout=0.2)
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
# The last class has three molecules, of which the split leaves one for training.
SIZES = {2: (60, 3), 3: (60, 20, 3), 12: (50, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3)}
# Recipes that name epochs get a warm-up of one, and of two at most.
SHORT = Training(epochs=3, batch_size=32, schedule_scale=0.01)
# Settings of classical parts for few molecules: less work, leaves that so few can fill, and columns
# so few that seeds do not find the same split of so easy a set.
SMALL = {
    "n_estimators": 10,
    "adaboost_n_estimators": 5,
    "min_child_samples": 1,
    "colsample_bytree": 0.1,
}
# SMOTE between the copies of a single molecule gives the same molecule: nothing is random.
# Neither is it with nearest neighbours.
SEEDS_ARE_EQUAL = {
    ("smote_logistic", 2),
    # A leaf may not hold the one molecule of the smaller class, so that no tree splits.
    ("xgboost_unweighted", 2),
    *(("nearest_neighbours", classes) for classes in (2, 3, 12)),
}  # fmt: skip


def recipe_of(method: str) -> Recipe:
    recipe = CATALOGUE.recipe(method)
    known = type(recipe.classifier).model_fields if recipe.classifier is not None else {}
    return merged(recipe, {f"classifier.{key}": SMALL[key] for key in SMALL if key in known})


def train(
    files: Any,
    method: str,
    output: Path,
    *,
    training: Training = SHORT,
    seeds: Sequence[int] = (0,),
    device: str = "cpu",
) -> Path:
    recipe = recipe_of(method)
    graph = recipe.is_network
    block = Block(
        **files.inputs("atoms" if graph else "morgan"),
        recipe=recipe,
        encoder=GRAPH if graph else MORGAN,
        training=training,
        seeds=seeds,
        device=device,
    )
    train_block(block, output)
    return output


def logits(output: Path, seed: int) -> np.ndarray:
    predictions = read_parquet(output / "predictions.parquet")
    return predictions[predictions["seed"] == seed].filter(like="logit_").to_numpy()


def test_the_folder_of_recipes_holds_the_six_methods_of_the_first_benchmark() -> None:
    first = {
        "cross_entropy", "class_balanced_sampling", "cost_sensitive", "balanced_softmax",
        "class_distance", "random_forest",
    }  # fmt: skip
    assert first <= set(CATALOGUE.names("methods"))


@pytest.mark.parametrize(
    "method", [name for name in CATALOGUE.names("methods") if name not in CATALOGUE.own]
)
def test_a_recipe_lies_in_the_folder_of_its_family_and_says_what_it_is(method: str) -> None:
    recipe = CATALOGUE.recipe(method)
    assert CATALOGUE.path("methods", method).parent.name == recipe.family
    assert recipe.idea.endswith(".")
    # Plain cross-entropy is nobody's proposal.
    assert recipe.reference is not None or method == "cross_entropy"
    assert recipe.reference is None or recipe.reference.link


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("classes", SIZES)
@pytest.mark.parametrize("method", TRAINED)
def test_a_recipe_trains_on_few_and_many_classes_one_with_a_single_molecule(
    make_files: MakeFiles, tmp_path: Path, method: str, classes: int, device: str
) -> None:
    files = make_files(SIZES[classes])
    first = train(files, method, tmp_path / "a", seeds=(0, 1), device=device)
    status = json.loads((first / "status.json").read_text())
    assert {run["status"] for run in status["seeds"].values()} == {"finished"}

    table = read_parquet(first / "class_history.parquet")
    assert table["n"].min() == 1, "the hard case is among them"
    assert sorted(table["label"].unique()) == list(range(classes))
    if recipe_of(method).is_network:
        history = read_parquet(first / "history.parquet")
        assert history.groupby("seed")["epoch"].apply(list).tolist() == [[*range(SHORT.epochs)]] * 2
        assert np.isfinite(history["loss"]).all()
        weights = table.dropna(subset="weight").groupby(["seed", "epoch"])["weight"].mean()
        assert len(weights) >= 2
        assert weights.to_numpy() == pytest.approx(1, rel=1e-5)

    expected = read_parquet(files.split)["subset"].isin(["valid", "test"]).sum()
    for seed in (0, 1):
        assert logits(first, seed).shape == (expected, classes)
        assert np.isfinite(logits(first, seed)).all()
    equal = np.array_equal(logits(first, 0), logits(first, 1))
    assert equal == ((method, classes) in SEEDS_ARE_EQUAL)
    # Many classes are the hardest case.
    if classes == max(SIZES):
        again = train(files, method, tmp_path / "b", seeds=(0, 1), device=device)
        pd.testing.assert_frame_equal(
            *(read_parquet(folder / "predictions.parquet") for folder in (first, again)),
            check_exact=True,
        )


@pytest.mark.parametrize("method", NETWORKS)
def test_a_network_trains_on_fingerprints_too_and_its_model_says_the_same_again(
    make_files: MakeFiles, tmp_path: Path, method: str
) -> None:
    files, recipe = make_files(SIZES[3]), recipe_of(method)
    block = Block(
        **files.inputs("morgan"), recipe=recipe, encoder=PERCEPTRON, training=SHORT, seeds=(0, 1),
        device="cpu",
    )  # fmt: skip
    if declares(recipe.second_stage, "needs_atoms"):
        with pytest.raises(DrugtailError, match="grafts parts of graphs"):
            train_block(block, tmp_path)
        return
    train_block(block, tmp_path)
    stored = read_parquet(tmp_path / "predictions.parquet")
    molecules = read_parquet(files.molecules).set_index("id")["smiles"]
    model = Model(tmp_path / "model.pt")
    ids = stored.loc[stored["seed"] == 0, "id"]
    said = model.ask(model.featurizer.arrays(molecules[ids].tolist()))
    for index, seed in enumerate((0, 1)):
        found = logits(tmp_path, seed)
        assert np.isfinite(found).all()
        np.testing.assert_allclose(said.logits[index], found, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", NETWORKS)
def test_the_loss_of_a_network_falls_on_an_easy_set(
    make_files: MakeFiles, tmp_path: Path, method: str
) -> None:
    epochs = 24
    longer = merged(SHORT, {"epochs": epochs, "learning_rate": 0.005})
    output = train(make_files((70, 50, 40)), method, tmp_path, training=longer)
    history = read_parquet(output / "history.parquet")
    # Losses compare where they are the same: after a warm-up, and up to a change of the method.
    recipe = CATALOGUE.recipe(method)
    changes = (recipe.class_weights, recipe.loss, recipe.second_stage)
    until = min((getattr(part, "start", None) or 1.0) for part in changes) * epochs
    same = (history["classification_loss"] > 0) & (history["epoch"] < int(until))
    losses = history.loc[same, "classification_loss"]
    assert len(losses) >= 10
    assert losses.iloc[-1] < 0.8 * losses.iloc[0]
    contrastive = history.loc[same, "contrastive_loss"]
    if (contrastive > 0).any():
        assert contrastive.iloc[-1] < contrastive.iloc[0]
    assert history["valid_balanced_accuracy"].max() > 0.8, "by chance it would be a third"
