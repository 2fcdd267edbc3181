"""Molecules of every class of the demo."""

from __future__ import annotations

from functools import cache

from drugtail.data.generate import CLASS_SIZES, generate_reactions


@cache
def demo_smiles(per_class: int) -> list[str]:
    """As many SMILES of each class, shuffled; a few take a second, the whole demo takes fifteen."""
    table = generate_reactions(dict.fromkeys(CLASS_SIZES, per_class))
    smiles: list[str] = table["smiles"].sample(frac=1, random_state=0).tolist()
    return smiles
