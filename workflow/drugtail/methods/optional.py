"""Libraries that a user may not have installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from drugtail.runtime.errors import DrugtailError


@contextmanager
def optional(package: str) -> Iterator[None]:
    """Say what to install where an import fails because a library is not there.

    Raises
    ------
    DrugtailError
        In place of ModuleNotFoundError.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise DrugtailError(
            f"this method needs {package}, but there is no module {error.name!r}; "
            f"install it: pip install {package}"
        ) from error
