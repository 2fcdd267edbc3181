"""Mixing molecules: how much of the other one an embedding, and its label, gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from drugtail.runtime.draws import Draws
from drugtail.runtime.registry import Registry

# Components with two branches (``branches`` of their settings) take the settings and the share of
# the epochs that are over, and return the first branch's share of the logits.
Mixing = Callable[..., Any]
MIXING: Registry[Mixing] = Registry("mixing")


@MIXING.register("mixup")
def mixup(
    settings: Any, counts: Tensor, partner_counts: Tensor, draws: Draws
) -> tuple[Tensor, Tensor]:
    """λ z_i + (1 − λ) z_j with λ ~ Beta(1, 1), the labels likewise (Zhang et al., ICLR 2018).

    Molecules cannot be averaged, so embeddings are (manifold mixup; Verma et al., ICML 2019, at
    one layer). λ is drawn for each pair.

    Parameters
    ----------
    settings
        Settings of the component.
    counts, partner_counts
        Training molecules of the classes of either molecule of each pair, n_i and n_j, [B].
    draws
        Source of randomness.

    Returns
    -------
    share : Tensor
        λ, how much of the embedding is of i, [B].
    label_share : Tensor
        How much of the label is that of i, [B].
    """
    share = draws.uniform(len(counts))
    return share, share


@MIXING.register("remix")
def remix(
    settings: Any, counts: Tensor, partner_counts: Tensor, draws: Draws
) -> tuple[Tensor, Tensor]:
    """`mixup`, but the label goes to a class κ times rarer while its share suffices.

    λ_y = 0 if n_i/n_j ≥ κ and λ < τ; 1 if n_i/n_j ≤ 1/κ and 1 − λ < τ; else λ (Chou et al., ECCV
    Workshops 2020, equation 5). ``settings.kappa`` is κ, ``settings.tau`` τ. Parameters and result
    as in `mixup`.
    """
    share, _ = mixup(settings, counts, partner_counts, draws)
    ratio = counts / partner_counts
    to_partner = (ratio >= settings.kappa) & (share < settings.tau)
    to_own = (ratio <= 1 / settings.kappa) & (1 - share < settings.tau)
    label_share = torch.where(to_own, 1.0, torch.where(to_partner, 0.0, share))
    return share, label_share


@MIXING.register("bilateral")
def bilateral(settings: Any, progress: Tensor) -> Tensor:
    """α = 1 − (t/T)², the share of the conventional branch (BBN; Zhou et al., CVPR 2020).

    Parameters
    ----------
    settings
        Settings of the component.
    progress
        t/T, a scalar.
    """
    share: Tensor = 1 - progress**2
    return share
