"""Classifying the molecules of a table."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from drugtail.config.dataset import Reaction
from drugtail.config.layout import Layout
from drugtail.data.identity import NOTES, identify_all
from drugtail.data.reaction_smiles import read_reactions
from drugtail.data.tables import FOUND, read_table
from drugtail.features.arrays import Arrays
from drugtail.features.choice import GivesArrays, parts_of
from drugtail.features.featurize import in_order
from drugtail.features.featurizer import FEATURIZERS
from drugtail.methods.ghost import is_rare
from drugtail.predict.choice import find_models
from drugtail.predict.model import Model
from drugtail.predict.nearest import UNLIKE, TrainingMolecules
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path
from drugtail.runtime.logging import Pace, counted, say

# What a model reads -> names of columns that hold it.
COLUMNS = {
    "smiles": ("smiles",),
    "reaction": ("reaction", "reactions", "rxn", "reaction_smiles", "rxn_smiles"),
}
PREFIX = "drugtail_"
# Columns that are added beside the class and its probabilities, some of them not always.
OTHER_COLUMNS = (
    "smiles", "spread", "class_ghost", "uncertainty", "nearest", "nearest_class", "similarity",
    "reason",
)  # fmt: skip
# Molecules whose features and probabilities are held at a time.
PIECE = 5_000
# Seconds without a line of progress.
QUIET = 10.0


def predict(
    model: Path,
    molecules: Path,
    output: Path,
    *,
    column: str | None = None,
    second: str | None = None,
    layout: Layout = FOUND,
    seed: int | None = None,
    prior: float | None = None,
    nearest: bool = True,
    prefix: str = PREFIX,
    dataset: str | None = None,
    split: str | None = None,
    method: str | None = None,
    encoder: str | None = None,
    plugins: Sequence[Path] = (),
    vectors: Mapping[str, Path] | None = None,
    workers: int | None = None,
) -> None:
    """Write the table again with the class of each molecule.

    Molecules are read as those were that the model was trained on.

    Parameters
    ----------
    model
        ``model.pt`` of a block, a block's folder, or ``results/metrics/{benchmark}``: then the
        method that is best on validation molecules is asked (`drugtail.predict.choice`).
    molecules
        Table with a column of SMILES or InChI: CSV, TSV, SMI, SDF, XLSX or Parquet.
    output
        CSV: the columns of `molecules` as they are, then, each with `prefix`:

        - ``smiles``: the molecule as it was read, canonical; or the reaction.
        - ``class``: the class with the highest probability.
        - ``p_CLASS``: its probability, mean over seeds (and splits, if all are asked), a column per
          class.
        - ``spread``: standard deviation over these of the probability of ``class``; of one alone
          there is none.
        - ``class_ghost``: of two classes, the one by the threshold that GHOST chose on validation
          molecules (`drugtail.methods.ghost`).
        - ``uncertainty``: of methods that say it.
        - ``nearest``, ``nearest_class``, ``similarity``: the most similar training molecule, its
          class, and Tanimoto's similarity to it.
        - ``reason``: why a row is no molecule.
    column
        Name of the SMILES column (or that of reactions); None takes the one called smiles (or
        reaction), in any case.
    second
        Name of the column with the second input, for models that have one.
    layout
        What is declared of the table: format, encoding, separator, header, sheet.
    seed
        Which seed is asked; None takes all.
    prior
        Strength τ of a correction of the prior, see `drugtail.methods.prior`; None takes that of
        the method that was chosen of a benchmark, and otherwise none.
    nearest
        Whether training molecules are searched.
    prefix
        Of the columns that are added.
    dataset, split, method, encoder
        See `drugtail.predict.choice.find_models`.
    plugins
        Files with an encoder, featurizer or estimator that is not the package's.
    vectors
        NAME -> file with vectors of these molecules, for a model that reads ``vectors:NAME``.
    workers
        Processes and threads; None takes as many as there are cores.

    Raises
    ------
    DrugtailError
        If there is no such model or seed, a plugin is lacking or is another file than the model
        was trained with, a column would have the name of one that is there, or no row could be
        classified (`output` then says why).
    """
    if output.suffix.lower() in (".xlsx", ".xls", ".parquet"):
        raise DrugtailError(f"{output}: is written as CSV; name it .csv")
    if output.is_dir():
        raise DrugtailError(f"{output}: is a folder; name a file for --output")
    workers = workers or os.cpu_count() or 1
    torch.set_num_threads(workers)
    if output.exists() and molecules.exists() and output.samefile(molecules):
        raise DrugtailError(f"{output}: is the table that is read; name another file for --output")
    chosen = find_models(model, dataset, split, seed, method, encoder)
    tau = chosen.tau if prior is None else prior
    asked = Asked([Model(path, seed, plugins, vectors) for path in chosen.models], tau)
    if chosen.remark:
        say(chosen.remark)
        if (tau or 0) != (chosen.tau or 0):
            say(f"the prior is corrected as --prior says, with a strength of {tau:g}")
    _say_unread(vectors or {}, plugins, asked.models)
    asked.say_threshold()
    first = asked.models[0]
    _check_second(first.second, second, first.path)
    table = read_table(molecules, [one for one in (column, second) if one], layout)
    if column is None:
        column = _named_column(table, molecules, first.reads)
    _check_names(table, asked, prefix, molecules)
    parsed = parse(table, column, second, first, workers)
    answers = classify(asked, parsed, nearest=nearest, workers=workers)
    added = answers.add_prefix(prefix)
    with atomic_path(output) as temporary:
        table.join(added).to_csv(temporary, index=False, float_format="%.6g")
    _say_outcome(parsed, molecules, output)
    if not (answers["reason"] == "").any():
        what = "reaction" if first.reads == "reaction" else "molecule"
        raise DrugtailError(
            f"{molecules}: no cell of column {column!r} is a {what}, so that nothing was "
            f"classified; {output} says why of each row; name another column with --column"
        )
    if nearest:
        _warn_of_unlike(answers["similarity"], molecules, output)


def classify(
    asked: Asked, parsed: pd.DataFrame, *, nearest: bool = True, workers: int = 1
) -> pd.DataFrame:
    """Return the columns that `predict` adds, without their prefix.

    Parameters
    ----------
    asked
        Models that answer together.
    parsed
        Molecules, as `parse` returned them.
    nearest, workers
        See `predict`.
    """
    first = asked.models[0]
    good = (parsed["reason"] == "").to_numpy()
    known = TrainingMolecules(asked.trained_on[0], first.reads) if nearest and good.any() else None
    pairs = parsed.loc[good, [name for name in ("smiles", "second") if name in parsed]]
    found = list(_said(asked, pairs, known, workers))
    added = parsed[["smiles"]].copy()
    if found:
        rows = pd.concat(found, ignore_index=True).set_axis(added.index[good])
        added = added.join(rows)
    else:
        added = added.assign(**dict.fromkeys(asked.columns(), np.nan))
    return added.assign(reason=parsed["reason"])


@dataclass
class Asked:
    """Models whose answers are averaged, and the correction that they get."""

    models: list[Model]
    tau: float | None

    def say_threshold(self) -> None:
        """Say from which probability on the smaller class is said, or why that is not said."""
        known = [one.kept_threshold for one in self.models if one.kept_threshold is not None]
        if not known:
            return
        rare = self.names[self.models[0].rare]
        if self.threshold is None:
            say("class_ghost is left out: its threshold is for all seeds, without a correction")
        else:
            say(f"class_ghost: {rare!r} from a probability of {self.threshold:.3g} on")

    @property
    def threshold(self) -> float | None:
        """Mean of the models' thresholds, for probabilities as they are."""
        known = [one.threshold for one in self.models if one.threshold is not None]
        return None if self.tau or not known else float(np.mean(known))

    @property
    def names(self) -> list[str]:
        """Names of the classes."""
        return self.models[0].class_names

    @cached_property
    def trained_on(self) -> tuple[list[str], NDArray[np.int64]]:
        """Training molecules of the models and their classes, each once."""
        smiles = np.concatenate([np.array(one.train_smiles, dtype=object) for one in self.models])
        labels = np.concatenate([one.train_labels for one in self.models])
        once = ~pd.DataFrame({"smiles": smiles, "label": labels}).duplicated().to_numpy()
        if len(self.models) == 1:
            # As the model has them, repeats too.
            once[:] = True
        return smiles[once].tolist(), labels[once]

    def columns(self) -> list[str]:
        """Columns that every table of answers has."""
        return ["class", *(f"p_{name}" for name in self.names)]

    def answers(self, arrays: Arrays, workers: int) -> pd.DataFrame:
        """Return the predictions of all seeds for some molecules, as columns."""
        parts, unsure = [], []
        for model in self.models:
            said = model.ask(arrays, workers)
            logits = model.correct(said.logits, self.tau) if self.tau else said.logits
            parts.append(softmax(logits.astype(np.float64), axis=2))
            if said.uncertainty is not None:
                unsure.append(said.uncertainty)
        each = np.concatenate(parts)
        mean = each.mean(axis=0)
        best = mean.argmax(axis=1)
        names = np.array(self.names)
        frame = pd.DataFrame({"class": names[best]})
        frame = frame.join(pd.DataFrame(mean, columns=self.columns()[1:]))
        if len(each) > 1:
            frame["spread"] = each[:, np.arange(len(best)), best].std(axis=0, ddof=1)
        if self.threshold is not None:
            rare = self.models[0].rare
            reached = is_rare(mean[:, rare], self.threshold)
            frame["class_ghost"] = names[np.where(reached, rare, 1 - rare)]
        if unsure:
            frame["uncertainty"] = np.mean(unsure, axis=0)
        return frame


def _said(
    asked: Asked, molecules: pd.DataFrame, known: TrainingMolecules | None, workers: int
) -> Iterator[pd.DataFrame]:
    """Yield what is said of the molecules, a piece at a time."""
    model, pace = asked.models[0], Pace(QUIET)
    smiles: NDArray[Any] = np.array(asked.trained_on[0], dtype=object)
    starts = range(0, len(molecules), PIECE)
    pieces = (molecules.iloc[start : start + PIECE] for start in starts)
    other = None
    if known is not None and (known.features != model.features or model.second is not None):
        other = known.featurizer
    done = 0
    # Featurizers alone go to the other processes, not what has been learned. One that is not ours
    # may compute with threads, which are not there in a copy of this process.
    ours = all(FEATURIZERS.is_packaged(part) for part in parts_of(model.features))
    processes = workers if ours and len(starts) > 1 else 1
    featurize = partial(_features, model.featurizer, other)
    for arrays, bits in in_order(featurize, pieces, processes):
        frame = asked.answers(arrays, workers)
        if known is not None:
            found = known.nearest(arrays if bits is None else bits)
            frame["nearest"] = smiles[found.position]
            frame["nearest_class"] = np.array(asked.names)[asked.trained_on[1][found.position]]
            frame["similarity"] = found.similarity
        yield frame
        done += len(frame)
        if done < len(molecules) and pace.due():
            say(f"{done:,} of {len(molecules):,} molecules classified")


def _features(
    read: GivesArrays, compared: GivesArrays | None, molecules: pd.DataFrame
) -> tuple[Arrays, Arrays | None]:
    """Return what a model reads of molecules, and what is compared if that is something else."""
    texts: list[Any] = [molecules[name].tolist() for name in molecules]
    arrays = read.arrays(texts[0] if len(texts) == 1 else tuple(texts))
    return arrays, None if compared is None else compared.arrays(texts[0])


def parse(
    table: pd.DataFrame, column: str, second: str | None, model: Model, workers: int
) -> pd.DataFrame:
    """Read the molecules (or reactions) of a table, and the second input if there is one.

    Returns
    -------
    pandas.DataFrame
        ``smiles`` (or the reaction), ``reason`` (empty if it is a molecule), ``notes`` and, for
        pairs, ``second``; with the index of `table`.
    """
    if model.reads == "reaction":
        parsed = read_reactions(table[column], Reaction(use="reaction"), model.molecules)
    else:
        parsed = identify_all(table[column], model.molecules, workers, whole=False)
    parsed = parsed.set_axis(table.index)
    if second is not None:
        assert model.second is not None
        parsed["second"] = table[second].str.strip().str.upper()
        if model.second["kind"] == "smiles":
            other = identify_all(table[second], model.molecules, workers, whole=False)
            other = other.set_axis(table.index)
            parsed["second"] = other["smiles"]
            wrong = (parsed["reason"] == "") & (other["reason"] != "")
            parsed.loc[wrong, "reason"] = "second molecule: " + other["reason"][wrong]
    return parsed


def _named_column(table: pd.DataFrame, path: Path, reads: str) -> str:
    """Name of the column called as what a model reads, in any case, if there is one."""
    words = COLUMNS[reads]
    names = [str(column) for column in table.columns]
    named = [name for name in names if name.lower() in words]
    # Such as "canonical_smiles" and "Structure (SMILES)", if there is one alone.
    named = named or [name for name in names if words[0] in name.lower()]
    if len(named) != 1:
        raise DrugtailError(
            f"{path}: has {len(named) or 'no'} column{'s' * (len(named) > 1)} called {words[0]}; "
            "name one with --column: "
            f"{', '.join(map(str, table.columns))}"
        )
    return named[0]


def _check_names(table: pd.DataFrame, asked: Asked, prefix: str, molecules: Path) -> None:
    """Refuse a prefix with which a column that may be added is called as one that is there."""
    for name in (*asked.columns(), *OTHER_COLUMNS):
        if prefix + name in table.columns:
            raise DrugtailError(
                f"{molecules}: has a column {prefix + name!r}, which is to be added; name another "
                "--prefix"
            )


def _say_unread(
    vectors: Mapping[str, Path], plugins: Sequence[Path], models: Sequence[Model]
) -> None:
    """Say which files of vectors and plugins no model needs."""
    for path in plugins:
        if not any(file_digest(path) in one.plugins for one in models):
            say(f"--plugin {path}: is not used; {models[0].path} needs nothing of it")
    read = {name for one in models for name in one.vectors}
    for name in vectors.keys() - read:
        named = f"vectors of {', '.join(sorted(read))}" if read else "no vectors"
        say(f"--vectors {name}: is not used; {models[0].path} reads {named}")


def _check_second(needed: dict[str, Any] | None, given: str | None, model: Path) -> None:
    if (needed is None) == (given is None):
        return
    if needed is None:
        raise DrugtailError(f"{model}: reads molecules alone; leave --second out")
    raise DrugtailError(
        f"{model}: reads a second input, too ({needed['kind']}); name its column: --second"
    )


def _say_outcome(parsed: pd.DataFrame, molecules: Path, output: Path) -> None:
    """Say how many rows are no molecules, and what was done to the others."""
    reasons = parsed["reason"][parsed["reason"] != ""]
    if len(reasons):
        counts = reasons.value_counts()
        named = ", ".join(f"{n:,} {str(reason)[:80]}" for reason, n in counts[:4].items())
        named += ", …" if len(counts) > 4 else ""
        say(f"{molecules}: {len(reasons):,} of {len(parsed):,} rows set aside: {named} ({output})")
    for note, number in parsed["notes"].str.split().explode().dropna().value_counts().items():
        say(f"{molecules}: {counted(number, 'molecule')}: {NOTES[str(note)]}")


def _warn_of_unlike(similarity: pd.Series, molecules: Path, output: Path) -> None:
    """Say how many molecules are like none that the model knows."""
    known = similarity.dropna()
    unlike = int((known < UNLIKE).sum())
    if unlike:
        say(
            f"{molecules}: {unlike:,} of {len(known):,} are unlike every training molecule "
            f"(similarity below {UNLIKE}): what is said of them is a guess ({output})"
        )
