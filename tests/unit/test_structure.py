"""The structure of the package: imports point downwards, without circles, also for types."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import drugtail

PACKAGE = Path(drugtail.__file__).parent
# Lowest first: a module imports from its own floor and from those before it.
FLOORS = [
    "runtime", "config", "data", "features", "geometry", "models", "methods", "training",
    "evaluation", "report", "plugins", "benchmark", "predict", "tracking", "recommendation",
    "listing", "project", "commands", "cli", "__main__",
]  # fmt: skip
# What a workflow reads before any job: in milliseconds, so without what takes seconds to import.
HEAVY = {
    "torch",
    "rdkit",
    "sklearn",
    "mlflow",
    "deepchem",
    "matplotlib",
    "snakemake",
    "pandas",
    "scipy",
}


def modules() -> dict[str, Path]:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(module: str) -> Iterator[str]:
    """Modules of the package that a module imports, also inside functions and for types alone."""
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        yield from (name for name in names if name in MODULES and name != module)


def floor(module: str) -> int:
    return FLOORS.index(module.split(".")[1])


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_from_below_only(module: str) -> None:
    if module == "drugtail":
        assert list(imports(module)) == []
        return
    above = [name for name in imports(module) if name != "drugtail" and floor(name) > floor(module)]
    assert above == []


def test_no_module_leads_back_to_itself() -> None:
    state: dict[str, bool] = {}

    def visit(module: str, path: list[str]) -> None:
        if state.get(module):
            return
        assert module not in path, " → ".join([*path[path.index(module) :], module])
        for name in sorted(set(imports(module))):
            # A package is no more than its description.
            if MODULES[name].name != "__init__.py":
                visit(name, [*path, module])
        state[module] = True

    for module in sorted(MODULES):
        visit(module, [])


@pytest.mark.parametrize("name", ["config.yaml", "benchmarks/study/confirmation.yaml"])
def test_the_configuration_of_a_benchmark_is_read_without_anything_heavy(name: str) -> None:
    """At every start and in every job."""
    code = (
        "import sys; from pathlib import Path; from drugtail.benchmark.plan import Plan; "
        "from drugtail.config.catalogue import Catalogue, read_benchmark; "
        f"plan = Plan(read_benchmark(Path('config/{name}')), Catalogue(Path('config'))); "
        "assert list(plan.blocks()); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=PACKAGE.parents[1],
    )  # fmt: skip
    assert HEAVY & set(done.stdout.split()) == set()


def test_fingerprints_and_graphs_are_made_without_pytorch() -> None:
    """Every process of `featurize` would wait for it three seconds."""
    code = (
        "import sys; from drugtail.features.choice import make_featurizer; "
        "[make_featurizer(name).arrays(['CCO', 'c1ccccc1O']) for name in ('morgan', 'atoms')]; "
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "mlflow", "sklearn"} & set(done.stdout.split())


def test_a_table_of_means_is_made_without_scipys_distributions() -> None:
    """They take most of a second, and every table is a process of its own."""
    code = "import sys; import drugtail.report.tables, drugtail.report.latex; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"scipy.stats", "statsmodels", "matplotlib"} & set(done.stdout.split())


def test_components_have_their_settings_and_their_functions_in_modules_of_one_name() -> None:
    settings = {path.stem for path in (PACKAGE / "config/components").glob("[a-z]*.py")}
    functions = {path.stem for path in (PACKAGE / "methods").glob("[a-z]*.py")}
    functions |= {path.stem for path in (PACKAGE / "training").glob("[a-z]*.py")}
    assert settings - functions == {"network"}, "heads and layers are modules of models/"


def test_pins_are_what_the_package_asks_for_on_each_python() -> None:
    """A pin that some Python has no version of would stop `make run` there."""
    project = PACKAGE.parents[1]
    described = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = described["optional-dependencies"]
    wanted = [*described["dependencies"], *extras["data"], *extras["classical"], *extras["report"]]
    lines = (project / "envs/requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = {
        canonicalize_name(pin.name): pin
        for pin in map(Requirement, filter(lambda line: line[:1] != "#", lines))
    }
    for python in ("3.11", "3.12", "3.13"):
        here = {"python_version": python, "sys_platform": "linux"}
        for one in map(Requirement, wanted):
            pin = pins.get(canonicalize_name(one.name))
            needed = one.marker is None or one.marker.evaluate(here)
            assert (pin is not None) or not needed, one
            if pin is not None:
                assert needed == (pin.marker is None or pin.marker.evaluate(here)), pin
                (version,) = pin.specifier
                assert one.specifier.contains(version.version), pin
