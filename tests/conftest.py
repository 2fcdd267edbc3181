"""Fixtures that several test files share: a tiny problem on disk, and a project that runs it."""

import gc
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from class_smiles import smiles_of_class
from filelock import FileLock
from project import Project, make_project
from xdist.scheduler import LoadScopeScheduling

# Several test processes share the cores: threads of their own would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@dataclass(frozen=True)
class Files:
    """The inputs of training, as the stages before it write them."""

    molecules: Path
    split: Path
    atoms: Path
    morgan: Path

    def inputs(self, features: str = "atoms") -> dict[str, Path]:
        folder = getattr(self, features)
        return {"molecules": self.molecules, "split": self.split, "features": folder}


# Long tests without anything that they make once for the file: any process may take the next one.
# One process takes all tests of any other file, so that what they share is made once.
SPREAD = ("test_workflow.py", "test_faults.py", "test_merge.py")


class ByFile(LoadScopeScheduling):
    """Gives whole files to the processes, and single tests of those in `SPREAD`."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.endswith(SPREAD) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    """Tell xdist how tests are given out."""
    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that train: those that ask for the inputs of training."""
    for item in items:
        if "make_files" in getattr(item, "fixturenames", ()):
            item.add_marker("training")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Take what all tests need out of the hands of the garbage collector.

    Thousands of tests and all libraries would be looked through at every full collection, which
    some libraries ask for in every call.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def make_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[int]], Files]:
    """A factory: class sizes -> files of a problem in which each class has its own group."""
    from drugtail.data.split import split_dataset
    from drugtail.features.featurize import featurize
    from drugtail.runtime.parquet import write_parquet

    made: dict[tuple[int, ...], Files] = {}

    def make(sizes: Sequence[int]) -> Files:
        key = tuple(sizes)
        if key not in made:
            made[key] = build(key)
        return made[key]

    def build(sizes: tuple[int, ...]) -> Files:
        folder = tmp_path_factory.mktemp("-".join(map(str, sizes[:4])))
        rows: list[dict[str, Any]] = [
            {
                "id": f"m{label}-{i}",
                "smiles": smiles,
                "parent": smiles,
                "scaffold": "",
                "label": label,
            }
            for label, size in enumerate(sizes)
            for i, smiles in enumerate(smiles_of_class(label, size))
        ]
        frame = pd.DataFrame(rows).sample(frac=1, random_state=0, ignore_index=True)
        names = [f"class {label}" for label in range(len(sizes))]
        molecules = folder / "molecules.parquet"
        write_parquet(molecules, frame, {"dataset": "tiny", "class_names": names})
        split_dataset(molecules, "random", 0, folder / "random-0")
        featurize(molecules, "atoms", folder / "atoms")
        featurize(molecules, "morgan", folder / "morgan")
        return Files(molecules, folder / "random-0.parquet", folder / "atoms", folder / "morgan")

    return make


@pytest.fixture(scope="session")
def demo() -> pd.DataFrame:
    """The generated reactions of the demo, which take seconds to enumerate; not to be changed."""
    from drugtail.data.generate import generate_reactions

    return generate_reactions()


@pytest.fixture
def new_project(tmp_path: Path) -> Callable[[str], Project]:
    """Make further copies."""

    def make(name: str = "project") -> Project:
        folder = tmp_path / name
        folder.mkdir()
        return make_project(folder)

    return make


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy in which the tiny benchmark has been run to the end; not to be changed.

    The first process of a test run that asks for it makes it for all, each of which takes a copy
    (tests/run_all.py names their folder; processes of xdist have one of their own).
    """
    own = tmp_path_factory.getbasetemp()
    several = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    shared = Path(os.environ.get("DRUGTAIL_TESTS_SHARE", several))
    folder = shared / "finished"
    said = folder / "first-run.log"
    with FileLock(shared / "finished.lock"):
        if not said.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            text = make_project(folder).snakemake().stdout
            said.write_text(text)
    return Project(shutil.copytree(folder, own / "finished-copy", symlinks=True))


@pytest.fixture
def changeable(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project that a test may change."""
    folder = tmp_path / "changeable"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Project(folder)
