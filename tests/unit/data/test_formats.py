"""Tables in every form that chemists have them in: the same cells, or an error that says why."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from openpyxl import Workbook
from rdkit import Chem

from drugtail.config.layout import Layout
from drugtail.data.table_format import FORMATS
from drugtail.data.tables import read_table
from drugtail.runtime.errors import DrugtailError

ROWS = [["CCO", "süß"], ["c1ccccc1", "bitter"], ["CCN", ""]]
HEADER = ["smiles", "taste"]
TABLE = pd.DataFrame(ROWS, columns=HEADER)


def delimited(separator: str, encoding: str = "utf-8", end: str = "\n") -> bytes:
    lines = [separator.join(row) for row in [HEADER, *ROWS]]
    return (end.join(lines) + end).encode(encoding)


def zipped(content: bytes) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("inner.csv", content)
    return target.getvalue()


def workbook(sheets: int = 1) -> bytes:
    book = Workbook()
    for row in [HEADER, *ROWS]:
        book.active.append(row)
    for number in range(1, sheets):
        book.create_sheet(f"other{number}").append(["notes"])
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def parquet() -> bytes:
    target = io.BytesIO()
    TABLE.replace("", None).to_parquet(target)
    return target.getvalue()


FORMS: list[tuple[str, bytes, dict[str, str]]] = [
    ("t.csv", delimited(","), {}),
    ("t.csv", delimited(";"), {}),
    ("t.txt", delimited("\t"), {}),
    ("t.dat", delimited("|"), {}),
    ("t.csv", delimited(";", "utf-16"), {}),
    ("t.csv", delimited(",", "utf-16-le"), {"encoding": "utf-16-le"}),
    ("t.csv", delimited(";", "latin-1", "\r\n"), {"encoding": "latin-1"}),
    ("t.csv", gzip.compress(delimited(",")), {}),
    ("t.csv.gz", delimited(","), {}),
    ("t.csv", zipped(delimited("\t")), {}),
    ("t.zip", zipped(delimited(";")), {}),
    ("t.csv", delimited("~"), {"separator": "~"}),
    ("t.xlsx", workbook(), {}),
    ("t.csv", workbook(), {}),
    ("t.xlsx", workbook(2), {"sheet": "Sheet"}),
    ("t.parquet", parquet(), {}),
    ("t.json", json.dumps(TABLE.to_dict("records")).encode(), {}),
]


# Packed bytes differ with the time, so they are no name of a test.
@pytest.mark.parametrize(
    ("name", "content", "layout"), FORMS, ids=[str(i) for i in range(len(FORMS))]
)
def test_the_cells_are_the_same_in_every_form(
    tmp_path: Path, name: str, content: bytes, layout: dict[str, str]
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found = read_table(path, HEADER, Layout(**layout))
    assert found.to_numpy().tolist() == ROWS
    assert list(found.columns) == HEADER


def test_quoted_cells_with_another_separator_are_whole(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('"name";"smiles"\n"1,2-ethanediol, pure";"OCCO"\n"2,3";"CC"\n')
    found = read_table(path, ["smiles"])
    assert found["name"].tolist() == ["1,2-ethanediol, pure", "2,3"]


def test_decimal_commas_do_not_make_a_comma_the_separator(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("smiles;Kd\nCC;1,5\nCO;2,5\nCN;0,1\n")
    assert read_table(path)["Kd"].tolist() == ["1,5", "2,5", "0,1"]


def test_a_very_long_cell_is_read(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"smiles,remark\nCC,{'x' * 300_000}\n")
    assert len(read_table(path)["remark"][0]) == 300_000


def test_smi_without_a_header(tmp_path: Path) -> None:
    path = tmp_path / "t.smi"
    path.write_text("CCO ethyl alcohol\nCC\n\nc1ccccc1\tbenzene\n")
    found = read_table(path)
    assert found.to_numpy().tolist() == [["CCO", "ethyl alcohol"], ["CC", ""],
                                         ["c1ccccc1", "benzene"]]  # fmt: skip
    named = "CCO mol0 yes\nCC mol1 no\n"
    path.write_text(named)
    layout = Layout(header=["smiles", "id", "label"])
    assert read_table(path, ["label"], layout)["label"].tolist() == ["yes", "no"]
    with pytest.raises(DrugtailError, match="first line is 'CCO mol0 yes'; name its columns"):
        read_table(path, ["label"])


def test_sdf_fields_are_columns_and_a_broken_record_keeps_its_row(tmp_path: Path) -> None:
    path = tmp_path / "t.sdf"
    with Chem.SDWriter(str(path)) as writer:
        for smiles, label in (("CCO", "a"), ("c1ccccc1", "b"), ("CC", "c")):
            molecule = Chem.MolFromSmiles(smiles)
            molecule.SetProp("_Name", f"name of {label}")
            molecule.SetProp("kind", label)
            writer.write(molecule)
    text = path.read_text()
    found = read_table(path, ["smiles", "kind"])
    assert found["smiles"].tolist() == ["CCO", "c1ccccc1", "CC"]
    assert found["name"].tolist() == ["name of a", "name of b", "name of c"]
    records = text.split("$$$$\n")
    records[1] = records[1].replace("  6  6", " xx xx", 1)
    path.write_text("$$$$\n".join(records))
    assert read_table(path)["smiles"].tolist() == ["CCO", "unparsable_record", "CC"]
    path.write_text(text[: len(text) // 2])
    with pytest.raises(DrugtailError, match="cut short"):
        read_table(path)


def test_numbers_of_a_workbook_are_written_as_people_see_them(tmp_path: Path) -> None:
    book = Workbook()
    for row in (["smiles", "n", "x", None], ["CC", 1, 0.5, None], ["CO", 2.0, None, None]):
        book.active.append(row)
    book.save(tmp_path / "t.xlsx")
    found = read_table(tmp_path / "t.xlsx")
    assert found.to_numpy().tolist() == [["CC", "1", "0.5"], ["CO", "2", ""]]


def test_a_mapping_and_a_matrix_are_tables(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_text('{"a": "CC", "b": "CO"}')
    assert read_table(tmp_path / "m.json").to_numpy().tolist() == [
        ["0", "a", "CC"], ["1", "b", "CO"],
    ]  # fmt: skip
    (tmp_path / "m.txt").write_text("1 2 3\n4 5 6\n")
    found = read_table(tmp_path / "m.txt", layout=Layout(format="matrix"))
    assert found.to_numpy().tolist()[3] == ["1", "0", "4"]
    (tmp_path / "m.txt").write_text("1 2 3\n4 5\n")
    with pytest.raises(DrugtailError, match="line 2 of the matrix has 2 values"):
        read_table(tmp_path / "m.txt", layout=Layout(format="matrix"))


@pytest.mark.parametrize(
    ("name", "make", "layout", "says"),
    [
        ("t.csv", lambda: delimited(",", "latin-1"), {}, "line 2 .*süß.*encoding: latin-1"),
        ("t.csv", lambda: delimited(",", "utf-16-le"), {}, "zero bytes"),
        ("t.csv", lambda: delimited(","), {"encoding": "martian"}, "'martian' is unknown"),
        ("t.csv", lambda: b"smiles,taste\nCC,a,b\n", {}, r"row 1, 'CC,a,b', has 3 fields"),
        ("t.csv", lambda: delimited(","), {"separator": ";"}, "'smiles' is missing"),
        ("t.xlsx", lambda: workbook(3), {}, r"3 sheets \(Sheet, other1, other2\)"),
        ("t.xlsx", lambda: workbook(), {"sheet": "data"}, "no sheet 'data'; it has: Sheet"),
        ("t.xlsx", lambda: workbook()[:2000], {}, "damaged"),
        ("t.xls", lambda: b"\xd0\xcf\x11\xe0" + b"\0" * 100, {}, "old kind"),
        ("t.parquet", lambda: parquet()[:200], {}, "damaged Parquet"),
        ("t.json", lambda: b'{"a": ', {}, "not proper JSON"),
        ("t.json", lambda: b"[1, 2]", {}, "neither a list of records nor"),
        ("t.zip", lambda: zipped(b"smiles,taste\nCC,a\n")[:-30], {}, "damaged zip"),
    ],
)
def test_what_cannot_be_read_is_said_with_the_remedy(
    tmp_path: Path, name: str, make: Callable[[], bytes], layout: dict[str, str], says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(make())
    with pytest.raises(DrugtailError, match=says) as caught:
        read_table(path, HEADER, Layout(**layout))
    assert str(path) in str(caught.value)


def test_an_archive_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", "x")
        archive.writestr("b.csv", "x")
    with pytest.raises(DrugtailError, match=r"2 files \(a.csv, b.csv\)"):
        read_table(tmp_path / "t.zip")


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_format_says_what_it_is(name: str) -> None:
    assert (FORMATS[name].__doc__ or "").strip()
    assert name in Layout.model_json_schema()["properties"]["format"]["anyOf"][0]["enum"]
