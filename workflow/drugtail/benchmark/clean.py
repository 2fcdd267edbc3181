"""Listing and deleting blocks that no benchmark uses any more."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from drugtail.benchmark.record import method_of, unnamed_folders
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import read_json

DAY = 24 * 3600


def clean_results(results: Path, *, delete: bool) -> None:
    """Print the folders that the latest plan of no benchmark names, with size and age.

    Parameters
    ----------
    results
        Results folder.
    delete
        Whether to delete them; data, splits, features, tables and pages are never touched.
    """
    folders = list(unnamed_folders(results))
    if not folders:
        print(f"{results}: every block belongs to the latest plan of some benchmark")
        return
    total = 0
    for folder in folders:
        files = [path for path in folder.rglob("*") if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        newest = max((path.stat().st_mtime for path in files), default=folder.stat().st_mtime)
        age = (time.time() - newest) / DAY
        total += size
        named = f"{method_of(folder)}  {_settings_of(folder)}".strip()
        print(f"{size / 1e6:8.1f} MB  {age:6.1f} days  {named}  {folder}")
        if delete:
            shutil.rmtree(folder)
            _remove_empty(folder.parent, results)
    done = "deleted" if delete else "would be deleted with --yes"
    plural = "" if len(folders) == 1 else "s"
    print(f"{len(folders)} folder{plural}, {total / 1e6:.1f} MB: {done}")


def _settings_of(folder: Path) -> str:
    """Return how long a block was trained and when, as far as its manifest says."""
    try:
        manifest = read_json(folder / "manifest.json")
        settings, started = manifest["settings"], manifest["started"][:16].replace("T", " ")
    except (DrugtailError, KeyError, TypeError):
        return "(not finished)"
    network = settings["recipe"].get("classifier") is None
    epochs = f"{settings['training']['epochs']} epochs, " if network else ""
    return f"({epochs}started {started})"


def _remove_empty(folder: Path, top: Path) -> None:
    """Remove a folder and those above it as far as they are empty."""
    while folder != top and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent
