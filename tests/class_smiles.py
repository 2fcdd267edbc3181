"""Molecules of classes that each have a functional group of their own."""

from __future__ import annotations

from itertools import cycle, islice, product

# One functional group per class; a molecule is a tail, a linker and the group of its class.
GROUPS = [
    "C(=O)O", "N", "S(N)(=O)=O", "C#N", "[N+](=O)[O-]", "Br",
    "I", "P(=O)(O)O", "B(O)O", "[Si](C)(C)C", "SC", "C(F)(F)F",
]  # fmt: skip
TAILS = ["C", "CC", "CCC", "CC(C)", "OCC", "COCC", "C1CC1", "C1CCCC1", "C1CCOCC1", "c1ccccc1"]
LINKERS = ["C", "CC", "c1ccc(cc1)", "c1cc(sc1)", "CC(C)C", "C(=O)C", "COC", "CCCC", "C1CC(C1)"]


def smiles_of_class(label: int, count: int) -> list[str]:
    """Return that many molecules of a class, 0 to 11; after 90 they begin again."""
    molecules = [tail + linker + GROUPS[label] for tail, linker in product(TAILS, LINKERS)]
    return list(islice(cycle(molecules), count))
