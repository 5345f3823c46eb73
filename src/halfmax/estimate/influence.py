"""Leave one experiment out: whether a result rests on a single experiment."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from halfmax.errors import FitError
from halfmax.estimate.combining import Method, Scale, combine, experiment_of
from halfmax.estimate.result import Estimate

__all__ = ["Influence", "leave_one_out"]

#: With fewer experiments, what is left is no sample.
LEAST = 3
#: Shifts up to this size are rounding.
_NOTHING = 1e-12


@dataclass(frozen=True)
class Influence:
    """A combination without each of its experiments in turn.

    Parameters
    ----------
    whole : Estimate
        Of all experiments.
    without : tuple of Estimate
        Without one each; also what iteration gives.
    names : tuple of str
        The experiment left out.
    shifts : tuple of float
        How far the result moves: log10 of the new value over the old one where the
        parameter is estimated on its logarithm, else the difference; NaN where there
        is no value.
    """

    whole: Estimate
    without: tuple[Estimate, ...]
    names: tuple[str, ...]
    shifts: tuple[float, ...]

    def __iter__(self) -> Iterator[Estimate]:
        return iter(self.without)

    def __len__(self) -> int:
        return len(self.without)

    @property
    def most(self) -> str:
        """Name of the experiment whose absence moves the result most; empty where none can be told."""
        sizes = [abs(shift) if math.isfinite(shift) else -1.0 for shift in self.shifts]
        return self.names[sizes.index(max(sizes))] if max(sizes) > _NOTHING else ""


def leave_one_out(
    estimates: Sequence[Estimate],
    *,
    parameter: str = "ec50",
    level: float = 0.95,
    method: Method = "two-stage t",
    label: str = "",
) -> Influence:
    """`combine` without each of the experiments in turn.

    Parameters
    ----------
    estimates : sequence of Estimate
        One for each of at least three experiments.
    parameter, level, method, label
        As for `combine`.

    Raises
    ------
    FitError
        If there are fewer than three experiments: leaving one out of two leaves no sample.

    Examples
    --------
    >>> from halfmax.estimate import Estimate, Parameter
    >>> def one(v):
    ...     return Estimate("hill4", (Parameter("ec50", v, 0.9 * v, 1.1 * v, unit="M", best=v, se=0.05, log=True),))
    >>> found = leave_one_out([one(4e-6), one(5e-6), one(20e-6)])
    >>> found.most, [round(shift, 2) for shift in found.shifts]
    ('3', [0.13, 0.08, -0.22])
    """
    if len(estimates) < LEAST:
        raise FitError(
            f"{label or 'leave_one_out'}: needs at least {LEAST} experiments, found {len(estimates)}. "
            "What is left without one of them is no sample; add experiments."
        )
    whole = combine(estimates, parameter=parameter, level=level, method=method, label=label)
    names = [experiment_of(estimate) or str(number) for number, estimate in enumerate(estimates, start=1)]
    without = []
    for left_out, name in enumerate(names):
        rest = [estimate for index, estimate in enumerate(estimates) if index != left_out]
        said = f"{label}, without experiment {name}" if label else f"without experiment {name}"
        without.append(combine(rest, parameter=parameter, level=level, method=method, label=said))
    log = Scale(whole[parameter].log)
    before = whole[parameter].best
    shifts = [
        log.decades(math.log(one[parameter].best / before) if log.log else one[parameter].best - before)
        for one in without
    ]
    return Influence(whole, tuple(without), tuple(names), tuple(shifts))
