"""Reading YAML that may be anybody's: safe types, no key twice, and no larger than people write."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any, cast

import yaml

from drugtail.runtime.errors import DrugtailError

# Above what configurations need, and below what takes long to read.
MOST_BYTES = 1_000_000
MOST_NODES = 100_000
MOST_DEPTH = 30
MOST_DIGITS = 18


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises
    ------
    DrugtailError
        If the file is absent, is not YAML, repeats a key, is not a mapping, or is larger or nested
        deeper than configurations are.
    """
    try:
        size = path.stat().st_size
        if size > MOST_BYTES and path.is_file():
            raise DrugtailError(
                f"{path}: has {size:,} bytes, a configuration at most {MOST_BYTES:,}; name a YAML "
                "file"
            )
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DrugtailError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise DrugtailError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from None
    except IsADirectoryError:
        raise DrugtailError(f"{path}: is a folder; name a YAML file") from None
    value = parse_yaml(text, str(path))
    if not isinstance(value, dict):
        raise DrugtailError(f"{path}: expected keys and values, found {type(value).__name__}")
    return value


def parse_yaml(text: str, where: str) -> Any:
    """Return what a YAML text says.

    Parameters
    ----------
    text
        The text.
    where
        Its place, for messages.

    Raises
    ------
    DrugtailError
        As `read_yaml`.
    """
    try:
        return yaml.load(text, Loader=_CarefulLoader)
    except yaml.YAMLError as error:
        raise DrugtailError(f"{where}: {_fault(error)}") from None
    except (ArithmeticError, AttributeError, LookupError, RecursionError, ValueError) as error:
        # Such as a date with a thirteenth month, or a tag on what is not of its kind.
        raise DrugtailError(
            f"{where}: not valid YAML: {str(error)[:200] or type(error).__name__}"
        ) from None


def _fault(error: yaml.YAMLError) -> str:
    """Say in one line what is wrong, and where."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return f"not valid YAML: {' '.join(str(error).split())[:300]}"
    context = getattr(error, "context", None)
    problem = getattr(error, "problem", None) or "cannot be read"
    place = f"line {mark.line + 1}, column {mark.column + 1}"
    shown = f"{problem}{f' ({context})' if context else ''}"
    return f"{place}: not valid YAML: {shown[:300]}"


class _CarefulLoader(yaml.SafeLoader):
    """A safe loader with limits, which refuses a key given twice: YAML would keep the last.

    An alias counts as everything that it stands for: ten lines can stand for ten thousand million
    entries.
    """

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        # Entries that a node stands for. Unfinished nodes are not in it.
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose a node, and count what it stands for."""
        # The types of PyYAML know nothing of this method.
        event = cast(Any, self).peek_event()
        mark = event.start_mark
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"nested deeper than {MOST_DEPTH} levels", problem_mark=mark
            )
        node = super().compose_node(parent, index)
        self._depth -= 1
        if isinstance(event, yaml.AliasEvent):
            if id(node) not in self._sizes:
                raise yaml.MarkedYAMLError(problem="an alias of itself", problem_mark=mark)
        elif node is not None:
            below: list[yaml.Node] = []
            if isinstance(node, yaml.SequenceNode):
                below = node.value
            elif isinstance(node, yaml.MappingNode):
                below = [one for pair in node.value for one in pair]
            self._sizes[id(node)] = size = 1 + sum(self._sizes[id(one)] for one in below)
            if size > MOST_NODES:
                raise yaml.MarkedYAMLError(
                    problem=f"more than {MOST_NODES:,} entries", problem_mark=mark
                )
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Refuse keys that are given twice, or cannot be any."""
        if not isinstance(node, yaml.MappingNode):
            # The loader's own message.
            return super().construct_mapping(node, deep)
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(
                    problem="merge keys (<<) are not read; write the keys out",
                    problem_mark=key_node.start_mark,
                )
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.MarkedYAMLError(
                    problem=f"{key!r:.100} cannot be a key", problem_mark=key_node.start_mark
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"key {key!r:.100} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Refuse a number that no setting can be."""
        if len(node.value) > 4 * MOST_DIGITS or abs(found := super().construct_yaml_int(node)) >= (
            10**MOST_DIGITS
        ):
            raise yaml.MarkedYAMLError(
                problem=f"a number of more than {MOST_DIGITS} digits", problem_mark=node.start_mark
            )
        return found


_CarefulLoader.add_constructor("tag:yaml.org,2002:int", _CarefulLoader.construct_yaml_int)
