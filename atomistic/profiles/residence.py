"""Residence times in slabs and coordination shells from survival functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.integrate import trapezoid

from ...core.errors import InputError
from ...core.stats import bootstrap_weights
from .lags import blocks_of, enough
from .settings import whole_steps

#: Survival that must be reached within the longest lag: else the time is a guess.
DECAYED = 0.5
#: Survival at which the integral stops and the exponential tail takes over: beyond it
#: there is more noise than time.
FEW = 0.05


@dataclass(frozen=True)
class Residence:
    """How long particles stay inside; replicate 0 is the point estimate.

    Attributes
    ----------
    lags
        Shape (K + 1,), s.
    survival
        Shape (R + 1, K + 1), from 1 at lag 0.
    time
        Shape (R + 1,), integral of the survival function, s.
    tail
        Share of the integral that lies beyond the last lag, or beyond the one where 5 %
        are left: there an exponential stands in, with the rate of the half before.
    n_units
        Units that were resampled.
    """

    lags: np.ndarray
    survival: np.ndarray
    time: np.ndarray
    tail: float
    n_units: int


def residence(
    inside: np.ndarray | Sequence[np.ndarray],
    spacing: float,
    *,
    block: float,
    replicates: int,
    seed: int,
    kind: str = "continuous",
    outer: np.ndarray | Sequence[np.ndarray] | None = None,
    tolerance: float = 0.0,
    longest: float | None = None,
    groups: np.ndarray | None = None,
) -> Residence:
    """Survival function and its time constant.

    ``continuous`` follows each particle that is inside until it leaves for the first
    time. An absence up to `tolerance` does not count (Impey, Madden & McDonald 1983,
    doi:10.1021/j150643a008); with `outer`, a particle has left only when it is beyond
    that wider border, as in the stable-states picture (Laage & Hynes 2008,
    doi:10.1021/jp802033r). ``intermittent`` asks whether it is inside at both times,
    whatever between, less the chance of that without memory:
    (<h(0) h(t)> / <h> - <h>) / (1 - <h>).

    Parameters
    ----------
    inside
        Each replica, booleans (F, N): particle, or pair of particles, is inside.
    spacing
        Time between frames, s.
    block
        Length of a unit of the bootstrap, s; several residence times.
    replicates, seed
        Of the bootstrap, at least 50.
    kind
        ``continuous`` or ``intermittent``.
    outer
        As `inside`, for the wider border.
    tolerance
        s.
    longest
        Longest lag, s; half a block when ``None``.
    groups
        Shape (N,), labels of particles that are resampled together; units are groups x
        blocks. ``None``: one group.

    Raises
    ------
    InputError
        When shapes or times do not fit together, nobody is ever inside, or too few leave
        within the longest lag.
    """
    sets = _booleans(inside, "inside")
    if not sets:
        raise InputError("no trajectory", wanted="at least one replica")
    wider = sets if outer is None else _booleans(outer, "outer")
    size = whole_steps(block, spacing, "a block")
    n_lags = size // 2 if longest is None else whole_steps(longest, spacing, "a lag")
    label = np.zeros(sets[0].shape[1], int) if groups is None else _labels(groups, sets)
    _refuse_settings(kind, sets, wider, tolerance, n_lags, size)
    count = _intermittent if kind == "intermittent" else _continuous
    gap = int(tolerance / spacing * (1 + 1e-9))
    parts = []
    for core, reach in zip(sets, wider, strict=True):
        blocks = blocks_of(len(core), size, spacing)
        parts.append(count(core, stay(core, reach, gap), blocks, label, n_lags))
    alive, origins, seen = (np.concatenate(p) for p in zip(*parts, strict=True))
    enough(len(alive), replicates)
    weights = bootstrap_weights(len(alive), replicates, seed)
    survival = _survival(weights @ alive, weights @ origins)
    if kind == "intermittent":
        chance = _survival(weights @ seen[:, :1], weights @ seen[:, 1:])
        if (chance == 1).any():
            raise InputError(
                "nobody is ever outside in a resample of the blocks",
                wanted="particles that leave and come back",
                got="all inside at all times",
                mend="a narrower region, or kind continuous",
            )
        survival = (survival - chance) / (1 - chance)
    time, tail = _integral(survival, spacing)
    lags = np.arange(n_lags + 1) * spacing
    return Residence(lags, survival, time, tail, len(alive))


def stay(core: np.ndarray, outer: np.ndarray, gap: int = 0) -> np.ndarray:
    """Who counts as inside: entered the core, not been beyond the outer border since.

    Parameters
    ----------
    core, outer
        Booleans (F, N); `core` lies within `outer`.
    gap
        Longest absence, in frames, that is overlooked.
    """
    index = np.arange(len(core))[:, None]
    entered = np.maximum.accumulate(np.where(core, index, -1), axis=0)
    left = np.maximum.accumulate(np.where(outer, -1, index), axis=0)
    here = entered > left
    if not gap:
        return here
    never = 2 * len(core) + gap
    last = np.maximum.accumulate(np.where(here, index, -never), axis=0)
    return here | (_next(here, never) - last - 1 <= gap)


def _next(event: np.ndarray, never: int) -> np.ndarray:
    """First frame at or after each one with the event, `never` when there is none."""
    index = np.where(event, np.arange(len(event))[:, None], never)
    return np.minimum.accumulate(index[::-1], axis=0)[::-1]


def _continuous(core, here, blocks, label, n_lags):
    """Per unit and lag: origins that can be followed so far, and those still inside."""
    exit_ = _next(~here, 2 * len(core))
    n_groups = label.max() + 1
    tables = []
    for block in blocks:
        frames = np.arange(block.start, block.stop - 1)
        t, particle = np.nonzero(core[frames])
        left = block.stop - 1 - frames[t]
        lived = np.minimum(exit_[frames[t], particle] - frames[t] - 1, left)
        for steps in (lived, left):
            cell = label[particle] * (n_lags + 1) + np.minimum(steps, n_lags)
            number = np.bincount(cell, minlength=n_groups * (n_lags + 1)).astype(float)
            number = number.reshape(n_groups, n_lags + 1)
            tables.append(np.cumsum(number[:, ::-1], axis=1)[:, ::-1])
    alive, origins = np.concatenate(tables[::2]), np.concatenate(tables[1::2])
    return alive, origins, origins[:, :2]


def _intermittent(core, here, blocks, label, n_lags):
    """Per unit and lag: inside at both ends, inside at one of them; per unit: occupancy.

    The mean over both ends makes the function the same with time reversed.
    """
    n_groups = label.max() + 1
    group = np.eye(n_groups)[label]
    alive, origins, seen = [], [], []
    for block in blocks:
        h = here[block].astype(float)
        power = (np.abs(np.fft.rfft(h, 2 * len(h), axis=0)) ** 2) @ group
        alive.append(np.fft.irfft(power, axis=0)[: n_lags + 1].T)
        first, last = (np.cumsum(x @ group, axis=0)[::-1] for x in (h, h[::-1]))
        origins.append((first + last)[: n_lags + 1].T / 2)
        seen.append(np.stack([first[0], len(h) * group.sum(axis=0)], axis=1))
    return np.concatenate(alive), np.concatenate(origins), np.concatenate(seen)


def _survival(alive: np.ndarray, origins: np.ndarray) -> np.ndarray:
    if not (origins > 0).all():
        raise InputError(
            "nobody inside in a resample of the blocks",
            wanted="particles that visit in most blocks",
            got="none at some lag",
            mend="a wider region, longer blocks or a longer run",
        )
    return alive / origins


def _integral(survival: np.ndarray, spacing: float) -> tuple[np.ndarray, float]:
    """Trapezoids until few are left, and beyond it an exponential: time, share of it.

    The rate of the exponential is that of the second half, (S_half - S_end) / int S.
    """
    if survival[0, -1] > DECAYED:
        raise InputError(
            "particles that stay longer than can be told",
            wanted=f"survival below {DECAYED:g} within the longest lag",
            got=f"{survival[0, -1]:.3g} after {(survival.shape[1] - 1) * spacing:g} s",
            mend="longer blocks and lags, or a longer run",
        )
    below = np.nonzero(survival[0] < FEW)[0]
    end = max(2, int(below[0])) if len(below) else survival.shape[1] - 1
    body = trapezoid(survival[:, : end + 1], dx=spacing, axis=1)
    late = trapezoid(survival[:, end // 2 : end + 1], dx=spacing, axis=1)
    left = np.maximum(survival[:, end], 0.0)
    fall = survival[:, end // 2] - left
    # In a resample noise can hide the fall: then the whole range gives the rate.
    rate = np.divide(fall, late, out=(1 - left) / body, where=fall > 0)
    beyond = left / rate
    return body + beyond, float(beyond[0] / (body[0] + beyond[0]))


def _booleans(value, what: str) -> list[np.ndarray]:
    sets = [value] if isinstance(value, np.ndarray) else list(value)
    for one in sets:
        if not isinstance(one, np.ndarray) or one.dtype != bool or one.ndim != 2:
            raise InputError(
                f"{what} of the residence time",
                wanted="booleans, frames x particles",
                got=f"{getattr(one, 'dtype', type(one))}, {getattr(one, 'shape', '')}",
            )
    return sets


def _labels(groups: np.ndarray, sets: list[np.ndarray]) -> np.ndarray:
    groups = np.asarray(groups)
    for one in sets:
        if groups.shape != one.shape[1:]:
            raise InputError(
                "groups of particles", wanted=f"{one.shape[1:]}", got=f"{groups.shape}"
            )
    return np.unique(groups, return_inverse=True)[1]


def _refuse_settings(kind, sets, wider, tolerance, n_lags, size) -> None:
    if kind not in ("continuous", "intermittent"):
        raise InputError(
            "kind of residence", wanted="continuous or intermittent", got=str(kind)
        )
    if not 2 <= n_lags < size or not 0 <= tolerance < np.inf:
        raise InputError(
            "times of the residence",
            wanted=f"two frames or more, below a block ({size} frames); tolerance >= 0",
            got=f"longest lag {n_lags} frames, tolerance {tolerance:g} s",
        )
    same = len(sets) == len(wider)
    for core, reach in zip(sets, wider, strict=False):
        same &= core.shape == reach.shape and not (core & ~reach).any()
        same &= core.shape[1] == sets[0].shape[1]
    if not same:
        raise InputError(
            "inner and outer region",
            wanted="equal shapes; who is inside is within the outer border too",
            got=f"{[s.shape for s in sets]} and {[w.shape for w in wider]}",
        )
    if not any(core.any() for core in sets):
        raise InputError("nobody is ever inside", wanted="visits", mend="a wider region")
