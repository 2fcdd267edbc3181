"""Reading tables."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drugtail.data.tables import read_table
from drugtail.runtime.errors import DrugtailError


def read(folder: Path, content: bytes, columns: list[str] | None = None, name: str = "t.csv"):
    path = folder / name
    path.write_bytes(content)
    return read_table(path, columns)


@pytest.mark.parametrize(
    "content",
    [
        b"smiles,label\nCC,1\nCO,0\n",
        b"smiles,label\nCC,1\nCO,0",
        b"smiles,label\r\nCC,1\r\nCO,0\r\n",
        b"smiles,label\r\n\nCC,1\r\n\nCO,0\r\n\n",
        b"\xef\xbb\xbfsmiles,label\nCC,1\nCO,0\n",
        b'\xef\xbb\xbf"smiles","label"\r\n"CC","1"\r\n"CO","0"\r\n',
        gzip.compress(b"smiles,label\nCC,1\nCO,0\n"),
    ],
    ids=["lf", "no-last-end", "crlf", "moleculenet", "bom", "bom-quotes-crlf", "gzip"],
)
def test_same_cells_whatever_the_line_ends_mark_or_packing(tmp_path: Path, content: bytes) -> None:
    name = "t.csv.gz" if content[:2] == b"\x1f\x8b" else "t.csv"
    table = read(tmp_path, content, ["smiles", "label"], name)
    assert table.to_dict("list") == {"smiles": ["CC", "CO"], "label": ["1", "0"]}
    assert table.index.tolist() == [0, 1]


def test_quoted_and_non_ascii_cells_are_kept(tmp_path: Path) -> None:
    content = 'name,label\n"β-lactam, ""oral""",1\n"zwei\nZeilen",naïve\n'.encode()
    assert read(tmp_path, content).to_numpy().tolist() == [
        ['β-lactam, "oral"', "1"],
        ["zwei\nZeilen", "naïve"],
    ]


def test_cells_stay_text(tmp_path: Path) -> None:
    content = b"a,b\nNA,007\nnull,1.0\n,True\n"
    assert read(tmp_path, content).to_numpy().tolist() == [
        ["NA", "007"],
        ["null", "1.0"],
        ["", "True"],
    ]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(2, 4).flatmap(
        lambda width: st.lists(
            st.lists(
                st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
                min_size=width,
                max_size=width,
            ),
            min_size=1,
            max_size=6,
        )
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.booleans(),
)
def test_any_cells_survive_being_written_as_csv(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[list[str]],
    end: str,
    mark: bool,
    packed: bool,
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerow([f"column{i}" for i in range(len(rows[0]))])
    writer.writerows(rows)
    content = text.getvalue().encode("utf-8-sig" if mark else "utf-8")
    folder = tmp_path_factory.getbasetemp()
    if packed:
        table = read(folder, gzip.compress(content), name="cells.csv.gz")
    else:
        table = read(folder, content, name="cells.csv")
    assert table.to_numpy().tolist() == rows


LONG = b"a,b\n" + b"".join(b"%d,%d\n" % (i, i * i * 7919 % 10007) for i in range(20_000))


PACKED = gzip.compress(LONG)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.csv", b"", "is empty"),
        ("t.csv", b" \r\n\n", "is empty"),
        ("t.csv", b"\xef\xbb\xbf", "is empty"),
        ("t.csv", b"a,b\n", "no rows"),
        ("t.csv", b"\n <!DOCTYPE html><html>503</html>", "web page"),
        ("t.csv.gz", b"<HTML><body>gone</body></HTML>", "web page"),
        ("t.csv", b"<?xml version='1.0'?><Error>NoSuchKey</Error>", "web page"),
        ("t.csv", b"a,c\n1,2\n", "'b' is missing; the file has: a, c"),
        ("t.csv", b"a,b, a\n1,2,3\n", "column 'a' stands twice in the header"),
        ("t.csv", "a,b\n\xe9,1\n".encode("latin-1"), "not UTF-8"),
        ("t.csv", b'a,b\n"1,2\n3,4\n', "not a proper CSV"),
        ("t.csv.gz", PACKED[: len(PACKED) // 2], "cut short"),
        ("t.csv.gz", PACKED[:-4], "cut short"),
        ("t.csv.gz", PACKED[:20], "cut short|damaged"),
        ("t.csv.gz", PACKED[:-6] + bytes([PACKED[-6] ^ 255]) + PACKED[-5:], "damaged"),
    ],
    ids=["empty", "blank", "only-bom", "only-header", "html", "html-gz", "xml", "missing-column",
         "two-of-a-name", "latin-1", "open-quote",
         "half-gzip", "gzip-tail", "gzip-head", "gzip-crc",
         ],
)  # fmt: skip
def test_a_faulty_table_is_refused_by_name(
    tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    with pytest.raises(DrugtailError, match=says) as error:
        read(tmp_path, content, ["a", "b"], name)
    assert str(tmp_path / name) in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\n1,2\n3\n",
        b"a,b\n1\n3,4\n",
        b"a,b\n1,2\n3,4,5\n",
        b"a,b\n1,2,3\n3,4\n",
        b"a,b\n1,2,3\n4,5,6\n",
    ],
    ids=["short", "short-first", "long", "long-first", "all-long"],
)
def test_a_row_of_the_wrong_length_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DrugtailError, match="not a proper CSV"):
        read(tmp_path, content)


def test_an_absent_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match=r"gone\.csv: no such file"):
        read_table(tmp_path / "gone.csv")
