"""Part of a validation: whether intervals of forces hold what they promise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ase import Atoms

from ..potential.potential import Potential
from ..potential.uncertainty import LEVELS
from ..uncertainty import coverage_of
from ..uncertainty.summary import GROUPS, curves, summary
from .checks import Check, between
from .static_parts import part

Progress = Callable[[float, float, str], None]

#: What 95 % intervals must hold (%): of groups that were trained on, and of others.
KNOWN, OTHERS = (93.0, 97.0), (90.0, 100.0)
#: Frames below which nothing is judged.
FEWEST = 5


def uncertainty_part(
    potential: Potential, frames: Sequence[Atoms], progress: Progress
) -> dict:
    """Coverage of intervals on labelled frames, by group, and what goes with it."""
    found = coverage_of(frames, potential, progress)
    rows, trained = summary(found), set(potential.header["validity"].get("groups", ()))
    judged = rows[1:] if 1 < len(rows) <= GROUPS + 1 else rows[:1]
    checks = [_verdict(row, trained) for row in judged]
    figures = {"rows": rows, "trained": sorted(trained)}
    return part(figures, checks, curves(found))


def _verdict(row: dict, trained: set[str]) -> Check:
    """Of one group; ``None`` where its interval reaches beyond the limits."""
    group, k = row["group"], LEVELS.index(0.95)
    other = bool(trained) and group not in trained | {"all"}
    low, high = OTHERS if other else KNOWN
    name = "95 % intervals of forces hold" + ("" if group == "all" else f": {group}")
    note = "a group that was not trained on" if other else ""
    check = between(name, 100 * row["found"][k], "%", low, high, note)
    ends = row["ci95"] and [100 * x for x in row["ci95"][k]]
    few = row["frames"] < FEWEST or ends is None
    if few or (not check.ok and ends[0] <= high and ends[1] >= low):
        why = f"{row['frames']} frames are too few to tell"
        note = f"{note}; {why}" if note else why
        return Check(name, check.value, "%", check.wanted, None, note)
    return check
