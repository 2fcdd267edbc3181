"""Words that several stages write and read: whether a run's settings were tuned."""

from __future__ import annotations

# In headers of files and in the column `settings` of tables.
DEFAULT, TUNED = "default", "tuned"
# After the method's name in the folder of its tuned runs, which lie beside those by default.
TUNED_SUFFIX = "+tuned"


def method_folder(method: str, settings: str) -> str:
    """Name of the folder with a method's runs."""
    return method + TUNED_SUFFIX if settings == TUNED else method


def parse_method_folder(name: str) -> tuple[str, str]:
    """Method and settings (`DEFAULT` or `TUNED`) of a folder that `method_folder` named."""
    plain = name.removesuffix(TUNED_SUFFIX)
    return plain, DEFAULT if plain == name else TUNED
