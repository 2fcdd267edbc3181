"""Ways in which the bytes of a file go wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Damage = Callable[[bytes, np.random.Generator], bytes]


def flip_a_bit(content: bytes, rng: np.random.Generator) -> bytes:
    place, changed = int(rng.integers(len(content) * 8)), bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: int(rng.integers(len(content)))]


def overwrite(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content)))
    some = rng.bytes(int(rng.integers(1, 64)))
    return content[:start] + some + content[start + len(some) :]


DAMAGES: tuple[Damage, ...] = (flip_a_bit, cut, overwrite)
