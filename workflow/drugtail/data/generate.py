"""The embedded data set ``demo``: synthetic reactions enumerated from real templates.

The data are synthetic: they exist so that the benchmark can be installed, tested and tried
without a download, and no claim about chemistry should rest on them. Reaction templates
(reaction SMARTS of common medicinal chemistry steps) are applied with RDKit to common building
blocks. The product is the molecule, the class of its last reaction is the label; classes and
their long-tailed sizes mirror those of USPTO-50K.

The chemistry is idealised: reagents are left out of the recorded reactants, yields and
conditions are ignored, and selectivity is settled by one rule, namely that a reaction counts
only if the template gives exactly one product.
"""

import hashlib
import operator
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from rdkit import Chem
from rdkit.Chem import rdChemReactions

from drugtail.data.reactions import BUILDING_BLOCKS, COUPLINGS, INCOMPATIBLE, TEMPLATES, Template

# The sizes of USPTO-50K's ten classes, scaled so that the rarest class has 28 molecules.
CLASS_SIZES: dict[str, int] = {
    "heteroatom alkylation and arylation": 1844,
    "acylation and related processes": 1448,
    "C-C bond formation": 689,
    "heterocycle formation": 111,
    "protections": 82,
    "deprotections": 1003,
    "reductions": 562,
    "oxidations": 99,
    "functional group interconversion": 223,
    "functional group addition": 28,
}

# Products outside this window (heavy atoms) are dropped, so that all classes are drug-sized.
MIN_HEAVY_ATOMS = 14
MAX_HEAVY_ATOMS = 32

# One row (coupling, block, block) per way to make a reactant; a plain block has coupling -1.
_Supply = npt.NDArray[np.int64]
_SlotMatches = tuple[tuple[frozenset[int], ...], ...]


@dataclass(frozen=True)
class _Workbench:
    """The tables of `drugtail.data.reactions`, compiled once per call: nothing global changes.

    ``matches[name][slot][block]`` lists the places (sets of atoms) where a block fits that slot.
    """

    blocks: tuple[Chem.Mol, ...]
    reactions: Mapping[str, rdChemReactions.ChemicalReaction]
    matches: Mapping[str, tuple[_SlotMatches, ...]]
    incompatible: tuple[tuple[Chem.Mol, Chem.Mol], ...]


class _Record(NamedTuple):
    """One row of the data set before it gets its id."""

    smiles: str
    label: int
    reaction_class: str
    template: str
    reactants: str


def generate_reactions(class_sizes: Mapping[str, int] | None = None, seed: int = 0) -> pd.DataFrame:
    """Enumerate the synthetic data set ``demo``.

    The data are synthetic and meant for tests, tutorials and dry runs of the benchmark; they are
    no substitute for measured reactions. The result depends on the arguments alone, never on the
    process or on hash randomisation.

    Parameters
    ----------
    class_sizes
        Number of molecules per reaction class; classes left out get none. The default is
        ``CLASS_SIZES``: ten classes, 6,089 molecules, largest to smallest 66 to 1.
    seed
        Seed of every random choice: which reactants meet, and the order of the rows.

    Returns
    -------
    pandas.DataFrame
        One row per molecule: ``id`` (``demo-00001`` onwards), ``smiles`` (canonical SMILES of the
        product, unique in the table, ``MIN_HEAVY_ATOMS`` to ``MAX_HEAVY_ATOMS`` heavy atoms),
        ``label`` (position of the class in ``CLASS_SIZES``, 0 to 9), ``reaction_class``,
        ``template`` (name of the last reaction's template) and ``reactants`` (canonical SMILES of
        the last reaction's reactants in the template's order, joined by dots).

    Raises
    ------
    ValueError
        If no class is asked for, a class is unknown, a size is not a whole number of at least 1,
        or a size exceeds what the templates of the class can give.
    """
    sizes = _checked_sizes(CLASS_SIZES if class_sizes is None else class_sizes)
    bench = _workbench()
    seen: set[str] = set()
    records: list[_Record] = []
    # Rarest first: a molecule that two classes can make goes to the one that has fewer to spare.
    for reaction_class in sorted(sizes, key=lambda name: sizes[name]):
        records += _class_records(bench, reaction_class, sizes[reaction_class], seed, seen)
    order = _random_stream(seed, "row order").permutation(len(records))
    table = pd.DataFrame([records[i] for i in order], columns=list(_Record._fields))
    table.insert(0, "id", [f"demo-{number:05d}" for number in range(1, len(table) + 1)])
    return table


def _checked_sizes(class_sizes: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes as plain integers in the order of ``CLASS_SIZES``, or raise ValueError."""
    if not class_sizes:
        raise ValueError("class_sizes is empty: ask for at least one reaction class.")
    sizes: dict[str, int] = {}
    for name, size in class_sizes.items():
        if name not in CLASS_SIZES:
            known = ", ".join(repr(known) for known in CLASS_SIZES)
            raise ValueError(f"Unknown reaction class {name!r}: use one of {known}.")
        try:
            sizes[name] = operator.index(size)
        except TypeError:
            sizes[name] = 0
        if sizes[name] < 1:
            raise ValueError(
                f"Reaction class {name!r} was asked for {size!r} molecules: give a whole number "
                "of at least 1, or leave the class out."
            )
    return {name: sizes[name] for name in CLASS_SIZES if name in sizes}


def _random_stream(seed: int, *purpose: str) -> np.random.Generator:
    """Return a generator of its own for each purpose, so that no draw disturbs another."""
    digest = hashlib.sha256("\n".join((str(seed), *purpose)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest, "big"))


def _workbench() -> _Workbench:
    """Compile blocks and templates, and match every block to every reactant slot."""
    smiles = " ".join(BUILDING_BLOCKS.values()).split()
    blocks = tuple(Chem.MolFromSmiles(text) for text in smiles)
    reactions = {t.name: rdChemReactions.ReactionFromSmarts(t.smarts) for t in TEMPLATES}
    for reaction in reactions.values():
        reaction.Initialize()
    matches = {
        name: tuple(
            tuple(tuple(map(frozenset, block.GetSubstructMatches(slot))) for block in blocks)
            for slot in reaction.GetReactants()
        )
        for name, reaction in reactions.items()
    }
    incompatible = tuple(
        (Chem.MolFromSmarts(first), Chem.MolFromSmarts(second)) for first, second in INCOMPATIBLE
    )
    return _Workbench(blocks, reactions, matches, incompatible)


def _class_records(
    bench: _Workbench, reaction_class: str, size: int, seed: int, seen: set[str]
) -> list[_Record]:
    """Draw ``size`` new products of one class, its streams taking turns; add them to ``seen``."""
    routes = {t: _routes(bench, t) for t in TEMPLATES if t.reaction_class == reaction_class}
    bound = sum(_combinations(supplies) for ways in routes.values() for supplies in ways)
    if size > bound:
        raise _too_many(reaction_class, size, f"at most {bound}")
    turns = [
        turn for template in routes for turn in _turns(bench, template, routes[template], seed)
    ]
    _random_stream(seed, reaction_class).shuffle(turns)
    queue = deque(turns)
    records: list[_Record] = []
    while queue and len(records) < size:
        stream = queue.popleft()
        record = next((record for record in stream if record.smiles not in seen), None)
        if record is not None:
            seen.add(record.smiles)
            records.append(record)
            queue.append(stream)
    if len(records) < size:
        raise _too_many(reaction_class, size, f"only {len(records)}")
    return records


def _too_many(reaction_class: str, size: int, possible: str) -> ValueError:
    return ValueError(
        f"Reaction class {reaction_class!r} was asked for {size} molecules, but its templates "
        f"give {possible}: ask for fewer, or add templates or building blocks."
    )


def _routes(bench: _Workbench, template: Template) -> list[tuple[_Supply, ...]]:
    """List the ways to fill a template's slots, the way without a coupled reactant first.

    A one-component template always takes a coupled reactant, since bare blocks are too small.
    """
    slots = bench.matches[template.name]
    coupled = [_coupled(bench, slot) for slot in slots]
    if len(slots) == 1:
        return [(coupled[0],)]
    plain = [_plain(slot) for slot in slots]
    return [(plain[0], plain[1]), (coupled[0], plain[1]), (plain[0], coupled[1])]


def _turns(
    bench: _Workbench, template: Template, routes: Sequence[tuple[_Supply, ...]], seed: int
) -> list[Iterator[_Record]]:
    """Return a template's streams of products, one entry per turn in the rotation.

    The stream without coupled reactants gets a turn for each of the others: with fewer, products
    of two-component templates would be larger than the rest.
    """
    plain, *coupled = (
        _records(bench, template, supplies, _random_stream(seed, template.name, str(number)))
        for number, supplies in enumerate(routes)
    )
    return [turn for stream in coupled for turn in (plain, stream)] or [plain]


def _plain(slot: _SlotMatches) -> _Supply:
    return np.array([(-1, block, block) for block, places in enumerate(slot) if places])


def _coupled(bench: _Workbench, wanted: _SlotMatches) -> _Supply:
    """List the couplings of two blocks of which at least one brings the wanted group.

    The group must lie apart from where the block couples; otherwise nearly every attempt of some
    routes would fail, and trying them all would take most of the run time.
    """
    rows = []
    for number, name in enumerate(COUPLINGS):
        first, second = bench.matches[name]
        fits = np.outer([bool(places) for places in first], [bool(places) for places in second])
        brings = np.logical_or.outer(_spare(first, wanted), _spare(second, wanted))
        rows.append(np.insert(np.argwhere(fits & brings), 0, number, axis=1))
    return np.concatenate(rows)


def _spare(used: _SlotMatches, wanted: _SlotMatches) -> list[bool]:
    """Tell for every block whether it keeps a wanted group after reacting at a used one."""
    return [
        any(mine.isdisjoint(other) for mine in kept for other in places)
        for kept, places in zip(wanted, used, strict=True)
    ]


def _combinations(supplies: Sequence[_Supply]) -> int:
    return int(np.prod([len(supply) for supply in supplies]))


def _records(
    bench: _Workbench,
    template: Template,
    supplies: Sequence[_Supply],
    random: np.random.Generator,
) -> Iterator[_Record]:
    """Yield the usable products of one route, each combination tried once, in random order."""
    label = list(CLASS_SIZES).index(template.reaction_class)
    shape = [len(supply) for supply in supplies]
    for flat in random.permutation(_combinations(supplies)):
        rows = [
            supply[i] for supply, i in zip(supplies, np.unravel_index(flat, shape), strict=True)
        ]
        reactants = [reactant for row in rows if (reactant := _reactant(bench, row)) is not None]
        if len(reactants) < len(rows):
            continue
        product = _only_product(bench, template.name, reactants)
        if product is None or not _drug_sized(product):
            continue
        names = ".".join(Chem.MolToSmiles(reactant) for reactant in reactants)
        smiles = Chem.MolToSmiles(product)
        yield _Record(smiles, label, template.reaction_class, template.name, names)


def _reactant(bench: _Workbench, row: npt.NDArray[np.int64]) -> Chem.Mol | None:
    coupling, *pair = map(int, row)
    blocks = [bench.blocks[block] for block in pair]
    return blocks[0] if coupling < 0 else _only_product(bench, COUPLINGS[coupling], blocks)


def _only_product(
    bench: _Workbench, template: str, reactants: Sequence[Chem.Mol]
) -> Chem.Mol | None:
    """Return the product, or None if there is not exactly one or it would react with itself."""
    outcomes = set()
    for (product,) in bench.reactions[template].RunReactants(tuple(reactants)):
        if Chem.SanitizeMol(product, catchErrors=True) != Chem.SanitizeFlags.SANITIZE_NONE:
            return None
        outcomes.add(Chem.MolToSmiles(product))
    if len(outcomes) != 1:
        return None
    # Reading the SMILES back settles aromaticity and stereo, which makes the next one canonical.
    product = Chem.MolFromSmiles(outcomes.pop())
    clash = any(
        product.HasSubstructMatch(first) and product.HasSubstructMatch(second)
        for first, second in bench.incompatible
    )
    return None if clash else product


def _drug_sized(molecule: Chem.Mol) -> bool:
    return MIN_HEAVY_ATOMS <= int(molecule.GetNumHeavyAtoms()) <= MAX_HEAVY_ATOMS
