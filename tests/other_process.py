"""Python in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import drugtail

PACKAGE = Path(drugtail.__file__).parent


def python(code: str, *arguments: str, path: Path = PACKAGE.parent, **env: str) -> str:
    """Return what a fresh interpreter prints that finds the package under `path`."""
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(path), "PYTHONDONTWRITEBYTECODE": "1", **env},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
