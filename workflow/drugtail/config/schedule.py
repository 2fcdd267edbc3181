"""Epochs at which the stages of a training begin, and whether they fit into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drugtail.runtime.errors import DrugtailError

if TYPE_CHECKING:
    from drugtail.config.recipe import Recipe
    from drugtail.config.training import Training


def warmup_epochs(recipe: Recipe, scale: float) -> int:
    """Epochs before the first re-clustering; `scale` is ``Training.schedule_scale``."""
    return 0 if recipe.schedule is None else _scaled(recipe.schedule.warmup_epochs, scale)


def classifier_epoch(recipe: Recipe, scale: float) -> int:
    """Epoch, counted from 0, before which the classification loss begins to count.

    Without a contrastive term there is nothing else to train, so it counts from the first.
    """
    if recipe.schedule is None or recipe.contrastive is None:
        return 0
    return warmup_epochs(recipe, scale) + _scaled(recipe.schedule.classifier_delay, scale)


def refresh_epochs(recipe: Recipe, epochs: int, scale: float) -> range:
    """Epochs, counted from 0, before which the training set is embedded and clustered."""
    if recipe.schedule is None:
        return range(0)
    step = _scaled(recipe.schedule.refresh_epochs, scale)
    # Embeddings of a second stage are those of the first.
    return range(warmup_epochs(recipe, scale), second_stage_epoch(recipe, epochs), step)


def second_stage_epoch(recipe: Recipe, epochs: int) -> int:
    """Epoch, counted from 0, before which the second stage begins; `epochs` if there is none."""
    if recipe.second_stage is None:
        return epochs
    # Both stages have an epoch at least.
    return max(1, min(round(recipe.second_stage.start * epochs), epochs - 1))


def last_change_epoch(recipe: Recipe, epochs: int) -> int | None:
    """Epoch, counted from 0, before which the last component of a recipe with a ``start`` sets in.

    The sampler, the class weights, the loss and the contrastive term may have one, a share of the
    epochs. None if no component has, or if the training is too short for it.
    """
    components = (recipe.sampler, recipe.class_weights, recipe.loss, recipe.contrastive)
    start = max(getattr(component, "start", 0.0) for component in components)
    if start == 0:
        return None
    # The same comparison as where the components set in.
    return next((epoch for epoch in range(epochs) if epoch / epochs >= start), None)


def check_epochs(recipe: Recipe, training: Training) -> None:
    """Refuse a training that is too short for the method.

    Raises
    ------
    DrugtailError
        If its warm-up or first stage leaves no epoch.
    """
    epochs, scale = training.epochs, training.schedule_scale
    warmup = max(warmup_epochs(recipe, scale), classifier_epoch(recipe, scale))
    if warmup >= epochs:
        raise DrugtailError(
            f"method {recipe.name!r}: its warm-up takes {warmup} epochs, but the training has "
            f"{epochs}; raise training.epochs or lower training.schedule_scale"
        )
    if recipe.second_stage is not None and second_stage_epoch(recipe, epochs) >= epochs:
        raise DrugtailError(
            f"method {recipe.name!r}: its second stage begins after an epoch, but the training has "
            f"{epochs}; raise training.epochs"
        )


def _scaled(epochs: int, factor: float) -> int:
    return max(1, round(epochs * factor)) if epochs else 0
