"""Whether a coarse-grained model gives the distributions of held-out data.

The force residual cannot rank models: most of it is noise. What counts are free energy
surfaces of the beads, beside what two halves of the data differ by: the mean squared
difference of free energies over bins that both visit, and the Jensen-Shannon divergence
(Koehler et al. 2023, doi:10.1021/acs.jctc.3c00016).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..core.errors import InputError
from ..core.units import AVOGADRO, BOLTZMANN

#: kcal/mol of a J.
KCAL_MOL = AVOGADRO / 4184.0
#: Largest free energy error over the noise; of Jensen-Shannon divergences. Where
#: more than the rest of the halves of the data differ by more, the model may as well.
MSE_LIMIT, JS_LIMIT, LEVEL = 1.5, 1.0, 0.95
#: Random halves of the data.
SPLITS = 60
#: Of samples of a model, of training and of held-out data, each of shape (n,).
Weights = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Observable:
    """One or two coordinates, histogrammed.

    Attributes
    ----------
    name
        Such as ``"phi-psi"``.
    edges
        Of the bins of each coordinate.
    ceiling
        Free energies are compared in bins that are at most so far above the lowest,
        kJ/mol. Biased runs visit bins that hardly count.
    """

    name: str
    edges: tuple[np.ndarray, ...]
    ceiling: float = np.inf

    def density(self, values: np.ndarray, weights: np.ndarray | None = None):
        """Part of all samples (n, d) in each bin: they sum to one if none is outside."""
        n = None if weights is None else len(weights)
        if n not in (None, len(values)) or not np.isfinite(values).all():
            raise InputError(f"samples of {self.name}", wanted="finite, a weight of each",
                             got=f"{len(values)}, {n} weights, or NaN")  # fmt: skip
        counts, _ = np.histogramdd(values, self.edges, weights=weights)
        if not counts.sum() > 0:
            raise InputError(
                f"no sample of {self.name} within its bins", got="none",
                wanted="samples between the edges",
            )  # fmt: skip
        return counts / (len(values) if weights is None else weights.sum())


@dataclass(frozen=True)
class Difference:
    """Of two distributions.

    Attributes
    ----------
    mse
        Mean squared difference of free energies in bins that both visit, (kcal/mol)^2.
    js
        Jensen-Shannon divergence, nats.
    """

    mse: float
    js: float


def difference(
    p: np.ndarray, q: np.ndarray, temperature: float, ceiling: float = np.inf
) -> Difference:
    """Of two densities on the same bins, at a temperature (K); see `Observable`.

    What they lack to one lies outside of the bins, which is one more to the divergence: a
    model is not to lose there what the data never do.
    """
    kT, middle = BOLTZMANN * temperature * KCAL_MOL, 0.5 * (p + q)
    least = middle.max() * np.exp(-ceiling / 4.184 / kT)
    both = (p > 0) & (q > 0) & (middle >= least)
    if not both.any():
        return Difference(np.inf, float(np.log(2)))
    gap = kT * np.log(p[both] / q[both])
    one, two = _with_outside(p), _with_outside(q)
    middle = 0.5 * (one + two)
    js = 0.5 * (_relative_entropy(one, middle) + _relative_entropy(two, middle))
    return Difference(float((gap**2).mean()), js)


def _with_outside(p: np.ndarray) -> np.ndarray:
    return np.append(p, max(1 - p.sum(), 0.0))


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> float:
    inside = p > 0
    return float((p[inside] * np.log(p[inside] / q[inside])).sum())


def split_noise(
    observable: Observable,
    values: np.ndarray,
    temperature: float,
    *,
    weights: np.ndarray | None = None,
    block: int = 1,
    seed: int = 0,
) -> tuple[Difference, Difference]:
    """What random halves of data (n, d) differ by: their mean, and the gate's limit.

    Parameters
    ----------
    weights
        Of the samples, shape (n,), where these were drawn with a bias. Those that MBAR
        gave for windows leave out that halves would give windows other free energies.
    block
        Successive samples that stay together: about as many as depend on each other.
    """
    n = len(values) // block if block > 0 else 0
    if n < 4:
        raise InputError(
            "too few blocks to tell the noise of data", wanted="four at least",
            got=f"{n} of {block} samples", mend="a shorter block, or more data",
        )  # fmt: skip
    rng, found = np.random.default_rng(seed), []
    number = np.arange(n * block).reshape(n, block)
    w = np.ones(len(values)) if weights is None else weights
    for _ in range(SPLITS):
        order = rng.permutation(n)
        halves = order[: n // 2], order[n // 2 : 2 * (n // 2)]
        chosen = (number[half].ravel() for half in halves)
        p, q = (observable.density(values[some], w[some]) for some in chosen)
        found.append(difference(p, q, temperature, observable.ceiling))
    noise = _mean(found)
    if not noise.mse < np.inf:  # any model would pass
        raise InputError(
            f"halves of the data of {observable.name}", wanted="bins that both visit",
            got="halves without one", mend="wider bins, or more data",
        )  # fmt: skip
    mse, js = np.quantile([(d.mse, d.js) for d in found], LEVEL, axis=0)
    return noise, Difference(
        float(max(mse, MSE_LIMIT * noise.mse)), float(max(js, JS_LIMIT * noise.js))
    )


def of_the_model_itself(
    density: np.ndarray, n: int, temperature: float, seed: int = 0
) -> Difference:
    """Mean difference of n independent samples of a density from it.

    What a perfect model would be found to differ by from n held-out frames: bins that few
    of them visit count with the frames that happened to get there.
    """
    rng, found = np.random.default_rng(seed), []
    for _ in range(SPLITS):
        drawn = rng.multinomial(n, _with_outside(density))[:-1].reshape(density.shape) / n
        found.append(difference(density, drawn, temperature))
    return _mean(found)


def _mean(found: Sequence[Difference]) -> Difference:
    mse, js = np.mean([(d.mse, d.js) for d in found], axis=0)
    return Difference(float(mse), float(js))


@dataclass(frozen=True)
class Verdict:
    """On one observable.

    Attributes
    ----------
    name
        Of the observable.
    found, noise, limit
        Difference of the model from held-out data, that of halves of all data, and the
        largest that passes.
    ok
        Whether both measures are within their limits.
    """

    name: str
    found: Difference
    noise: Difference
    limit: Difference

    @property
    def ok(self) -> bool:
        """Whether the model passes; not where halves of the data share no bin."""
        return bool(
            np.isfinite(self.noise.mse)
            and self.found.mse <= self.limit.mse
            and self.found.js <= self.limit.js
        )

    def as_json(self) -> dict:
        """For the model's file and for reports."""
        return {**asdict(self), "ok": self.ok}


def judge(
    observables: Sequence[Observable],
    model: Mapping[str, np.ndarray],
    training: Mapping[str, np.ndarray],
    held_out: Mapping[str, np.ndarray],
    temperature: float,
    *,
    weights: Weights | None = None,
    block: int = 1,
    seed: int = 0,
) -> list[Verdict]:
    """Samples of a model beside data that it was not fitted to.

    Parameters
    ----------
    observables
        What is compared.
    model, training, held_out
        Samples (n, d) of each observable, by name. The noise is that of halves of both
        data sets together, which should be of one size.
    temperature
        K.
    weights
        Of the samples of the model, of the training and of the held-out data, where these
        were drawn with a bias.
    block, seed
        As `split_noise`.

    Raises
    ------
    InputError
        When an observable has no samples, a number is none, or there are too few blocks.
    """
    names = {of.name for of in observables}
    lacking = names - (model.keys() & training.keys() & held_out.keys())
    if not names or lacking:
        raise InputError(
            "observables of the gate", wanted="some, with samples of all three sets",
            got=f"none of {', '.join(sorted(lacking))}" if lacking else "none",
        )  # fmt: skip
    if not 0 < temperature < np.inf:
        raise InputError("temperature of the gate", wanted="above zero, K",
                         got=str(temperature))  # fmt: skip
    verdicts = []
    own, known, new = weights or (None, None, None)
    together = None if known is None or new is None else np.concatenate([known, new])
    for of in observables:
        reference = held_out[of.name]
        both = np.concatenate([training[of.name], reference])
        densities = of.density(model[of.name], own), of.density(reference, new)
        found = difference(*densities, temperature, of.ceiling)
        noise, limit = split_noise(
            of, both, temperature, weights=together, block=block, seed=seed
        )
        verdicts.append(Verdict(of.name, found, noise, limit))
    return verdicts
