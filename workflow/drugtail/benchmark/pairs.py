"""Which encoders go with which data sets and methods."""

from __future__ import annotations

from collections.abc import Mapping

from drugtail.config.dataset import Dataset
from drugtail.config.encoder import Encoder, misfit
from drugtail.config.recipe import Recipe
from drugtail.features.featurizer import FEATURIZERS, Featurizer
from drugtail.runtime.errors import DrugtailError


class Pairs:
    """The combinations of a benchmark's data sets, methods and encoders that are trained.

    A network is trained on the encoders that are networks, a classical method on the others; both
    on those alone whose featurizer reads what the data set consists of.

    Parameters
    ----------
    datasets, recipes, encoders
        What the benchmark names, by name.
    featurizers
        Featurizer of each encoder, by the encoder's name.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        recipes: Mapping[str, Recipe],
        encoders: Mapping[str, Encoder],
        featurizers: Mapping[str, type[Featurizer]],
    ) -> None:
        self.datasets, self.recipes = datasets, recipes
        self.encoders, self.featurizers = encoders, featurizers

    def encoders_of(self, dataset: str, method: str) -> list[str]:
        """Return the encoders that a method is trained with on a data set."""
        return [name for name in self._of_method(method) if self._fits(dataset, name)]

    def _of_method(self, method: str) -> list[str]:
        network = self.recipes[method].classifier is None
        return [name for name, encoder in self.encoders.items() if encoder.network == network]

    def _fits(self, dataset: str, encoder: str) -> bool:
        """Return whether an encoder reads a data set, with its second input if it has one."""
        featurizer, register = self.featurizers[encoder], self.datasets[dataset]
        form = self._second_form(dataset)
        joined = form is None or (form == featurizer.form and form != "graph")
        return joined and featurizer.reads == register.reads

    def _second_form(self, dataset: str) -> str | None:
        second = self.datasets[dataset].columns.second
        if second is None or second.featurizer not in FEATURIZERS.names():
            return None
        return FEATURIZERS[second.featurizer].form

    def check(self, where: str) -> None:
        """Refuse what does not go together.

        Raises
        ------
        DrugtailError
            If a method cannot be trained on an encoder, or a data set has no encoder that reads it.
        """
        for method, recipe in self.recipes.items():
            for name in self._of_method(method):
                reason = misfit(self.encoders[name], self.featurizers[name].form, recipe)
                if reason:
                    raise DrugtailError(f"{where}: method {method}: {reason}")
            for dataset in self.datasets:
                if not self.encoders_of(dataset, method):
                    raise DrugtailError(f"{where}: {self._unread(dataset, method)}")

    def _unread(self, dataset: str, method: str) -> str:
        reads, form = self.datasets[dataset].reads, self._second_form(dataset)
        what = "whole reactions" if reads == "reaction" else "molecules"
        fitting = [name for name in FEATURIZERS.names() if FEATURIZERS[name].reads == reads]
        joined = ""
        if form is not None:
            fitting = [name for name in fitting if FEATURIZERS[name].form == form != "graph"]
            joined = f" with a second input, whose {form} are joined to {form} alone"
        return (
            f"data set {dataset} is of {what}{joined}, and none of the encoders of method {method} "
            f"reads that ({', '.join(self._of_method(method))}); add one whose featurizer does "
            f"({', '.join(fitting)}), see `drugtail list encoders`"
        )
