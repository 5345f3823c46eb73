"""Which count belongs to which tube of a layout."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from halfmax.assays.binding.tube import Tube, check_unique
from halfmax.errors import StudyError, nearest
from halfmax.table import AssayTable

__all__ = ["Count", "Counted", "match", "natural"]

_Vessel = tuple[str, str]


@dataclass(frozen=True)
class Count:
    """One count of one tube: rates a minute, minutes, and the flag where there is no number."""

    cpm: float
    dpm: float = math.nan
    minutes: float = math.nan
    error_percent: float = math.nan
    time_s: float = math.nan
    flag: str = ""

    @property
    def sd(self) -> float:
        """Counting error of the cpm: Poisson, of one count at least; else half the counter's 2S%."""
        if math.isfinite(self.minutes) and self.minutes > 0:
            return math.sqrt(max(self.cpm * self.minutes, 1.0)) / self.minutes
        return abs(self.cpm) * self.error_percent / 200.0


@dataclass(frozen=True)
class Counted:
    """A tube with its count."""

    tube: Tube
    name: str
    count: Count

    @property
    def is_good(self) -> bool:
        return not self.count.flag and not self.tube.excluded

    @property
    def is_bound(self) -> bool:
        """Whether what was counted is bound radioligand."""
        return self.tube.role in ("total", "nonspecific")

    @property
    def time_s(self) -> float:
        """Time of incubation, or of the count where the tube was read in place."""
        return self.count.time_s if math.isnan(self.tube.time_s) else self.tube.time_s


def match(table: AssayTable, tubes: Sequence[Tube]) -> list[Counted]:
    """Every tube of the layout with its counts, in the natural order of names."""
    check_unique(tubes)
    counts = _counts(table)
    files = ", ".join(source.file for source in table.sources) or "the counts"
    names: dict[_Vessel, _Vessel] = {}
    for plate, well in counts:
        for alias in {(plate, well), ("", well)} if well else {("", plate)}:
            names[alias] = ("?", "") if alias in names else (plate, well)
    several = len({plate for plate, well in counts if well}) > 1
    result = []
    for tube in tubes:
        if tube.role == "unused":
            continue
        vessel = names.get(tube.vessel)
        if vessel is None:
            known = sorted({name for _, name in names if name}, key=natural)
            hint = nearest(tube.tube, known)
            hint = hint if hint.startswith("Did you mean") else f"Counted: {', '.join(known[:8])} …"
            raise StudyError(
                f"{tube.place}: tube {tube.tube} is missing: {files} hold no count of it. Expected one for every tube "
                f"of the layout, found {len(counts)} counted. {hint} Correct the name, or give it the role unused."
            )
        if vessel == ("?", ""):
            raise StudyError(
                f"{tube.place}: well {tube.tube} stands on several plates of {files}, and the layout names none. Add "
                "a column plate."
            )
        name = f"{vessel[0]} {vessel[1]}" if vessel[1] and several else vessel[1] or vessel[0]
        result += [Counted(tube, name, count) for count in _pooled(counts[vessel], tube)]
    return sorted(result, key=lambda one: (natural(one.name), one.count.time_s))


def _counts(table: AssayTable) -> dict[_Vessel, list[Count]]:
    """Counts of each vessel, in the order of their times."""
    frame = table.frame
    if "cpm" not in table.channels:
        raise StudyError(
            f'the counts hold no channel "cpm"; found {", ".join(table.channels) or "none"}. Read the counter\'s file '
            "with read_counts."
        )
    found: dict[tuple[str, str, float], dict[str, float]] = {}
    flags: dict[tuple[str, str, float], str] = {}
    rows = zip(*(frame[name] for name in ("plate", "well", "time_s", "channel", "signal", "flag")), strict=True)
    for plate, well, time_s, channel, signal, flag in rows:
        key = (plate, well, -1.0 if math.isnan(time_s) else float(time_s))
        if channel in found.setdefault(key, {}):
            raise StudyError(
                f"tube {well or plate} is counted twice in channel {channel}. Expected one count a tube (and time). "
                "Keep one, or read the files with times."
            )
        found[key][channel] = float(signal)
        if channel == "cpm":
            flags[key] = flag if not math.isfinite(signal) or flag in ("excluded", "masked") else ""
    result: dict[_Vessel, list[Count]] = {}
    known = ("cpm", "dpm", "minutes", "error_percent")
    for (plate, well, time), channels in sorted(found.items()):
        values = {name: channels.get(name, math.nan) for name in known}
        count = Count(**values, time_s=time if time >= 0 else math.nan, flag=flags.get((plate, well, time), "missed"))
        result.setdefault((plate, well), []).append(count)
    return result


def _pooled(counts: list[Count], tube: Tube) -> list[Count]:
    """Repeated counts of a tube that was incubated for a stated time, as one; else all of them."""
    good = [count for count in counts if not count.flag]
    if len(good) < 2 or math.isnan(tube.time_s):
        return (good or counts)[:1] if not math.isnan(tube.time_s) else counts
    minutes = np.array([count.minutes for count in good])
    weight = minutes if np.isfinite(minutes).all() else np.ones(len(good))
    cpm, dpm = (float(np.average([getattr(count, name) for count in good], weights=weight)) for name in ("cpm", "dpm"))
    return [Count(cpm, dpm, float(minutes.sum()))]


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key under which tube 2 comes before tube 10."""
    parts = re.findall(r"\d+|\D+", name)
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
