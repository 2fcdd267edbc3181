"""What there is to choose from: methods, data sets, encoders, tables and metrics, in rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from drugtail.config import Catalogue
from drugtail.runtime.errors import DrugtailError

KINDS = ("methods", "datasets", "encoders", "tables", "metrics")


def listed(catalogue: Catalogue, kind: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of everything of one kind, and what is wrong with the files that could not be read.

    Parameters
    ----------
    catalogue
        Where the files are.
    kind
        One of `KINDS`.

    Raises
    ------
    DrugtailError
        If there is no such kind.
    """
    if kind == "metrics":
        # Here, since it takes a second to import.
        from drugtail.evaluation.metrics import metric_names

        return [{"name": name} for name in metric_names()], []
    if kind not in KINDS:
        raise DrugtailError(
            f"{kind!r} cannot be listed; use {', '.join(KINDS)} or reference (of all settings)"
        )
    readers: dict[str, Callable[[str], Any]] = {
        "methods": catalogue.recipe,
        "datasets": catalogue.dataset,
        "encoders": catalogue.encoder,
        "tables": catalogue.table,
    }
    read, faults = [], []
    for name in catalogue.names(kind):
        try:
            read.append(readers[kind](name))
        except DrugtailError as error:
            faults.append(str(error))
    if kind == "methods":
        from drugtail.methods.overview import methods

        return methods(read), faults
    return [_row(kind, one) for one in read], faults


def list_as_text(kind: str, rows: Sequence[dict[str, Any]]) -> str:
    """Rows for people: a line each, of methods and encoders with more below it."""
    first = 2 if kind == "methods" else 3
    text = ""
    for row in rows:
        shown = [_shown(key, value) for key, value in row.items() if value not in (None, [])]
        text += "\n    ".join(["  ".join(shown[:first]), *shown[first:]]) + "\n"
    return text


def _row(kind: str, one: Any) -> dict[str, Any]:
    if kind == "datasets":
        return {key: getattr(one, key) for key in ("name", "title", "task", "licence", "synthetic")}
    if kind == "tables":
        return {"name": one.name, "title": one.title}
    settings = json.dumps(one.model_dump(exclude={"name", "kind", "featurizer"}))
    return {"name": one.name, "kind": one.kind, "reads": one.featurizer, "settings": settings}


def _shown(key: str, value: Any) -> str:
    if key in ("reads", "needs"):
        return f"{key} {value if key == 'reads' else '; '.join(value)}"
    if isinstance(value, dict):
        link = f", {value['link']}" if value["link"] else ""
        return f"{value['authors']}, {value['venue']} {value['year']}{link}"
    if isinstance(value, bool):
        return "synthetic" if value else "real"
    return str(value)
