"""The SQLite store of MLflow: made whole, written by one process at a time, rebuilt if damaged."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from mlflow.tracking import MlflowClient

from drugtail.runtime.files import atomic_path
from drugtail.runtime.logging import say

SQLITE = "sqlite:///"
# Seconds without a word for another import that is at work.
QUIET = 2.0


@contextmanager
def sole_writer(path: Path) -> Iterator[None]:
    """Wait until no other process imports into a store, and keep others waiting.

    MLflow itself asks, and then adds: of two imports at once each would add every run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_suffix(".lock"))
    try:
        lock.acquire(timeout=QUIET)
    except Timeout:
        say(f"{path}: another import is at work; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def create_store(path: Path) -> None:
    """Create an empty store, whole or not at all, unless there is one.

    MLflow builds its tables in dozens of steps, and can never open what was cut off in between.
    """
    if not path.exists():
        # It says at length that it creates tables.
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        with atomic_path(path) as temporary:
            MlflowClient(f"{SQLITE}{temporary}").search_experiments(max_results=1)


def set_aside_if_damaged(path: Path, artifacts: Path) -> None:
    """Move a store that SQLite finds damaged out of the way, with its artifacts, and say so.

    It is a view of the blocks: all runs that are imported from now on are added anew.

    Parameters
    ----------
    path
        The database.
    artifacts
        Folder of the files of its runs.
    """
    if not path.exists() or _is_sound(path):
        return
    number = 1
    while (aside := path.with_name(f"damaged-{number}")).exists():
        number += 1
    aside.mkdir()
    for one in (path, path.with_name(f"{path.name}-journal"), artifacts):
        if one.exists():
            one.replace(aside / one.name)
    say(
        f"{path}: is damaged, and set aside in {aside}; it is a view of finished blocks, which are "
        "imported into a new one (of other benchmarks when these are run again)"
    )


def _is_sound(path: Path) -> bool:
    """Ask SQLite; a store that is in use or cannot be reached is not called damaged."""
    try:
        with closing(sqlite3.connect(path)) as connection:
            return bool(connection.execute("PRAGMA quick_check").fetchone() == ("ok",))
    except sqlite3.OperationalError:
        return True
    except sqlite3.DatabaseError:
        return False
