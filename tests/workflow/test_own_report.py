"""docs/extending.md on metrics, tests, tables and figures, word for word, but on the tiny data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from project import PROJECT, Project, listed_jobs
from scipy.stats import binomtest
from walkthrough import changed, follow, section, shown_files

from drugtail.evaluation.statistics import holm

TEXT = section(
    (PROJECT / "docs/extending.md").read_text(encoding="utf-8"),
    "Metrics, tests, tables and figures",
)
CHANGES = {"datasets: [demo]": "datasets: [tiny]", "epochs: 8": "epochs: 4, batch_size: 16"}
WORDS = ("--cores", "2", "--configfile", "my/report.yaml")
# The first file that each one takes part in.
MADE_BY = {
    "my/top2.py": "results/metrics/report/runs.parquet",
    "my/sign_test.py": "results/tables/report/signs.csv",
    "my/mean_rank.py": "results/tables/report/ranks.csv",
    "my/head_tail.py": "results/figures/report/head_tail.svg",
}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A project in which the section was followed to the end, and what its commands said."""
    return follow(changed(TEXT, CHANGES), tmp_path_factory.mktemp("report"))


@pytest.fixture
def changeable(followed: tuple[Project, str], tmp_path: Path) -> Project:
    shutil.copytree(followed[0].folder, tmp_path / "copy", symlinks=True)
    return Project(tmp_path / "copy")


def test_each_is_a_file_of_at_most_forty_lines() -> None:
    files = {name: text for name, text in shown_files(TEXT).items() if name.endswith(".py")}
    assert len(files) == 4
    assert max(len(text.splitlines()) for text in files.values()) <= 40


def predictions(project: Project) -> pd.DataFrame:
    blocks = project.folder.glob("results/runs/tiny/random-0/*/*/seeds0-1/predictions.parquet")
    frames = [
        pd.read_parquet(path).assign(method=path.parts[-3].rpartition("-")[0]) for path in blocks
    ]
    frame = pd.concat(frames)
    return frame[frame["subset"] == "test"]


def top2(rows: pd.DataFrame) -> float:
    logits = rows.filter(like="logit_").to_numpy()
    place = (logits > logits[range(len(rows)), rows["label"]][:, None]).sum(axis=1)
    return float((place < 2).mean())


def test_a_metric_of_ones_own_stands_in_the_tables(followed: tuple[Project, str]) -> None:
    project, said = followed
    runs = pd.read_parquet(project.folder / "results/metrics/report/runs.parquet")
    frame = predictions(project)
    # Logits of a small forest are often equal, and which is second is chance.
    frame = frame[frame["method"] != "random_forest"]
    # The smallest of three classes is the tail.
    for name, part in (("", frame), ("_tail", frame[frame["label"] == 2])):
        wanted = part.groupby(["method", "seed"]).apply(top2, include_groups=False)
        found = runs.set_index(["method", "seed"])[f"test_top2_accuracy{name}"]
        np.testing.assert_allclose(found.loc[wanted.index], wanted)
    assert "top2_accuracy  Share of molecules whose class" in said


def test_a_test_of_ones_own_gives_the_p_values(followed: tuple[Project, str]) -> None:
    folder = followed[0].folder / "results"
    table = pd.read_csv(folder / "tables/report/signs.csv")
    p = [
        binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
        for wins, losses in zip(table["wins"], table["losses"], strict=True)
    ]
    np.testing.assert_allclose(table["p"], p)
    np.testing.assert_allclose(table["p_holm"], holm(np.array(p)))
    assert "p of the sign test, two-sided; ties are left out, and corrected with Holm" in (
        folder / "tables/report/signs.md"
    ).read_text().replace("\n", " ")


def test_a_kind_of_table_and_a_figure_of_ones_own_are_on_the_page(
    followed: tuple[Project, str],
) -> None:
    folder = followed[0].folder / "results"
    ranks = pd.read_csv(folder / "tables/report/ranks.csv")
    assert set(ranks["method"]) == {"cross_entropy", "balanced_softmax", "random_forest"}
    assert ranks["test_balanced_accuracy"].sum() == pytest.approx(1 + 2 + 3)
    drawn = {path.name for path in (folder / "figures/report").iterdir()}
    assert drawn == {
        f"{name}.{kind}"
        for name in ("recall_by_class_size", "head_tail")
        for kind in ("svg", "png")
    }
    page = (folder / "page/report/index.html").read_text()
    assert "Recall of head and tail; a point per run." in page
    assert "Mean ranks" in page


def test_a_second_start_has_nothing_to_do(followed: tuple[Project, str]) -> None:
    assert listed_jobs(followed[0].run("snakemake", "--dry-run", *WORDS).stdout) == {}


@pytest.mark.parametrize(
    ("file", "old", "new", "jobs"),
    [
        ("my/top2.py", "[:, -2:]", "[:, -3:]", {"collect_metrics", "tabulate_results"}),
        ("my/sign_test.py", "else 1.0", "else 0.5", {"tabulate_results"}),
        ("my/mean_rank.py", "round(2)", "round(1)", {"tabulate_results"}),
        ("my/head_tail.py", "(4, 4)", "(5, 5)", {"plot_figure"}),
    ],
)
def test_a_change_makes_what_it_made_again_and_trains_nothing(
    changeable: Project, file: str, old: str, new: str, jobs: set[str]
) -> None:
    dry = ("snakemake", "--dry-run", *WORDS)
    changeable.edit(file, old, new)
    found = set(listed_jobs(changeable.run(*dry).stdout))
    assert jobs <= found
    assert not found & {"train_network", "train_classical", "evaluate_block", "split_dataset"}


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        (
            "my/top2.py",
            "np.argsort",
            "np.argsrt",
            "metric 'top2_accuracy': my/top2.py: line 11: AttributeErr",
        ),
        ("my/sign_test.py", "return float", "return 7 + float", "; a p value lies between 0 and 1"),
        (
            "my/head_tail.py",
            "return figure",
            "return axis",
            "figure 'head_tail' (my/head_tail.py): gives Axes; ret",
        ),
        ("my/head_tail.py", ', ("runs",)', "", "TypeError"),
        (
            "my/head_tail.py",
            '("runs",)',
            '("runz",)',
            "inputs: 'runz' is unknown (did you mean run",
        ),
        ("my/head_tail.py", "rows[f", "rows.loc[f", "figure 'head_tail': my/head_tail.py: line 1"),
        (
            "my/mean_rank.py",
            "    return Contents(",
            "    return tuple(",
            "kind 'mean_rank': my/mean_r",
        ),
        ("my/ranks.yaml", "top2_accuracy_tail", "top2_acuracy_tail", "(did you mean top2_accuracy"),
        ("my/report.yaml", "my/head_tail.py]", "my/top2.py]", "'my/top2.py' is named twice"),
        ("my/report.yaml", ", my/head_tail.py]", "]", "there is no figure 'head_tail'"),
        ("my/report.yaml", "my/sign_test.py, ", "", "table signs: test: there is no statistical"),
        ("my/report.yaml", "my/mean_rank.py, ", "", "table ranks: kind: there is no kind of tab"),
    ],
)
def test_what_is_wrong_ends_with_the_reason(
    changeable: Project, file: str, old: str, new: str, says: str
) -> None:
    changeable.edit(file, old, new)
    # The check says, too, what is wrong before anything runs, and takes a second.
    done = changeable.run("drugtail", "check", "my/report.yaml", check=False)
    if done.returncode == 0:
        done = changeable.run("snakemake", MADE_BY[file], *WORDS, check=False)
    assert done.returncode != 0
    assert says in done.stdout
    assert "Traceback" not in done.stdout


def test_the_workflow_says_what_is_wrong_before_anything_runs(changeable: Project) -> None:
    changeable.edit("my/report.yaml", ", my/head_tail.py]", "]")
    done = changeable.run("snakemake", "page", *WORDS, check=False)
    assert done.returncode != 0
    assert "there is no figure 'head_tail'" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_file_of_which_nothing_is_named_is_said_to_be_unused(changeable: Project) -> None:
    changeable.edit("my/report.yaml", "head_tail]\n", "class_sizes]\n")
    said = changeable.run("drugtail", "check", "my/report.yaml").stdout
    assert "plugins: my/head_tail.py: the benchmark names nothing of it" in said
    assert said.count("names nothing of it") == 1


def test_what_results_depend_on_is_published_with_them(changeable: Project) -> None:
    words = ("publish", "--config", "my/report.yaml", "--output", "published/report")
    said = changeable.run("drugtail", *words).stdout
    assert "published/report: 6 runs of 3 blocks, 0." in said
    folder = changeable.folder / "published/report"
    for name in ("top2.py", "sign_test.py", "mean_rank.py", "head_tail.py"):
        published = (folder / "plugins" / name).read_text()
        assert published == (changeable.folder / "my" / name).read_text()


def test_a_file_of_components_alone_is_refused_in_plugins(changeable: Project) -> None:
    (changeable.folder / "my/loss.py").write_text(
        """from typing import Literal
from drugtail.config.base import Settings
from drugtail.methods.losses import LOSSES


class Mine(Settings):
    name: Literal["mine"]


@LOSSES.register("mine", Mine)
def mine(settings, batch):
    return batch.logits.sum(1)
"""
    )
    changeable.edit("my/report.yaml", "plugins: [", "plugins: [my/loss.py, ")
    said = changeable.run("drugtail", "check", "my/report.yaml", check=False).stdout
    assert "my/loss.py: has components of methods alone (loss mine); name it at the method" in said
