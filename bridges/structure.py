"""Radial distribution functions of trajectories, with block errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
import xarray as xr
from scipy.interpolate import UnivariateSpline

from ..core.errors import InputError
from ..core.units import ANGSTROM, NM


@dataclass(frozen=True)
class RDF:
    """Radial distribution functions with block means.

    Attributes
    ----------
    r
        Centres of bins, shape (n,), m.
    pairs
        Such as ``"Na-Cl"``.
    blocks
        Shape (U, P, n): one function per block.
    """

    r: np.ndarray
    pairs: tuple[str, ...]
    blocks: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Mean over blocks, shape (P, n)."""
        return self.blocks.mean(axis=0)

    @property
    def error(self) -> np.ndarray:
        """Half of the 95 % interval, shape (P, n)."""
        from scipy.stats import t

        n = len(self.blocks)
        spread = self.blocks.std(axis=0, ddof=1) / np.sqrt(n)
        return float(t.ppf(0.975, n - 1)) * spread

    def as_json(self) -> dict:
        """``r`` (m) and per pair ``g`` and ``error``."""
        return {
            "r": self.r.tolist(),
            "pairs": {
                pair: {"g": g.tolist(), "error": e.tolist()}
                for pair, g, e in zip(self.pairs, self.mean, self.error, strict=True)
            },
        }


def rdf(
    frames: Sequence[xr.Dataset],
    *,
    reach: float,
    bins: int = 100,
    block: int,
    stride: int = 1,
) -> RDF:
    """Radial distribution functions of all pairs of species, by MDAnalysis.

    Parameters
    ----------
    frames
        ``frames/1`` of each replica.
    reach
        Largest distance, m; at most half the box.
    bins
        Number of bins from zero to `reach`.
    block
        Frames per block.
    stride
        Every `stride`-th frame counts.
    """
    half = 0.5 * float(np.diag(frames[0]["box"].values[0]).min())
    if reach > half * (1 + 1e-9):
        raise InputError(
            "reach of the radial distribution function",
            wanted=f"at most half the box, {half / NM:.4g} nm",
            got=f"{reach / NM:.4g} nm",
        )
    blocks: list[np.ndarray] = []
    for ds in frames:
        names, r, found = _of_replica(ds, reach / ANGSTROM, bins, block, stride)
        blocks.extend(found)
    if len(blocks) < 2:
        raise InputError("too few frames for errors", wanted=f"two blocks of {block}")
    return RDF(r * ANGSTROM, names, np.array(blocks))


def _of_replica(ds: xr.Dataset, reach: float, bins: int, block: int, stride: int):
    from MDAnalysis.analysis.rdf import InterRDF

    universe, names = _universe(ds)
    pairs = list(combinations_with_replacement(names, 2))
    groups = {name: universe.select_atoms(f"name {name}") for name in names}
    found = []
    for start in range(0, ds.sizes["frame"] - block + 1, block):
        row = []
        for a, b in pairs:
            same = (1, 1) if a == b else None  # no ion is its own neighbour
            run = InterRDF(
                groups[a], groups[b], nbins=bins, range=(0.0, reach), exclusion_block=same
            ).run(start=start, stop=start + block, step=stride)
            row.append(run.results.rdf)
            r = run.results.bins
        found.append(np.array(row))
    return tuple(f"{a}-{b}" for a, b in pairs), r, found


def _universe(ds: xr.Dataset):
    import MDAnalysis
    from MDAnalysis.coordinates.memory import MemoryReader

    labels = ds["species"].values.astype(str)
    box = np.diagonal(ds["box"].values, axis1=1, axis2=2)
    wrapped = ds["positions"].values % box[:, None]
    dimensions = np.concatenate([box / ANGSTROM, np.full_like(box, 90.0)], axis=1)
    universe = MDAnalysis.Universe.empty(len(labels), trajectory=True)
    universe.add_TopologyAttr("name", labels)
    universe.load_new(
        (wrapped / ANGSTROM).astype(np.float32),
        format=MemoryReader,
        dimensions=dimensions.astype(np.float32),
    )
    return universe, list(dict.fromkeys(labels))


def first_peaks(curves: RDF) -> dict[str, tuple[float, float]]:
    """Position (m) and height of the first maximum of each pair, from a smooth curve."""
    peaks = {}
    for pair, g, error in zip(curves.pairs, curves.mean, curves.error, strict=True):
        top = int(np.argmax(g))
        near = slice(max(top - 8, 0), top + 9)
        x, y = curves.r[near] / NM, g[near]
        weight = 1 / np.maximum(error[near] / 2, 1e-3 * y.max())
        # A quartic over the peak: bins are wider than the shifts that matter.
        spline = UnivariateSpline(x, y, weight, k=4, s=len(x))
        fine = np.linspace(x[0], x[-1], 2000)
        best = int(np.argmax(spline(fine)))
        peaks[pair] = float(fine[best]) * NM, float(spline(fine[best]))
    return peaks


def peak_differences(one: RDF, other: RDF) -> dict[str, dict[str, float]]:
    """Position and height of the first peaks: `one` over `other`, minus one."""
    a, b = first_peaks(one), first_peaks(other)
    return {
        pair: {
            "position": a[pair][0] / b[pair][0] - 1,
            "height": a[pair][1] / b[pair][1] - 1,
        }
        for pair in a
    }


def rms_difference(one: RDF, other: RDF) -> float:
    """Root mean square of the difference of g over all pairs and distances."""
    return float(np.sqrt(np.mean((one.mean - other.mean) ** 2)))
