"""The tables in which a user states a law, of token or other counts or of durations; see ``sim.workload.sizes``."""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from sim.document import Strict
from sim.errors import nearest
from sim.units import Duration, PositiveDuration, Real, Tokens, as_tokens
from sim.workload.sizes import CEILING, LAWS

__all__ = [
    "DurationLaw",
    "EmpiricalSize",
    "ExponentialTime",
    "FixedSize",
    "FixedTime",
    "GeometricSize",
    "LogNormalSize",
    "LogNormalTime",
    "SizeLaw",
    "Spread",
    "UniformSize",
    "UniformTime",
    "tagged",
]

_KEPT = 1e-9  # the least part of a law that a truncation may keep


def tagged(key: str, names: tuple[str, ...]) -> BeforeValidator:
    """Return a validator that names the nearest kinds when a table's ``key`` is missing or unknown."""

    def known(value: Any) -> Any:
        if isinstance(value, dict) and value.get(key) not in names:
            given = value.get(key)
            hint = f"allowed: {', '.join(sorted(names))}"
            if given is not None:
                raise ValueError(
                    f"unknown {key} {given!r}; {nearest(given, names) if isinstance(given, str) else hint}"
                )
            raise ValueError(f"the key {key!r} is missing; {hint}")
        return value

    return BeforeValidator(known)


def _as_mean(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        # pydantic reports a ValueError, not a TypeError
        raise ValueError('not a mean; a number > 0, such as 500, 3.5 or "2k"')  # noqa: TRY004 - see above
    number = float(as_tokens(value)) if isinstance(value, str) else float(min(value, 1e300))
    if not 0 < number <= CEILING:
        raise ValueError("must be > 0 and at most 2^53")
    return number


Mean = Annotated[float, BeforeValidator(_as_mean)]
Spread = Annotated[Real, Field(gt=0, le=100)]  # a coefficient of variation


class _Bounded(Strict):
    """A law that can be conditioned on a range; subclasses say of what unit."""

    @model_validator(mode="after")
    def _keeps_enough(self) -> Self:
        kept = LAWS[self.law].kept(self)  # type: ignore[attr-defined]  # every subclass has its tag
        if not kept >= _KEPT:
            raise ValueError(f"at_least and at_most keep {kept:.1e} of the law; a range that keeps 1e-9 of it or more")
        return self

    @field_validator("at_most", check_fields=False)
    @classmethod
    def _is_a_range(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and value < info.data.get("at_least", 0):
            raise ValueError(f"must not be below at_least = {info.data['at_least']}")
        return value

    def _explicit(self, low: int) -> None:
        """Refuse a stated value below the default bound: it would vanish without a word."""
        if "at_least" not in self.model_fields_set and low < self.at_least:  # type: ignore[attr-defined]  # see above
            raise ValueError(f"the value {low} is below at_least = 1; state at_least = 0 to allow it")


class _Size(_Bounded):
    at_least: Tokens = 1
    at_most: Tokens | None = None


class _Time(_Bounded):
    at_least: Duration = 0
    at_most: Duration | None = None


class FixedSize(Strict):
    """Always the same count; a bare number or text such as ``"2k"`` means this law. Zero is allowed."""

    law: Literal["fixed"]
    value: Tokens


class LogNormalSize(_Size):
    """Lognormal, by its mean and its coefficient of variation."""

    law: Literal["lognormal"]
    mean: Mean
    cv: Spread


class GeometricSize(_Size):
    """Geometric on 1, 2, 3, ...: the number of trials up to the first success."""

    law: Literal["geometric"]
    mean: Annotated[Mean, Field(ge=1)]


class UniformSize(_Size):
    """Each whole number of ``[low, high]``, both included, equally often."""

    law: Literal["uniform"]
    low: Tokens
    high: Tokens

    @field_validator("high")
    @classmethod
    def _is_above_low(cls, value: int, info: ValidationInfo) -> int:
        return _not_below(value, info)

    @model_validator(mode="after")
    def _says_zero(self) -> Self:
        self._explicit(self.low)
        return self


class EmpiricalSize(_Size):
    """One of the listed values, equally likely or with the probabilities ``weights``, which sum to 1."""

    law: Literal["empirical"]
    values: Annotated[list[Tokens], Field(min_length=1)]
    weights: list[Annotated[Real, Field(ge=0, le=1)]] | None = None

    @field_validator("weights")
    @classmethod
    def _are_probabilities(cls, value: list[float] | None, info: ValidationInfo) -> list[float] | None:
        if value is None:
            return None
        if "values" in info.data and len(value) != len(info.data["values"]):
            raise ValueError(f"{len(value)} weights for {len(info.data['values'])} values; one weight a value")
        if abs(math.fsum(value) - 1) > 1e-9:
            raise ValueError(f"the weights sum to {math.fsum(value):.10g}; probabilities that sum to 1")
        return value

    @model_validator(mode="after")
    def _says_zero(self) -> Self:
        self._explicit(min(self.values))
        return self


class FixedTime(Strict):
    """Always the same duration; a bare duration means this law."""

    law: Literal["fixed"]
    value: Duration


class LogNormalTime(_Time):
    """Lognormal, by its mean and its coefficient of variation."""

    law: Literal["lognormal"]
    mean: PositiveDuration
    cv: Spread


class ExponentialTime(_Time):
    """Exponential, by its mean."""

    law: Literal["exponential"]
    mean: PositiveDuration


class UniformTime(_Time):
    """Each millisecond of ``[low, high]``, both included, equally often."""

    law: Literal["uniform"]
    low: Duration
    high: Duration

    @field_validator("high")
    @classmethod
    def _is_above_low(cls, value: int, info: ValidationInfo) -> int:
        return _not_below(value, info)


def _not_below(value: int, info: ValidationInfo) -> int:
    if value < info.data.get("low", 0):
        raise ValueError(f"must not be below low = {info.data['low']}")
    return value


def _bare(value: Any) -> Any:
    return value if isinstance(value, (dict, Strict)) else {"law": "fixed", "value": value}


SizeLaw = Annotated[
    Annotated[
        FixedSize | LogNormalSize | GeometricSize | UniformSize | EmpiricalSize,
        Field(discriminator="law"),
        tagged("law", ("fixed", "lognormal", "geometric", "uniform", "empirical")),
    ],
    BeforeValidator(_bare),
]
DurationLaw = Annotated[
    Annotated[
        FixedTime | LogNormalTime | ExponentialTime | UniformTime,
        Field(discriminator="law"),
        tagged("law", ("fixed", "lognormal", "exponential", "uniform")),
    ],
    BeforeValidator(_bare),
]
