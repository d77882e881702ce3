"""Whether a model's run has the structure of held-out data: g(r), bonds, angles.

As `gate` for free energy surfaces: what a model differs by from data that it was not
fitted to, beside what random halves of the data differ by. A model may differ by what 39
of 40 halves do not exceed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Protocol, TypeVar

import numpy as np

from ..core.errors import InputError
from ..core.stats import bootstrap_weights
from .distributions import Distribution

#: Random halves that the noise is of, and resamples that the interval is of.
SPLITS = 400


class _Model(Protocol):
    validity: Mapping


M = TypeVar("M", bound=_Model)


def rms_difference(one: Distribution, other: Distribution) -> float:
    """Root mean square difference of values over bins that either visits.

    Raises
    ------
    InputError
        When they have other names or bins.
    """
    _check(one, other)
    either = (one.counts.sum(0) > 0) | (other.counts.sum(0) > 0)
    return float(_rms((one.values() - other.values())[either]))


def _rms(off: np.ndarray) -> np.ndarray:
    return np.sqrt(np.mean(off**2, axis=-1))


@dataclass(frozen=True)
class StructureVerdict:
    """On one distribution.

    Attributes
    ----------
    name
        Of the distribution.
    found
        Root mean square difference of the model from held-out data.
    interval
        95 % interval of it, from resampled blocks of both.
    noise
        The same difference of random halves of all data: mean, and
    limit
        what 39 of 40 halves do not exceed.
    """

    name: str
    found: float
    interval: tuple[float, float]
    noise: float
    limit: float

    @property
    def ok(self) -> bool:
        """Whether the model passes."""
        return self.found <= self.limit

    def as_json(self) -> dict:
        """For the model's file and for reports."""
        return {**asdict(self), "interval": list(self.interval), "ok": self.ok}


def judge_structure(
    model: Sequence[Distribution],
    training: Sequence[Distribution],
    held_out: Sequence[Distribution],
    *,
    seed: int = 0,
) -> list[StructureVerdict]:
    """Distributions of a model's run beside data that it was not fitted to.

    Parameters
    ----------
    model
        Of a run as long as the held-out data, at least: its own noise counts against it.
    training, held_out
        Data of one size, in blocks about as long as frames depend on each other.
    seed
        Of the halves and resamples.

    Raises
    ------
    InputError
        When distributions are not the same ones, or data have less than four blocks.
    """
    verdicts = []
    for one, other, data in zip(model, training, held_out, strict=True):
        _check(one, other)
        halves = _of_halves(other, data, seed)
        found = rms_difference(one, data)
        between = _interval(one, data, found, seed)
        limit = float(np.quantile(halves, 0.975))
        verdict = StructureVerdict(one.name, found, between, float(halves.mean()), limit)
        verdicts.append(verdict)
    return verdicts


def judged(model: M, verdicts: Sequence[StructureVerdict]) -> M:
    """The model, whose file says what the gate found."""
    told = {"structure_gate": [verdict.as_json() for verdict in verdicts]}
    return replace(model, validity={**model.validity, **told})  # type: ignore[type-var]


def _of_halves(training: Distribution, held_out: Distribution, seed: int) -> np.ndarray:
    """Differences of random halves of all blocks, shape (`SPLITS`,)."""
    pairs = zip(*((d.counts, d.expected) for d in (training, held_out)), strict=True)
    counts, expected = (np.concatenate(two) for two in pairs)
    n = len(counts)
    if n < 4:
        raise InputError(
            f"blocks of {training.name} to tell the noise of data",
            wanted="four at least", got=str(n), mend="shorter blocks, or more data",
        )  # fmt: skip
    half = np.tile(np.arange(n) < n // 2, (SPLITS, 1))
    half = np.random.default_rng(seed).permuted(half, axis=1)
    p, q = ((w @ counts) / (w @ expected) for w in (half.astype(float), 1.0 - half))
    return _rms((p - q)[:, counts.sum(0) > 0])


def _interval(
    one: Distribution, other: Distribution, found: float, seed: int
) -> tuple[float, float]:
    """Along what was found: resampled differences are longer, by the noise they add."""
    off = [d.values(bootstrap_weights(len(d.counts), SPLITS, seed + k))
           for k, d in enumerate((one, other))]  # fmt: skip
    seen = (one.counts.sum(0) > 0) | (other.counts.sum(0) > 0)
    way, *off = (off[0] - off[1])[:, seen]
    # Along the difference itself noise has no bias.
    along = np.array(off) @ way / max(found * len(way), np.finfo(float).tiny)
    low, high = np.quantile(along, [0.025, 0.975])
    return max(float(low), 0.0), float(high)


def _check(one: Distribution, other: Distribution) -> None:
    if one.name != other.name or not np.array_equal(one.edges, other.edges):
        raise InputError(
            "distributions that are compared", wanted=f"{one.name} in the same bins",
            got=f"{other.name}, {len(other.edges) - 1} bins to {other.edges[-1]:g}",
        )  # fmt: skip
