"""Every random stream has a seed of its own, derived from the names it should depend on."""

from __future__ import annotations

import hashlib


def derive_seed(*axes: str | int) -> int:
    """Return a seed in [0, 2**63) that depends on `axes` and on nothing else.

    ``derive_seed("order", "hiv", "random-0", 3, 17)`` is the same in every process and on every
    machine, unlike ``hash``, which is salted.
    """
    name = "\x1f".join(str(axis) for axis in axes)
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") >> 1
