"""Default and tuned runs of one method, told apart by name."""

from __future__ import annotations

import pandas as pd

from drugtail.evaluation.row_names import parse_row, row_name
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
    """Return the name of a method's runs: by default if there are any, else tuned.

    Of a method on one encoder (``METHOD on ENCODER``) the encoder stays.
    """
    plain, encoder = parse_row(method)
    tuned = plain + TUNED_SUFFIX
    names = set(frame["method"])
    if plain in names or tuned not in names:
        return method
    return tuned if encoder is None else row_name(tuned, encoder)
