"""Reading unknown tables, and registers that can be used as they are written."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml
from demo_molecules import demo_smiles
from openpyxl import Workbook
from rdkit import Chem

from drugtail.config.catalogue import read_dataset
from drugtail.config.layout import Layout
from drugtail.data.fetch import fetch_dataset
from drugtail.data.inspect import inspect_table
from drugtail.data.inspection import describe, write_register
from drugtail.data.prepare import prepare_dataset
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json

SMILES = demo_smiles(6)


def write_labelled(table: Path, cells: list[str]) -> None:
    rows = [f"{cell},{'ab'[i % 2]}" for i, cell in enumerate(cells)]
    table.write_text("\n".join(["smiles,label", *rows]))


def prepared(folder: Path, table: Path, **columns: str) -> dict:
    """Inspect a table, write its register, and prepare it with that register as it is."""
    found = inspect_table(table, **columns)
    target = folder / "config" / f"{table.stem}.yaml"
    write_register(found, target)
    dataset = read_dataset(target).each_task()[0]
    fetch_dataset(dataset, folder / "raw")
    prepare_dataset(dataset, folder / "raw", folder / "out")
    return read_json(folder / "out/dataset.json")


@pytest.mark.parametrize("end", ["\r\n", "\n"])
def test_a_latin_1_table_with_semicolons_and_two_spellings(tmp_path: Path, end: str) -> None:
    table = tmp_path / "meine.csv"
    rows = [f"M{i};{s};{i},5;{('Süß', 'süß', 'bitter')[i % 3]}" for i, s in enumerate(SMILES)]
    table.write_bytes(end.join(["Nr. id;Struktur;Menge;Geschmack class", *rows]).encode("latin-1"))
    found = inspect_table(table)
    assert found.columns == {"smiles": "Struktur", "label": "Geschmack class", "id": "Nr. id"}
    said = describe(found)
    assert "not UTF-8 but reads as latin-1" in said
    assert "separated by semicolons" in said
    assert "'Süß' and 'süß' differ in case" in said
    assert "2 classes, imbalance ratio 2.0" in said
    assert "60 of 60 cells are molecules" in said
    summary = prepared(tmp_path, table)
    assert {item["name"]: item["molecules"] for item in summary["classes"]} == {
        "Süß": 40, "bitter": 20,
    }  # fmt: skip


def test_an_sdf(tmp_path: Path) -> None:
    table = tmp_path / "mine.sdf"
    with Chem.SDWriter(str(table)) as writer:
        for i, smiles in enumerate(SMILES):
            molecule = Chem.MolFromSmiles(smiles)
            molecule.SetProp("_Name", f"M{i}")
            molecule.SetProp("activity", "yes" if i % 3 else "no")
            writer.write(molecule)
    summary = prepared(tmp_path, table)
    assert summary["molecules"] == 60
    assert [item["molecules"] for item in summary["classes"]] == [20, 40]


@pytest.mark.parametrize(
    ("name", "header", "row", "columns"),
    [
        ("a.smi", "", "{smiles} M{i} {label}", {"smiles": "smiles", "id": "name",
                                                "label": "column3"}),
        ("a.csv", "", "{smiles},{label}", {"smiles": "smiles", "label": "column2"}),
        ("a.tsv", "cas\ttarget\tstructure", "{i}\t{label}\t{smiles}",
         {"smiles": "structure", "label": "target", "id": "cas"}),
        ("a.csv", "smiles,split,y", "{smiles},{split},{label}",
         {"smiles": "smiles", "label": "y", "split": "split"}),
        ("a.csv", "mapped_rxn,kind,class", "C.O>>{smiles},x,{label}",
         {"reaction": "mapped_rxn", "label": "class"}),
    ],
)  # fmt: skip
def test_columns_are_found(
    tmp_path: Path, name: str, header: str, row: str, columns: dict[str, str]
) -> None:
    table = tmp_path / name
    lines = [
        row.format(smiles=s, i=i, label="ab"[i % 2], split=("Training set", "dev", "tst")[i % 3])
        for i, s in enumerate(SMILES)
    ]
    table.write_text("\n".join([header, *lines] if header else lines) + "\n")
    assert inspect_table(table).columns == columns
    summary = prepared(tmp_path, table)
    assert summary["molecules"] == 60
    assert len(summary["classes"]) == 2


def test_rows_without_a_molecule_need_no_name(tmp_path: Path) -> None:
    rows = [f"c{i},{'C' * (i + 1)}O,{'xy'[i % 2]}" for i in range(8)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(["Compound_ID,smiles,class", *rows[:4], ",,", *rows[4:], ",,"]))
    assert inspect_table(path).columns.get("id") == "Compound_ID"


@pytest.mark.parametrize(
    ("column", "names", "taken"),
    [
        ("Compound", "abcdefgh", True),
        ("CAS", ["50-78-2", "64-17-5", "1", "2", "3", "4", "5", "6"], True),
        ("molecule_name", "aabcdefg", False),
        ("Drug", ["a", "", *"cdefgh"], False),
        # A measurement whose name has the word in it.
        ("molecule weight", [f"{100 + i / 8}" for i in range(1, 9)], False),
        ("width", "abcdefgh", False),
    ],
)
def test_a_column_of_different_names_names_the_rows(
    tmp_path: Path, column: str, names: Sequence[str], taken: bool
) -> None:
    rows = [f"{name},{'C' * (i + 1)}O,{'xy'[i % 2]}" for i, name in enumerate(names)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join([f"{column},smiles,class", *rows]))
    found = inspect_table(path)
    assert found.columns.get("id") == (column if taken else None)


def test_one_hot_columns_and_tasks_are_distinguished(tmp_path: Path) -> None:
    rng = random.Random(0)
    table = tmp_path / "t.csv"
    rows = [
        f"{s},{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)}" for i, s in enumerate(SMILES)
    ]
    table.write_text("\n".join(["smiles,x,y,z", *rows]))
    found = inspect_table(table)
    assert found.columns["label"] == ["x", "y", "z"]
    assert found.labels["kind"] == "one_hot"
    assert len(prepared(tmp_path / "a", table)["classes"]) == 3
    rows = [
        f"{s},{rng.choice(['0', '1', ''])},{rng.choice('01')},{i}" for i, s in enumerate(SMILES)
    ]
    table.write_text("\n".join(["smiles,NR-AR,SR-p53,mol_id", *rows]))
    found = inspect_table(table)
    assert found.tasks == ["NR-AR", "SR-p53"]
    assert found.columns == {"smiles": "smiles", "id": "mol_id"}
    assert len(prepared(tmp_path / "b", table)["classes"]) == 2


def test_lists_of_labels_are_reduced_in_the_register(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    labels = ["a", "b", "a|b", "c|c", "c"]
    table.write_text(
        "\n".join(["smiles,moa", *(f"{s},{labels[i % 5]}" for i, s in enumerate(SMILES))])
    )
    assert "12 cells of moa are lists of labels (between them '|')" in describe(
        inspect_table(table)
    )
    summary = prepared(tmp_path, table)
    assert summary["rejected"] == {"several labels": 12}
    assert "  c: 24" in describe(inspect_table(table))


def test_what_is_odd_is_counted(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    cells = [*SMILES[:50], "", "NA", "C(", "CC see text", "InChI=1S/CH4/h1H4", SMILES[0], "*CC"]
    table.write_text(
        "\n".join(["smiles,label", *(f"{s},{'ab'[i % 2]}" for i, s in enumerate(cells))])
    )
    said = describe(inspect_table(table))
    for line in (
        "53 of 57 cells are molecules", "1 empty SMILES", "1 missing SMILES", "1 unparsable SMILES",
        "1 text after the SMILES, for example 'CC see text'", "1 read as InChI",
        "1 repeat a molecule",
    ):  # fmt: skip
        assert line in said


def test_what_cannot_be_named_is_asked_for(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1.5,2.25\n2.5,3.75\n3.5,1.125\n4.5,2.125\n")
    found = inspect_table(table)
    assert "no column holds molecules" in describe(found)
    with pytest.raises(DrugtailError, match="--smiles COLUMN"):
        write_register(found, tmp_path / "t.yaml")
    with pytest.raises(DrugtailError, match="has no column 'c'; it has: a, b"):
        inspect_table(table, smiles="c")


def test_a_register_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    table, target = tmp_path / "t.csv", tmp_path / "t.yaml"
    table.write_text(
        "\n".join(["smiles,label", *(f"{s},{'ab'[i % 2]}" for i, s in enumerate(SMILES))])
    )
    write_register(inspect_table(table), target)
    assert yaml.safe_load(target.read_text())["columns"] == {"smiles": "smiles", "label": "label"}
    with pytest.raises(DrugtailError, match="is there already"):
        write_register(inspect_table(table), target)


def test_tasks_are_shown_with_their_sizes(tmp_path: Path) -> None:
    table = tmp_path / "assays.csv"
    rows = [f"{s},{i % 2},{'' if i % 3 else i % 2}" for i, s in enumerate(SMILES)]
    table.write_text("\n".join(["smiles,one,two", *rows]))
    said = describe(inspect_table(table))
    assert "one: 30 of class 0, 30 of class 1" in said
    assert "two: 10 of class 0, 10 of class 1" in said


def test_measurements_are_hinted_at_as_classes_to_be_cut(tmp_path: Path) -> None:
    table = tmp_path / "measured.csv"
    rows = [f"{s},{4 + i / 7}" for i, s in enumerate(SMILES)]
    table.write_text("\n".join(["smiles,pIC50", *rows]))
    said = describe(inspect_table(table))
    assert "no column looks like classes; name it with --label" in said
    assert "pIC50: numbers, which can be cut into two classes: --label COLUMN with --above" in said


def test_measurements_beside_classes_are_not_offered_as_classes(tmp_path: Path) -> None:
    table = tmp_path / "measured.csv"
    rows = [f"{s},{i % 12}.5,{'ab'[i % 2]},{'xyz'[i % 3]}" for i, s in enumerate(SMILES)]
    table.write_text("\n".join(["smiles,IC50_nM,batch,class", *rows]))
    said = describe(inspect_table(table))
    assert "classes could also be: batch; --label takes another column" in said
    assert "IC50_nM: numbers, which can be cut into two classes" in said


def test_a_sheet_and_an_encoding_can_be_given(tmp_path: Path) -> None:
    book = Workbook()
    book.active.append(["nothing", "here"])
    sheet = book.create_sheet("data")
    for row in [["smiles", "class"], *([one, "ab"[i % 2]] for i, one in enumerate(SMILES))]:
        sheet.append(row)
    book.save(tmp_path / "mine.xlsx")
    with pytest.raises(DrugtailError, match=r"2 sheets \(Sheet, data\)"):
        inspect_table(tmp_path / "mine.xlsx")
    found = inspect_table(tmp_path / "mine.xlsx", layout=Layout(sheet="data"))
    assert found.columns == {"smiles": "smiles", "label": "class"}
    dataset = write_register(found, tmp_path / "mine.yaml")
    assert dataset.files[0].sheet == "data"
    table = tmp_path / "dos.csv"
    rows = [f"{s};{('Süß', 'bitter')[i % 2]}" for i, s in enumerate(SMILES)]
    table.write_bytes("\n".join(["smiles;class", *rows]).encode("cp850"))
    found = inspect_table(table, layout=Layout(encoding="cp850"))
    assert set(found.sizes.index) == {"Süß", "bitter"}


def test_a_register_whose_name_is_none_is_refused_before_it_is_written(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    write_labelled(table, SMILES)
    with pytest.raises(DrugtailError, match=r"for example my_data\.yaml"):
        write_register(inspect_table(table), tmp_path / "my-data.yaml")
    assert not (tmp_path / "my-data.yaml").exists()


def test_windows_signs_are_read_as_cp1252(tmp_path: Path) -> None:
    table = tmp_path / "windows.csv"
    rows = [f"{s};{('a – b', '€')[i % 2]}" for i, s in enumerate(SMILES)]
    table.write_bytes("\n".join(["smiles;class", *rows]).encode("cp1252"))
    found = inspect_table(table)
    assert set(found.sizes.index) == {"a – b", "€"}
    assert found.layout.encoding == "cp1252"
    with pytest.raises(DrugtailError, match=r"control character as latin-1; .* probably cp1252"):
        inspect_table(table, layout=Layout(encoding="latin-1"))


def test_utf_8_is_not_read_as_latin_1_because_someone_says_so(tmp_path: Path) -> None:
    table = tmp_path / "plain.csv"
    rows = [f"{s};{('Süß', 'bitter')[i % 2]}" for i, s in enumerate(SMILES)]
    table.write_text("\n".join(["smiles;class", *rows]), encoding="utf-8")
    with pytest.raises(DrugtailError, match=r"is UTF-8, in which it reads 'üß.*Leave the encoding"):
        inspect_table(table, layout=Layout(encoding="latin-1"))


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        # Few enough for names of classes, but nobody calls classes so.
        ([f"{5 + i % 20 / 10}" for i in range(60)], "20 different numbers, not classes; nothing"),
        (["active"] * 60, "all rows are of one class, 'active'; nothing is written"),
    ],
)
def test_what_are_no_classes_makes_no_register(
    tmp_path: Path, labels: list[str], says: str
) -> None:
    table = tmp_path / "mine.csv"
    rows = [f"{smiles},{label}" for smiles, label in zip(SMILES, labels, strict=True)]
    table.write_text("\n".join(["smiles,class", *rows]))
    with pytest.raises(DrugtailError, match=says):
        write_register(inspect_table(table, label="class"), tmp_path / "mine.yaml")
    assert not (tmp_path / "mine.yaml").exists()


def test_a_table_without_classes_or_molecules_is_told_what_it_lacks(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("\n".join(["smiles,name", *(f"{s},n{i}" for i, s in enumerate(SMILES))]))
    with pytest.raises(DrugtailError, match="no column looks like classes"):
        write_register(inspect_table(table), tmp_path / "mine.yaml")
    found = inspect_table(table, smiles="name")
    describe(found)
    with pytest.raises(DrugtailError, match="no cell of column 'name' is a molecule"):
        write_register(found, tmp_path / "mine.yaml")


def test_measurements_become_two_classes_also_with_decimal_commas(tmp_path: Path) -> None:
    table = tmp_path / "measured.csv"
    rows = [f"{s};{str(5 + i / 20).replace('.', ',')}" for i, s in enumerate(SMILES)]
    table.write_text("\n".join(["smiles;pIC50", *rows]))
    found = inspect_table(table, label="pIC50")
    with pytest.raises(DrugtailError, match="60 different numbers, not classes; nothing is wr"):
        write_register(found, tmp_path / "no.yaml")
    found = inspect_table(table, label="pIC50", above=6.5)
    assert found.sizes.to_dict() == {"negative": 31, "positive": 29}
    dataset = write_register(found, tmp_path / "mine.yaml")
    assert dataset.labels.model_dump(exclude_unset=True) == {
        "kind": "threshold", "above": 6.5, "decimal": ",",
    }  # fmt: skip
    fetch_dataset(dataset, tmp_path / "raw")
    prepare_dataset(dataset, tmp_path / "raw", tmp_path / "out")
    sizes = {c["name"]: c["molecules"] for c in read_json(tmp_path / "out/dataset.json")["classes"]}
    assert sizes == {"negative": 31, "positive": 29}
    forgotten = dataset.model_copy(
        update={"labels": dataset.labels.model_copy(update={"decimal": "."})}
    )
    with pytest.raises(DrugtailError, match=r"holds numbers with decimal commas; declare them"):
        prepare_dataset(forgotten, tmp_path / "raw", tmp_path / "out2")
    with pytest.raises(DrugtailError, match="cut a column of numbers; name it: --label"):
        inspect_table(table, label="smiles", above=1.0)


def test_a_register_that_cannot_work_is_not_written(tmp_path: Path) -> None:
    table = tmp_path / "keys.csv"
    rows = [f"BSYNRYMUTXBXSQ-UHFFFAOYSA-N,{'ab'[i % 2]}" for i in range(30)]
    table.write_text("\n".join(["key,label", *rows]))
    found = inspect_table(table, "key")
    said = describe(found)
    assert "key holds InChIKeys, from which no structure can be read" in said
    with pytest.raises(DrugtailError, match="no cell of column 'key' is a molecule; nothing is w"):
        write_register(found, tmp_path / "mine.yaml")
    with pytest.raises(DrugtailError, match=r"its name must end in \.yaml"):
        write_register(found, tmp_path / "mine.txt")
    assert not list(tmp_path.glob("mine*"))


def test_reactions_are_read_and_what_is_classified_is_said(tmp_path: Path) -> None:
    table = tmp_path / "reactions.csv"
    rows = [f"{s}>>{s}C,{'ab'[i % 2]}" for i, s in enumerate(["CCO", "CCN", "CC"] * 8)]
    table.write_text("\n".join(["rxn,class", *rows, "CCO>>xx,a", ">>CC,b"]))
    found = inspect_table(table)
    said = describe(found)
    assert "25 of 26 cells are reactions" in said
    assert "1 unparsable reaction, for example 'CCO>>xx'" in said
    assert (
        "rxn holds reactions: the product is classified; `reaction: {use: reaction}` takes" in said
    )
    dataset = write_register(found, tmp_path / "mine.yaml")
    assert dataset.reaction.use == "product"
    assert "reaction: " in (tmp_path / "mine.yaml").read_text()


def test_a_column_called_smiles_is_believed_in_a_small_table(tmp_path: Path) -> None:
    table = tmp_path / "small.csv"
    rows = [
        f"{s},{'ab'[i % 2]}" for i, s in enumerate(["CO", "CN", "CF", "CS", "CC", "N", "O", "C"])
    ]
    table.write_text("\n".join(["smiles,label", *rows]))
    assert inspect_table(table).columns["smiles"] == "smiles"
