"""Published tables in LaTeX, compiled: nothing is wider or higher than its page."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from project import PROJECT

from drugtail.benchmark.read_back import read_back
from drugtail.config.catalogue import Catalogue
from drugtail.config.table import Style, Table
from drugtail.report.latex import latex
from drugtail.report.tables import tabulate

# 76 rows, and figures of others beside ours.
FOLDERS = ("methods", "anchor_mesh", "rare_classes")
CATALOGUE = Catalogue(PROJECT / "config")
CLASSES = {"journal": "twocolumn,10pt", "thesis": "11pt,a4paper"}


def compiled(folder: Path, options: str, files: list[Path]) -> str:
    """Compile a document of these tables, and return what LaTeX says."""
    inputs = "\n".join(f"\\input{{{path}}}\\clearpage" for path in files)
    (folder / "all.tex").write_text(
        f"\\documentclass[{options}]{{article}}\n\\usepackage{{booktabs}}\\usepackage{{graphicx}}\n"
        f"\\begin{{document}}\n{inputs}\n\\end{{document}}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    said = done.stdout.decode("utf-8", "replace")
    assert done.returncode == 0, said[-2000:]
    return said


@pytest.mark.parametrize("style", ["journal", "thesis"])
def test_tables_fit_their_page(style: Style, tmp_path: Path) -> None:
    files = []
    for name in FOLDERS:
        published = PROJECT / "results/published" / name
        read_back([published], tmp_path / "metrics" / name)
        for path in sorted((published / "tables").glob("*.csv")):
            if path.stem in CATALOGUE.names("tables"):
                output = tmp_path / f"{name}_{path.stem}"
                table = CATALOGUE.table(path.stem)
                tabulate(tmp_path / "metrics" / name, table, output, style=style)
                files.append(output.with_suffix(".tex"))
    assert len(files) > 5
    said = compiled(tmp_path, CLASSES[style], files)
    assert not re.findall(r"Overfull \\hbox.*|Float too large.*", said)


def test_a_name_of_any_characters_compiles(tmp_path: Path) -> None:
    table = Table.model_validate(
        {"name": "t", "title": "50% of a_b & c#1 ~ 10^3 {x} \\y $",
         "columns": [{"metric": "mcc", "title": "β-lactam <|> τ"}]}
    )  # fmt: skip
    cells = pd.DataFrame({"Method": ["a_b", "c&d"], "β-lactam <|> τ": ["±1 †", "— ≥ 2 µM²"]})
    path = tmp_path / "t.tex"
    path.write_text(latex(cells, table, ["Note: Χ², → − é."], {}))
    assert "Output written on all.pdf (1 page" in compiled(tmp_path, "10pt", [path])
