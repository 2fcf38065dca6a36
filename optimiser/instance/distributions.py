"""Uncertain figures as they are written in a cell: ``8``, ``uniform(3, 12)``, ``4:0.5 8:0.3 12:0.2`` …

A distribution turns uniform draws into values (inverse of its cumulative distribution function), so that the same
draws under other figures give comparable futures.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

Floats = NDArray[np.float64]

#: Parameters of each distribution, in the order in which they are written.
PARAMETERS = {
    "fixed": ("value",),
    "uniform": ("low", "high"),
    "triangular": ("low", "mode", "high"),
    "normal": ("mean", "standard deviation"),
    "gamma": ("mean", "standard deviation"),
    "lognormal": ("mean", "standard deviation"),
    "discrete": (),
}
#: Written as a mean and a standard deviation; having no end, their ``low`` and ``high`` are percentiles.
ENDLESS = ("normal", "gamma", "lognormal")


@dataclass(frozen=True)
class Distribution:
    """An uncertain figure.

    ``kind`` is one of ``PARAMETERS``; ``values`` its parameters, or the outcomes of a discrete distribution with
    ``probabilities``.
    """

    kind: str
    values: tuple[float, ...]
    probabilities: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: object) -> Distribution:
        """Read a cell.

        Raises ``ValueError`` with the rule that is broken.
        """
        if isinstance(text, Distribution):
            return text
        if isinstance(text, bool):
            raise ValueError("is not a number or a distribution")
        if isinstance(text, (int, float)):
            return cls("fixed", (_finite(float(text)),))
        written = str(text).strip()
        call = re.fullmatch(r"([a-z]+)\s*\(([^()]*)\)", written)
        if call:
            return cls._parse_call(call[1], [part.strip() for part in call[2].split(",")])
        if ":" in written:
            return cls._parse_discrete(written)
        try:
            return cls("fixed", (_finite(float(written)),))
        except ValueError:
            raise ValueError(
                "is not a number or a distribution such as uniform(3, 12), triangular(3, 6, 12), "
                "normal(0.03, 0.01), gamma(4, 0.5), lognormal(12, 2) or 4:0.5 8:0.5"
            ) from None

    @classmethod
    def _parse_call(cls, kind: str, parts: list[str]) -> Distribution:
        if kind not in PARAMETERS or kind == "discrete":
            known = ", ".join(name for name in PARAMETERS if name != "discrete")
            raise ValueError(f"names no known distribution: {kind} is not one of {known}")
        try:
            values = tuple(_finite(float(part)) for part in parts)
        except ValueError:
            raise ValueError(f"has a parameter of {kind} that is not a number") from None
        if len(values) != len(PARAMETERS[kind]):
            raise ValueError(f"has {len(values)} parameters; {kind} takes {', '.join(PARAMETERS[kind])}")
        if kind in ENDLESS and values[1] < 0:
            raise ValueError("has a standard deviation below 0")
        if kind in ("gamma", "lognormal") and values[0] <= 0:
            raise ValueError(f"has a mean that is not above 0, as {kind} needs")
        if kind in ("uniform", "triangular") and list(values) != sorted(values):
            raise ValueError(f"has parameters out of order; {kind} takes {', '.join(PARAMETERS[kind])}")
        return cls(kind, values)

    @classmethod
    def _parse_discrete(cls, written: str) -> Distribution:
        try:
            pairs = [tuple(map(float, pair.split(":"))) for pair in written.replace(";", " ").split()]
            values, probabilities = zip(*((_finite(value), _finite(share)) for value, share in pairs), strict=True)
        except ValueError:
            raise ValueError("is not a list of value:probability pairs such as 4:0.5 8:0.5") from None
        if min(probabilities) < 0 or abs(sum(probabilities) - 1) > 1e-6:
            raise ValueError(f"has probabilities that add up to {sum(probabilities):g}, not 1")
        order = sorted(range(len(values)), key=lambda position: values[position])
        return cls("discrete", tuple(values[o] for o in order), tuple(probabilities[o] for o in order))

    def __str__(self) -> str:
        if self.kind == "fixed":
            return f"{self.values[0]:g}"
        if self.kind == "discrete":
            return " ".join(
                f"{value:g}:{share:g}" for value, share in zip(self.values, self.probabilities, strict=True)
            )
        return f"{self.kind}({', '.join(f'{value:g}' for value in self.values)})"

    @property
    def mean(self) -> float:
        """Expected value."""
        if self.kind == "discrete":
            return float(np.dot(self.values, self.probabilities))
        if self.kind in ENDLESS:
            return self.values[0]
        return float(np.mean(self.values))

    @property
    def low(self) -> float:
        """Smallest value; the first percentile of a distribution without an end."""
        return float(self.quantile(np.array(0.01))) if self.kind in ENDLESS else self.values[0]

    @property
    def high(self) -> float:
        """Largest value; the 99th percentile of a distribution without an end."""
        return float(self.quantile(np.array(0.99))) if self.kind in ENDLESS else self.values[-1]

    def quantile(self, uniform: Floats) -> Floats:
        """Values at the given cumulative probabilities; any shape in, the same out."""
        draws = np.asarray(uniform, dtype=float)
        if self.kind == "fixed":
            return np.full(draws.shape, self.values[0])
        if self.kind == "uniform":
            low, high = self.values
            return low + draws * (high - low)
        if self.kind == "triangular":
            return _triangular(self.values, draws)
        if self.kind in ENDLESS:
            return _endless(self.kind, self.values, draws)
        steps = np.cumsum(self.probabilities)
        return np.asarray(self.values)[np.minimum(np.searchsorted(steps, draws, side="right"), len(steps) - 1)]

    def moved_to(self, mean: float) -> Distribution:
        """The same shape with another mean: scaled where the mean is not zero, shifted where it is."""
        old = self.mean
        if old == 0:
            # of the distributions without an end only a normal one can have the mean 0
            values = tuple(value + mean for value in (self.values[:1] if self.kind == "normal" else self.values))
            return replace(self, values=(*values, *(self.values[1:] if self.kind == "normal" else ())))
        factor = mean / old
        if self.kind in ENDLESS:
            return replace(self, values=(self.values[0] * factor, self.values[1] * abs(factor)))
        values = tuple(value * factor for value in self.values)
        if factor < 0:
            return replace(self, values=tuple(reversed(values)), probabilities=tuple(reversed(self.probabilities)))
        return replace(self, values=values)

    def shifted(self, by: float) -> Distribution:
        """The same spread, every value greater by so much."""
        moved = tuple(value + by for value in self.values)
        return replace(self, values=(moved[0], self.values[1]) if self.kind == "normal" else moved)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="always")
        )


def _finite(value: float) -> float:
    if not np.isfinite(value):
        raise ValueError("is not a finite number")
    return value


def _endless(kind: str, values: tuple[float, ...], draws: Floats) -> Floats:
    """Normal, gamma or lognormal, by mean and standard deviation."""
    from scipy.special import gammaincinv, ndtri

    mean, deviation = values
    if deviation == 0:
        return np.full(draws.shape, mean)
    result: Floats
    if kind == "normal":
        result = mean + deviation * ndtri(draws)
    elif kind == "gamma":
        shape = (mean / deviation) ** 2
        result = gammaincinv(shape, draws) * mean / shape
    else:
        variance = np.log1p((deviation / mean) ** 2)
        result = mean * np.exp(np.sqrt(variance) * ndtri(draws) - variance / 2)
    return result


def _triangular(values: tuple[float, ...], draws: Floats) -> Floats:
    low, mode, high = values
    if high == low:
        return np.full(draws.shape, low)
    at_mode = (mode - low) / (high - low)
    rising = low + np.sqrt(draws * (high - low) * (mode - low))
    falling = high - np.sqrt((1 - draws) * (high - low) * (high - mode))
    return np.where(draws < at_mode, rising, falling)
