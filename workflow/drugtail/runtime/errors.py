"""The one exception that is meant for the person at the keyboard."""

from __future__ import annotations

import errno
import inspect
import traceback
from typing import Any


class DrugtailError(Exception):
    """Bad input or a state a person has to mend.

    The message names the file, row or key, what was found, and what to do. The command prints it
    without a traceback and exits with status 1.
    """


def file_of(implementation: Any) -> str:
    """Return the file that a function or class was defined in; empty if that is not known."""
    code = getattr(inspect.unwrap(implementation), "__code__", None)
    if code is None:
        methods = (getattr(one, "__code__", None) for one in vars(implementation).values())
        code = next(filter(None, methods), None)
    return "" if code is None else str(code.co_filename)


def fault_in(implementation: Any, error: BaseException) -> str:
    """Say in one line what went wrong in a function or class of a user's, and in which line."""
    file = file_of(implementation)
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == file]
    line = f"line {lines[-1]}: " if lines else ""
    remedy = "install it, or mend" if isinstance(error, ModuleNotFoundError) else "mend"
    return f"{file}: {line}{type(error).__name__}: {error}; {remedy} the file"


# The operating system has no memory or file handle left, or its disk fails.
MACHINE = {errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.EIO, errno.ESTALE}


def is_of_the_machine(error: BaseException) -> bool:
    """Return whether an error while a file is read says nothing about what is in the file."""
    if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError | MemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno in MACHINE
    # PyTorch has no class of its own for it.
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)
