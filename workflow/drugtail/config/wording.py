"""Messages about wrong values in YAML files: they say what is wanted there."""

from __future__ import annotations

import re
import reprlib
from typing import Any

# pydantic's kind of fault -> what is wanted; names in braces are of the fault's context.
WANTED = {
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "dict_type": "must be a mapping, KEY: VALUE",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "model_attributes_type": "must be a mapping, KEY: VALUE",
    "model_type": "must be a mapping, KEY: VALUE",
    "string_pattern_mismatch": "must match {pattern}",
    "string_type": "must be text",
    "too_long": "must name at most {max_length}",
    "too_short": "must name at least {min_length}",
}


SHORT = reprlib.Repr()
SHORT.maxstring = SHORT.maxother = SHORT.maxlong = 100
SHORT.maxlevel = 3


def worded(fault: Any) -> str:
    """Return one fault of pydantic's as a sentence: what is wanted, and what was found.

    Parameters
    ----------
    fault
        An entry of ``ValidationError.errors()``.
    """
    if fault["type"] == "value_error":
        return str(fault["msg"]).removeprefix("Value error, ")
    given, kind = fault["input"], fault["type"]
    wanted = WANTED.get(kind)
    said = wanted.format(**_plain(fault.get("ctx", {}))) if wanted else fault["msg"]
    found = f"{said}, found {shortened(given)}"
    if kind in ("float_type", "int_type") and isinstance(given, str):
        return found + _as_number(given)
    if kind == "string_type" and isinstance(given, bool | int | float):
        return f"{found}; write it in quotes"
    return found


def shortened(value: Any) -> str:
    """Return a value as it is written in Python, cut where it is long or deep."""
    return SHORT.repr(value)


def _plain(bounds: dict[str, Any]) -> dict[str, Any]:
    """Return bounds with whole ones written as such, ``0`` for ``0.0``."""
    # ``Annotated[float, Ge(0)]`` and ``Annotated[float, Ge(0.0)]`` are equal, so typing hands out
    # whichever a module made first: the message would depend on the order of imports.
    return {
        name: int(bound) if isinstance(bound, float) and bound.is_integer() else bound
        for name, bound in bounds.items()
    }


def _as_number(text: str) -> str:
    """Return how a number is to be written that YAML took for text."""
    # YAML takes a number with an exponent but without a point for text.
    if re.fullmatch(r"[-+]?\d+e[-+]?\d+", text):
        return f"; write it with a point, {text.replace('e', '.0e')}"
    return "; write it without quotes" if re.fullmatch(r"[-+]?\d+(\.\d*)?", text) else ""
