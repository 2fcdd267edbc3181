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
    tree = ast.parse(_module_file(module).read_text(encoding="utf-8"))
    stripped = _Behaviour().visit(tree)
    imported = set()
    for node in ast.walk(stripped):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            imported.add(node.module)
            # `from drugtail.methods import losses` names a module, not an attribute.
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name for name in imported if name.startswith("drugtail.") and _is_module(name)}
    return text_digest(_written(stripped)), frozenset(ours)


def _written(node: Any) -> str:
    """A syntax tree as text, the same in every version of Python.

    Versions differ in fields that are mostly empty, and in whether `ast.dump` shows those.
    """
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
        inside = ",".join(f"{name}={_written(value)}" for name, value in fields)
        return f"{type(node).__name__}({inside})"
    if isinstance(node, list):
        return f"[{','.join(map(_written, node))}]"
    return repr(node)


class _Behaviour(ast.NodeTransformer):
    """Drop what cannot change a result: docstrings and imports for type checkers."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        is_text = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if is_text else node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)


def _module_file(module: str) -> Path:
    relative = Path(*module.split(".")[1:])
    package = PACKAGE / relative / "__init__.py"
    return package if package.is_file() else (PACKAGE / relative).with_suffix(".py")


def _is_module(name: str) -> bool:
    return _module_file(name).is_file()
