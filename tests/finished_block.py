"""A block as training and evaluation leave it, with a test part of some classes only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from drugtail.evaluation.collect import collect_blocks
from drugtail.evaluation.evaluate import evaluate_block
from drugtail.runtime.files import write_json
from drugtail.runtime.parquet import read_parquet, write_parquet

NAMES = ["a", "b", "c", "d"]


def block(
    root: Path,
    split: str,
    tested: list[int],
    method: str = "focal",
    shares: list[float] | None = None,
) -> Path:
    """A finished block whose test part holds some classes only, and the shares it has learned."""
    folder = root / "toy" / split / "gcn" / f"{method}-01234567" / "seeds0-0"
    rng = np.random.default_rng(len(split) + len(method))
    frames = []
    for subset, classes in (("valid", [0, 1, 2, 3]), ("test", tested)):
        labels = np.repeat(classes, 12)
        logits = rng.normal(size=(len(labels), 4)) + 1.5 * np.eye(4)[labels]
        frame = pd.DataFrame(logits, columns=[f"logit_{c}" for c in range(4)])
        ids = [f"{subset}{i}" for i in range(len(labels))]
        # Every other molecule has a parent of its own.
        new = np.arange(len(labels)) % 2 == 0
        frames.append(frame.assign(id=ids, subset=subset, label=labels, seed=0,
                                   parent=range(len(labels)), new_parent=new))  # fmt: skip
    header = {"dataset": "toy", "split": split, "encoder": "gcn", "method": method,
              "class_names": NAMES, "train_counts": [50, 30, 10, 5]}  # fmt: skip
    write_parquet(folder / "predictions.parquet", pd.concat(frames), header)
    outputs = (folder / "metrics.parquet", folder / "class_metrics.parquet")
    evaluate_block(folder / "predictions.parquet", *outputs)
    history = [{"seed": 0, "moment": "chosen", "epoch": 0, "label": 0, "weight": 1.0}]
    write_parquet(folder / "class_history.parquet", pd.DataFrame(history), header)
    write_json(folder / "manifest.json", {"shares": {"0": shares}})
    state = {"status": "finished", "epochs": 3, "best_epoch": 1, "seconds": 1.0}
    write_json(folder / "status.json", {"status": "finished", "seeds": {"0": state}})
    return folder


def collected_blocks(folder: Path) -> tuple[list[Path], Path, Path]:
    """Blocks of two methods on two folds, the folder of their metrics, and their data set."""
    shares = [0.5, 0.3, 0.15, 0.05]
    blocks = [
        block(folder / "runs", split, [0, 1, 3], method, shares)
        for method in ("focal", "plain") for split in ("cv-0-0", "cv-0-1")
    ]  # fmt: skip
    collect_blocks(blocks, folder / "metrics", corrections=[0.5])
    # A row with a correction is the best one on validation molecules.
    runs = read_parquet(folder / "metrics/runs.parquet")
    best = runs["method"] == "focal+prior_0.5"
    runs.loc[best, "valid_balanced_accuracy"] = 1.0
    write_parquet(folder / "metrics/runs.parquet", runs)
    data = folder / "data/toy"
    smiles = ["CCO", "not <drawn>", "c1ccccc1"] * 12
    molecules = pd.DataFrame({"id": [f"test{i}" for i in range(36)], "smiles": smiles})
    write_parquet(data / "molecules.parquet", molecules)
    summary = {"name": "toy", "title": "Toy", "synthetic": False, "rows": 36, "molecules": 36,
               "rejected": {}, "left_out": {}, "merged": {}, "classes": ["a", "b"], "notes": {},
               "repeats": {"rows_that_repeat_a_molecule": 0, "rows_that_repeat_a_parent": 0,
                           "molecules_with_several_classes": 0,
                           "parents_with_several_classes": 0},
               "imbalance_ratio": 2, "citation": "none", "licence": "none"}  # fmt: skip
    write_json(data / "dataset.json", summary)
    return blocks, folder / "metrics", data / "dataset.json"
