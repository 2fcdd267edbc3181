"""The files of a block: tables of its runs, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from drugtail.runtime.parquet import write_parquet
from drugtail.training.problem import TRAIN, VALID, Problem, prediction_frame
from drugtail.training.record import SeedResult

if TYPE_CHECKING:
    from drugtail.config.encoder import Encoder
    from drugtail.config.recipe import Recipe

HISTORY = {
    "seed": "int64", "epoch": "int64", "loss": "float64", "classification_loss": "float64",
    "contrastive_loss": "float64", "learning_rate": "float64", "valid_loss": "float64",
    "valid_balanced_accuracy": "float64", "valid_accuracy": "float64",
    "molecules_per_second": "float64", "seconds": "float64", "finished_at": "float64",
}  # fmt: skip
CLASS_HISTORY = {
    "seed": "int64", "moment": "str", "epoch": "int64", "label": "int64", "n": "int64",
    "weight": "float64", "nearest_class": "Int64", "class_distance": "float64",
    "subclusters": "Int64", "subcluster_distance": "float64", "separability": "float64",
    "valid_separability": "float64", "valid_recall": "float64",
}  # fmt: skip


def block_header(
    problem: Problem, recipe: Recipe, encoder: Encoder, settings: str, seeds: Sequence[int]
) -> dict[str, Any]:
    """Return what the header of each of a block's Parquet files says.

    Parameters
    ----------
    problem, recipe, encoder
        What was trained on what.
    settings
        ``default`` or ``tuned``.
    seeds
        Training seeds.
    """
    return {
        "dataset": problem.dataset,
        "split": problem.split,
        "encoder": encoder.name,
        "method": recipe.name,
        "settings": settings,
        "class_names": problem.class_names,
        "train_counts": problem.train_counts.tolist(),
        "class_weights": recipe.class_weights.name,
        "seeds": list(seeds),
    }


def write_tables(
    output: Path,
    problem: Problem,
    header: Mapping[str, Any],
    results: Mapping[int, SeedResult],
    *,
    embeddings: bool,
) -> None:
    """Write predictions.parquet, history.parquet and class_history.parquet of a block.

    Parameters
    ----------
    output
        Folder of the block.
    problem, header
        What it is about, and what the headers say, see `block_header`.
    results
        Seed -> what training it gave.
    embeddings
        Whether embeddings.parquet is written, too.
    """
    frames = [
        prediction_frame(problem, subset, seed, logits, result.uncertainty.get(subset))
        for seed, result in results.items()
        for subset, logits in result.logits.items()
    ]
    if not frames:
        empty = np.empty((0, problem.classes), dtype=np.float32)
        frames = [prediction_frame(problem, VALID, 0, empty).head(0)]
    write_parquet(output / "predictions.parquet", pd.concat(frames, ignore_index=True), header)
    histories = _rows((seed, r.history) for seed, r in results.items())
    write_parquet(output / "history.parquet", _typed(histories, HISTORY), header)
    classes = _rows((seed, r.class_history) for seed, r in results.items())
    write_parquet(output / "class_history.parquet", _typed(classes, CLASS_HISTORY), header)
    if embeddings:
        # One seed is enough for a picture: the first that finished.
        finished = [item for item in results.items() if item[1].status == "finished"]
        seed, result = (finished or list(results.items()))[0]
        frame = _embedding_frame(problem, result.embeddings)
        write_parquet(output / "embeddings.parquet", frame, {**header, "seeds": [seed]})


def status_of(results: Mapping[int, SeedResult]) -> dict[str, Any]:
    """Return what status.json says; it is written last, so that a block with it is a whole one."""
    runs = {
        str(seed): {
            "status": result.status,
            "epochs": result.epochs,
            "best_epoch": result.best_epoch,
            "updates": result.updates,
            "molecules": result.molecules,
            "seconds": round(sum(row["seconds"] for row in result.history), 3),
        }
        for seed, result in results.items()
    }
    whole = all(run["status"] == "finished" for run in runs.values())
    return {"status": "finished" if whole else "failed", "seeds": runs}


def _embedding_frame(problem: Problem, kept: list[dict[str, Any]]) -> pd.DataFrame:
    """Rows of embeddings.parquet: moment, epoch, id, label, subcluster, embedding (a list)."""
    train = problem.subsets[TRAIN]
    frames = []
    for one in kept:
        rows = train[one["position"].numpy()]
        frames.append(
            pd.DataFrame(
                {
                    "moment": one["moment"],
                    "epoch": one["epoch"],
                    "id": np.asarray(problem.ids)[rows],
                    "label": problem.labels[rows],
                    "subcluster": one["subcluster"].numpy(),
                    "embedding": list(one["embedding"].numpy()),
                }
            )
        )
    columns = ["moment", "epoch", "id", "label", "subcluster", "embedding"]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)


def _rows(groups: Iterable[tuple[int, list[dict[str, Any]]]]) -> list[dict[str, Any]]:
    return [{"seed": seed, **row} for seed, rows in groups for row in rows]


def _typed(rows: list[dict[str, Any]], types: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows).reindex(columns=list(types)).astype(types)
