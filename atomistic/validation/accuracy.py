"""What any ASE calculator says of labelled frames, beside the labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import GPa

from ...core.errors import InputError
from ..potential.predictions import Collected, Predictions
from .labels import GROUP

Progress = Callable[[float, float, str], None]

#: Points of a parity plot.
SHOWN = 4000


def predict_with(
    calculator: Calculator, frames: Sequence[Atoms], progress: Progress | None = None
) -> Predictions:
    """Labels and predictions of an ASE calculator.

    Parameters
    ----------
    calculator
        Any; stress, charges and dipoles are left out where it has none.
    frames
        With labels in their calculators, as ASE reads them from extxyz; the group of a
        frame is its ``info["config_type"]``.
    progress
        Called with (frames done, frames, text).

    Raises
    ------
    InputError
        When no frame is labelled.
    """
    collected = Collected()
    for i, atoms in enumerate(frames):
        _compare(collected, calculator, atoms, i)
        if progress is not None:
            progress(i + 1, len(frames), "errors on labelled frames")
    pairs = collected.pairs()
    if not pairs:
        raise InputError(
            "no labels to compare with", wanted="frames with energies, forces or stress",
            got=f"{len(frames)} frames without",
            mend="label them, say what labels are called (--label energy=REF_energy), "
            "or leave --data out",
        )  # fmt: skip
    group = np.array([str(atoms.info.get(GROUP, "all")) for atoms in frames])
    return Predictions(pairs, group, {})


def _compare(to: Collected, calculator: Calculator, labelled: Atoms, i: int) -> None:
    labels = labelled.calc.results if labelled.calc is not None else {}
    atoms, each = labelled.copy(), labelled.get_chemical_symbols()
    # Others depend on the origin, or have no volume.
    fits = {"stress": atoms.pbc.all(), "dipole": not atoms.pbc.any()}
    for name, quantity, unit, rows in (
        ("stress", "stress", GPa, [""]),  # first: one calculation then serves all
        ("energy", "energy", len(atoms), [""]),
        ("forces", "forces", 1.0, each),
        ("charges", "charge", 1.0, each),
        ("dipole", "dipole", 1.0, [""]),
    ):
        if labels.get(name) is None or not fits.get(name, True):
            continue
        try:
            there = calculator.get_property(name, atoms)
        except PropertyNotImplementedError:
            if name in ("energy", "forces"):
                raise
            continue
        label, there = np.asarray(labels[name]) / unit, np.asarray(there) / unit
        if name == "stress":
            label, there = _full(label), _full(there)
        to.add(quantity, i, label, there, rows)


def _full(stress: np.ndarray) -> np.ndarray:
    return stress if stress.ndim == 2 else voigt_6_to_full_3x3_stress(stress)


def shown(found: Predictions) -> dict[str, dict[str, list]]:
    """For parity plots: an even choice of points of each quantity."""
    points = {}
    for name, pairs in found.pairs.items():
        reference, predicted = pairs.values.reshape(2, -1)
        element = np.repeat(pairs.element, pairs.values.shape[2])
        n = len(reference)
        chosen = np.linspace(0, n - 1, min(SHOWN, n)).astype(int)
        points[name] = {
            "reference": reference[chosen].tolist(),
            "predicted": predicted[chosen].tolist(), "element": element[chosen].tolist(),
        }  # fmt: skip
    return points
