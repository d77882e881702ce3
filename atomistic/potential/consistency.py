"""Whether energies, forces, stress and lengths of a data set are in one set of units.

A potential of pairs and triplets that is linear in its coefficients is fitted to the
forces alone. What it says of energies must then go along with the labels with a slope of
one; a hartree, a kcal/mol or a bohr among eV and A shows as its factor. The slope is
that of predictions on labels, as the error is in the predictions. Frames are compared
within one group, and what goes with the shape of the cell is taken out: forces say
little of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from ase.data import atomic_numbers, covalent_radii

from ...core.errors import InputError
from ...core.units import ANGSTROM, EV
from .data import Frame, load_frames
from .linear import columns
from .stress_units import check_stress

#: A; most atoms and frames that are looked at, and atoms at a time.
CUTOFF, ATOMS, FRAMES, AT_ONCE = 5.0, 4000, 120, 200
RIDGE = 1e-8

HARTREE, KCAL, KJ, BOHR = 27.211386, 23.060548, 96.485332, 0.529177
#: What the energies are too large by, beside forces times lengths, and what that tells.
FACTORS = {
    1 / HARTREE: "energies in hartree beside forces in eV/A",
    KJ / KCAL: "energies in kJ/mol beside forces in kcal/mol/A",
    HARTREE: "forces in hartree/A beside energies in eV",
    KCAL: "energies in kcal/mol beside forces in eV/A",
    1 / KCAL: "forces in kcal/mol/A beside energies in eV",
    KJ: "energies in kJ/mol beside forces in eV/A",
    1 / KJ: "forces in kJ/mol/A beside energies in eV",
    HARTREE / BOHR: "forces in hartree/bohr beside energies in eV",
    BOHR: "lengths in bohr beside energies in eV and forces in eV/A",
    1 / BOHR: "forces in hartree/bohr (or eV/bohr) beside energies in hartree (or eV) "
    "and lengths in A",
    -1.0: "gradients in place of forces (the sign)",
}
#: Slopes between these are no reason to complain (a fit that misses soft modes finds too
#: little energy, so the error is to one side), nor are those that are less certain.
ALLOWED, UNCERTAIN = (0.72, 1.65), 0.15
#: Frames of smaller forces, beside the root mean square of all, say little of energies.
STILL = 0.2
#: Slopes beside a factor that it may explain.
EXPLAINED = (0.8, 1.55)
#: Median distance of nearest atoms over the sum of covalent radii that no matter has; A
#: and frames to look for them in.
TOO_FAR, FAR, FEW = 1.6, 8.0, 4


@dataclass(frozen=True)
class Consistency:
    """What energies say of forces.

    Attributes
    ----------
    slope, error
        Of energies on what forces say of them, one standard error.
    explained
        Part of the mean squared force that the pair potential gives.
    frames
        Number of frames that were used, beyond the constants that were fitted to them.
    """

    slope: float
    error: float
    explained: float
    frames: int

    @property
    def certain(self) -> bool:
        """Whether the slope tells anything."""
        return self.error < UNCERTAIN * abs(self.slope)

    @property
    def allowed(self) -> bool:
        """Whether the slope, within two standard errors, is no reason to complain."""
        low, high = self.slope - 2 * self.error, self.slope + 2 * self.error
        return low < ALLOWED[1] and high > ALLOWED[0]


def check_units(sets: Sequence[xr.Dataset]) -> Consistency | None:
    """Refuse energies, forces, stress and lengths that are not in one set of units.

    Parameters
    ----------
    sets
        `frames/1` with energies.

    Returns
    -------
    Consistency or None
        ``None`` when there are too few frames to tell.

    Raises
    ------
    InputError
        Names the unit that would explain the data.
    """
    mend = (
        "convert the file to eV, eV/A and A (delta-learned or otherwise unusual labels: "
        "check_units = false)"
    )
    distance = nearest_distance(sets)
    if distance is not None and distance > TOO_FAR:
        raise InputError(
            "atoms are too far apart: lengths in bohr", got=f"{distance:.2f} times that",
            wanted="nearest atoms about as far apart as their covalent radii say",
            mend=mend,
        )  # fmt: skip
    found = compare(sets)
    if found is not None and found.certain and not found.allowed:
        raise InputError(
            f"energies and forces do not belong together: {_named(found.slope)}",
            wanted="energies that follow from the forces with a factor of one",
            got=f"{found.slope:.3g} +- {found.error:.2g} from {found.frames} frames",
            mend=mend,
        )  # fmt: skip
    _check_stress([ds for ds in sets if "stress" in ds])
    return found


def _check_stress(sets: Sequence[xr.Dataset]) -> None:
    names = sorted({str(s) for ds in sets for s in ds["species"].values})
    frames = load_frames(_chosen(list(sets)), names, CUTOFF)
    if frames and (fit := _fitted(frames, len(names))) is not None:
        check_stress(frames, fit[0], len(names), CUTOFF)


def _named(slope: float) -> str:
    """What may explain a slope, the nearest first."""
    low, high = EXPLAINED
    near = [f for f in FACTORS if low < slope / f < high]
    if not near:
        return f"a factor of {slope:.3g} between them"
    near.sort(key=lambda f: abs(np.log(slope / f)))
    return ", or ".join(FACTORS[f] for f in near)


def compare(sets: Sequence[xr.Dataset]) -> Consistency | None:
    """Slope of the energies on what a potential fitted to the forces predicts."""
    names = sorted({str(s) for ds in sets for s in ds["species"].values})
    sets = _chosen([ds for ds in sets if ds.sizes["atom"] > 1])
    if not sets:
        return None
    fit = _fitted(load_frames(sets, names, CUTOFF), len(names))
    if fit is None:
        return None
    c, energies, explained = fit
    x, y, free = _within_groups(sets, energies @ c)
    if free < 6 or not x @ x > 0 or not abs(x @ y) > 0:
        return None
    slope = float((y @ y) / (x @ y))
    correlation = (x @ y) / np.sqrt((x @ x) * (y @ y))
    error = abs(slope) * float(np.sqrt(max(0.0, 1 / correlation**2 - 1) / free))
    return Consistency(slope, error, explained, free)


def _fitted(
    frames: list[Frame], n_species: int
) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Coefficients that give the forces best, columns of energies (F, M), part explained.

    ``None`` where nothing acts.
    """
    energies, power = [], 0.0
    normal: np.ndarray | float = 0.0
    right = np.zeros(1)
    for some in _batches(frames):
        of_energy, of_forces = columns(some, n_species, CUTOFF)
        forces = np.concatenate([f.forces for f in some]).ravel()
        energies.append(of_energy)
        normal = normal + of_forces.T @ of_forces
        right = right + of_forces.T @ forces
        power += forces @ forces
    if not np.trace(normal) > 0:
        return None
    ridge = RIDGE * np.trace(normal) / len(right) * np.eye(len(right))
    c = np.linalg.solve(normal + ridge, right)
    explained = float((2 * c @ right - c @ normal @ c) / power)
    return c, np.concatenate(energies), explained


def _chosen(sets: list[xr.Dataset]) -> list[xr.Dataset]:
    """Some frames of each set, evenly spread, but for those at rest."""
    square = [(ds["forces"].values ** 2).mean((1, 2)) for ds in sets]
    if not sets or not np.concatenate(square).any():
        return []
    limit = STILL**2 * np.concatenate(square).mean()
    moving = [ds.isel(frame=s > limit) for ds, s in zip(sets, square, strict=True)]
    moving = [ds for ds in moving if ds.sizes["frame"]]
    frames = sum(ds.sizes["frame"] for ds in moving)
    atoms = sum(ds.sizes["frame"] * ds.sizes["atom"] for ds in moving)
    every = max(1, round(atoms / ATOMS), round(frames / FRAMES))
    return [ds.isel(frame=slice(None, None, every)) for ds in moving]


def _batches(frames: list[Frame]) -> Iterator[list[Frame]]:
    start = 0
    while start < len(frames):
        stop = start + max(1, AT_ONCE // len(frames[start].species))
        yield frames[start:stop]
        start = stop


def nearest_distance(sets: Sequence[xr.Dataset]) -> float | None:
    """Median distance of nearest atoms over the sum of their covalent radii.

    ``None`` where there are no pairs, or noble gases only.
    """
    names = sorted({str(s) for ds in sets for s in ds["species"].values})
    radii, found = np.array([_radius(name) for name in names]), [np.empty(0)]
    for f in load_frames([ds.isel(frame=slice(0, FEW)) for ds in sets], names, FAR):
        r = np.sqrt((f.vectors**2).sum(-1))
        r[r >= FAR] = np.inf
        sums = radii[f.species][:, None] + radii[f.species[f.list.index]]
        found.append(np.min(r / sums, axis=1))
    each = np.concatenate(found)
    each = each[np.isfinite(each)]
    return float(np.median(each)) if len(each) else None


def _radius(name: str) -> float:
    """Covalent radius, A; NaN for noble gases, which are no nearer than van der Waals."""
    if name in ("He", "Ne", "Ar", "Kr", "Xe", "Rn"):
        return np.nan
    return float(covalent_radii[atomic_numbers.get(name, 0)])


def _within_groups(sets, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Predicted and labelled energies about what group and cell explain; and how many."""
    xs, ys, free, start = [], [], 0, 0
    for ds in sets:
        n = ds.sizes["frame"]
        x, y = predicted[start : start + n], ds["energy"].values / EV
        start += n
        groups = ds["group"].values if "group" in ds else np.zeros(n)
        boxes = ds["box"].values / ANGSTROM
        metric = np.einsum("fij,fkj->fik", boxes, boxes).reshape(n, 9)
        for group in set(groups):
            rows = groups == group
            known = np.column_stack([np.ones(rows.sum()), metric[rows]])
            known[:, 1:] -= known[:, 1:].mean(0)
            basis, size, _ = np.linalg.svd(known, full_matrices=False)
            basis = basis[:, size > 1e-6 * size[0]]
            xs.append(x[rows] - basis @ (basis.T @ x[rows]))
            ys.append(y[rows] - basis @ (basis.T @ y[rows]))
            free += int(rows.sum()) - basis.shape[1]
    return np.concatenate(xs), np.concatenate(ys), free
