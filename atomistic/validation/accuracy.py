"""Errors of energies, forces and stress on labelled frames, by group and element."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError
from ase.stress import voigt_6_to_full_3x3_stress
from ase.units import GPa

from ...core.errors import InputError
from ...core.stats import bootstrap_weights, estimate
from .labels import GROUP

Progress = Callable[[float, float, str], None]

UNITS = {"energy": "meV/atom", "forces": "meV/A", "stress": "GPa"}
REPLICATES = 400
#: Points of a parity plot.
SHOWN = 4000


@dataclass(frozen=True)
class Accuracy:
    """Errors and what they were made of.

    Attributes
    ----------
    rows
        ``quantity`` (``energy``, ``forces``, ``stress``), ``unit``, ``group``,
        ``element`` (``None``: all), ``frames``, ``rmse``, ``mae`` and, of energies, the
        ``rmse_centred`` about the mean error, all with 95 % intervals over frames, and
        the ``rms`` of the reference.
    parity
        Per quantity ``reference`` and ``predicted`` (eV/atom, eV/A, GPa) and
        ``element``: an even choice of points.
    """

    rows: tuple[dict, ...]
    parity: dict[str, dict[str, list]]


@dataclass(frozen=True)
class _Pair:
    """Reference and prediction of one quantity of one frame, in the units of reports."""

    frame: int
    quantity: str
    group: str
    element: str | None
    reference: np.ndarray
    predicted: np.ndarray


def accuracy(
    calculator: Calculator,
    frames: Sequence[Atoms],
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> Accuracy:
    """Compare a calculator with labels.

    Parameters
    ----------
    calculator
        Any ASE calculator.
    frames
        With labels in their calculators, as ASE reads them from extxyz; the group of a
        frame is its ``info["config_type"]``.
    seed
        Of the bootstrap over frames.
    progress
        Called with (frames done, frames, text).

    Raises
    ------
    InputError
        When no frame is labelled.
    """
    pairs: list[_Pair] = []
    for i, atoms in enumerate(frames):
        pairs.extend(_compare(calculator, atoms, i))
        if progress is not None:
            progress(i + 1, len(frames), "errors on labelled frames")
    if not pairs:
        raise InputError(
            "no labels to compare with", wanted="frames with energies, forces or stress",
            got=f"{len(frames)} frames without", mend="label them, or leave --data out",
        )  # fmt: skip
    rows = tuple(_rows(pairs, seed))
    return Accuracy(rows, {q: _parity(pairs, q) for q in UNITS if _of(pairs, q)})


def _compare(calculator: Calculator, labelled: Atoms, i: int) -> Iterator[_Pair]:
    labels = labelled.calc.results if labelled.calc is not None else {}
    group = str(labelled.info.get(GROUP, "all"))
    atoms = labelled.copy()
    atoms.calc = calculator
    if labels.get("stress") is not None and atoms.pbc.all():
        try:
            there = atoms.get_stress(voigt=False) / GPa
        except PropertyNotImplementedError:
            there = None
        if there is not None:
            reference = voigt_6_to_full_3x3_stress(labels["stress"]) / GPa
            yield _Pair(i, "stress", group, None, reference.ravel(), there.ravel())
    if labels.get("energy") is not None:
        here = np.array([labels["energy"], atoms.get_potential_energy()]) / len(atoms)
        yield _Pair(i, "energy", group, None, 1e3 * here[:1], 1e3 * here[1:])
    if labels.get("forces") is not None:
        reference, there = np.asarray(labels["forces"]), atoms.get_forces()
        symbols = np.array(atoms.get_chemical_symbols())
        for element in sorted(set(symbols)):
            of = symbols == element
            yield _Pair(
                i, "forces", group, element,
                1e3 * reference[of].ravel(), 1e3 * there[of].ravel(),
            )  # fmt: skip


def _of(pairs: Sequence[_Pair], quantity: str) -> list[_Pair]:
    return [p for p in pairs if p.quantity == quantity]


def _rows(pairs: Sequence[_Pair], seed: int) -> Iterator[dict]:
    for quantity in (q for q in UNITS if _of(pairs, q)):
        of = _of(pairs, quantity)
        groups = sorted({p.group for p in of})
        elements = sorted({p.element for p in of if p.element})
        for group in ("all", *(groups if len(groups) > 1 else ())):
            here = [p for p in of if group in ("all", p.group)]
            yield _row(here, quantity, group, None, seed)
            for element in elements if len(elements) > 1 else ():
                part = [p for p in here if p.element == element]
                if part:
                    yield _row(part, quantity, group, element, seed)


def _row(pairs, quantity, group, element, seed) -> dict:
    """RMSE and MAE of pairs of reference and prediction, resampled by frame."""
    # Forces of one frame come in one pair an element: kept together in the bootstrap.
    frames: dict[int, int] = {}
    place = [frames.setdefault(p.frame, len(frames)) for p in pairs]
    sums = np.zeros((len(frames), 5))
    for row, p in zip(place, pairs, strict=True):
        d = p.predicted - p.reference
        sums[row] += (d @ d, np.abs(d).sum(), d.sum(), p.reference @ p.reference, d.size)
    weighted = bootstrap_weights(len(frames), REPLICATES, seed) @ sums
    square, absolute, mean, reference, _ = (weighted / weighted[:, -1:]).T
    errors = {
        "quantity": quantity, "unit": UNITS[quantity], "group": group,
        "element": element, "frames": len(frames), "rms": float(np.sqrt(reference[0])),
        "rmse": _with_interval(np.sqrt(square), len(frames)),
        "mae": _with_interval(absolute, len(frames)),
    }  # fmt: skip
    if quantity == "energy" and len(frames) > 1:
        centred = np.sqrt(np.maximum(square - mean**2, 0))
        errors["rmse_centred"] = _with_interval(centred, len(frames))
    return errors


def _with_interval(replicates: np.ndarray, frames: int) -> dict:
    if frames < 2:  # nothing to resample
        return {"value": float(replicates[0]), "ci95": None}
    found = estimate(replicates, frames)
    found["ci95"][0] = max(0.0, found["ci95"][0])
    return found


def _parity(pairs: Sequence[_Pair], quantity: str) -> dict[str, list]:
    of = _of(pairs, quantity)
    reference = np.concatenate([p.reference for p in of])
    predicted = np.concatenate([p.predicted for p in of])
    element = np.repeat([p.element or "" for p in of], [p.reference.size for p in of])
    chosen = np.linspace(0, len(reference) - 1, min(SHOWN, len(reference))).astype(int)
    scale = 1.0 if quantity == "stress" else 1e-3
    return {
        "reference": (scale * reference[chosen]).tolist(),
        "predicted": (scale * predicted[chosen]).tolist(),
        "element": element[chosen].tolist(),
    }
