"""Kept models, asked from Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from drugtail.predict.choice import find_models
from drugtail.predict.model import Model
from drugtail.predict.table import Asked, classify, parse
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import say


class Classifier:
    """Models of a block, or of a benchmark's best method, that answer together.

    Attributes
    ----------
    class_names : list of str
        Length C.
    """

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.class_names = asked.names

    def predict(
        self,
        smiles: Sequence[str],
        second: Sequence[str] | None = None,
        *,
        nearest: bool = False,
        workers: int = 1,
    ) -> pd.DataFrame:
        """Classify molecules, read as those were that the model was trained on.

        Parameters
        ----------
        smiles
            SMILES or InChI of n molecules, or reactions.
        second
            The second inputs, for models of pairs.
        nearest
            Whether the most similar training molecule of each is searched.
        workers
            Processes and threads.

        Returns
        -------
        pandas.DataFrame
            n rows: ``smiles``, ``class``, ``p_CLASS`` of each class and the other columns of
            `drugtail.predict.table.predict`; ``reason`` says why a text is no molecule, whose other
            cells are missing.

        Raises
        ------
        DrugtailError
            If the model reads pairs and there is no second input, or the other way round.
        """
        first = self._asked.models[0]
        if (first.second is None) != (second is None):
            reads = "molecules alone" if first.second is None else "pairs; give `second`, too"
            raise DrugtailError(f"{first.path}: reads {reads}")
        table = pd.DataFrame({"first": pd.Series(list(smiles), dtype=str)})
        if second is not None:
            table["second"] = pd.Series(list(second), dtype=str)
        parsed = parse(table, "first", None if second is None else "second", first, workers)
        return classify(self._asked, parsed, nearest=nearest, workers=workers)


def load_model(
    model: str | Path,
    *,
    dataset: str | None = None,
    split: str | None = None,
    seed: int | None = None,
    method: str | None = None,
    encoder: str | None = None,
    prior: float | None = None,
    plugins: Sequence[Path] = (),
    vectors: Mapping[str, Path] | None = None,
) -> Classifier:
    """Read a kept model.

    Parameters
    ----------
    model
        ``model.pt``, a block's folder, or ``results/metrics/{benchmark}``, whose best method by
        validation is taken.
    dataset, split, seed, method, encoder, prior, plugins, vectors
        As of `drugtail.predict.table.predict`.

    Raises
    ------
    DrugtailError
        If there is no such model, or a plugin or a file of vectors is lacking.
    """
    chosen = find_models(Path(model), dataset, split, seed, method, encoder)
    if chosen.remark:
        say(chosen.remark)
    models = [Model(path, seed, plugins, vectors) for path in chosen.models]
    return Classifier(Asked(models, chosen.tau if prior is None else prior))
