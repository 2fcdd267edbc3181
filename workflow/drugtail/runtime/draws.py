"""Random numbers that are computed from their place, not drawn one after the other.

Which number stands where then depends neither on how many seeds are computed together, nor on how
far their graphs are filled up, nor on the device, and a captured step draws new ones at every
replay. (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; the
mixing is the finaliser of SplitMix64 by Steele, Lea, Flood, OOPSLA 2014.)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The odd constants of SplitMix64 as signed numbers, and the bits that remain after a shift.
STEP, FIRST, SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15


class Draws:
    """Random numbers of one step of one seed.

    Parameters
    ----------
    key
        int64 scalar; the same key gives the same numbers.
    """

    def __init__(self, key: Tensor) -> None:
        self._key = key

    def uniform(self, *shape: int) -> Tensor:
        """Return numbers in [0, 1), float32 of the given shape; others at every call.

        They are multiples of 2^-24. Those of a shorter row are the first of a longer one.
        """
        self._key = self._key + STEP
        key = mix(self._key)
        place = torch.arange(1, 1 + torch.Size(shape).numel(), device=key.device)
        bits = mix(key + place * STEP) >> 40 & 0xFFFFFF
        return (bits.to(torch.float32) * 2.0**-24).view(shape)


def at_least(keys: Tensor, rate: float, *shape: int) -> Tensor:
    """Return where ``Draws(key).uniform(*shape)`` is at least `rate`, for many keys at once.

    It makes no numbers of the bits and skips what the highest 24 do not depend on: the last round
    of `mix` moves bits down by 31 places, below those.

    Parameters
    ----------
    keys
        int64 [S].
    rate
        In [0, 1); compared in single precision, as the numbers are.
    shape
        Shape of the numbers of each key.

    Returns
    -------
    Tensor
        bool [S, ...shape].
    """
    single = torch.tensor(rate, dtype=torch.float32).item()
    if single >= 1:
        # No number reaches a rate that single precision rounds to 1.
        return torch.zeros(len(keys), *shape, dtype=torch.bool, device=keys.device)
    place = torch.arange(1, 1 + torch.Size(shape).numel(), device=keys.device).mul_(STEP)
    x = mix(keys + STEP)[:, None] + place
    x = x.bitwise_xor_((x >> 30).bitwise_and_(0x3FFFFFFFF)).mul_(FIRST)
    x = x.bitwise_xor_((x >> 27).bitwise_and_(0x1FFFFFFFFF)).mul_(SECOND)
    least = math.ceil(single * 2**24) << 40
    # With the sign bit turned round, signed numbers compare as unsigned ones do.
    found = x.bitwise_xor_(-(1 << 63)) >= least - (1 << 63)
    return found.view(-1, *shape)


def step_keys(seed: int, steps: int, device: torch.device) -> Tensor:
    """Keys of the steps of an epoch, int64 [steps]."""
    key = mix(torch.tensor(seed, device=device))
    return mix(key + torch.arange(1, steps + 1, device=device) * STEP)


def mix(x: Tensor) -> Tensor:
    """Spread every bit of int64 numbers over all 64."""
    x = (x ^ (x >> 30 & 0x3FFFFFFFF)) * FIRST
    x = (x ^ (x >> 27 & 0x1FFFFFFFFF)) * SECOND
    return x ^ (x >> 31 & 0x1FFFFFFFF)
