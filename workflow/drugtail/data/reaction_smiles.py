"""Reading reaction SMILES: a molecule of each, or the whole, without atom maps and agents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import pandas as pd
from rdkit import Chem, rdBase

from drugtail.config.dataset import Molecules, Reaction
from drugtail.data.identity import (
    Identity,
    NoMolecule,
    identify,
    largest_fragment,
    map_distinct,
    read_molecule,
)


class ReadReaction(NamedTuple):
    """A reaction: the identities of its molecule (see `Identity`), and what else is known of it.

    Of a whole reaction, ``smiles`` is the reaction itself, and parent and scaffold are those of its
    product, so that splits keep one product together.

    Attributes
    ----------
    reactants : str
        Canonical SMILES of the reactants, without atom maps.
    reaction : str
        ``reactants>>products``, canonical, without atom maps and agents.
    """

    smiles: str = ""
    parent: str = ""
    scaffold: str = ""
    reason: str = ""
    notes: str = ""
    reactants: str = ""
    reaction: str = ""


def canonical_reaction(text: str) -> str | None:
    """Return ``reactants>>products`` without atom maps and agents, canonical; None if invalid."""
    with rdBase.BlockLogs():
        sides = text.strip().split(">")
        if len(sides) != 3:
            return None
        found = [_canonical_side(sides[0]), _canonical_side(sides[2])]
    return None if None in found else ">>".join(map(str, found))


def _canonical_side(text: str) -> str | None:
    if not text.strip():
        return ""
    try:
        return str(Chem.MolToSmiles(read_molecule(text)[0]))
    except NoMolecule:
        return None


def canonical_reactions(texts: Iterable[str], workers: int = 1) -> list[str | None]:
    """Return the canonical form of each reaction, in parallel; None where there is none."""
    return map_distinct(_canonical_chunk, texts, workers, "reactions")


def _canonical_chunk(texts: Sequence[str]) -> list[str | None]:
    return [canonical_reaction(text) for text in texts]


def read_reactions(
    texts: Iterable[str], reaction: Reaction, settings: Molecules, workers: int = 1
) -> pd.DataFrame:
    """Read reactions, in parallel.

    Returns
    -------
    pandas.DataFrame
        One row per text, in order, with the fields of `ReadReaction`.
    """
    read = partial(_read_chunk, use=reaction.use, settings=settings)
    rows: list[ReadReaction] = map_distinct(read, texts, workers, "reactions")
    return pd.DataFrame(rows, columns=ReadReaction._fields)


def _read_chunk(texts: Sequence[str], use: str, settings: Molecules) -> list[ReadReaction]:
    with rdBase.BlockLogs():
        return [_read(text, use, settings) for text in texts]


def _read(text: str, use: str, settings: Molecules) -> ReadReaction:
    if not text.strip():
        return ReadReaction(reason="empty reaction")
    reaction = canonical_reaction(text)
    if reaction is None:
        return ReadReaction(reason="unparsable reaction")
    reactants, product = reaction.split(">>")
    if use == "reaction":
        return _whole(reactants, product, settings)
    side = reactants if use == "reactants" else product
    if not side:
        named = "reactants" if use == "reactants" else "product"
        return ReadReaction(reason=f"reaction without {named}")
    if use == "main_product" and "." in side:
        side = Chem.MolToSmiles(largest_fragment(Chem.MolFromSmiles(side)))
    found: Identity = identify(side, settings)
    return ReadReaction(*found, reactants, reaction)


def _whole(reactants: str, product: str, settings: Molecules) -> ReadReaction:
    """The whole reaction; what is wrong or odd about either side is so of the reaction."""
    notes: list[str] = []
    for name, side in (("reactants", reactants), ("product", product)):
        if not side:
            return ReadReaction(reason=f"reaction without {name}")
        found = identify(side, settings)
        if found.reason:
            return ReadReaction(reason=found.reason)
        notes += [note for note in found.notes.split() if note not in notes]
    whole = f"{reactants}>>{product}"
    return ReadReaction(whole, found.parent, found.scaffold, "", " ".join(notes), reactants, whole)
