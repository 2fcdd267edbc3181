"""One reader of SMILES and InChI, with three identities of a molecule and a declared outcome.

Every command that reads molecules reads them here. The three identities are the canonical SMILES,
the parent (the same for all salts, charge states, stereoisomers and isotopologues of a compound)
and the scaffold of the parent.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache, partial
from typing import NamedTuple, TypeVar

import pandas as pd
from rdkit import Chem, rdBase
from rdkit.Chem.MolStandardize import rdMolStandardize
from rdkit.Chem.Scaffolds import MurckoScaffold

from drugtail.config.dataset import Molecules
from drugtail.config.labels import MISSING_MARKS
from drugtail.data.elements import ELEMENTS
from drugtail.runtime.logging import Pace, say

CHUNK = 500
AS_PUBLISHED = Molecules()
# A drug is smaller by far, and the scaffold of a chain of 10,000 atoms takes minutes.
MOST_ATOMS = 1000
# Seconds without a line of progress.
QUIET = 10.0

MAPPED = re.compile(r":\d+\]")
ISOTOPE = re.compile(r"\[\d+")
# The element of an atom in brackets, without isotope.
BRACKET = re.compile(r"\[\d*([A-Za-z][a-z]?)")
INCHI_KEY = re.compile(r"[A-Z]{14}-[A-Z]{10}-[A-Z]")
KNOWN = frozenset(ELEMENTS) | {element.lower() for element in ELEMENTS}

# What was done to a molecule, or is odd about it: a note -> how the terminal says it.
NOTES = {
    "map": "atom maps cleared",
    "isotope": "isotope marks cleared",
    "extension": "CXSMILES extension left out of the identity",
    "inchi": "read as InChI",
    "wildcard": "wildcard atoms, which features take for one more element",
    "element": "elements that the atom features do not know, taken for one more element",
}


class Identity(NamedTuple):
    """A text, read as a molecule.

    Attributes
    ----------
    smiles : str
        Canonical SMILES, standardized as declared; without atom maps and isotopes.
    parent : str
        Canonical SMILES of the largest fragment, uncharged, without stereochemistry.
    scaffold : str
        Bemis-Murcko scaffold of the parent; empty without rings.
    reason : str
        Why it is no molecule, what is quoted after a colon; empty if it is one.
    notes : str
        Keys of `NOTES`, separated by blanks.
    """

    smiles: str = ""
    parent: str = ""
    scaffold: str = ""
    reason: str = ""
    notes: str = ""


class NoMolecule(Exception):
    """A text is no molecule; the message is the reason."""


def identify(text: str, settings: Molecules = AS_PUBLISHED, *, whole: bool = True) -> Identity:
    """Read one molecule and its identities.

    Parameters
    ----------
    text
        SMILES, CXSMILES or InChI, as it stands in a cell.
    settings
        How molecules of the data set are read.
    whole
        False leaves parent and scaffold empty, which take most of the time.
    """
    try:
        molecule, notes = read_molecule(text)
        smiles = Chem.MolToSmiles(molecule)
        notes += _odd_atoms(molecule, smiles, settings)
    except NoMolecule as error:
        return Identity(reason=str(error))
    if not whole and settings.standardize != "parent":
        smiles = _standardized(molecule, smiles, "", settings)
        return Identity(smiles, notes=" ".join(notes))
    base, parent = _parent(molecule, smiles)
    scaffold = Chem.MolToSmiles(MurckoScaffold.GetScaffoldForMol(base), isomericSmiles=False)
    smiles = _standardized(molecule, smiles, parent, settings)
    return Identity(smiles, parent, scaffold, "", " ".join(notes))


def read_molecule(text: str) -> tuple[Chem.Mol, list[str]]:
    """Return a molecule without atom maps and isotopes, and the notes on how it was read.

    Raises
    ------
    NoMolecule
        If the text is none.
    """
    words = text.split(maxsplit=1)
    if not words:
        raise NoMolecule("empty SMILES")
    if text.strip() in MISSING_MARKS:
        raise NoMolecule(f"missing SMILES: {text.strip()}")
    is_inchi = words[0].startswith("InChI=")
    molecule, notes = _from_inchi(words) if is_inchi else _from_smiles(words)
    atoms = molecule.GetNumAtoms()
    if atoms == 0:
        raise NoMolecule("molecule without atoms")
    if atoms > MOST_ATOMS:
        raise NoMolecule(f"too large: {atoms} atoms, at most {MOST_ATOMS}")
    mapped = MAPPED.search(words[0]) is not None
    isotopic = ISOTOPE.search(words[0]) is not None
    if notes or mapped or isotopic:
        # An extension may carry maps and isotopes, too.
        facts = [(atom.GetAtomMapNum(), atom.GetIsotope()) for atom in molecule.GetAtoms()]
        mapped, isotopic = (any(each) for each in zip(*facts, strict=True))
    if mapped or isotopic:
        molecule = _unmarked(molecule)
        notes += [name for name, seen in (("map", mapped), ("isotope", isotopic)) if seen]
    return molecule, notes


def _from_inchi(words: list[str]) -> tuple[Chem.Mol, list[str]]:
    if len(words) > 1:
        raise NoMolecule(f"text after the InChI: {_quoted(words[1])}")
    molecule = Chem.MolFromInchi(words[0])
    if molecule is None:
        raise NoMolecule("unparsable InChI")
    return molecule, ["inchi"]


def _from_smiles(words: list[str]) -> tuple[Chem.Mol, list[str]]:
    molecule, notes = None, []
    if len(words) > 1:
        extension = words[1].strip()
        if not (extension.startswith("|") and extension.endswith("|") and len(extension) > 1):
            raise NoMolecule(f"text after the SMILES: {_quoted(words[1])}")
        notes.append("extension")
        molecule = Chem.MolFromSmiles(f"{words[0]} {extension}")
    # Other programs write extensions that RDKit does not know.
    molecule = molecule or Chem.MolFromSmiles(words[0])
    if molecule is None:
        raise NoMolecule(_no_smiles(words[0]))
    return molecule, notes


def _no_smiles(text: str) -> str:
    """Reason of a text that is no SMILES, with what it looks like."""
    if INCHI_KEY.fullmatch(text):
        return "unparsable SMILES: an InChIKey, from which no structure can be read"
    if text.count(">") == 2:
        return "unparsable SMILES: a reaction, which `columns.reaction` reads"
    return "unparsable SMILES"


def _odd_atoms(molecule: Chem.Mol, smiles: str, settings: Molecules) -> list[str]:
    """Return notes on wildcards and on elements that the atom features do not know."""
    notes = []
    if "*" in smiles:
        wild = sum(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms())
        if wild == molecule.GetNumAtoms():
            raise NoMolecule("wildcards only")
        if settings.wildcards == "reject":
            raise NoMolecule("wildcard atom")
        notes.append("wildcard")
    unknown = {*BRACKET.findall(smiles)} - KNOWN if "[" in smiles else set()
    if unknown:
        if settings.other_elements == "reject":
            named = ", ".join(sorted(element.capitalize() for element in unknown))
            raise NoMolecule(f"element without atom features: {named}")
        notes.append("element")
    return notes


def _unmarked(molecule: Chem.Mol) -> Chem.Mol:
    """The molecule without atom maps and isotopes, perceived anew.

    Marks fix the hydrogens of their atoms, and make centres stereogenic that are none.
    """
    for atom in molecule.GetAtoms():
        atom.SetAtomMapNum(0)
        atom.SetIsotope(0)
    plain = Chem.MolFromSmiles(Chem.MolToSmiles(molecule))
    if plain is None:
        raise NoMolecule("unparsable SMILES")
    return plain


def _parent(molecule: Chem.Mol, smiles: str) -> tuple[Chem.Mol, str]:
    """Return the parent and its canonical SMILES.

    The pieces of RDKit's standardization are called one by one, and only where there is something
    to do: its FragmentParent and ChargeParent read every molecule anew.
    """
    if not set(smiles) & set(".+-@/\\"):
        return molecule, smiles
    base = molecule
    if "." in smiles:
        base = largest_fragment(molecule)
    if "+" in smiles or "-" in smiles:
        base = _uncharger().uncharge(base)
    # Perceived anew, so that it equals what is published flat and neutral.
    flat = Chem.MolFromSmiles(Chem.MolToSmiles(base, isomericSmiles=False))
    # Metal complexes may have no neutral form; such a molecule is its own parent.
    return (molecule, smiles) if flat is None else (flat, Chem.MolToSmiles(flat))


def largest_fragment(molecule: Chem.Mol) -> Chem.Mol:
    """Return the fragment with most heavy atoms."""
    largest: Chem.Mol = max(Chem.GetMolFrags(molecule, asMols=True), key=_fragment_rank)
    return largest


def _fragment_rank(fragment: Chem.Mol) -> tuple[int, int, str]:
    """Most heavy atoms, then most carbon atoms, then the SMILES, so that the order is one."""
    carbons = sum(atom.GetAtomicNum() == 6 for atom in fragment.GetAtoms())
    return fragment.GetNumHeavyAtoms(), carbons, Chem.MolToSmiles(fragment, isomericSmiles=False)


@lru_cache(maxsize=1)
def _uncharger() -> rdMolStandardize.Uncharger:
    return rdMolStandardize.Uncharger()


def _standardized(molecule: Chem.Mol, smiles: str, parent: str, settings: Molecules) -> str:
    """Canonical SMILES in the form that the data set declares."""
    if settings.standardize == "parent":
        return parent
    if settings.standardize == "uncharged" and ("+" in smiles or "-" in smiles):
        return str(Chem.MolToSmiles(_uncharger().uncharge(molecule)))
    if settings.standardize == "largest_fragment" and "." in smiles:
        return str(Chem.MolToSmiles(largest_fragment(molecule)))
    return smiles


def _quoted(text: str) -> str:
    shown = " ".join(text.split())
    return repr(shown if len(shown) <= 40 else shown[:39] + "…")


# --------------------------------------------------------------------------------- in parallel

Row = TypeVar("Row")


def identify_all(
    texts: Iterable[str],
    settings: Molecules = AS_PUBLISHED,
    workers: int = 1,
    *,
    whole: bool = True,
) -> pd.DataFrame:
    """Read molecules, in parallel; `whole` as for `identify`.

    Returns
    -------
    pandas.DataFrame
        One row per text, in order, with the fields of `Identity`.
    """
    read = partial(_identify_chunk, settings=settings, whole=whole)
    rows = map_distinct(read, texts, workers, "molecules")
    return pd.DataFrame(rows, columns=Identity._fields)


def _identify_chunk(texts: Sequence[str], settings: Molecules, whole: bool) -> list[Identity]:
    # RDKit explains every rejected SMILES on standard error; rejected.csv says it better.
    with rdBase.BlockLogs():
        return [identify(text, settings, whole=whole) for text in texts]


def map_distinct(
    read: Callable[[Sequence[str]], list[Row]], texts: Iterable[str], workers: int, what: str
) -> list[Row]:
    """Read every distinct text once, chunk by chunk, and return a row per text.

    Parameters
    ----------
    read
        Makes rows of a chunk of texts; it can be sent to another process.
    texts
        Texts, in order.
    workers
        Processes.
    what
        Plural of what is read, for progress.
    """
    codes, distinct = pd.factorize(pd.Series(list(texts), dtype=object))
    items = [str(item) for item in distinct]
    chunks = [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
    pace, rows = Pace(QUIET), []
    if workers > 1 and len(chunks) > 1:
        with ProcessPoolExecutor(max_workers=min(workers, os.cpu_count() or 1)) as pool:
            results = pool.map(read, chunks)
            for found in results:
                rows += found
                _progress(pace, len(rows), len(items), what)
    else:
        for chunk in chunks:
            rows += read(chunk)
            _progress(pace, len(rows), len(items), what)
    return [rows[code] for code in codes]


def _progress(pace: Pace, done: int, total: int, what: str) -> None:
    if done < total and pace.due():
        say(f"{done:,} of {total:,} distinct {what} read")
