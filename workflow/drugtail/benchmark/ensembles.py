"""Blocks that the ensembles of a benchmark average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from drugtail.benchmark.pairs import Pairs
from drugtail.config.base import meant
from drugtail.config.benchmark import Benchmark, parse_seeds
from drugtail.config.components.ensemble import Ensemble
from drugtail.config.recipe import Recipe
from drugtail.config.trained_shares import trained_shares
from drugtail.runtime.errors import DrugtailError


def check_members(recipes: Mapping[str, Recipe], where: str) -> None:
    """Refuse members that the benchmark does not name, or whose class shares are not known.

    Parameters
    ----------
    recipes
        Methods of the benchmark, by name.
    where
        Place of the methods, for messages.
    """
    for name, recipe in recipes.items():
        for member in recipe.ensemble.of if recipe.ensemble else ():
            place = f"{where}: {name}: ensemble.of: {member.method!r}"
            if member.method not in recipes:
                raise DrugtailError(
                    f"{place} is not among the methods{meant(member.method, [*recipes])}; add it "
                    "to them, or name other members: `settings: {ensemble.of: [...]}`"
                )
            one = recipes[member.method]
            if one.ensemble is not None:
                raise DrugtailError(f"{place} is an ensemble itself; name its members instead")
            corrected = recipe.ensemble is not None and recipe.ensemble.tau is not None
            # Weights that are measured in training are known afterwards.
            if corrected and trained_shares(one, [2, 1], [1.0, 1.0]) is None:
                raise DrugtailError(
                    f"{place} gives no probabilities under known class shares, so that they cannot "
                    "be brought to those of the data; leave it out, or set ensemble.tau to null to "
                    "average probabilities as they are"
                )


class Ensembles:
    """Members and seeds of a benchmark's ensembles.

    Parameters
    ----------
    benchmark, recipes, pairs
        The benchmark, its methods by name, and the encoders that these go with.
    other_names
        Methods that are trained under another name -> that name.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        recipes: Mapping[str, Recipe],
        pairs: Pairs,
        other_names: Mapping[str, str],
    ) -> None:
        self.benchmark, self.recipes = benchmark, recipes
        self.pairs, self.other_names = pairs, other_names

    def check(self, datasets: Iterable[str]) -> None:
        """Refuse an ensemble of which a member's encoder is not clear.

        Raises
        ------
        DrugtailError
            It names the encoders that could be meant.
        """
        for method in (name for name, recipe in self.recipes.items() if recipe.ensemble):
            for dataset in datasets:
                for encoder in self.pairs.encoders_of(dataset, method):
                    self.members(dataset, encoder, method)

    def seeds(self, method: str) -> list[str]:
        """Return the blocks of seeds of a method; of an average over all, the first seed alone."""
        ensemble, seeds = self.recipes[method].ensemble, self.benchmark.seeds
        if ensemble is None or not ensemble.over_seeds:
            return seeds
        first = parse_seeds(seeds[0])[0]
        return [f"{first}-{first}"]

    def member_seeds(self, method: str, seeds: str) -> list[str]:
        """Return the blocks of seeds that a block of an ensemble averages."""
        return self.benchmark.seeds if self._ensemble(method).over_seeds else [seeds]

    def members(self, dataset: str, encoder: str, method: str) -> list[tuple[str, str]]:
        """Return method and encoder of each member of an ensemble in the row of an encoder.

        Raises
        ------
        DrugtailError
            If a member is not trained on the encoder that is named, or several could be meant.
        """
        found = []
        for member in self._ensemble(method).of:
            fitting = self.pairs.encoders_of(dataset, member.method)
            chosen = member.encoder or (encoder if encoder in fitting else None)
            if chosen is None and len(fitting) == 1:
                chosen = fitting[0]
            if chosen not in fitting:
                raise DrugtailError(
                    f"benchmark {self.benchmark.name}: method {method}: ensemble.of: "
                    f"{member.method} is trained on {', '.join(fitting)} of {dataset}; name one of "
                    f"them as its encoder: {{method: {member.method}, encoder: {fitting[0]}}}"
                )
            found.append((self.other_names.get(member.method, member.method), chosen))
        return found

    def _ensemble(self, method: str) -> Ensemble:
        found = self.recipes[method].ensemble
        assert found is not None
        return found
