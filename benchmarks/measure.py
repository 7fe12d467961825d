"""Time a candidate against a baseline, alternating, and print the outcome as a row of docs/benchmarks.md."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Comparison:
    """Seconds of a baseline and a candidate, measured in pairs: A B A B ..."""

    baseline: list[float]
    candidate: list[float]

    @property
    def ratios(self) -> list[float]:
        """Candidate over baseline of each pair: what slows the machine for a while slows both of a pair."""
        return sorted(c / b for c, b in zip(self.candidate, self.baseline, strict=True))

    @property
    def ratio(self) -> float:
        return median(self.ratios)

    @property
    def spread(self) -> str:
        return f"{self.ratios[0]:.3g} to {self.ratios[-1]:.3g}"


def alternate(baseline: Callable[[], object], candidate: Callable[[], object], repeats: int) -> Comparison:
    """Time both in turn, after one call of each that doesn't count."""
    baseline(), candidate()
    pairs = [(seconds(baseline), seconds(candidate)) for _ in range(repeats)]
    return Comparison([a for a, _ in pairs], [b for _, b in pairs])


def seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def report(what: str, figure: float, *, most: float | None = None, least: float | None = None, detail: str) -> None:
    """Print a row: what was measured, its bound, the figure, whether it is met, and the absolute numbers."""
    bound = f"at most {most:g}" if most is not None else f"at least {least:g}" if least is not None else ""
    met = (most is None or figure <= most) and (least is None or figure >= least)
    print(f"| {what} | {bound} | {figure:.3g}{'' if met else ' (missed)'} | {detail} |", flush=True)
