"""Pairs of encoders with data sets and methods."""

from __future__ import annotations

from collections.abc import Mapping

from drugtail.config.dataset import Dataset
from drugtail.config.encoder import Encoder, misfit
from drugtail.config.recipe import Recipe
from drugtail.features.choice import Features, class_of
from drugtail.features.featurizer import FEATURIZERS
from drugtail.runtime.errors import DrugtailError

# Forms of features to which those of a second input are joined.
JOINED = ("bits", "vector")


class Pairs:
    """The combinations of a benchmark's data sets, methods and encoders that are trained.

    A network is trained on the encoders that are networks, a classical method on the others; both
    on those alone whose featurizer reads what the data set consists of. An ensemble stands in the
    rows of its networks, or of its classical methods if it has no network.

    Parameters
    ----------
    datasets, recipes, encoders
        What the benchmark names, by name.
    features
        What each encoder reads, by the encoder's name.
    """

    def __init__(
        self,
        datasets: Mapping[str, Dataset],
        recipes: Mapping[str, Recipe],
        encoders: Mapping[str, Encoder],
        features: Mapping[str, Features],
    ) -> None:
        self.datasets, self.recipes = datasets, recipes
        self.encoders, self.features = encoders, features

    def encoders_of(self, dataset: str, method: str) -> list[str]:
        """Return the encoders that a method is trained with on a data set."""
        return [name for name in self._of_method(method) if self._fits(dataset, name)]

    def unread(self, dataset: str, method: str) -> list[str]:
        """Return the encoders of a method that do not read a data set."""
        return [name for name in self._of_method(method) if not self._fits(dataset, name)]

    def _of_method(self, method: str) -> list[str]:
        ensemble = self.recipes[method].ensemble
        if ensemble is None:
            return self._of_kind(self.recipes[method].is_network)
        networks = [one for one in ensemble.of if self.recipes[one.method].is_network]
        named = [one.encoder for one in networks or ensemble.of]
        alone = None not in named and named[0] in self.encoders
        return [str(named[0])] if alone else self._of_kind(bool(networks))

    def _of_kind(self, network: bool) -> list[str]:
        return [name for name, encoder in self.encoders.items() if encoder.network == network]

    def _fits(self, dataset: str, encoder: str) -> bool:
        """Return whether an encoder reads a data set, with its second input if it has one."""
        features, form = self.features[encoder], self._second_form(dataset)
        joined = form is None or (form == features.form and form in JOINED)
        return joined and features.reads == self.datasets[dataset].reads

    def _second_form(self, dataset: str) -> str | None:
        second = self.datasets[dataset].columns.second
        return None if second is None else class_of(second.featurizer).form

    def check(self, where: str) -> None:
        """Refuse what does not go together.

        Raises
        ------
        DrugtailError
            If a method cannot be trained on an encoder, or a data set has no encoder that reads it.
        """
        for register in self.datasets.values():
            _check_second(register, where)
        for method, recipe in self.recipes.items():
            for name in () if recipe.ensemble else self._of_method(method):
                reason = misfit(self.encoders[name], self.features[name].form, recipe)
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
            fitting = [name for name in fitting if FEATURIZERS[name].form == form in JOINED]
            joined = (
                f" with a second input, whose features are {form} and are joined to {form} alone"
            )
        return (
            f"data set {dataset} is of {what}{joined}, and none of the encoders of method {method} "
            f"reads that ({', '.join(self._of_method(method))}); add one whose featurizer does "
            f"({', '.join(fitting)}), see `drugtail list encoders`"
        )


def _check_second(dataset: Dataset, where: str) -> None:
    """Refuse a second input whose featurizer does not read it, or gives no row of numbers."""
    second = dataset.columns.second
    if second is None or second.featurizer not in FEATURIZERS.names():
        return
    chosen = class_of(second.featurizer)
    if chosen.reads != second.kind or chosen.form not in JOINED:
        fitting = [
            name
            for name in FEATURIZERS.names()
            if FEATURIZERS[name].reads == second.kind and FEATURIZERS[name].form in JOINED
        ]
        raise DrugtailError(
            f"{where}: data set {dataset.name}: columns.second: featurizer {second.featurizer!r} "
            f"reads {chosen.reads} and gives {chosen.form}, but the second input is {second.kind} "
            f"and wants bits or vectors; choose {', '.join(fitting)}"
        )
