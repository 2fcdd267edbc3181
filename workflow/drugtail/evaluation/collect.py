"""One table of runs and one of classes from many blocks; what is missing is a row that says so."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from drugtail.config.benchmark import parse_seeds
from drugtail.evaluation.evaluate import KEYS
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json, read_parquet, read_parquet_metadata, write_parquet
from drugtail.runtime.names import DEFAULT, TUNED, method_folder, parse_method_folder

SEEDS_FOLDER = re.compile(r"^seeds(\d+-\d+)$")


class Block(NamedTuple):
    """A block by the names in its path."""

    dataset: str
    split: str
    encoder: str
    method: str
    seeds: str
    folder: Path
    settings: str = DEFAULT

    @property
    def run_key(self) -> tuple[str, str, str, str]:
        """What tells its runs from those of other blocks, but the seed."""
        return (*self[:3], method_folder(self.method, self.settings))


def parse_block(folder: Path) -> Block:
    """Read data set, split, encoder, method, seeds and settings off a block's folder.

    Raises
    ------
    DrugtailError
        If the path does not end in dataset/split/encoder/method/seeds{first}-{last}.
    """
    parts = folder.parts[-5:]
    match = SEEDS_FOLDER.match(folder.name)
    if len(parts) < 5 or not match or not _is_block_of_seeds(match[1]):
        raise DrugtailError(
            f"{folder}: is not a block; its path must end in "
            "dataset/split/encoder/method/seeds{first}-{last}"
        )
    method, settings = parse_method_folder(parts[3])
    return Block(parts[0], parts[1], parts[2], method, match[1], folder, settings)


def _is_block_of_seeds(text: str) -> bool:
    try:
        parse_seeds(text)
    except ValueError:
        return False
    return True


def collect_blocks(folders: Sequence[Path], output: Path) -> None:
    """Put the metrics of blocks into three tables in the folder `output`.

    Parameters
    ----------
    folders
        Folders of blocks. A folder without status.json counts as runs that are ``missing``.
    output
        Folder for ``runs.parquet``, ``class_metrics.parquet`` and ``class_history.parquet``. Each
        file has a column ``settings``: default or tuned.
        ``runs.parquet`` has one row per run: its keys, ``status`` (finished, diverged or missing),
        ``epochs``, ``best_epoch``, ``seconds``, ``class_weights`` (the component's name),
        ``weight_ratio`` (largest over smallest weight) and every metric.

    Raises
    ------
    DrugtailError
        If a run stands in two blocks, or a block's folder says tuned and its files do not.
    """
    blocks = [parse_block(folder) for folder in folders]
    _refuse_overlap(blocks)
    runs, classes, history = [], [], []
    for block in blocks:
        states = block_states(block)
        if (block.folder / "status.json").is_file():
            metrics = read_parquet(block.folder / "metrics.parquet")
            states = states.merge(metrics, on=KEYS, how="left")
            class_metrics = read_parquet(block.folder / "class_metrics.parquet")
            classes.append(class_metrics.assign(settings=block.settings))
            names = {"dataset": block.dataset, "split": block.split, "encoder": block.encoder,
                     "method": block.method, "settings": block.settings}  # fmt: skip
            measured = read_parquet(block.folder / "class_history.parquet").assign(**names)
            history.append(measured)
            header = read_parquet_metadata(block.folder / "class_history.parquet")
            _check_settings(block, header)
            states["class_weights"] = header.get("class_weights")
            states["weight_ratio"] = states["seed"].map(_weight_ratio(measured))
        runs.append(states)
    write_parquet(output / "runs.parquet", _stacked(runs))
    write_parquet(output / "class_metrics.parquet", _stacked(classes))
    write_parquet(output / "class_history.parquet", _stacked(history))


def _check_settings(block: Block, header: dict[str, Any]) -> None:
    """Refuse a block whose files say otherwise than its folder's name."""
    said = header.get("settings", DEFAULT)
    if said != block.settings:
        raise DrugtailError(
            f"{block.folder}: its name stands for {block.settings} settings, but it was trained "
            f"with {said} ones; train it again with `drugtail train"
            f"{' --tuned' if block.settings == TUNED else ''}` or move it"
        )


def _weight_ratio(measured: pd.DataFrame) -> pd.Series:
    """Largest over smallest class weight of all re-clusterings, by seed."""
    weights = measured.dropna(subset="weight").groupby("seed")["weight"]
    ratio: pd.Series = weights.max() / weights.min()
    return ratio


def check_complete(runs: Path) -> int:
    """Return the number of runs, all of them finished.

    Raises
    ------
    DrugtailError
        If any diverged or is missing; the message names up to ten of them.
    """
    frame = read_parquet(runs, [*KEYS, "status"])
    gaps = frame[frame["status"] != "finished"]
    if len(gaps):
        named = [
            f"  {'/'.join(str(row[key]) for key in KEYS)}: {row['status']}"
            for _, row in gaps.head(10).iterrows()
        ]
        raise DrugtailError(
            f"{runs}: {len(gaps)} of {len(frame)} runs are not finished:\n" + "\n".join(named)
        )
    return len(frame)


def block_states(block: Block) -> pd.DataFrame:
    """What ``runs.parquet`` has of a block's runs but metrics and weights: keys, status, times."""
    path = block.folder / "status.json"
    found = read_json(path)["seeds"] if path.is_file() else {}
    rows = []
    for seed in parse_seeds(block.seeds):
        state = found.get(str(seed), {"status": "missing"})
        rows.append(
            {
                "dataset": block.dataset,
                "split": block.split,
                "encoder": block.encoder,
                "method": block.method,
                "seed": seed,
                "settings": block.settings,
                "status": state["status"],
                "epochs": state.get("epochs"),
                "best_epoch": state.get("best_epoch"),
                "seconds": state.get("seconds"),
            }
        )
    types = {"epochs": "Int64", "best_epoch": "Int64", "seconds": "float64"}
    return pd.DataFrame(rows).astype(types)


def _refuse_overlap(blocks: Sequence[Block]) -> None:
    owner: dict[tuple[object, ...], Block] = {}
    for block in blocks:
        for seed in parse_seeds(block.seeds):
            run = (*block.run_key, seed)
            if run in owner:
                raise DrugtailError(
                    f"{block.folder}: seed {seed} stands in {owner[run].folder} too; name only "
                    "one of the two blocks, or give them different seeds"
                )
            owner[run] = block


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [frame for frame in frames if not frame.empty]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=KEYS)
