"""A folder to work in: the workflow of the installed package, and a catalogue to be edited."""

from __future__ import annotations

import shutil
from pathlib import Path

from drugtail import __version__
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_directory, write_text

PACKAGE = Path(__file__).resolve().parent
# A wheel has the Snakefile and all that belongs to it in the package, a clone beside it.
PACKED = PACKAGE / "_project"
ROOT = PACKED if PACKED.is_dir() else PACKAGE.parents[1]
# People edit these; rules and code are those of the package, and are renewed with it.
EDITED = ("config", "workflow/profiles")
SNAKEFILE = """\
# Written by `drugtail init`. The rules are those of the installed package.
from drugtail.project import ROOT


include: str(ROOT / "Snakefile")


workflow.default_target = "all"
"""
IGNORED = "results/\n.snakemake/\n"


def init_project(folder: Path) -> None:
    """Make a folder in which Snakemake and `drugtail` work without a clone of the project.

    It gets ``config/`` (the catalogue of data sets, methods, encoders, tables and benchmarks),
    ``workflow/profiles/`` and ``workflow/Snakefile``, which includes the package's.

    Parameters
    ----------
    folder
        The folder to make.

    Raises
    ------
    DrugtailError
        If it is there already.
    """
    if folder.exists():
        raise DrugtailError(f"{folder}: is there already; name a folder that is to be made")
    with atomic_directory(folder, marker="workflow/Snakefile") as new:
        for name in EDITED:
            shutil.copytree(ROOT / name, new / name, ignore=shutil.ignore_patterns("__pycache__"))
        write_text(new / "workflow/Snakefile", SNAKEFILE)
        write_text(new / ".gitignore", IGNORED)
    print(f"{folder}: a project with the catalogue of drugtail {__version__}. In it:")
    print("  drugtail recommend my.csv   # which method for a table of yours")
    print("  snakemake                   # the demo, on molecules that are generated")
