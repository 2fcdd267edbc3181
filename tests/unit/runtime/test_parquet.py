"""Parquet files: what is read is what was written, or an error."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from damage import DAMAGES, Damage
from hypothesis import given, settings
from hypothesis import strategies as st

from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.parquet import (
    METADATA_KEY,
    read_parquet,
    read_parquet_metadata,
    read_parquet_pieces,
    write_parquet,
)

HEADER = {"class_names": ["a", "b"], "dataset": "taste"}


def test_parquet_keeps_values_types_and_header(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "β"], "n": [1, 2], "x": [0.5, None], "subset": ["", "test"]})
    header = {"class_names": ["no", "ja"], "seed": 3}
    write_parquet(tmp_path / "t.parquet", frame, header)
    pd.testing.assert_frame_equal(read_parquet(tmp_path / "t.parquet"), frame, check_dtype=False)
    assert read_parquet(tmp_path / "t.parquet")["n"].dtype == "int64"
    assert read_parquet_metadata(tmp_path / "t.parquet") == header
    assert list(read_parquet(tmp_path / "t.parquet", ["x", "id"])) == ["x", "id"]


def test_parquet_of_the_same_frame_is_the_same_bytes(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["a", "b"], "x": [0.1, 0.2]})
    for name in ("one", "two"):
        write_parquet(tmp_path / name, frame, {"a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_parquet_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    write_parquet(path, pd.DataFrame({"a": range(1000)}))
    with pytest.raises(DrugtailError, match=r"t\.parquet: column 'b' is missing"):
        read_parquet(path, ["a", "b"])
    path.write_bytes(path.read_bytes()[:-20])
    for reader in (read_parquet, read_parquet_metadata):
        with pytest.raises(DrugtailError, match=r"t\.parquet: cannot be read as Parquet"):
            reader(path)
        with pytest.raises(DrugtailError, match=r"none\.parquet: "):
            reader(tmp_path / "none.parquet")


def predictions() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    scores = {f"logit_{i}": rng.normal(size=200).astype(np.float32) for i in range(3)}
    return pd.DataFrame(
        {
            "id": [f"m-{i}" for i in range(200)],
            "subset": rng.choice(["train", "test"], 200),
            "label": rng.integers(0, 3, 200),
            "updates": pd.array([None, *range(199)], dtype="Int64"),
            **scores,
        }
    )


@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_or_harmless(
    damage: Damage, compact: bool, tmp_path: Path
) -> None:
    frame, path, rng = predictions(), tmp_path / "predictions.parquet", np.random.default_rng(1)
    write_parquet(path, frame, HEADER, compact=compact)
    whole = path.read_bytes()
    readers: list[Callable[[], Any]] = [
        lambda: read_parquet(path),
        lambda: pd.concat(read_parquet_pieces(path, [*frame], 64), ignore_index=True),
        lambda: read_parquet_metadata(path),
    ]
    wanted = [reader() for reader in readers]
    pd.testing.assert_frame_equal(wanted[0], frame)
    refused: list[str] = []
    for _ in range(400):
        path.write_bytes(damage(whole, rng))
        for reader, right in zip(readers, wanted, strict=True):
            try:
                found = reader()
            except DrugtailError as error:
                refused.append(str(error))
                continue
            assert found.equals(right) if isinstance(right, pd.DataFrame) else found == right
    assert len(refused) > 600
    assert all(one.startswith(f"{path}: cannot be read as Parquet") for one in refused)
    assert all("delete it and run its stage again" in one for one in refused)


def test_a_folder_and_a_frame_without_columns(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match=r"is a folder; name a Parquet file"):
        read_parquet(tmp_path)
    write_parquet(tmp_path / "none.parquet", pd.DataFrame(index=range(3)))
    assert read_parquet(tmp_path / "none.parquet").columns.empty


def test_a_file_of_an_earlier_version_or_of_somebody_else_is_read(tmp_path: Path) -> None:
    frame, path = predictions(), tmp_path / "old.parquet"
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for extra in ({}, {METADATA_KEY: json.dumps(HEADER).encode()}):
        header = {**table.schema.metadata, **extra}
        pq.write_table(table.replace_schema_metadata(header), path)
        pd.testing.assert_frame_equal(read_parquet(path), frame)
        assert read_parquet_metadata(path) == (HEADER if extra else {})


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.text(), st.floats(), st.none() | st.integers(-9, 9)), max_size=9),
    st.dictionaries(st.text(), st.none() | st.integers() | st.text()),
)
def test_any_frame_and_header_come_back(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, float, int | None]],
    header: dict[str, Any],
) -> None:
    path = tmp_path_factory.mktemp("any") / "t.parquet"
    texts, numbers, integers = zip(*rows, strict=True) if rows else ((), (), ())
    frame = pd.DataFrame(
        {
            "list": [np.array([number, 0.0]) for number in numbers],
            "category": pd.Categorical(texts),
            "time": pd.to_datetime(["2026-01-01"] * len(rows)),
            "text": pd.array(texts, dtype="str"),
            "number": np.array(numbers, dtype=float),
            "integer": pd.array(integers, dtype="Int64"),
        }
    )
    write_parquet(path, frame, header)
    # pandas has two types for no text at all.
    pd.testing.assert_frame_equal(
        read_parquet(path), frame, check_dtype=bool(rows), check_categorical=bool(rows)
    )
    assert read_parquet_metadata(path) == header
