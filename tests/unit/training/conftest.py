"""Fixtures of tests that train."""

from typing import Any

import pytest
from small_training import SIZES, MakeFiles


@pytest.fixture
def files(make_files: MakeFiles) -> Any:
    """The inputs of training, of three classes."""
    return make_files(SIZES)
