"""From published rows to clean molecules, rejected rows and their reasons."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepared import ENOUGH, Prepared, prepare, register
from rdkit import Chem

import drugtail
from drugtail.config.dataset import Molecules, Reaction
from drugtail.data.prepare import prepare_dataset
from drugtail.data.reaction_smiles import canonical_reaction, read_reactions
from drugtail.runtime.errors import DrugtailError


def test_molecules_are_canonical_numbered_and_named(tmp_path: Path) -> None:
    found = prepare(tmp_path, [["OCC", "0"], ["C(c1ccccc1)N", "1"]])
    assert found.molecules.to_dict("list") == {
        "id": ["tiny-1", "tiny-2"],
        "row": [1, 2],
        "smiles": [Chem.CanonSmiles("CCO"), Chem.CanonSmiles("NCc1ccccc1")],
        "parent": [Chem.CanonSmiles("CCO"), Chem.CanonSmiles("NCc1ccccc1")],
        "scaffold": ["", "c1ccccc1"],
        "label": [0, 1],
        "label_name": ["no", "yes"],
    }
    assert found.header == {
        "dataset": "tiny", "class_names": ["no", "yes"], "molecules": Molecules().model_dump(),
        "reads": "smiles", "second": None,
    }  # fmt: skip
    assert found.rejected.empty


def test_bad_rows_are_rejected_with_row_number_and_reason(tmp_path: Path) -> None:
    rows = [
        ["CCO", "0"],
        ["C(C", "1"],
        ["", "0"],
        ["CCN", ""],
        ["CN(C)(C)(C)C", "0"],
        ["CCC", "0.5"],
        ["CCCl", "active"],
        ["CCBr", "1"],
        ["  ", "1"],
    ]
    found = prepare(tmp_path, rows)
    assert found.molecules["row"].tolist() == [1, 8]
    reasons = found.reasons
    assert sorted(reasons) == [2, 3, 4, 5, 6, 7, 9]
    assert reasons[2] == reasons[5] == "unparsable SMILES"
    assert reasons[3] == reasons[9] == "empty SMILES"
    assert reasons[4] == "missing label"
    assert reasons[6] == "unknown label: '0.5' is not among 0, 1"
    assert reasons[7] == "unknown label: 'active' is not among 0, 1"
    second = found.rejected.iloc[0].to_dict()
    assert second == {"file": "tiny.csv", "row": "2", "id": "tiny-2", "outcome": "rejected",
                      "reason": "unparsable SMILES", "label": "1", "source": "C(C"}  # fmt: skip
    assert found.summary["rows"] == 9
    assert found.summary["molecules"] == 2
    assert found.summary["rejected"] == {
        "unparsable SMILES": 2, "empty SMILES": 2, "missing label": 1, "unknown label": 2,
    }  # fmt: skip


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["CCO", "OCC", "C1CC1", "c1ccccc1", "x", "", " ", "C(", "[Na+]"]),
            st.sampled_from(["0", "1", "1.0", "", "2", "yes", "0.5"]),
        ),
        max_size=12,
    )
)
def test_every_row_is_accepted_or_rejected_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]]
) -> None:
    table = [*ENOUGH, *(list(row) for row in rows)]
    found = prepare(tmp_path_factory.mktemp("rows"), table)
    accepted = found.molecules["row"].tolist()
    good = [
        number
        for number, (smiles, label) in enumerate(table, start=1)
        if smiles not in ("x", "", " ", "C(") and label in ("0", "1", "1.0")
    ]
    assert accepted == good
    assert sorted([*accepted, *found.reasons]) == list(range(1, len(table) + 1))
    assert found.summary["rows"] == len(table)
    assert sum(found.summary["rejected"].values()) == len(found.rejected)


def test_a_whole_number_written_as_a_float_is_that_class(tmp_path: Path) -> None:
    found = prepare(tmp_path, [["CCO", "0.0"], ["CCN", "1.0"], ["CCC", " 1 "], ["CCF", "1.00"]])
    assert found.molecules["label"].tolist() == [0, 1, 1, 1]
    assert found.molecules["label_name"].tolist() == ["no", "yes", "yes", "yes"]


def test_two_spellings_of_a_label_are_no_conflict(tmp_path: Path) -> None:
    rows = [*ENOUGH, ["CCC", "1"], ["C(C)C", "1.0"]]
    found = prepare(tmp_path, rows, register(conflicts="drop", duplicates="drop"))
    assert found.summary["repeats"]["molecules_with_several_classes"] == 0
    assert found.molecules["row"].tolist() == [1, 2, 3]
    assert found.reasons == {4: "repeats a molecule"}


def test_molecules_of_several_classes_are_said_where_they_are_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*ENOUGH, ["OCC", "1"], ["C(N)C", "0"]]
    prepare(tmp_path, rows)
    said = capsys.readouterr().err
    names = "tiny-2, tiny-4, tiny-1, tiny-3"
    assert f"tiny: 2 molecules in several classes ({names}), kept as published" in said
    assert "identity: parent" not in said
    # A salt of another class is another molecule of the same parent.
    prepare(tmp_path, [*rows, ["CCO.[Na+].[Cl-]", "1"], ["CCCC", "0"], ["CCCC.Cl", "1"]])
    said = capsys.readouterr().err
    assert "2 molecules in several classes" in said
    assert "3 parent compounds in several classes, salts and stereoisomers" in said
    prepare(tmp_path, [*rows, ["CCC", "0"], ["CCCC", "1"]], register(conflicts="drop"))
    assert "in several classes" not in capsys.readouterr().err


def test_a_register_of_tasks_is_no_data_set_itself(tmp_path: Path) -> None:
    dataset = register({"smiles": "smiles"}, classes=None, tasks={"one": {}, "two-b": {}})
    with pytest.raises(DrugtailError, match=r"of 2 tasks, .* one of them: tiny\.one, tiny\.two_b"):
        prepare(tmp_path, [["CCO", "0", "1"]], dataset, ["smiles", "one", "two-b"])


def test_a_table_that_was_not_fetched_is_said_to_be_that(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match=r"tiny\.csv: no such file; run `drugtail fetch` first"):
        prepare_dataset(register(), tmp_path / "raw", tmp_path / "out")


def test_a_misspelt_column_is_found_again(tmp_path: Path) -> None:
    dataset = register({"smiles": "smlies", "label": "label"})
    with pytest.raises(
        DrugtailError, match=r"column 'smlies' is missing \(did you mean smiles\?\)"
    ):
        prepare(tmp_path, [["CCO", "0"]], dataset)


def test_a_repeated_id_is_an_error_that_names_both_rows(tmp_path: Path) -> None:
    dataset = register({"smiles": "smiles", "label": "label", "id": "id"})
    rows = [["CCO", "0", "a"], ["CCN", "1", "b"], ["CCC", "1", "a"]]
    with pytest.raises(DrugtailError, match=r"tiny\.csv: row 3: id 'a' stands already in row 1"):
        prepare(tmp_path, rows, dataset, ["smiles", "label", "id"])
    assert not (tmp_path / "out1").exists()


def test_a_row_without_an_id_is_numbered_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = register({"smiles": "smiles", "label": "label", "id": "id"})
    rows = [["CCO", "0", "a"], ["CCN", "1", " "], ["", "", ""], ["CCC", "1", "c"]]
    found = prepare(tmp_path, rows, dataset, ["smiles", "label", "id"])
    assert found.molecules["id"].tolist() == ["a", "tiny-2", "c"]
    assert "tiny: 2 rows without id, named tiny- and a number" in capsys.readouterr().err


def test_a_column_called_row_is_a_column_like_any_other(tmp_path: Path) -> None:
    dataset = register({"smiles": "smiles", "label": "label", "id": "row"})
    found = prepare(tmp_path, [["CCO", "0", "A7"], ["CCN", "1", "A9"]], dataset,
                    ["smiles", "label", "row"])  # fmt: skip
    assert found.molecules["id"].tolist() == ["A7", "A9"]
    assert found.molecules["row"].tolist() == [1, 2]


def test_a_missing_value_is_no_class_unless_one_is_declared_under_its_name(tmp_path: Path) -> None:
    rows = [["CCO", "a"], ["CCN", "b"], ["CCC", "NA"], ["CCS", "nan"], ["CCCl", ""]] * 4
    found = prepare(tmp_path, rows, register(classes=None))
    assert set(found.molecules["label_name"]) == {"a", "b"}
    assert set(found.reasons.values()) == {
        "missing label", "missing label: NA", "missing label: nan",
    }  # fmt: skip
    declared = prepare(tmp_path, rows, register(classes={"a": "a", "b": "b", "NA": "sodium"}))
    assert set(declared.molecules["label_name"]) == {"a", "b", "sodium"}


def test_published_ids_are_kept(tmp_path: Path) -> None:
    dataset = register({"smiles": "smiles", "label": "label", "id": "id"})
    rows = [["CCO", "0", "β-1"], ["CCN", "1", "007"]]
    found = prepare(tmp_path, rows, dataset, ["smiles", "label", "id"])
    assert found.molecules["id"].tolist() == ["β-1", "007"]


@pytest.mark.parametrize("smiles", ["C" * 10_000, "c1ccccc1" * 1_250], ids=["chain", "rings"])
def test_a_smiles_of_10000_characters_does_not_stop_the_others(tmp_path: Path, smiles: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; import prepared as t\n"
        "t.prepare(Path(sys.argv[2]), [*t.ENOUGH, [sys.argv[3], '1'], ['CCC', '0']])\n"
    )
    here = str(Path(__file__).parents[2])
    package = str(Path(drugtail.__file__).parents[1])
    # In a process of its own, so that a parser which never returns fails this test.
    subprocess.run(
        [sys.executable, "-c", code, here, str(tmp_path), smiles],
        env={**os.environ, "PYTHONPATH": package},
        timeout=15,
        check=True,
    )
    found = Prepared(tmp_path / "out1")
    kept = [row for row in found.molecules["row"] if row != 3]
    assert kept == [1, 2, 4]
    rejected = found.reasons.get(3)
    if rejected is None:
        assert len(Chem.MolFromSmiles(found.molecules["smiles"][2]).GetAtoms()) >= 7_500
    else:
        assert "atoms" in rejected


def test_molecules_without_bonds_are_molecules(tmp_path: Path) -> None:
    found = prepare(tmp_path, [["[Na+].[Cl-]", "0"], ["C", "1"], ["[He]", "1"]])
    assert found.molecules["smiles"].tolist() == ["[Cl-].[Na+]", "C", "[He]"]
    assert found.molecules["scaffold"].tolist() == ["", "", ""]


REPEATS = [
    ["CCO", "0"],
    ["OCC", "0"],
    ["CCN", "0"],
    ["NCC", "1"],
    ["NCC", "1"],
    ["CCC", "1"],
    ["C(O)C", "0"],
]


@pytest.mark.parametrize(
    ("duplicates", "conflicts", "kept", "reasons"),
    [
        ("keep", "keep", [1, 2, 3, 4, 5, 6, 7], {}),
        ("drop", "keep", [1, 3, 4, 6], dict.fromkeys([2, 5, 7], "repeats a molecule")),
        ("keep", "drop", [1, 2, 6, 7], dict.fromkeys([3, 4, 5], "conflicting labels")),
        ("drop", "drop", [1, 6],
         dict.fromkeys([2, 7], "repeats a molecule")
         | dict.fromkeys([3, 4, 5], "conflicting labels")),
    ],
)  # fmt: skip
def test_repeats_and_conflicts_follow_the_policy_and_are_counted(
    tmp_path: Path, duplicates: str, conflicts: str, kept: list[int], reasons: dict[int, str]
) -> None:
    dataset = register(duplicates=duplicates, conflicts=conflicts)
    found = prepare(tmp_path, REPEATS, dataset)
    assert found.molecules["row"].tolist() == kept
    assert found.reasons == reasons
    assert found.summary["policy"]["duplicates"] == duplicates
    assert found.summary["policy"]["conflicts"] == conflicts
    assert found.summary["repeats"] == {
        "distinct_molecules": 3,
        "rows_that_repeat_a_molecule": 4,
        "molecules_with_several_classes": 1,
        "distinct_parents": 3,
        "rows_that_repeat_a_parent": 4,
        "parents_with_several_classes": 1,
    }
    assert found.summary["molecules"] == len(kept)
    sizes = {item["name"]: item["molecules"] for item in found.summary["classes"]}
    assert sizes == found.molecules["label_name"].value_counts().to_dict()
    assert found.summary["imbalance_ratio"] == round(max(sizes.values()) / min(sizes.values()), 2)


def test_one_and_two_workers_write_the_same_bytes(tmp_path: Path) -> None:
    rows = [[("C" * (i % 40 + 1)) + ("O" if i % 3 else "("), str(i % 2)] for i in range(1_100)]
    prepare(tmp_path, rows, workers=1)
    found = prepare(tmp_path, rows, workers=2)
    assert len(found.molecules) + len(found.rejected) == 1_100
    assert len(found.rejected) == 367
    for name in ("molecules.parquet", "rejected.csv", "dataset.json"):
        one, two = (tmp_path / f"out{workers}" / name for workers in (1, 2))
        assert one.read_bytes() == two.read_bytes()


def test_a_published_split_is_read_in_its_usual_spellings(tmp_path: Path) -> None:
    dataset = register({"smiles": "smiles", "label": "label", "split": "fold"})
    folds = ["train", "val", "Test", "validation", " valid ", "fold 3"]
    rows = [["C" * (i + 1), str(i % 2), fold] for i, fold in enumerate(folds)]
    found = prepare(tmp_path, rows, dataset, ["smiles", "label", "fold"])
    assert found.molecules["official"].tolist() == ["train", "valid", "test", "valid", "valid"]
    assert found.reasons == {6: "unknown subset in the split column: fold 3"}


def test_labels_are_taken_as_found_when_no_classes_are_listed(tmp_path: Path) -> None:
    rows = [["CCO", "b"], ["CCN", "a"], ["CCC", "b"], ["CCF", ""]]
    found = prepare(tmp_path, rows, register(classes=None))
    assert found.molecules["label"].tolist() == [1, 0, 1]
    assert found.header["class_names"] == ["a", "b"]
    assert found.reasons == {4: "missing label"}


def test_a_column_of_measured_numbers_is_refused(tmp_path: Path) -> None:
    rows = [["C" * (i + 1), f"{i * 0.37:.2f}"] for i in range(12)]
    with pytest.raises(DrugtailError, match="column 'label' has 12 different labels"):
        prepare(tmp_path, rows, register(classes=None))


def test_measured_numbers_for_listed_classes_leave_no_row(tmp_path: Path) -> None:
    rows = [["C" * (i + 1), f"{i + 0.37:.2f}"] for i in range(5)]
    with pytest.raises(DrugtailError, match=r"row 1: no row of the table is left.*'0\.37'"):
        prepare(tmp_path, rows)


def test_a_listed_class_without_molecules_is_named(tmp_path: Path) -> None:
    dataset = register(classes={"0": "no", "1": "yes", "2": "maybe"})
    with pytest.raises(DrugtailError, match=r"tiny\.csv: class '2' of the register has no molec"):
        prepare(tmp_path, [*ENOUGH, ["C(", "2"]], dataset)


def test_another_number_of_unparsable_rows_than_registered_is_an_error(tmp_path: Path) -> None:
    rows = [*ENOUGH, ["C(", "1"], ["", "1"]]
    prepare(tmp_path, rows, register(expected={"unparsable": 1}))
    with pytest.raises(DrugtailError, match="1 rows are unparsable, expected 0"):
        prepare(tmp_path, rows, register(expected={"unparsable": 0}))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match=r"tiny\.csv: column 'label' is missing"):
        prepare(tmp_path, ENOUGH, header=["smiles", "activity"])


# --------------------------------------------------------------------------------- reactions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CC(=O)O.NC>>CNC(C)=O", "CC(=O)O.CN>>CNC(C)=O"),
        ("[CH3:1][OH:2]>[Na+]>[CH3:1][O:2]C", "CO>>COC"),
        (" OC>>COC ", "CO>>COC"),
        ("CC>CO", None),
        ("CC", None),
        ("C(>>CC", None),
        ("CC>>C(", None),
    ],
)
def test_reactions_lose_maps_and_reagents(text: str, expected: str | None) -> None:
    assert canonical_reaction(text) == expected


def test_mapped_chirality_equals_unmapped_chirality() -> None:
    mapped = "[CH3:3][C@H:1]([OH:2])[NH2:4]>>[CH3:3][C@@H:1]([NH2:4])[OH:2]"
    product = Chem.CanonSmiles("C[C@@H](N)O")
    assert str(canonical_reaction(mapped)).split(">>")[1] == product


def test_the_product_of_a_reaction_is_the_molecule() -> None:
    frame = read_reactions(["OC.c1ccccc1Cl>>COc1ccccc1", "CO>>", "bad"], Reaction(), Molecules())
    assert frame["smiles"].tolist() == ["COc1ccccc1", "", ""]
    assert frame["reactants"][0] == ".".join(sorted(["CO", "Clc1ccccc1"]))
    assert frame["scaffold"][0] == "c1ccccc1"
    assert frame["reason"].tolist() == ["", "reaction without product", "unparsable reaction"]


def official(tmp_path: Path, valid: list[str], test: list[str]) -> Prepared:
    dataset = register(
        {"reaction": "rxn", "label": "label"},
        files=[
            {"name": name, "columns": [], "sources": [{"path": "my/tiny.csv"}]}
            for name in ("tiny.csv", "valid.csv", "test.csv")
        ],
        official={"valid": "valid.csv", "test": "test.csv", "reaction": "mapped"},
    )
    (tmp_path / "raw").mkdir()
    for name, rows in (("valid", valid), ("test", test)):
        (tmp_path / "raw" / f"{name}.csv").write_text("\n".join(["mapped", *rows]) + "\n")
    rows = [["CO>>COC", "0"], ["CN>>CNC", "1"], ["CO>>COC", "0"], ["CS>>CSC", "1"]]
    return prepare(tmp_path, rows, dataset, ["rxn", "label"])


def test_a_repeated_reaction_is_used_up_row_by_row(tmp_path: Path) -> None:
    mapped = "[CH3:1][OH:2]>>[CH3:1][O:2]C"
    found = official(tmp_path, [mapped], ["SC>>CSC"])
    assert found.molecules["official"].tolist() == ["valid", "train", "train", "test"]
    assert found.molecules["reactants"].tolist() == ["CO", "CN", "CO", "CS"]


def test_a_published_part_that_does_not_belong_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match=r"test\.csv: row 2: this reaction is not in the tab"):
        official(tmp_path, ["CO>>COC"], ["CS>>CSC", "CF>>CFC"])
