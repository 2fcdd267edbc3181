"""The seeds in training, as second stages see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from drugtail.features.batch import Store
from drugtail.models.companion import Companion
from drugtail.models.network import Network, Output
from drugtail.training.objective import Objective
from drugtail.training.pool import Pool
from drugtail.training.problem import Problem
from drugtail.training.record import SeedRecord

if TYPE_CHECKING:
    from drugtail.config.recipe import Recipe
    from drugtail.config.training import Training


class SeedState(Protocol):
    """S seeds in training, as a second stage or a change after training works on them.

    Attributes
    ----------
    problem
        Molecules, classes and subsets.
    recipe, training
        The method and the training settings.
    store
        All molecules, on the device.
    network, companion
        What is trained.
    objective
        The loss, and what is known of the classes.
    seeds
        What is stored of each seed.
    subsets : dict
        Subset -> positions of its molecules in the store, int64.
    labels
        Classes of all molecules, int64 [N].
    """

    problem: Problem
    recipe: Recipe
    training: Training
    store: Store
    network: Network
    companion: Companion
    objective: Objective
    seeds: list[SeedRecord]
    subsets: dict[str, Tensor]
    labels: Tensor

    def active(self) -> list[tuple[int, SeedRecord]]:
        """Return the seeds that have not diverged, with their places among all."""

    def new_network(self, stream: str) -> Network:
        """Return a network with fresh weights, drawn from a random stream of that name."""

    def predict(self, molecules: Tensor) -> Output:
        """Predict the same molecules, int64 [n], with every seed's network."""

    def predict_each(self, molecules: Tensor) -> Output:
        """Predict molecules of each seed's own, int64 [S, n]."""

    def stream_seed(self, stream: str, seed: int, *axes: str | int) -> int:
        """Return the seed of a random stream of one training seed."""

    def grow(self, molecules: dict[str, Tensor]) -> None:
        """Add molecules, as packed arrays, at the end of the store."""

    def use_second_stage(self, pool: Pool) -> None:
        """Go on with the second stage of the recipe, on other molecules or features."""
