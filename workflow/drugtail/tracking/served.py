"""The model of a benchmark's answer. MLflow runs this file to serve it: nothing is pickled.

The models lie in MLflow's folder as `drugtail.tracking.answers` has put them there. The environment
that serves them has Drugtail.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from drugtail.runtime.files import read_json


class Served(mlflow.pyfunc.PythonModel):
    """The best method of a benchmark, asked for the classes of molecules."""

    def load_context(self, context: Any) -> None:
        """Read the models that answer together."""
        from drugtail.predict.classifier import Classifier
        from drugtail.predict.model import Model
        from drugtail.predict.table import Asked

        folder = Path(context.artifacts["answer"])
        asked = read_json(folder / "answer.json")
        models = [
            Model(folder / name, plugins=sorted((folder / name).parent.glob("plugins/*.py")))
            for name in asked["models"]
        ]
        self._classifier = Classifier(Asked(models, asked["tau"]))

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Classify molecules.

        Parameters
        ----------
        context
            MLflow's, not used.
        model_input
            n rows with column ``smiles``; of pairs also ``second``.
        params
            None are known.

        Returns
        -------
        pandas.DataFrame
            n rows, as `drugtail.predict.classifier.Classifier.predict` gives them. What is missing
            is None, which JSON can say.
        """
        second = model_input["second"].tolist() if "second" in model_input else None
        found = self._classifier.predict(model_input["smiles"].tolist(), second)
        return found.astype(object).where(found.notna(), None)


mlflow.models.set_model(Served())
