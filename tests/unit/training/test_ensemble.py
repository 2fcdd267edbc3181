"""Blocks of ensembles: from the files of other blocks, as a mean and as a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax, softmax
from small_training import ENCODER, MakeFiles, recipe, status, train, training

from drugtail.config.base import merged
from drugtail.config.encoders.fingerprint import FingerprintEncoder
from drugtail.config.recipe import Recipe
from drugtail.predict.table import predict
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_json
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata
from drugtail.training.ensemble import EnsembleBlock, average_blocks

MORGAN = FingerprintEncoder(name="morgan", kind="fingerprint")
SEEDS = (0, 1)


def ensemble(*of: str, **changes: Any) -> Recipe:
    given = {"of": [{"method": name} for name in of], **changes}
    return merged(recipe("prior_adjusted_ensemble"), {"ensemble": given})


def forest(files: Any, output: Path, seeds: Sequence[int] = SEEDS) -> Path:
    small = recipe("random_forest", **{"classifier.n_estimators": 15})
    return train(files.inputs("morgan"), small, output, encoder=MORGAN, seeds=seeds)


def network(files: Any, output: Path, seeds: Sequence[int] = SEEDS) -> Path:
    return train(
        files.inputs("atoms"), "balanced_softmax", output, settings=training(epochs=3), seeds=seeds
    )


def average(files: Any, members: list[Path], output: Path, **changes: Any) -> Path:
    given: dict[str, Any] = {
        "recipe": ensemble("balanced_softmax", "random_forest"),
        "encoder": ENCODER, "seeds": SEEDS, **changes,
    }  # fmt: skip
    average_blocks(EnsembleBlock(files.molecules, files.split, members=members, **given), output)
    return output


def of_test(block: Path, seed: int) -> pd.DataFrame:
    rows = read_parquet(block / "predictions.parquet")
    found: pd.DataFrame = rows[(rows["seed"] == seed) & (rows["subset"] == "test")]
    return found.set_index("id").filter(like="logit_")


@pytest.fixture
def members(files: Any, tmp_path: Path) -> list[Path]:
    return [network(files, tmp_path / "network"), forest(files, tmp_path / "forest")]


def test_a_block_of_an_ensemble_is_the_mean_of_its_members_seed_by_seed(
    files: Any, members: list[Path], tmp_path: Path
) -> None:
    found = average(files, members, tmp_path / "both")
    header = read_parquet_metadata(found / "predictions.parquet")
    prior = np.array(header["train_counts"]) / sum(header["train_counts"])
    for seed in SEEDS:
        first = softmax(of_test(members[0], seed).to_numpy(float), axis=1).clip(1e-6) * prior
        votes = softmax(of_test(members[1], seed).to_numpy(float), axis=1).clip(1e-6)
        each = [one / one.sum(axis=1, keepdims=True) for one in (first, votes)]
        wanted = np.log(np.mean(each, axis=0) / prior**0.5)
        np.testing.assert_allclose(of_test(found, seed), wanted, rtol=1e-4, atol=1e-4)
    manifest, state = read_json(found / "manifest.json"), status(found)
    assert state["status"] == "finished"
    names = [f"member {'/'.join(one.parts[-5:])}" for one in members]
    digests = {name: manifest["inputs"][name]["sha256"] for name in names}
    assert len(set(digests.values())) == 2
    left = prior**0.5 / (prior**0.5).sum()
    assert manifest["shares"]["0"] == pytest.approx(left.tolist())
    cost = sum(status(one)["seeds"]["1"]["seconds"] for one in members)
    assert state["seeds"]["1"]["seconds"] == pytest.approx(cost, abs=2e-3)
    assert state["seeds"]["1"]["updates"] == 0


@pytest.mark.parametrize("sizes", [(70, 30, 10), (50, 20)])
@pytest.mark.parametrize("over_seeds", [False, True])
def test_its_model_says_again_what_the_block_predicted(
    sizes: tuple[int, ...], over_seeds: bool, make_files: MakeFiles, tmp_path: Path
) -> None:
    files = make_files(sizes)
    members = [network(files, tmp_path / "network"), forest(files, tmp_path / "forest")]
    seeds = SEEDS[:1] if over_seeds else SEEDS
    both = ensemble("balanced_softmax", "random_forest", over_seeds=over_seeds)
    found = average(files, members, tmp_path / "both", recipe=both, seeds=seeds)
    molecules = read_parquet(files.molecules)
    table = pd.DataFrame({"id": molecules["id"], "SMILES": molecules["smiles"]})
    table.to_csv(tmp_path / "asked.csv", index=False)
    # Nothing but the file is needed.
    alone = tmp_path / "alone.pt"
    alone.write_bytes((found / "model.pt").read_bytes())
    predict(alone, tmp_path / "asked.csv", tmp_path / "said.csv")
    answers = pd.read_csv(tmp_path / "said.csv").set_index("id")
    each = [softmax(of_test(found, seed), axis=1) for seed in seeds]
    ids = of_test(found, 0).index
    names = [f"drugtail_p_class {c}" for c in range(len(sizes))]
    given = answers.loc[ids, names].to_numpy(float)
    np.testing.assert_allclose(given, np.mean(each, axis=0), rtol=2e-4, atol=1e-6)
    assert ("drugtail_spread" in answers) == (not over_seeds)
    assert answers["drugtail_similarity"].loc[molecules["id"]].max() == pytest.approx(1)


def test_an_average_over_seeds_takes_all_of_several_blocks(files: Any, tmp_path: Path) -> None:
    blocks = [forest(files, tmp_path / "one"), forest(files, tmp_path / "two", (2, 3, 4))]
    whole = ensemble("random_forest", tau=None, over_seeds=True)
    found = average(files, blocks, tmp_path / "all", recipe=whole, encoder=MORGAN, seeds=(0,))
    each = [
        softmax(of_test(b, s), axis=1)
        for b, s in zip([blocks[0]] * 2 + [blocks[1]] * 3, range(5), strict=True)
    ]
    np.testing.assert_allclose(np.exp(of_test(found, 0)), np.mean(each, axis=0), rtol=1e-4)
    assert read_json(found / "manifest.json")["shares"] == {"0": None}


def test_members_of_one_featurizer_read_it_once(files: Any, tmp_path: Path) -> None:
    trees = [forest(files, tmp_path / "one"), forest(files, tmp_path / "two")]
    found = average(files, trees, tmp_path / "both", encoder=MORGAN)
    molecules = read_parquet(files.molecules)
    molecules[["smiles"]].to_csv(tmp_path / "asked.csv", index=False)
    predict(found, tmp_path / "asked.csv", tmp_path / "said.csv")
    assert pd.read_csv(tmp_path / "said.csv")["drugtail_similarity"].max() == pytest.approx(1)


def test_a_seed_of_which_a_member_has_diverged_has_no_mean(
    files: Any, members: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = status(members[1])
    state["seeds"]["1"]["status"] = "diverged"
    write_json(members[1] / "status.json", state)
    found = average(files, members, tmp_path / "both")
    runs = status(found)
    assert runs["status"] == "failed"
    assert [runs["seeds"][s]["status"] for s in ("0", "1")] == ["finished", "diverged"]
    assert read_parquet(found / "predictions.parquet")["seed"].unique().tolist() == [0]
    assert f"no finished run: {members[1]}, seed 1" in capsys.readouterr().err


def test_members_of_another_split_or_without_known_shares_are_refused(
    files: Any, members: list[Path], make_files: MakeFiles, tmp_path: Path
) -> None:
    other = forest(make_files((60, 40, 10)), tmp_path / "other")
    with pytest.raises(DrugtailError, match=r"other: was made with another molecules"):
        average(files, [members[0], other], tmp_path / "both")
    with pytest.raises(DrugtailError, match="nothing: is not a finished block"):
        average(files, [members[0], tmp_path / "nothing"], tmp_path / "both")
    experts = train(
        files.inputs("atoms"), "ride", tmp_path / "ride", settings=training(epochs=3), seeds=SEEDS
    )
    with pytest.raises(DrugtailError, match="ride: its probabilities have learned no known class"):
        average(files, [members[0], experts], tmp_path / "both")
    plain = ensemble("balanced_softmax", "ride", tau=None)
    found = average(files, [members[0], experts], tmp_path / "both", recipe=plain)
    logits = [log_softmax(of_test(one, 1), axis=1) for one in (members[0], experts)]
    np.testing.assert_allclose(np.exp(of_test(found, 1)), np.exp(logits).mean(axis=0), rtol=1e-4)
