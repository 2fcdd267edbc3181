"""A benchmark's own code is tried on made-up molecules before any job starts."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from project import PROJECT
from walkthrough import shown_files

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.trial import Combination, try_own_code
from drugtail.config.catalogue import Catalogue, read_benchmark
from drugtail.plugins import unload_plugin
from drugtail.runtime.errors import DrugtailError

CATALOGUE = Catalogue(PROJECT / "config")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The files of both pages on code of one's own, in a folder that commands run in."""
    monkeypatch.chdir(tmp_path)
    for page in ("config/methods/own.md", "docs/extending.md"):
        for path, content in shown_files((PROJECT / page).read_text(encoding="utf-8")).items():
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(path).write_text(content, encoding="utf-8")
    yield tmp_path / "my"
    for path in Path("my").glob("*.py"):
        unload_plugin(path)


def change(path: str, old: str, new: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new), encoding="utf-8")


def plan(path: str) -> Plan:
    return Plan(read_benchmark(Path(path)), CATALOGUE)


@pytest.mark.parametrize(
    ("benchmark", "tried"),
    [
        ("my/benchmark.yaml", ["gcn/poly1", "gcn/poly1_strong"]),
        ("my/encoders.yaml", ["own_gine/cross_entropy", "own_gine_small/cross_entropy"]),
        ("my/features.yaml", ["descriptors_mlp/cross_entropy", "descriptors/random_forest"]),
        ("my/splits.yaml", []),
    ],
)
def test_what_is_of_ones_own_is_tried_once_each_and_nothing_is_left(
    write: Path,
    benchmark: str,
    tried: list[str],
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = sorted(write.parent.rglob("*"))
    # Where temporary files go is looked up once; PyTorch's compilers leave some there.
    temporary = write.parent / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    trial = try_own_code(plan(benchmark))
    assert [f"{one.encoder}/{one.method}" for one in trial.tried] == tried
    assert trial.left_out == []
    assert capfd.readouterr() == ("", "")
    assert not list(temporary.glob("drugtail-*"))
    made = {path for path in write.parent.rglob("*") if temporary not in (path, *path.parents)}
    assert not {path for path in made - set(before) if "__pycache__" not in str(path)}


@pytest.mark.parametrize(
    ("benchmark", "file", "old", "new", "said"),
    [
        (
            "my/benchmark.yaml", "my/poly1.py",
            "batch.labels)", "batch.labels).mean()",
            r"poly1 on gcn: .*one for each molecule",
        ),
        (
            "my/benchmark.yaml", "my/poly1.py",
            "losses = negative", "losses = batch.probabilities\n    losses = negative",
            r"poly1 on gcn: loss 'poly1': .*poly1\.py: line 22: AttributeError",
        ),
        (
            "my/benchmark.yaml", "my/poly1.py",
            "return losses + ", "return (losses - losses).log() + ",
            r"poly1 on gcn: its loss or gradient is no longer a number",
        ),
        (
            "my/benchmark.yaml", "my/poly1.py",
            "return losses + settings.epsilon * (1 - (-losses).exp())",
            "return (losses + settings.epsilon * (1 - (-losses).exp())).detach()",
            r"poly1 on gcn: RuntimeError: .*grad",
        ),
        (
            "my/encoders.yaml", "my/own_gine.py",
            "return global_add_pool(", "return 1 / 0 * global_add_pool(",
            r"cross_entropy on own_gine: encoder 'own_gine': .*own_gine\.py: line \d+: "
            "ZeroDivisionError",
        ),
        (
            "my/encoders.yaml", "my/own_gine.py",
            "size=data.num_graphs)", "size=data.num_graphs)[:, 1:]",
            r"cross_entropy on own_gine: encoder 'own_gine' .* must give \[\d+, 64\]",
        ),
        (
            "my/features.yaml", "my/descriptors.py",
            "return np.array(", "return np.nan * np.array(",
            r"cross_entropy on descriptors_mlp: featurizer 'descriptors'",
        ),
    ],
)  # fmt: skip
def test_a_fault_in_ones_own_code_is_named_before_a_job_starts(
    write: Path, benchmark: str, file: str, old: str, new: str, said: str
) -> None:
    change(file, old, new)
    with pytest.raises(DrugtailError) as error:
        try_own_code(plan(benchmark))
    assert re.search(said, str(error.value)), str(error.value)


def test_a_fault_in_a_metric_of_ones_own_is_named(write: Path) -> None:
    change("my/features.yaml", "plugins: [", "plugins: [my/top2.py, ")
    change("my/top2.py", "part.probabilities", "part.odds")
    with pytest.raises(DrugtailError, match=r"metric 'top2_accuracy': .*top2\.py: line 11: "):
        try_own_code(plan("my/features.yaml"))


def test_whole_reactions_are_made_up_too(write: Path) -> None:
    register = PROJECT / "config/benchmarks/study/datasets/uspto_50k_reaction.yaml"
    changed = f"datasets: ['{register}']\nencoders: [reaction_mlp]"
    change("my/benchmark.yaml", "datasets: [demo]", changed)
    trial = try_own_code(plan("my/benchmark.yaml"))
    assert trial.tried[0] == Combination("uspto_50k_reaction", "reaction_mlp", "poly1")


def test_what_reads_a_file_or_a_second_input_is_left_out_with_the_reason(write: Path) -> None:
    change("my/benchmark.yaml", "datasets: [demo]", "datasets: [davis]\nencoders: [morgan_mlp]")
    trial = try_own_code(plan("my/benchmark.yaml"))
    assert trial.tried == []
    assert trial.left_out[0] == "poly1 on morgan_mlp: davis has a second input"
    # Another data set that can be made up goes before it.
    change("my/benchmark.yaml", "datasets: [davis]", "datasets: [davis, hiv]")
    trial = try_own_code(plan("my/benchmark.yaml"))
    assert trial.tried[0] == Combination("hiv", "morgan_mlp", "poly1")
    assert trial.left_out == []


def test_a_loss_of_two_classes_is_tried_on_two(write: Path) -> None:
    change("my/benchmark.yaml", "datasets: [demo]", "datasets: [hiv]")
    change("my/poly1.py", "    losses = neg", "    assert len(batch.counts) == 2\n    losses = neg")
    assert try_own_code(plan("my/benchmark.yaml")).tried
    change("my/benchmark.yaml", "datasets: [hiv]", "datasets: [demo]")
    with pytest.raises(DrugtailError, match=r"poly1\.py: line 22: AssertionError"):
        try_own_code(plan("my/benchmark.yaml"))
