"""The reference of every setting, generated from the models that read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic_core import PydanticUndefined

from drugtail.config import (
    Benchmark,
    Dataset,
    FingerprintEncoder,
    GraphEncoder,
    Table,
)
from drugtail.methods.recipe import Recipe
from drugtail.runtime.settings import Settings, settings_in

COMMAND = "drugtail list reference > config/README.md"
FILES: dict[str, list[type[Settings]]] = {
    "Benchmarks: `config/*.yaml`": [Benchmark],
    "Data sets: `config/datasets/<name>.yaml`": [Dataset],
    "Methods: `config/methods/<family>/<name>.yaml`": [Recipe],
    "Encoders: `config/encoders/<name>.yaml`": [GraphEncoder, FingerprintEncoder],
    "Tables: `config/tables/<name>.yaml`": [Table],
}


def settings_reference() -> str:
    """Return config/README.md: every key of every file, its type, default and meaning."""
    lines = [
        "# Settings",
        "",
        f"Generated from the models that read the files; renew it with `{COMMAND}`.",
        "Unknown keys and wrong types are refused with the file, the key and what is allowed.",
    ]
    for heading, models in FILES.items():
        lines += ["", f"## {heading}"]
        seen: set[type[Settings]] = set()
        queue: list[type[Settings]] = list(models)
        while queue:
            model = queue.pop(0)
            if model in seen:
                continue
            seen.add(model)
            lines += ["", *_section(model)]
            queue += [
                inner
                for field in model.model_fields.values()
                for inner in settings_in(field.annotation)
            ]
    return "\n".join(lines) + "\n"


def _section(model: type[Settings]) -> Iterator[str]:
    yield f"### {model.__name__}"
    yield ""
    yield " ".join((model.__doc__ or "").split())
    yield ""
    yield "| key | type | default | meaning |"
    yield "| --- | --- | --- | --- |"
    for name, field in model.model_fields.items():
        default = "required" if field.default is PydanticUndefined else _default(field.default)
        cells = [f"`{name}`", _type(field.annotation), default, field.description or ""]
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _default(value: Any) -> str:
    if isinstance(value, Settings):
        return f"`{getattr(value, 'name', type(value).__name__)}`"
    return "`null`" if value is None else f"`{value}`"


def _type(annotation: Any) -> str:
    """A type in words a YAML writer understands."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _type(arguments[0])
    if annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return annotation.__name__
    if origin is list:
        return f"list of {_type(arguments[0])}"
    if origin is dict:
        return f"{_type(arguments[0])} -> {_type(arguments[1])}"
    if origin is Union or type(annotation).__name__ == "UnionType":
        return " or ".join(_type(argument) for argument in arguments)
    if arguments:  # Literal
        return " or ".join(f"`{argument}`" for argument in arguments)
    words = {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}
    return words.get(getattr(annotation, "__name__", ""), "anything")
