"""What the bootstrap resamples: time blocks of all particles, or groups of particles.

Statistics are kept for short base units (replica x base block x particle group) and are
additive, so that the length of blocks is chosen afterwards, from the data, by merging.

Particles of a liquid move together: only whole time blocks, longer than the density
remembers, are independent whatever the particles do. They are the units when there are
enough of them. A run that is too short for that has none; then groups of particles are
resampled, each with its whole history, if particles are independent: `coupling` tells.
Errors of groups are too wide for densities of a dense liquid, much too wide for the
charge of ions that screen each other, and too narrow for particles that move in clusters.
There the errors of time blocks that are few, or correlated, are the lesser evil.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError

#: Fewest independent time blocks that are preferred to groups. Student's t for 9 degrees
#: of freedom is 15 % above the normal quantile; below that intervals grow quickly.
FEWEST = 10
#: Fewest independent time blocks that are resampled where groups would be worse.
FEW = 4
#: Correlated time blocks aimed at where there are no independent units at all.
FALLBACK = 8
#: Correlation of neighbouring blocks that is called none: an exponential memory is then
#: a sixth of a block, and errors are 9 % too small.
MAX_CORRELATION = 0.10
#: Couplings between which groups of particles are called independent: errors are then
#: too wide by 1.6 or too small by 1.2 at most.
APART, TOGETHER = 0.4, 1.5


@dataclass(frozen=True)
class Blocking:
    """The errors that blocks of growing length give (Flyvbjerg & Petersen 1989).

    Attributes
    ----------
    length
        Base blocks in a block, shape (K,): powers of two.
    number
        Blocks of that length, shape (K,).
    inefficiency
        Variance of the mean over that of independent base blocks, shape (K,): grows to
        the statistical inefficiency.
    correlation
        Of neighbouring blocks, shape (K,); what the error still lacks.
    """

    length: np.ndarray
    number: np.ndarray
    inefficiency: np.ndarray
    correlation: np.ndarray


@dataclass(frozen=True)
class Units:
    """Units of the bootstrap.

    Attributes
    ----------
    index
        Unit of each base unit, shape (base units,).
    n
        Number of units, at least two.
    length
        Base blocks in a time block.
    groups
        Particle groups that are units, each with the whole history of its replica; one
        where time blocks are.
    plateau
        Whether there are time blocks long enough to be independent.
    coupling
        Variance of a block's total over the sum of its groups', of densities and of
        charge: one for independent particles, less in a dense liquid, more for clusters;
        empty where there is one group.
    blocking
        The curve that the length was chosen from.
    """

    index: np.ndarray
    n: int
    length: int
    groups: int
    plateau: bool
    coupling: tuple[float, ...]
    blocking: Blocking

    @property
    def lacking(self) -> float:
        """Factor by which errors are too small, as far as the run tells."""
        if self.groups > 1:
            return max(1.0, *self.coupling) ** 0.5
        return 1.0 if self.plateau else _lacking(self._correlation()) ** 0.5

    def _correlation(self) -> float:
        known = self.blocking.correlation[self.blocking.length <= self.length]
        return float(known[-1]) if len(known) else 1.0

    def report(self) -> str:
        """One sentence for logs and reports."""
        if self.groups > 1:
            coupled = ", ".join(f"{c:.2f}" for c in self.coupling)
            return (
                f"{self.n} groups of particles, each with its whole history; coupled by "
                f"{coupled}"
            )
        rho = self._correlation()
        units = f"{self.n} time blocks, neighbours correlated by {rho:.2f}"
        if not self.plateau:
            units += (
                f"; the run is shorter than its memory: errors are {self.lacking:.1f} "
                "times too small"
            )
        return units


def blocking(series: list[np.ndarray]) -> Blocking:
    """Blocking analysis of densities, pooled over cells.

    Flyvbjerg & Petersen 1989, doi:10.1063/1.457480. Each cell counts by variance over
    mean, so that dense cells do not drown the others.

    Parameters
    ----------
    series
        Counts in each base block of each replica, shape (T, C).
    """
    mean = np.concatenate(series).mean(axis=0)
    scale = np.divide(1.0, mean, out=np.zeros_like(mean), where=mean > 0)
    rows, length, first = [], 1, None
    while sum(len(s) for s in series) >= 4:
        n = sum(len(s) for s in series)
        off = [s - mean for s in series]
        square = sum(((d**2) @ scale).sum() for d in off)
        pairs = sum(len(d) - 1 for d in off)
        product = sum(((d[1:] * d[:-1]) @ scale).sum() for d in off)
        variance = square / max(n - 1, 1) / n  # of the mean
        first = first or variance
        # Taking the mean off makes independent blocks look anti-correlated by 1 / n.
        rho = product / max(pairs, 1) / (square / n) + 1 / n if pairs and square else 1.0
        rows.append((length, n, variance / first if first else 1.0, rho))
        series = [0.5 * (s[: len(s) // 2 * 2 : 2] + s[1::2]) for s in series]
        series = [s for s in series if len(s)]
        length *= 2
    columns = np.array(rows).reshape(-1, 4).T
    return Blocking(
        columns[0].astype(int), columns[1].astype(int), columns[2], columns[3]
    )


def choose_units(
    counts: np.ndarray,
    replica: np.ndarray,
    block: np.ndarray,
    group: np.ndarray,
    shortest: int = 1,
    charge: np.ndarray | None = None,
) -> Units:
    """Units that are independent of each other, as far as the run allows.

    Parameters
    ----------
    counts
        Counts of each base unit in cells (of all species), shape (base units, C).
    replica, block, group
        Of each base unit, shape (base units,): blocks from zero in each replica.
    shortest
        Base blocks that a time block must have at least, several lags.
    charge
        Of each base unit in cells, shape (base units, D), where it matters.

    Raises
    ------
    InputError
        When there are fewer than two units whatever is done.
    """
    names, which = np.unique(replica, return_inverse=True)
    series = [
        _table(counts[mine], replica[mine], block[mine], group[mine]).sum(axis=1)
        for mine in (which == r for r in range(len(names)))
    ]
    curve, sizes = blocking(series), [len(s) for s in series]
    values = () if group.max() == 0 else (counts,) if charge is None else (counts, charge)
    together = tuple(coupling(one, replica, block, group) for one in values)
    length = _shortest_independent(curve, shortest)
    plateau = length is not None
    parts = [max(1, size // length) if length else 1 for size in sizes]
    if sum(parts) < FEWEST and _split(together, curve, plateau and sum(parts) >= FEW):
        groups = int(group.max()) + 1
        index, n = which * groups + group, len(names) * groups
        return Units(index, n, max(sizes), groups, plateau, together, curve)
    if length is None or sum(parts) < FEW:
        length, plateau = _correlated(curve), False
        parts = [max(1, size // length) for size in sizes]
    if sum(parts) < 2:
        raise InputError(
            "a run too short for errors",
            wanted="two blocks in time, or groups of particles",
            got="one",
            mend="run longer or more replicas, shorter base blocks",
        )
    offsets = np.concatenate([[0], np.cumsum(parts)])[which]
    index = offsets + block * np.array(parts)[which] // np.array(sizes)[which]
    return Units(index, sum(parts), length, 1, plateau, together, curve)


def _split(together: tuple[float, ...], curve: Blocking, independent: bool) -> bool:
    """Whether groups of particles are better units than the time blocks there are."""
    if not together or not all(c > APART for c in together):
        return False
    if max(together) < TOGETHER:
        return True
    rho = curve.correlation[curve.length == _correlated(curve)]
    return not independent and len(rho) > 0 and max(together) < _lacking(rho[0])


def _lacking(correlation: float) -> float:
    """Factor of variance that blocks of a first-order memory lack."""
    rho = min(max(correlation, 0.0), 0.95)
    return (1 + rho) / (1 - rho)


def _correlated(curve: Blocking) -> int:
    """Longest blocks of which there are `FALLBACK`, or the shortest."""
    enough = curve.length[curve.number >= FALLBACK]
    return int(enough[-1]) if len(enough) else 1


def _shortest_independent(curve: Blocking, shortest: int) -> int | None:
    """Length beyond which neighbours stay uncorrelated; ``None`` if there is none."""
    # Fewer blocks know their correlation less well: to about 1 / sqrt(n).
    doubtful = MAX_CORRELATION + 1 / np.sqrt(curve.number)
    for k, length in enumerate(curve.length):
        calm = curve.correlation[k] <= MAX_CORRELATION
        stays = (curve.correlation[k + 1 :] <= doubtful[k + 1 :]).all()
        if length >= shortest and calm and stays:
            return int(length)
    return None


def coupling(
    values: np.ndarray, replica: np.ndarray, block: np.ndarray, group: np.ndarray
) -> float:
    """Variance of totals over the sum of the groups' variances, pooled over cells.

    One where nothing varies.

    Base blocks of one replica are compared, so that neither needs to be independent in
    time: slow changes are in both.
    """
    table = _table(values, replica, block, group)
    size = np.abs(table).mean(axis=(0, 1))
    scale = np.divide(1.0, size, out=np.zeros_like(size), where=size > 0)
    total = (table.sum(axis=1).var(axis=0) @ scale).sum()
    apart = (table.var(axis=0) @ scale).sum()
    return float(total / apart) if apart > 0 else 1.0


def _table(values, replica, block, group) -> np.ndarray:
    """Of base units, (blocks of all replicas, groups, cells)."""
    keys = np.unique(np.stack([replica, block]), axis=1, return_inverse=True)[1].ravel()
    table = np.zeros((keys.max() + 1, int(group.max()) + 1, values.shape[1]))
    table[keys, group] = values
    return table
