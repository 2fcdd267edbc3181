"""One table of runs and one of classes from many blocks; what is missing is a row that says so."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from drugtail.config.benchmark import parse_seeds
from drugtail.config.prior import Shares
from drugtail.evaluation.compared import Compared, Masks, note_on
from drugtail.evaluation.corrections import correction, learned_shares
from drugtail.evaluation.derived_rows import GHOST, corrected_name, is_derived
from drugtail.evaluation.evaluate import KEYS, further_metrics
from drugtail.evaluation.metrics import packaged_metrics
from drugtail.evaluation.molecules import with_group_sizes
from drugtail.methods.ghost import FEWEST, ghost_threshold
from drugtail.methods.prior import is_even
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json
from drugtail.runtime.logging import say
from drugtail.runtime.names import DEFAULT, method_label, parse_block_folder
from drugtail.runtime.parquet import read_parquet, read_parquet_metadata, write_parquet

SEEDS_FOLDER = re.compile(r"^seeds(\d+-\d+)$")


class Block(NamedTuple):
    """A block by the names in its path.

    ``digest`` stands for its settings; it is empty in folders that have none. ``settings`` is
    ``default`` or ``tuned``.
    """

    dataset: str
    split: str
    encoder: str
    method: str
    digest: str
    seeds: str
    folder: Path
    settings: str = DEFAULT

    @property
    def run_key(self) -> tuple[str, str, str, str]:
        """Key of the block's runs in tables, without the seed."""
        return (self.dataset, self.split, self.encoder, method_label(self.method, self.settings))


def parse_block(folder: Path, settings: str | None = None) -> Block:
    """Read data set, split, encoder, method, digest and seeds off a block's folder.

    Parameters
    ----------
    folder
        The folder.
    settings
        ``default`` or ``tuned``, as the benchmark wants it. By default its files say it, and a
        folder without files is one of defaults.

    Raises
    ------
    DrugtailError
        If the path does not end in dataset/split/encoder/method-digest/seeds{first}-{last}, or its
        files say other settings than wanted.
    """
    parts = folder.parts[-5:]
    match = SEEDS_FOLDER.match(folder.name)
    if len(parts) < 5 or not match or not _is_block_of_seeds(match[1]):
        raise DrugtailError(
            f"{folder}: is not a block; its path must end in "
            "dataset/split/encoder/method-digest/seeds{first}-{last}"
        )
    method, digest = parse_block_folder(parts[3])
    history = folder / "class_history.parquet"
    found = settings or DEFAULT
    if history.is_file():
        found = read_parquet_metadata(history).get("settings", DEFAULT)
        if settings is not None and found != settings:
            raise DrugtailError(
                f"{folder}: the benchmark wants {settings} settings, but it was trained with "
                f"{found} ones; delete it and start again"
            )
    return Block(parts[0], parts[1], parts[2], method, digest, match[1], folder, found)


def _is_block_of_seeds(text: str) -> bool:
    try:
        parse_seeds(text)
    except ValueError:
        return False
    return True


def collect_blocks(
    folders: Sequence[Path],
    output: Path,
    settings: Mapping[Path, str] | None = None,
    metrics: Sequence[str] = (),
    corrections: Sequence[float] = (),
    notes: Sequence[str] = (),
    thresholds: bool = False,
    separability: Sequence[Path] = (),
) -> None:
    """Put the metrics of blocks into three tables in the folder `output`.

    Parameters
    ----------
    folders
        Folders of blocks. A folder without status.json counts as runs that are ``missing``.
    settings
        Folder -> ``default`` or ``tuned``, as the benchmark wants it; see `parse_block`.
    output
        Folder for ``runs.parquet``, ``class_metrics.parquet`` and ``class_history.parquet``. Each
        file has a column ``settings``: default or tuned.
        ``runs.parquet`` has one row per run: its keys, ``status`` (finished, diverged or missing),
        ``epochs``, ``best_epoch``, ``updates`` of the weights and ``molecules_seen``
        by them (0 for classical methods), ``seconds``, ``n_train`` and ``n_test`` (molecules),
        ``n_test_head``, ``n_test_middle``, ``n_test_tail``,
        ``class_weights`` (the component's name),
        ``weight_ratio`` (largest over smallest weight) and every metric.
    metrics
        Metrics of plugins, which are computed here: blocks are shared with benchmarks that do not
        know them.

    corrections
        Strengths τ of a correction of the prior: each adds a row per run, whose method is called
        ``{method}+prior_{tau}`` (`drugtail.methods.prior`). The header lists methods that have none
        (``uncorrected``), and those that have nothing left to correct (``even``).
    notes
        On methods, for readers of tables; the header has them (``notes``).
    thresholds
        Add a row per run of data sets with two classes, called ``{method}+ghost``: the decision by
        the threshold that `drugtail.methods.ghost` chooses on the run's validation molecules.
    separability
        What `drugtail separability` wrote of the splits: then classes have columns ``silhouette``
        and ``nearest_silhouette``.

    Where the splits of a data set do not test the same classes, means are taken over those that all
    test (`drugtail.evaluation.compared`); the header of ``runs.parquet`` lists the others
    (``left_out``: data set -> subset -> names).

    Raises
    ------
    DrugtailError
        If a run stands in two blocks, or a block's files say other settings than wanted.
    """
    wanted = settings or {}
    blocks = [parse_block(folder, wanted.get(folder)) for folder in folders]
    _refuse_overlap(blocks)
    compared = _compared(blocks)
    runs, classes, history = [], [], []
    undefined: list[str] = []
    even: list[str] = []
    few: set[str] = set()
    for block in blocks:
        states = block_states(block)
        if _has_files(block):
            known = _metrics_of(block, compared.get(block.dataset), metrics)
            states = states.merge(known, on="seed", how="left")
            class_metrics = read_parquet(block.folder / "class_metrics.parquet")
            classes.append(class_metrics.assign(settings=block.settings))
            states = states.merge(_sizes(class_metrics), on="seed", how="left")
            names = {"dataset": block.dataset, "split": block.split, "encoder": block.encoder,
                     "method": block.method, "settings": block.settings}  # fmt: skip
            measured = read_parquet(block.folder / "class_history.parquet").assign(**names)
            history.append(measured)
            header = read_parquet_metadata(block.folder / "class_history.parquet")
            states["class_weights"] = header.get("class_weights")
            states["weight_ratio"] = states["seed"].map(_weight_ratio(measured))
        runs.append(states)
        if not _has_files(block):
            continue
        masks = compared[block.dataset].masks if block.dataset in compared else None
        shares = learned_shares(block.folder) if corrections else {}
        for tau in corrections:
            learned = next(iter(shares.values()), None)
            if learned is None or is_even(learned):
                (undefined if learned is None else even).append(block.method)
                continue
            row = _corrected(block, shares, tau, masks, metrics)
            runs.append(_derived(states, corrected_name(block.method, tau), row))
        if thresholds and _has_two_classes(block):
            moved = _thresholded(block, masks, metrics)
            if moved is None:
                few.add(f"{block.dataset} {block.split}")
            else:
                runs.append(_derived(states, block.method + GHOST, moved))
    if few:
        say(
            f"no threshold is chosen for {', '.join(sorted(few))}: fewer than {FEWEST} validation "
            "molecules are of one class"
        )
    left_out = {name: found for name, one in compared.items() if (found := one.left_out())}
    header = {
        "left_out": left_out,
        "uncorrected": list(dict.fromkeys(undefined)),
        "even": list(dict.fromkeys(even)),
        "notes": list(notes),
    }
    all_classes = _stacked(classes)
    write_parquet(output / "runs.parquet", with_group_sizes(_stacked(runs), all_classes), header)
    note = note_on(left_out, "test")
    if note is not None:
        say(note)
    of_classes = _with_silhouettes(all_classes, separability)
    write_parquet(output / "class_metrics.parquet", of_classes)
    write_parquet(output / "class_history.parquet", _stacked(history))


def _derived(states: pd.DataFrame, name: str, metrics: pd.DataFrame) -> pd.DataFrame:
    """Rows of runs under another name, with other metrics of each seed."""
    kept = states.drop(columns=[column for column in metrics if column != "seed"], errors="ignore")
    return kept.assign(method=name).merge(metrics, on="seed", how="left")


def _with_silhouettes(classes: pd.DataFrame, files: Sequence[Path]) -> pd.DataFrame:
    """Add the silhouettes of classes; an error names a split that was not measured."""
    if classes.empty or not files:
        return classes
    keys = ["dataset", "split", "label"]
    columns = [*keys, "silhouette", "nearest_silhouette"]
    measured = pd.concat([read_parquet(path, columns) for path in files], ignore_index=True)
    joined = classes.merge(measured, on=keys, how="left", validate="m:1", indicator=True)
    if (lacking := joined["_merge"] == "left_only").any():
        first = joined[lacking].iloc[0]
        raise DrugtailError(
            f"--separability: split {first['split']} of {first['dataset']} is in none of the "
            "files; measure it with `drugtail separability`"
        )
    return joined.drop(columns="_merge")


def _has_files(block: Block) -> bool:
    return (block.folder / "status.json").is_file()


def _compared(blocks: Sequence[Block]) -> dict[str, Compared]:
    """Data set -> the classes that all of its splits have."""
    by_split: dict[str, dict[str, Path]] = {}
    for block in filter(_has_files, blocks):
        if not block_states(block)["status"].eq("finished").any():
            continue
        found = by_split.setdefault(block.dataset, {})
        found.setdefault(block.split, block.folder / "predictions.parquet")
    return {name: Compared(list(found.values())) for name, found in by_split.items()}


def _metrics_of(block: Block, compared: Compared | None, metrics: Sequence[str]) -> pd.DataFrame:
    """Seed and all metrics of a block's finished runs."""
    predictions = block.folder / "predictions.parquet"
    masks = compared.masks if compared is not None and compared.uneven else None
    if masks is None:
        known = read_parquet(block.folder / "metrics.parquet").drop(columns=KEYS[:-1])
    else:
        known = further_metrics(predictions, compared=masks)
    if metrics:
        more = further_metrics(predictions, metrics, masks)
        known = known.merge(more, on="seed", how="left")
    return known


def _corrected(
    block: Block,
    shares: Mapping[int, Shares],
    tau: float,
    masks: Masks | None,
    metrics: Sequence[str],
) -> pd.DataFrame:
    """Seed and all metrics of a block's finished runs with a correction."""
    names = [*packaged_metrics(), *metrics]
    change = correction(shares, tau)
    return further_metrics(block.folder / "predictions.parquet", names, masks, change)


def _has_two_classes(block: Block) -> bool:
    header = read_parquet_metadata(block.folder / "predictions.parquet")
    return len(header["train_counts"]) == 2


def _thresholded(block: Block, masks: Masks | None, metrics: Sequence[str]) -> pd.DataFrame | None:
    """Seed and all metrics of a block's finished runs by the threshold of GHOST; None without one.

    Where it stands, the log-odds of the smaller class are 0 then, so that the class with the larger
    logit is the one said.
    """
    path = block.folder / "predictions.parquet"
    rare = int(np.argmin(read_parquet_metadata(path)["train_counts"]))
    frame = read_parquet(path)
    chosen = {}
    for seed, rows in frame[frame["subset"] == "valid"].groupby("seed"):
        said = softmax(rows.filter(like="logit_").to_numpy(dtype=float), axis=1)[:, rare]
        threshold = ghost_threshold(said, (rows["label"] == rare).to_numpy())
        if threshold is not None:
            chosen[int(str(seed))] = threshold
    if not chosen:
        return None

    def change(seed: int, logits: NDArray[Any]) -> NDArray[Any]:
        moved: NDArray[Any] = log_softmax(logits.astype(float), axis=1)
        moved[:, rare] -= np.log(chosen[seed] / (1 - chosen[seed]))
        return moved

    return further_metrics(path, [*packaged_metrics(), *metrics], masks, change)


def _sizes(class_metrics: pd.DataFrame) -> pd.DataFrame:
    """Seed, and how many molecules were trained on and tested."""
    tested = class_metrics[class_metrics["subset"] == "test"]
    # Of a block whose runs all diverged there is nothing.
    counts = tested.reindex(columns=["seed", "n_train", "n"]).astype("int64")
    return counts.groupby("seed", as_index=False).sum().rename(columns={"n": "n_test"})


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
    frame = frame[~is_derived(frame["method"])]
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
    """Return a block's rows of ``runs.parquet``: keys, status and times, no metrics."""
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
                "updates": state.get("updates"),
                "molecules_seen": state.get("molecules"),
                "seconds": state.get("seconds"),
            }
        )
    counts = ("epochs", "best_epoch", "updates", "molecules_seen")
    types = {**dict.fromkeys(counts, "Int64"), "seconds": "float64"}
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
