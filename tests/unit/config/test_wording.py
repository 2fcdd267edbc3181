"""Messages about wrong values say the same whatever was imported before."""

from typing import Annotated, Any

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from drugtail.config.wording import worded


@pytest.mark.parametrize(
    ("bound", "value", "message"),
    [
        ({"ge": 0}, -1.0, "must be at least 0, found -1.0"),
        ({"ge": 0.0}, -1.0, "must be at least 0, found -1.0"),
        ({"gt": 0.0}, 0.0, "must be greater than 0, found 0.0"),
        ({"le": 1.0}, 2.0, "must be at most 1, found 2.0"),
        ({"lt": 0.5}, 2.0, "must be less than 0.5, found 2.0"),
    ],
)
def test_a_bound_reads_the_same_as_whole_number_and_as_decimal(
    bound: dict[str, Any], value: float, message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Annotated[float, Field(**bound)]).validate_python(value)
    [fault] = caught.value.errors()
    assert worded(fault) == message
