"""Default and tuned runs of one method, told apart by name."""

from __future__ import annotations

import pandas as pd

from drugtail.runtime.names import TUNED, TUNED_SUFFIX


def with_tuned_names(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of `drugtail collect` with the methods of tuned runs called ``{method}+tuned``.

    Whatever groups by method then keeps them apart. Files from before there was a column
    ``settings`` stay as they are.
    """
    if "settings" not in frame:
        return frame
    tuned = frame["settings"] == TUNED
    return frame.assign(method=frame["method"].mask(tuned, frame["method"] + TUNED_SUFFIX))


def tuned_name(frame: pd.DataFrame, method: str) -> str:
    """Return the name of a method's runs: by default if there are any, else tuned."""
    tuned = method + TUNED_SUFFIX
    names = set(frame["method"])
    return tuned if method not in names and tuned in names else method
