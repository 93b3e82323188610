"""A value with its 95% interval, and how sentences and tables write it."""

from __future__ import annotations

from dataclasses import dataclass

from search.show.text import format_figures


@dataclass(frozen=True)
class Interval:
    """A value with the low and high ends of its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        value, low, high = self._figures()
        return f"{value} ({low} to {high})"

    def __neg__(self) -> Interval:
        return Interval(-self.value, -self.high, -self.low)

    @property
    def in_words(self) -> str:
        """The value with its interval, ``0.106 (95% CI 0.091 to 0.122)``."""
        value, low, high = self._figures()
        return f"{value} (95% CI {low} to {high})"

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0

    def _figures(self) -> list[str]:
        return format_figures(self.value, self.low, self.high, digits=2)
