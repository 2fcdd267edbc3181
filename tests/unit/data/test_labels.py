"""From what stands in label columns to classes: every rule declared, every row counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prepared import Prepared, prepare, register

from drugtail.config.base import validated
from drugtail.config.dataset import Dataset, Thin
from drugtail.data.policies import tail_sizes
from drugtail.runtime.errors import DrugtailError

SMILES = ["C" * (i + 1) + "O" for i in range(40)]


def labelled(folder: Path, cells: list[str], **changes: Any) -> Prepared:
    rows = [[smiles, label] for smiles, label in zip(SMILES, cells, strict=False)]
    return prepare(folder, rows, register(**{"classes": None, **changes}))


def test_equal_numbers_are_one_class(tmp_path: Path) -> None:
    found = labelled(tmp_path, ["1", "1.0", "0", "0.0", "1.00", "0"])
    assert found.header["class_names"] == ["0", "1"]
    assert found.molecules["label"].tolist() == [1, 1, 0, 0, 1, 0]


@pytest.mark.parametrize(
    ("labels", "pair"),
    [
        (["Active", "active", "no", "no"], "'Active' (1 rows, first in row 1) and 'active' (1"),
        (["class  A", "class A", "b", "b"], "'class  A'"),
        (["1.50", "1.5", "2", "2"], "'1.5' (1 rows, first in row 2) and '1.50' (1"),
    ],
)
def test_two_spellings_are_refused_by_name(tmp_path: Path, labels: list[str], pair: str) -> None:
    with pytest.raises(DrugtailError, match="spelling: merge") as caught:
        labelled(tmp_path, labels)
    assert pair in str(caught.value)
    assert "my/tiny.csv: column label" in str(caught.value)


def test_spellings_are_merged_or_kept_where_declared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["Active", "active", "ACTIVE", "active", "no", "No "] * 3
    merged = labelled(tmp_path, labels, labels={"spelling": "merge"})
    assert merged.header["class_names"] == ["No", "active"]
    said = capsys.readouterr().err
    assert "tiny: 'ACTIVE' (3), 'Active' (3) taken for 'active': spelling merge" in said
    kept = labelled(tmp_path, labels, labels={"spelling": "keep"})
    assert kept.header["class_names"] == ["ACTIVE", "Active", "No", "active", "no"]
    declared = labelled(
        tmp_path, labels, labels={"spelling": "merge"}, classes={"Active": "yes", "no": "no"}
    )
    assert (
        declared.molecules["label_name"].tolist()
        == ["yes"] * 4 + ["no"] * 2 + (["yes"] * 4 + ["no"] * 2) * 2
    )


def test_a_mark_that_is_a_class_is_taken_out_of_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["NA", "b", "", "b", "NA", "-"]
    found = labelled(tmp_path, labels)
    assert found.header["class_names"] == ["-", "b"]
    said = capsys.readouterr().err
    assert "3 of 6 rows set aside: 3 missing label (NA)" in said
    assert str(tmp_path / "out1" / "rejected.csv") in said
    assert "if 'NA' is a class and no missing value, take it out of labels.missing" in said
    found = labelled(tmp_path, labels, labels={"missing": ["", "-"]})
    assert found.header["class_names"] == ["NA", "b"]


LISTED = ["a", "b", "a|b", "a", "b", "b|a", "a", "b|b"]


def test_lists_of_labels_are_recognised_and_reduced_as_declared(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match=r"holds lists of labels: 'a\|b', one of 3 such") as e:
        labelled(tmp_path, LISTED)
    assert 'labels: {kind: list, separator: "|", several: single_only}' in str(e.value)
    rule = {"kind": "list", "separator": "|"}
    with pytest.raises(DrugtailError, match=r"row 3: column 'label' gives several labels \(a, b\)"):
        labelled(tmp_path, LISTED, labels=rule)
    single = labelled(tmp_path, LISTED, labels={**rule, "several": "single_only"})
    assert single.molecules["label_name"].tolist() == ["a", "b", "a", "b", "a", "b"]
    assert single.summary["rejected"] == {"several labels": 2}
    first = labelled(tmp_path, LISTED, labels={**rule, "several": "first"})
    assert first.molecules["label_name"].tolist() == ["a", "b", "a", "a", "b", "b", "a", "b"]


def one_hot(folder: Path, rows: list[list[str]], **changes: Any) -> Prepared:
    columns: Any = {"smiles": "smiles", "label": ["x", "y"]}
    labels = {"kind": "one_hot", **changes}
    return prepare(
        folder, rows, register(columns, classes=None, labels=labels), ["smiles", "x", "y"]
    )


def test_one_hot_columns_are_classes(tmp_path: Path) -> None:
    rows = [["CCO", "1", "0"], ["CCN", "0", "1.0"], ["CCC", "0", ""], ["CCS", "1", "1"]]
    with pytest.raises(DrugtailError, match=r"row 4: .*several labels \(x, y\)"):
        one_hot(tmp_path, rows)
    found = one_hot(tmp_path, rows, several="single_only")
    assert found.molecules["label_name"].tolist() == ["x", "y"]
    assert found.reasons == {3: "missing label: no class is set", 4: "several labels: x, y"}
    with pytest.raises(DrugtailError, match=r"row 1: column 'y' holds 'maybe'"):
        one_hot(tmp_path, [["CCO", "1", "maybe"]])


def test_a_number_is_cut_into_classes(tmp_path: Path) -> None:
    labels = ["10", "30", "29.9", "1e4", ">100", "", "3"]
    rule = {"kind": "threshold", "below": 30.0, "names": ["binds", "not"]}
    found = labelled(tmp_path, labels, labels=rule)
    assert found.molecules["label_name"].tolist() == ["binds", "not", "binds", "not", "binds"]
    assert found.reasons == {5: "label is no number: >100", 6: "missing label"}
    above = labelled(tmp_path, labels, labels={"kind": "threshold", "above": 30.0})
    assert above.molecules["label_name"].tolist() == [
        "negative", "negative", "negative", "positive", "negative",
    ]  # fmt: skip


def test_columns_are_joined_into_a_class(tmp_path: Path) -> None:
    columns: Any = {"smiles": "smiles", "label": ["organ", "grade"]}
    rows = [["CCO", "liver", "1"], ["CCN", "liver", "2"], ["CCC", "", "1"], ["CCS", "liver", "1"]]
    found = prepare(
        tmp_path, rows, register(columns, classes=None, labels={"kind": "joined"}),
        ["smiles", "organ", "grade"],
    )  # fmt: skip
    assert found.molecules["label_name"].tolist() == ["liver / 1", "liver / 2", "liver / 1"]
    assert found.reasons == {3: "missing label: no organ"}


def test_rare_classes_are_left_out_or_merged(tmp_path: Path) -> None:
    labels = ["a"] * 10 + ["b"] * 4 + ["c"] * 3 + ["d"] * 2
    out = labelled(tmp_path, labels, minimum_class_size=4)
    assert out.header["class_names"] == ["a", "b"]
    assert out.summary["left_out"] == {"rare class (fewer than 4 molecules)": 5}
    assert set(out.rejected["outcome"]) == {"left out"}
    merged = labelled(tmp_path, labels, minimum_class_size=4, rare_classes="merge")
    sizes = {item["name"]: item["molecules"] for item in merged.summary["classes"]}
    assert sizes == {"a": 10, "b": 4, "other": 5}
    assert merged.rejected.empty


def test_filters_lookups_and_one_row_per_compound(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "ids.csv").write_text("drug,structure\nD1,CCO\nD2,CCN\nD3,CCS\nD4,CCCl\n")
    files = [
        {"name": name, "columns": [], "sources": [{"path": "unused"}]}
        for name in ("tiny.csv", "ids.csv")
    ]
    dataset = register(
        {"smiles": "structure", "label": "label"}, files=files, classes=None,
        lookups=[{"file": "ids.csv", "key": "drug", "value": "structure", "column": "drug",
                  "name": "structure"}],
        filters=[{"column": "species", "one_of": ["human"]}],
        one_row_per="drug",
    )  # fmt: skip
    rows = [
        ["D1", "a", "human"], ["D2", "b", "human"], ["D9", "a", "human"], ["D3", "a", "mouse"],
        ["D1", "b", "human"], ["D4", "b", "human"],
    ]  # fmt: skip
    found = prepare(tmp_path, rows, dataset, ["drug", "label", "species"])
    assert found.molecules["smiles"].tolist() == ["CCO", "CCN", "CCCl"]
    assert found.reasons == {
        3: "not in ids.csv: D9",
        4: "filtered out by species: mouse",
        5: "repeats a value of drug: D1",
    }
    assert found.rejected["outcome"].tolist() == ["rejected", "left out", "merged"]
    assert found.summary["rows"] == 6 == found.summary["molecules"] + len(found.rejected)


def test_a_filter_for_what_is_not_there_is_refused(tmp_path: Path) -> None:
    dataset = register(filters=[{"column": "label", "one_of": ["2"]}])
    with pytest.raises(DrugtailError, match="column 'label' holds no '2'; it holds '0', '1'"):
        prepare(tmp_path, [["CCO", "0"], ["CCN", "1"]], dataset)


def test_repeats_and_conflicts_may_be_those_of_parents(tmp_path: Path) -> None:
    rows = [["C[C@H](N)O", "0"], ["C[C@@H](N)O", "0"], ["CC(N)O.Cl", "1"], ["CCO", "1"],
            ["CC[O-].[Na+]", "1"], ["CCS", "0"]]  # fmt: skip
    by_smiles = prepare(tmp_path, rows, register(duplicates="drop", conflicts="drop"))
    assert by_smiles.molecules["row"].tolist() == [1, 2, 3, 4, 5, 6]
    dataset = register(duplicates="drop", conflicts="drop", identity="parent")
    by_parent = prepare(tmp_path, rows, dataset)
    assert by_parent.molecules["row"].tolist() == [4, 6]
    assert by_parent.reasons == {
        **dict.fromkeys([1, 2, 3], "conflicting labels"), 5: "repeats a molecule",
    }  # fmt: skip
    assert by_parent.summary["repeats"]["rows_that_repeat_a_parent"] == 3
    assert by_parent.summary["repeats"]["rows_that_repeat_a_molecule"] == 0
    assert by_parent.summary["merged"] == {"repeats a molecule": 1}


@pytest.mark.parametrize("tail", ["exponential", "zipf"])
def test_a_thinned_set_has_the_tail_that_is_declared(tmp_path: Path, tail: str) -> None:
    rows = [["C" * (i // 5 + 1) + "N" * (i % 5), "abcde"[i % 5]] for i in range(500)]
    thin = {"tail": tail, "ratio": 20.0}
    found = prepare(tmp_path, rows, register(classes=None, thin=thin))
    sizes = found.molecules["label_name"].value_counts().sort_values(ascending=False)
    assert sizes.tolist() == tail_sizes(100, 5, Thin(tail=tail, ratio=20.0))
    assert sizes.iloc[0] / sizes.iloc[-1] == 20
    assert found.summary["left_out"] == {"thinned out": 500 - len(found.molecules)}
    again = prepare(tmp_path, rows, register(classes=None, thin=thin))
    assert again.molecules.equals(found.molecules)
    other = prepare(tmp_path, rows, register(classes=None, thin={**thin, "seed": 1}))
    assert not np.array_equal(other.molecules["row"], found.molecules["row"])


def test_a_sample_keeps_as_many_molecules_as_declared_whatever_their_class(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [["C" * (i // 5 + 1) + "N" * (i % 5), "aaabc"[i % 5]] for i in range(500)]
    declared = register(classes=None, sample={"molecules": 100})
    found = prepare(tmp_path, rows, declared)
    assert len(found.molecules) == 100
    assert found.summary["left_out"] == {"not sampled": 400}
    shares = found.molecules["label_name"].value_counts(normalize=True)
    assert shares["a"] == pytest.approx(0.6, abs=0.15)
    assert prepare(tmp_path, rows, declared).molecules.equals(found.molecules)
    other = prepare(tmp_path, rows, register(classes=None, sample={"molecules": 100, "seed": 1}))
    assert not np.array_equal(other.molecules["row"], found.molecules["row"])
    # Rare is what has few molecules in the sample.
    rarest = found.molecules["label_name"].value_counts()
    more = register(classes=None, sample={"molecules": 100}, minimum_class_size=int(rarest["a"]))
    assert set(prepare(tmp_path, rows, more).molecules["label_name"]) == {"a"}
    capsys.readouterr()
    alone = register(classes=None, sample={"molecules": 1})
    assert len(prepare(tmp_path, rows, alone).molecules) == 1
    assert "the sample has no molecule of 2 classes: " in capsys.readouterr().err
    whole = prepare(tmp_path, rows, register(classes=None, sample={"molecules": 9000}))
    assert len(whole.molecules) == 500
    assert "there are 500 molecules, so all are kept" in capsys.readouterr().err


@pytest.mark.parametrize("duplicates", ["drop", "keep"])
def test_repeats_are_those_of_the_sample(duplicates: str, tmp_path: Path) -> None:
    # Two rows of every molecule, and every fourth molecule is of two classes.
    chains = [("C" * (i + 2), "ab"[i % 4 == 0 and k]) for i in range(40) for k in (0, 1)]
    rows = [[smiles, label] for smiles, label in chains]
    sample = {"molecules": 20}
    declared = register(classes=None, sample=sample, duplicates=duplicates, conflicts="keep")
    found = prepare(tmp_path, rows, declared)
    drawn = found.molecules
    labels = drawn.groupby("smiles")["label"].nunique()
    repeats = found.summary["repeats"]
    assert repeats["distinct_molecules"] == len(labels) < 40
    assert repeats["molecules_with_several_classes"] == (labels > 1).sum()
    pairs = set(zip(drawn["smiles"], drawn["label_name"], strict=True))
    rows_of_it = len(drawn) if duplicates == "keep" else sum(pair in pairs for pair in chains)
    assert repeats["rows_that_repeat_a_molecule"] == rows_of_it - len(labels)


def test_tasks_are_a_data_set_each(tmp_path: Path) -> None:
    dataset = register(
        {"smiles": "smiles"}, tasks={"NR-AR": {}, "SR p53": {"title": "p53"}}, classes=None
    )
    first, second = dataset.each_task()
    assert (first.name, second.name) == ("tiny.NR_AR", "tiny.SR_p53")
    assert (first.title, second.title) == ("t: NR-AR", "t: p53")
    assert first.source == second.source == "tiny"
    rows = [["CCO", "0", "1"], ["CCN", "1", ""], ["CCC", "", "0"], ["CCS", "0", "1"]]
    found = prepare(tmp_path, rows, second, ["smiles", "NR-AR", "SR p53"])
    assert found.molecules["label_name"].tolist() == ["1", "0", "1"]
    assert found.molecules["id"].tolist() == ["tiny.SR_p53-1", "tiny.SR_p53-3", "tiny.SR_p53-4"]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"columns": {"smiles": "s", "label": ["a", "b"]}}, "labels.kind one_hot"),
        ({"columns": {"smiles": "s"}}, "columns.label is required"),
        ({"labels": {"kind": "one_hot"}}, "needs a list of columns.label"),
        ({"labels": {"kind": "threshold"}}, "give either below or above"),
        ({"tasks": {"a": {}}}, "none in columns.label"),
        ({"columns": {"smiles": "s"}, "tasks": {"a b": {}, "a-b": {}}}, "become the name 'a_b'"),
        ({"lookups": [{"file": "x", "key": "a", "value": "b", "column": "c", "name": "d"}]},
         "'x' is not among the files"),
    ],
)  # fmt: skip
def test_a_register_that_does_not_fit_together_is_refused(
    changes: dict[str, Any], says: str
) -> None:
    value = register().model_dump(mode="json", exclude_unset=True) | changes
    with pytest.raises(DrugtailError, match=says):
        validated(Dataset, value, "tiny.yaml")


def test_classes_may_be_written_as_numbers_and_truth_values() -> None:
    value = register().model_dump(mode="json", exclude_unset=True)
    found = validated(Dataset, {**value, "classes": {0: "no", 1: "yes"}}, "tiny.yaml")
    assert found.classes == {"0": "no", "1": "yes"}
    found = validated(Dataset, {**value, "classes": {False: "no", True: "yes"}}, "tiny.yaml")
    assert found.classes == {"false": "no", "true": "yes"}


def test_files_that_are_one_table_say_which_part_they_are(tmp_path: Path) -> None:
    files: list[dict[str, Any]] = [
        {"name": name, "columns": [], "sources": [{"path": name}]}
        for name in ("train.csv", "test.csv")
    ]
    with pytest.raises(DrugtailError, match=r"'train.csv' does not say which part .*subset: train"):
        validated(Dataset, {**register().model_dump(exclude_unset=True), "files": files}, "t.yaml")
    for file, subset in zip(files, ("train", "test"), strict=True):
        file["subset"] = subset
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "train.csv").write_text("smiles,label\nCC,0\nCO,1\nC(,1\n")
    (raw / "test.csv").write_text("label,smiles\n1,CN\nx,CCl\n")
    found = prepare(tmp_path, [["x", "y"]], register(files=files))
    assert found.molecules["official"].tolist() == ["train", "train", "test"]
    assert found.molecules["smiles"].tolist() == ["CC", "CO", "CN"]
    assert found.molecules["id"].tolist() == ["tiny-1", "tiny-2", "tiny-4"]
    assert found.rejected[["file", "row"]].to_numpy().tolist() == [
        ["train.csv", "3"], ["test.csv", "2"],
    ]  # fmt: skip


def test_the_usual_words_for_subsets_are_known(tmp_path: Path) -> None:
    words = {
        "Training set": "train", "TRAIN": "train", "dev": "valid", "Validation": "valid",
        "tst": "test", "External Test": "test", "hold-out": "test", "test_set": "test",
    }  # fmt: skip
    dataset = register({"smiles": "smiles", "label": "label", "split": "split"})
    rows = [[s, str(i % 2), w] for i, (s, w) in enumerate(zip(SMILES, words, strict=False))]
    found = prepare(tmp_path, [*rows, ["CCBr", "1", "0"], ["CCI", "1", ""]], dataset,
                    ["smiles", "label", "split"])  # fmt: skip
    assert found.molecules["official"].tolist() == list(words.values())
    assert found.reasons == {
        9: "unknown subset in the split column: 0", 10: "no subset in the split column",
    }  # fmt: skip


def test_second_inputs_are_read_and_joined_to_the_identity(tmp_path: Path) -> None:
    columns: Any = {
        "smiles": "one", "label": "label",
        "second": {"column": "two", "kind": "smiles", "featurizer": "morgan"},
    }  # fmt: skip
    rows = [["CCO", "OCC", "a"], ["CCO", "CCN", "b"], ["CCO", "C(", "a"], ["OCC", "NCC", "b"],
            ["CCN", "", "a"], ["CCC", "CCO", "a"]]  # fmt: skip
    found = prepare(tmp_path, rows, register(columns, classes=None, duplicates="drop"),
                    ["one", "two", "label"])  # fmt: skip
    assert found.molecules["second"].tolist() == ["CCO", "CCN", "CCO"]
    assert found.reasons == {
        3: "second molecule: unparsable SMILES",
        4: "repeats a molecule",
        5: "second molecule: empty SMILES",
    }
    assert found.header["second"]["featurizer"] == "morgan"


def test_rejected_rows_are_written_also_where_none_is_left(tmp_path: Path) -> None:
    with pytest.raises(DrugtailError, match=r"row 1: no row .* unknown label: '0,0' is not among"):
        prepare(tmp_path, [["CCO", "0,0"], ["CCN", "1,0"]])
    rejected = pd.read_csv(tmp_path / "out1/rejected.csv", dtype=str)
    assert rejected["label"].tolist() == ["0,0", "1,0"]
