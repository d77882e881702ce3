"""What the bootstrap resamples: time blocks of all particles, or groups of particles.

Statistics are kept for short base units (replica x base block x particle group) and are
additive, so that the length of blocks is chosen afterwards, from the data, by merging.

Particles of a liquid move together: only whole time blocks, longer than the density
remembers, are independent whatever the particles do. They are the units when there are
enough of them. A run that is too short for that has none; then groups of particles are
resampled, each with its whole history. That is right for independent particles, too wide
for densities of a dense liquid, which fluctuate less than those of independent particles,
and too narrow if particles move in clusters. `coupling` tells which; if it says clusters,
time blocks are taken even where they are few or correlated, as the lesser evil.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...core.errors import InputError

#: Fewest time blocks that are resampled by themselves. Student's t for 9 degrees of
#: freedom is 15 % above the normal quantile; below that intervals grow quickly.
FEWEST = 10
#: Fewest that are, where particles move together: there groups would be worse.
FEW = 4
#: Units aimed at when particles are split into groups.
GROUPED = 24
#: Correlation of neighbouring blocks that is called none: an exponential memory is then
#: a sixth of a block, and errors are 9 % too small.
MAX_CORRELATION = 0.10
#: Coupling above which groups of particles are not independent.
TOGETHER = 1.5


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
    blocks, groups
        Time blocks of all replicas, particle groups in each.
    plateau
        Whether blocks are long enough to be independent.
    coupling
        Variance of a block's total density over the sum of its groups': one for
        independent particles, less in a dense liquid, more for clusters; NaN where there
        is one group.
    blocking
        The curve that the length was chosen from.
    """

    index: np.ndarray
    n: int
    length: int
    blocks: int
    groups: int
    plateau: bool
    coupling: float
    blocking: Blocking

    def merge(self, sums: np.ndarray) -> np.ndarray:
        """Additive statistics of units from those of base units, shape (n, ...)."""
        merged = np.zeros((self.n, *sums.shape[1:]))
        np.add.at(merged, self.index, sums)
        return merged

    def report(self) -> str:
        """One sentence for logs and reports."""
        how = "" if self.groups == 1 else f" x {self.groups} groups of particles"
        rho = self.blocking.correlation[self.blocking.length == self.length]
        memory = f", neighbours correlated by {rho[0]:.2f}" if len(rho) else ""
        reason = "" if self.plateau else "; the run is shorter than its memory"
        if self.groups > 1 and self.coupling > TOGETHER:
            reason += (
                f"; particles move together: errors are up to {self.coupling**0.5:.1f} "
                "times too small"
            )
        return (
            f"{self.n} units: {self.blocks} time blocks{how}, {self.length} base blocks "
            f"each{memory}{reason}"
        )


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

    Raises
    ------
    InputError
        When there are fewer than two units whatever is done.
    """
    series = []
    for r in np.unique(replica):
        mine = replica == r
        total = np.zeros((block[mine].max() + 1, counts.shape[1]))
        np.add.at(total, block[mine], counts[mine])
        series.append(total)
    curve = blocking(series)
    together = coupling(counts, replica, block, group)
    length = _shortest_independent(curve, shortest)
    plateau = length is not None
    if not plateau:
        length = _less_evil(curve, shortest, together)
    sizes = [len(s) for s in series]
    parts = [max(1, size // length) if length else 1 for size in sizes]
    available = int(group.max()) + 1
    groups = 1
    splits = not together > TOGETHER or sum(parts) < FEW
    if sum(parts) < FEWEST and splits:
        wanted = min(available, -(-GROUPED // sum(parts)))
        # Groups of equal size: a divisor of what there is.
        groups = next(g for g in range(wanted, available + 1) if available % g == 0)
    n = sum(parts) * groups
    if n < 2:
        raise InputError(
            "a run too short for errors",
            wanted="two blocks in time, or two groups of particles",
            got="one",
            mend="run longer or more replicas, shorter base blocks, more groups",
        )
    offsets = np.concatenate([[0], np.cumsum(parts)])
    index = np.empty(len(counts), dtype=int)
    for r, (name, size, part) in enumerate(
        zip(np.unique(replica), sizes, parts, strict=True)
    ):
        mine = replica == name
        place = offsets[r] + block[mine] * part // size
        index[mine] = place * groups + group[mine] * groups // available
    shown = length if length else max(sizes)
    return Units(index, n, shown, sum(parts), groups, plateau, together, curve)


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


def _less_evil(curve: Blocking, shortest: int, together: float) -> int | None:
    """Length of correlated time blocks that lack less variance than groups would.

    Errors from blocks whose neighbours are correlated by rho lack a factor 1 + 2 rho of
    variance, those from groups the coupling.
    """
    enough = np.flatnonzero((curve.number >= FEWEST) & (curve.length >= shortest))
    if len(enough) == 0 or not together > TOGETHER:
        return None
    lacking = 1 + 2 * max(curve.correlation[enough[-1]], 0.0)
    return int(curve.length[enough[-1]]) if together > lacking else None


def coupling(
    counts: np.ndarray, replica: np.ndarray, block: np.ndarray, group: np.ndarray
) -> float:
    """Variance of totals over the sum of the groups' variances, pooled over cells.

    Base blocks of one replica are compared, so that neither needs to be independent in
    time: slow changes are in both.
    """
    groups = int(group.max()) + 1
    if groups == 1:
        return float("nan")
    keys = np.unique(np.stack([replica, block]), axis=1, return_inverse=True)[1].ravel()
    table = np.zeros((keys.max() + 1, groups, counts.shape[1]))
    np.add.at(table, (keys, group), counts)
    mean = table.mean(axis=(0, 1))
    scale = np.divide(1.0, mean, out=np.zeros_like(mean), where=mean > 0)
    total = (table.sum(axis=1).var(axis=0) @ scale).sum()
    apart = (table.var(axis=0) @ scale).sum()
    return float(total / apart) if apart > 0 else float("nan")
