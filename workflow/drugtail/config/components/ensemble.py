"""Settings of ensembles: methods whose probabilities are averaged."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler, field_validator, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from drugtail.config.base import Settings
from drugtail.config.prior import Shares, shares_of, shifted


class Member(Settings):
    """A method of the same benchmark."""

    method: str = Field(description="Its name in the benchmark.")
    encoder: str | None = Field(
        None,
        description="Encoder of the benchmark that it is taken from; null takes the one in whose "
        "row the ensemble stands, and for a classical method beside networks the one it has.",
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Its schema: an object, or a name alone."""
        return {"anyOf": [{"type": "string"}, handler(core)]}


def _named(value: Any) -> Any:
    return {"method": value} if isinstance(value, str) else value


class Ensemble(Settings):
    """The mean of members' probabilities, from their stored predictions; trains nothing."""

    of: list[Annotated[Member, BeforeValidator(_named)]] = Field(
        min_length=1, description="Members: names of methods of the benchmark."
    )
    tau: float | None = Field(
        0.5,
        ge=0,
        le=10,
        description="Strength of the log-prior correction of the mean. Each member is brought to "
        "the class shares of the training molecules first. null averages probabilities as they "
        "are.",
    )
    over_seeds: bool = Field(
        False, description="Average over all seeds of the benchmark: one run instead of one each."
    )

    @field_validator("of")
    @classmethod
    def _each_once(cls, value: list[Member]) -> list[Member]:
        for member in value:
            if value.count(member) > 1:
                raise ValueError(f"{member.method!r} is named twice; name it once")
        return value

    @model_validator(mode="after")
    def _several(self) -> Ensemble:
        if len(self.of) == 1 and not self.over_seeds:
            raise ValueError(
                f"{self.of[0].method!r} alone has nothing to be averaged with; name another member "
                "in of, or write over_seeds: true for the mean of its seeds"
            )
        return self

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """Return the class shares that are left in the mean: those to the power of 1 - τ."""
        return None if self.tau is None else shifted(shares_of(counts), counts, self.tau)
