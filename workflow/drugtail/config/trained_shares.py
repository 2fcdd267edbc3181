"""Class shares that the probabilities of a recipe learn, by what its components declare."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drugtail.config.base import declares
from drugtail.config.prior import Shares, shares_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drugtail.config.recipe import Recipe


def trained_shares(
    recipe: Recipe, counts: Sequence[int], measured: Sequence[float] | None = None
) -> Shares:
    """Return the class shares that a method's probabilities have learned.

    Parameters
    ----------
    recipe
        The method.
    counts
        Training molecules per class, [C].
    measured
        Class weights in force when the network was chosen, where they are measured in training.

    Returns
    -------
    list of float or None
        π̃, [C]; None where it is not defined: logits of cosine layers and of several heads are no
        logarithms of posteriors, and some losses and stages change more than shares.
    """
    sizes = [int(count) for count in counts]
    shares: Shares = shares_of(sizes)
    assert shares is not None
    if not recipe.is_network:
        return _after(recipe.classifier or recipe.ensemble, shares, sizes)
    stage = recipe.second_stage
    known = (
        recipe.last_layer.scale == 1.0
        and recipe.experts is None
        and not declares(recipe.contrastive, "whole")
        and (recipe.mixing is None or declares(recipe.mixing, "keeps_shares"))
        and (stage is None or declares(stage, "keeps_shares"))
    )
    if not known:
        return None
    sampler = declares(recipe if stage is None else stage, "sampler")
    shares = _after(sampler, shares, sizes)
    last: Any = stage if declares(stage, "loss") else recipe
    if shares is not None and declares(last.class_weights, "needs_geometry"):
        shares = _weighed(shares, measured)
    elif shares is not None:
        shares = _after(last.class_weights, shares, sizes)
    for component in (last.loss, recipe.posthoc):
        if shares is not None and component is not None:
            shares = _after(component, shares, sizes)
    return shares


def _after(component: Any, shares: list[float], sizes: list[int]) -> Shares:
    """Shares after a component; one of a plugin's that does not say them leaves them undefined."""
    prior = getattr(component, "prior", None)
    found: Shares = None if prior is None else prior(shares, sizes)
    return found


def _weighed(shares: list[float], measured: Sequence[float] | None) -> Shares:
    if measured is None:
        return None
    return shares_of([share * weight for share, weight in zip(shares, measured, strict=True)])
