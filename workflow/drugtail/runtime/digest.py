"""Digests of files and of the package code that a stage uses."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).resolve().parent.parent


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def text_digest(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def code_digest(*modules: str) -> str:
    """Digest of `modules` and of every drugtail module they import, directly or not.

    It is taken from the syntax tree without docstrings, so that a comment or a docstring changes
    nothing, while any change of behaviour in the code a stage uses does. Imports under
    ``TYPE_CHECKING`` do not count.

    Parameters
    ----------
    modules
        Dotted names, for example ``"drugtail.training.block"``.

    Returns
    -------
    str
        The first 16 hexadecimal digits of a SHA-256.
    """
    seen: set[str] = set()
    queue = list(modules)
    while queue:
        module = queue.pop()
        if module not in seen:
            seen.add(module)
            queue.extend(_parsed(module)[1] - seen)
    combined = "".join(f"{module}:{_parsed(module)[0]};" for module in sorted(seen))
    return text_digest(combined)[:16]


@cache
def _parsed(module: str) -> tuple[str, frozenset[str]]:
    """Digest of one module's code and the drugtail modules it imports."""
    written = _Written()
    written.add(ast.parse(_module_file(module).read_text(encoding="utf-8")))
    ours = {one for one in written.imported if one.startswith("drugtail.") and _is_module(one)}
    return text_digest("".join(written.parts)), frozenset(ours)


class _Written:
    """A syntax tree as text, the same in every version of Python, and what it imports.

    What cannot change a result is left out: docstrings and imports for type checkers; so are empty
    fields, since versions differ in them.
    """

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.imported: set[str] = set()

    def add(self, node: Any) -> None:
        """Add a node and what is below it; one pass, since every start of a command waits."""
        parts = self.parts
        if isinstance(node, ast.AST):
            parts.append(f"{type(node).__name__}(")
            between = ""
            for name in node._fields:
                value = getattr(node, name, None)
                if value is None or (isinstance(value, list) and not (value := _kept(value))):
                    continue
                parts.append(f"{between}{name}=")
                between = ","
                self.add(value)
            parts.append(")")
            self._note(node)
        elif isinstance(node, list):
            parts.append("[")
            for i, one in enumerate(node):
                if i:
                    parts.append(",")
                self.add(one)
            parts.append("]")
        else:
            parts.append(repr(node))

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            self.imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            self.imported.add(node.module)
            # `from drugtail.methods import losses` names a module, not an attribute.
            self.imported |= {f"{node.module}.{alias.name}" for alias in node.names}


def _kept(nodes: list[Any]) -> list[Any]:
    """Statements but for docstrings and imports for type checkers; other lists as they are."""
    return [node for node in nodes if not (_is_text(node) or _is_for_checkers(node))]


def _is_text(node: Any) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_for_checkers(node: Any) -> bool:
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def _module_file(module: str) -> Path:
    relative = Path(*module.split(".")[1:])
    package = PACKAGE / relative / "__init__.py"
    return package if package.is_file() else (PACKAGE / relative).with_suffix(".py")


def _is_module(name: str) -> bool:
    return _module_file(name).is_file()
