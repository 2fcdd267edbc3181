"""Words that several stages write and read: folders of blocks, and whether settings were tuned."""

from __future__ import annotations

from pathlib import Path

# Data, splits and features are the same for all benchmarks, whatever folder their results go to.
SHARED = Path("results")
# The variable that tells jobs which plan they belong to; see `drugtail.benchmark.record`.
PLAN_VARIABLE = "DRUGTAIL_PLAN"
# In headers of files and in the column `settings` of tables.
DEFAULT, TUNED = "default", "tuned"
# After the name of a method whose runs are tuned, in tables and figures.
TUNED_SUFFIX = "+tuned"


def block_folder(method: str, digest: str) -> str:
    """Name of the folder with a method's blocks of some settings."""
    return f"{method}-{digest}"


def parse_block_folder(name: str) -> tuple[str, str]:
    """Method and digest of a folder that `block_folder` named; the digest may be empty."""
    method, dash, digest = name.rpartition("-")
    return (method, digest) if dash else (name, "")


def method_label(method: str, settings: str) -> str:
    """Name of a method's runs where default and tuned ones stand together."""
    return method + TUNED_SUFFIX if settings == TUNED else method


def parse_method_label(label: str) -> tuple[str, str]:
    """Method and settings (`DEFAULT` or `TUNED`) of a label that `method_label` made."""
    plain = label.removesuffix(TUNED_SUFFIX)
    return plain, DEFAULT if plain == label else TUNED
