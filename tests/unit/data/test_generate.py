"""The embedded demo data: sizes, determinism, chemistry, errors and how hard the task is."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem

from drugtail.data import generate
from drugtail.data.generate import CLASS_SIZES, generate_reactions
from drugtail.data.reactions import BUILDING_BLOCKS, COUPLINGS, TEMPLATES

SMALL = dict.fromkeys(CLASS_SIZES, 6)


@pytest.fixture(scope="module")
def fingerprints(demo: pd.DataFrame) -> np.ndarray:
    from rdkit.Chem import rdFingerprintGenerator

    morgan = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    return np.stack([morgan.GetFingerprintAsNumPy(Chem.MolFromSmiles(s)) for s in demo["smiles"]])


def digest(table: pd.DataFrame) -> str:
    return hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()


def heavy_atoms(smiles: Sequence[str]) -> np.ndarray:
    return np.array([Chem.MolFromSmiles(s).GetNumHeavyAtoms() for s in smiles])


def test_default_sizes_mirror_uspto_50k() -> None:
    uspto_50k = [15151, 11896, 5662, 909, 672, 8237, 4614, 811, 1834, 230]
    sizes = list(CLASS_SIZES.values())
    assert 5900 <= sum(sizes) <= 6200
    assert 65 <= max(sizes) / min(sizes) <= 67
    scaled = np.array(uspto_50k) * sum(sizes) / sum(uspto_50k)
    assert np.abs(np.array(sizes) - scaled).max() < 1


def test_default_table_has_the_asked_sizes_and_columns(demo: pd.DataFrame) -> None:
    assert list(demo.columns) == [
        "id",
        "smiles",
        "label",
        "reaction_class",
        "template",
        "reactants",
    ]
    assert demo["reaction_class"].value_counts().to_dict() == CLASS_SIZES
    assert demo["label"].tolist() == [list(CLASS_SIZES).index(c) for c in demo["reaction_class"]]
    assert demo["id"].tolist() == [f"demo-{i:05d}" for i in range(1, len(demo) + 1)]
    class_of = {template.name: template.reaction_class for template in TEMPLATES}
    assert demo["reaction_class"].tolist() == [class_of[name] for name in demo["template"]]
    assert set(demo["template"]) == set(class_of)


def test_rows_are_shuffled(demo: pd.DataFrame) -> None:
    neighbours_alike = (demo["label"].to_numpy()[1:] == demo["label"].to_numpy()[:-1]).mean()
    by_chance = ((np.array(list(CLASS_SIZES.values())) / len(demo)) ** 2).sum()
    assert neighbours_alike == pytest.approx(by_chance, abs=0.03)


def test_products_are_canonical_connected_and_unique(demo: pd.DataFrame) -> None:
    smiles = demo["smiles"].tolist()
    assert [Chem.CanonSmiles(s) for s in smiles] == smiles
    assert len(set(smiles)) == len(smiles)
    assert not any("." in s for s in smiles)


def test_products_come_from_their_reactants(demo: pd.DataFrame) -> None:
    from rdkit.Chem import rdChemReactions

    smarts_of = {template.name: template.smarts for template in TEMPLATES}
    for name, rows in demo.groupby("template"):
        reaction = rdChemReactions.ReactionFromSmarts(smarts_of[str(name)])
        assert reaction.Validate(silent=True)[1] == 0
        for row in rows.head(15).itertuples():
            reactants = row.reactants.split(".")
            assert [Chem.CanonSmiles(r) for r in reactants] == reactants
            outcomes = reaction.RunReactants([Chem.MolFromSmiles(r) for r in reactants])
            products = {Chem.CanonSmiles(Chem.MolToSmiles(p)) for (p,) in outcomes}
            assert products == {row.smiles}, f"{name}: {row.reactants}"


@pytest.mark.parametrize(
    ("template", "reactants", "product"),
    [
        ("amide coupling", "C1COCCN1.O=C(O)c1ccccc1", "O=C(c1ccccc1)N1CCOCC1"),
        ("reductive amination", "NCc1ccccc1.O=C1CCCCC1", "c1ccc(CNC2CCCCC2)cc1"),
        ("Suzuki coupling", "Brc1cccnc1.OB(O)c1ccccc1", "c1ccc(-c2cccnc2)cc1"),
        ("Heck coupling", "Brc1ccccc1.C=CC(=O)OC", "COC(=O)/C=C/c1ccccc1"),
        (
            "azide-alkyne cycloaddition",
            "[N-]=[N+]=NCc1ccccc1.C#Cc1ccccc1",
            "c1ccc(Cn2cc(-c3ccccc3)nn2)cc1",
        ),
        ("Hantzsch thiazole synthesis", "O=C(CBr)c1ccccc1.CC(N)=S", "Cc1nc(-c2ccccc2)cs1"),
        ("Boc protection", "Nc1ccccc1", "CC(C)(C)OC(=O)Nc1ccccc1"),
        ("Boc removal", "CC(C)(C)OC(=O)NCc1ccccc1", "NCc1ccccc1"),
        ("ester hydrolysis", "CCOC(=O)c1ccccc1", "O=C(O)c1ccccc1"),
        ("nitro reduction", "O=[N+]([O-])c1ccccc1", "Nc1ccccc1"),
        ("alcohol to ketone", "CC(O)c1ccccc1", "CC(=O)c1ccccc1"),
        ("nitrile to carboxamide", "N#Cc1ccccc1", "NC(=O)c1ccccc1"),
        ("arene bromination", "CN(C)c1ccccc1", "CN(C)c1ccc(Br)cc1"),
    ],
)
def test_templates_give_the_textbook_product(template: str, reactants: str, product: str) -> None:
    from rdkit.Chem import rdChemReactions

    smarts = next(t.smarts for t in TEMPLATES if t.name == template)
    outcomes = rdChemReactions.ReactionFromSmarts(smarts).RunReactants(
        [Chem.MolFromSmiles(r) for r in reactants.split(".")]
    )
    assert {Chem.CanonSmiles(Chem.MolToSmiles(p)) for (p,) in outcomes} == {product}


def test_building_blocks_and_templates_are_listed_once() -> None:
    blocks = " ".join(BUILDING_BLOCKS.values()).split()
    canonical = [Chem.CanonSmiles(block) for block in blocks]
    assert len(set(canonical)) == len(canonical)
    names = [template.name for template in TEMPLATES]
    assert len(set(names)) == len(names)
    assert set(COUPLINGS) < set(names)
    assert {template.reaction_class for template in TEMPLATES} == set(CLASS_SIZES)


def test_sizes_are_alike_across_classes(demo: pd.DataFrame) -> None:
    atoms = heavy_atoms(demo["smiles"].tolist())
    assert atoms.min() >= 10
    assert atoms.max() <= 35
    medians = pd.Series(atoms).groupby(demo["label"]).median()
    assert medians.max() / medians.min() < 1.6


def test_size_alone_does_not_give_the_label(demo: pd.DataFrame) -> None:
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import cross_val_predict
    from sklearn.tree import DecisionTreeClassifier

    atoms = heavy_atoms(demo["smiles"].tolist())[:, None]
    labels = demo["label"].to_numpy()
    tree = DecisionTreeClassifier(max_depth=5, class_weight="balanced", random_state=0)
    predicted = cross_val_predict(tree, atoms, labels, cv=5)
    assert balanced_accuracy_score(labels, predicted) < 0.25


def test_task_can_be_learned_but_is_not_trivial(
    demo: pd.DataFrame, fingerprints: np.ndarray
) -> None:
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.metrics import balanced_accuracy_score
    from sklearn.model_selection import train_test_split

    x_train, x_test, y_train, y_test = train_test_split(
        fingerprints,
        demo["label"].to_numpy(),
        test_size=0.2,
        stratify=demo["label"].to_numpy(),
        random_state=0,
    )
    forest = RandomForestClassifier(100, class_weight="balanced", random_state=0)
    predicted = forest.fit(x_train, y_train).predict(x_test)
    assert 0.6 <= balanced_accuracy_score(y_test, predicted) <= 0.93


def test_result_does_not_depend_on_the_process() -> None:
    code = (
        "import hashlib; from drugtail.data.generate import *; "
        f"table = generate_reactions({SMALL!r}, seed=7); "
        "print(hashlib.sha256(table.to_csv(index=False).encode()).hexdigest())"
    )
    package_root = str(Path(generate.__file__).parents[2])
    environment = {**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": package_root}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == digest(generate_reactions(SMALL, seed=7))


def test_other_seed_gives_other_molecules() -> None:
    first, second = (set(generate_reactions(SMALL, seed=seed)["smiles"]) for seed in (1, 2))
    assert len(first & second) < 0.2 * len(first)


@settings(max_examples=5, deadline=None)
@given(
    sizes=st.dictionaries(st.sampled_from(list(CLASS_SIZES)), st.integers(1, 8), min_size=1),
    seed=st.integers(-(2**40), 2**40),
)
def test_any_sizes_and_seed_are_honoured(sizes: dict[str, int], seed: int) -> None:
    table = generate_reactions(sizes, seed)
    assert table["reaction_class"].value_counts().to_dict() == sizes
    assert table["smiles"].is_unique
    assert digest(table) == digest(generate_reactions(dict(reversed(sizes.items())), seed))


def test_numpy_integers_are_accepted_as_sizes() -> None:
    assert len(generate_reactions({"oxidations": np.int64(3)})) == 3


def test_unknown_class_is_named() -> None:
    with pytest.raises(ValueError, match=r"'sorcery'.*'protections'"):
        generate_reactions({"sorcery": 5})


def test_no_class_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one reaction class"):
        generate_reactions({})


@pytest.mark.parametrize("size", [0, -3, 2.5, "many", None])
def test_bad_size_is_named_with_its_class(size: object) -> None:
    with pytest.raises(ValueError, match=r"'oxidations'.*whole number of at least 1") as caught:
        generate_reactions({"oxidations": size})
    assert repr(size) in str(caught.value)


def test_absurd_size_is_refused_at_once() -> None:
    expected = r"'functional group addition' was asked for 1000000000 .*at most \d+: ask for fewer"
    with pytest.raises(ValueError, match=expected):
        generate_reactions({"functional group addition": 10**9})


def test_exhausted_templates_tell_how_much_they_gave(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = {"few": "Nc1ccc(Br)cc1 OB(O)c1cccc(-c2ccccc2)c1 C=CC(=O)N1CCOCC1 NCc1cccc(Cl)c1"}
    monkeypatch.setattr(generate, "BUILDING_BLOCKS", blocks)
    with pytest.raises(ValueError, match=r"at most \d+") as bound:
        generate_reactions({"protections": 10**6})
    most = int(str(bound.value).split("at most ")[1].split(":")[0])
    with pytest.raises(ValueError, match=r"'protections'.*give only \d+") as caught:
        generate_reactions({"protections": most})
    possible = int(str(caught.value).split("only ")[1].split(":")[0])
    assert 0 < possible < most
    assert len(generate_reactions({"protections": possible})) == possible
