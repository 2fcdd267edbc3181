"""The reference of every setting, generated from the models that read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from drugtail.config.base import Settings, settings_in, tag_of
from drugtail.config.benchmark import Benchmark
from drugtail.config.dataset import Dataset
from drugtail.config.encoder import package_kinds
from drugtail.config.recipe import Recipe
from drugtail.config.table import Table

COMMAND = "drugtail list reference > config/README.md"
FILES: dict[str, list[type[Settings]]] = {
    "Benchmarks: `config/benchmarks/<name>.yaml`": [Benchmark],
    "Data sets: `config/datasets/<name>.yaml`": [Dataset],
    "Methods: `config/methods/<family>/<name>.yaml`": [Recipe],
    "Encoders: `config/encoders/<name>.yaml`": [*package_kinds().values()],
    "Tables: `config/tables/<name>.yaml`": [Table],
}
# What pydantic calls the limits of a number, and how they are written.
LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}


def settings_reference() -> str:
    """Return config/README.md: every key of every file, its type, default and meaning."""
    lines = [
        "# Settings",
        "",
        f"Generated from the models that read the files; renew it with `{COMMAND}`.",
        "Unknown keys and wrong types are refused with the file, the key and what is allowed.",
        "Where a component is chosen by its name, write `{name: focal, gamma: 2.0}`, or "
        "`{name: focal}` for its defaults.",
        "",
        *(f"- [{heading}](#{_anchor(heading)})" for heading in FILES),
    ]
    described: set[type[Settings]] = set()
    for heading, models in FILES.items():
        lines += ["", f"## {heading}"]
        titles = _titles(models)
        # A model that two kinds of files have is described with the first.
        for model in (one for one in titles if one not in described):
            lines += ["", *_section(model, titles)]
        described |= titles.keys()
    return "\n".join(lines) + "\n"


def _titles(models: list[type[Settings]]) -> dict[type[Settings], str]:
    """All classes of settings that some lead to, and their headings.

    One that is chosen by its name is headed by the key it is written under and that name.
    """
    titles = {model: model.__name__ for model in models}
    queue = list(models)
    while queue:
        for key, field in queue.pop(0).model_fields.items():
            for inner in settings_in(field.annotation):
                if inner not in titles:
                    tag = tag_of(inner)
                    titles[inner] = inner.__name__ if tag is None else f"{key}: {tag}"
                    queue.append(inner)
    return titles


def _section(model: type[Settings], titles: dict[type[Settings], str]) -> Iterator[str]:
    yield f"### {titles[model]}"
    yield ""
    yield " ".join((model.__doc__ or "").split())
    # A name that stands in the heading needs no row.
    tag = () if titles[model] == model.__name__ else (tag_of(model),)
    fields = {
        name: field
        for name, field in model.model_fields.items()
        if not tag or get_args(field.annotation) != tag
    }
    if not fields:
        return
    yield ""
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in fields.items():
        default = "required" if field.default is PydanticUndefined else _default(field.default)
        kind = f"{_type(field.annotation, titles)} {' and '.join(_limits(field))}".strip()
        cells = [f"`{name}`", kind, default, field.description or ""]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _limits(field: FieldInfo) -> Iterator[str]:
    """Return the limits of a number, such as ``≥ 1``, or the least length of a list."""
    for limit in field.metadata:
        for name, sign in LIMITS.items():
            value = getattr(limit, name, None)
            if value is not None:
                yield f"{sign} {value}"
        if (least := getattr(limit, "min_length", None)) is not None:
            yield f"(at least {least})"


def _default(value: Any) -> str:
    if isinstance(value, Settings):
        return f"`{getattr(value, 'name', type(value).__name__)}`"
    return "`null`" if value is None else f"`{value}`"


def _type(annotation: Any, titles: dict[type[Settings], str]) -> str:
    """A type in words a YAML writer understands."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0], titles)
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        shown = tag_of(annotation) or annotation.__name__
        return f"[`{shown}`](#{_anchor(titles[annotation])})"
    if origin is list:
        return f"list of {_type(arguments[0], titles)}"
    if origin is dict:
        return f"{_type(arguments[0], titles)} -> {_type(arguments[1], titles)}"
    if origin is Union or type(annotation).__name__ == "UnionType":
        return " or ".join(_type(argument, titles) for argument in arguments)
    if arguments:  # Literal
        return " or ".join(f"`{argument}`" for argument in arguments)
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    return words.get(getattr(annotation, "__name__", ""), "anything")


def _anchor(heading: str) -> str:
    """The address that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
