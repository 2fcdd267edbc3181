"""An ensemble's block: other blocks' stored predictions averaged, seed by seed or over seeds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from drugtail.config.code import code_of
from drugtail.config.prior import Shares
from drugtail.methods.ensemble import averaged
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, write_json
from drugtail.runtime.logging import say
from drugtail.runtime.manifest import Manifest
from drugtail.runtime.names import DEFAULT, TUNED
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata
from drugtail.training.block_files import block_header, status_of, write_tables
from drugtail.training.kept import keep_ensemble
from drugtail.training.problem import TEST, VALID, Problem, read_problem
from drugtail.training.record import SeedResult, learned_shares

if TYPE_CHECKING:
    from drugtail.config.encoder import Encoder
    from drugtail.config.recipe import Recipe


@dataclass(frozen=True)
class EnsembleBlock:
    """An ensemble, its members and the runs that are averaged.

    Attributes
    ----------
    molecules, split
        ``molecules.parquet`` and the split's Parquet file.
    recipe, encoder
        The ensemble, and the encoder in whose row it stands.
    members
        Folders of the blocks that are averaged.
    seeds
        Seeds of the runs; of an average over seeds the number of the first one.
    keep_model
        Whether ``model.pt`` is written.
    """

    molecules: Path
    split: Path
    recipe: Recipe
    encoder: Encoder
    members: Sequence[Path]
    seeds: Sequence[int]
    keep_model: bool = True


class _Member(NamedTuple):
    """A block whose predictions are averaged: its folder, how it ended, and what it said."""

    folder: Path
    states: dict[str, dict[str, Any]]
    shares: dict[str, Shares]
    settings: str
    predictions: pd.DataFrame

    def is_finished(self, seed: int) -> bool:
        state = self.states.get(str(seed))
        return state is not None and state["status"] == "finished"


def average_blocks(block: EnsembleBlock, output: Path) -> None:
    """Average the members of an ensemble and write the files of its block into `output`.

    The files are those of every block. A seed of which a member has not finished is ``diverged``.

    Parameters
    ----------
    block
        What is averaged.
    output
        Folder.

    Raises
    ------
    DrugtailError
        If a member is of another data set, split or molecules, is not finished as a block, or has
        none of the seeds.
    """
    manifest = Manifest(code_of(block.encoder, block.recipe))
    problem = read_problem(block.molecules, block.split)
    members = [_read_member(folder, problem, block) for folder in block.members]
    results = {seed: _average(block, problem, members, seed) for seed in block.seeds}
    recipe, encoder = block.recipe, block.encoder
    # An earlier average is no whole block from here on.
    (output / "status.json").unlink(missing_ok=True)
    kind = TUNED if any(member.settings == TUNED for member in members) else DEFAULT
    header = block_header(problem, recipe, encoder, kind, block.seeds)
    write_tables(output, problem, header, results, embeddings=False)
    shares = learned_shares(recipe, problem.train_counts.tolist(), results)
    model = output / "model.pt"
    model.unlink(missing_ok=True)
    if block.keep_model:
        keep_ensemble(model, recipe, encoder, problem, results, shares, block.members)
    write_json(
        output / "manifest.json",
        manifest.finish(
            settings={
                "dataset": problem.dataset,
                "split": problem.split,
                "recipe": recipe.model_dump(exclude={"tuning"}),
                "encoder": encoder.model_dump(),
                "training": None,
                "seeds": list(block.seeds),
                "members": [member_name(folder) for folder in block.members],
            },
            inputs={
                "molecules": block.molecules,
                "split": block.split,
                **{
                    f"member {member_name(folder)}": folder / "predictions.parquet"
                    for folder in block.members
                },
            },
            digests={"split": problem.split_sha256},
            outputs={model.name: file_digest(model)} if block.keep_model else {},
            shares=shares,
            device="cpu",
            device_peak_memory_bytes=None,
        ),
    )
    write_json(output / "status.json", status_of(results))


def member_name(folder: Path) -> str:
    """Return the name of a member's block: its folder below results/runs/."""
    return "/".join(folder.parts[-5:])


def _read_member(folder: Path, problem: Problem, block: EnsembleBlock) -> _Member:
    if not (folder / "status.json").is_file():
        raise DrugtailError(f"{folder}: is not a finished block; train it first")
    manifest = read_json(folder / "manifest.json")
    wanted = {
        "molecules": file_digest(block.molecules),
        "split": problem.split_sha256,
    }
    for name, digest in wanted.items():
        found = manifest["inputs"][name]["sha256"]
        if found != digest:
            raise DrugtailError(
                f"{folder}: was made with another {name} (SHA-256 {found[:16]}…) than "
                f"{getattr(block, name)} ({digest[:16]}…); train it again"
            )
    if "shares" not in manifest:
        raise DrugtailError(f"{folder}: was made by an earlier version; train it again")
    path = folder / "predictions.parquet"
    return _Member(
        folder,
        read_json(folder / "status.json")["seeds"],
        manifest["shares"],
        read_parquet_metadata(path)["settings"],
        read_parquet(path),
    )


def _average(
    block: EnsembleBlock, problem: Problem, members: Sequence[_Member], seed: int
) -> SeedResult:
    """Return the mean of all members at a seed, or at all of theirs."""
    ensemble = block.recipe.ensemble
    assert ensemble is not None
    asked = [
        (member, one)
        for member in members
        for one in (map(int, member.states) if ensemble.over_seeds else [seed])
    ]
    lacking = [
        f"{member.folder}, seed {one}" for member, one in asked if not member.is_finished(one)
    ]
    if lacking:
        say(
            f"{problem.dataset} {problem.split} {block.recipe.name} seed {seed}: not averaged, "
            f"since a member has no finished run: {'; '.join(lacking)}"
        )
        return SeedResult("diverged", 0, None, [], [])
    learned = [member.shares[str(one)] for member, one in asked]
    if ensemble.tau is not None and None in learned:
        unknown = asked[learned.index(None)][0]
        raise DrugtailError(
            f"{unknown.folder}: its probabilities have learned no known class shares; leave it "
            "out, or set ensemble.tau to null"
        )
    counts = problem.train_counts.tolist()
    logits = {
        subset: averaged(
            [_checked(member, subset, one, problem) for member, one in asked],
            learned, counts, ensemble.tau,
        )
        for subset in (VALID, TEST)
    }  # fmt: skip
    row = {
        "epoch": 0,
        # All members' training.
        "seconds": sum(member.states[str(one)]["seconds"] for member, one in asked),
        "finished_at": time.time(),
    }
    classes = [{"moment": "chosen", "epoch": 0, "label": c, "n": n} for c, n in enumerate(counts)]
    return SeedResult("finished", 0, 0, [row], classes, logits=logits, weights={})


def _checked(member: _Member, subset: str, seed: int, problem: Problem) -> NDArray[np.float32]:
    """Logits of a member, [n, C], of the molecules that the split says, in its order."""
    of = (member.predictions["seed"] == seed) & (member.predictions["subset"] == subset)
    rows, found = problem.subsets[subset], member.predictions[of]
    same = np.array_equal(found["id"], problem.ids[rows])
    if not same or not np.array_equal(found["label"], problem.labels[rows]):
        raise DrugtailError(
            f"{member.folder}/predictions.parquet: is not of the {subset} molecules of the split; "
            "train it again"
        )
    logits: NDArray[np.float32] = found.filter(like="logit_").to_numpy()
    return logits
