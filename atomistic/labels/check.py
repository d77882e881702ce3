"""Whether what an oracle returns is energy and its slope, in the units of ASE."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from ...core.errors import InputError
from ..named_oracle import OracleSpec
from ..potential.consistency import FACTORS
from ..potential.stress_units import UNITS
from .crews import Alone, Crew, Processes
from .work import Answer, Job

#: Displacement along the forces (A, of all atoms together) and strain; how far slopes may
#: be off, and those of the double step from them.
STEP, STRAIN, ALLOWED, SMOOTH = 0.01, 2e-3, 0.02, 0.02
#: How far a factor may be from that of a unit.
NEAR = 0.03


@dataclass(frozen=True)
class Checked:
    """Slopes of the energy over what forces and stress (``None`` without) say."""

    forces: float
    stress: float | None


def check_oracle(
    oracle: OracleSpec, atoms: Atoms, timeout: float | None = None
) -> Checked:
    """Refuse an oracle whose forces, or stress, are not what its energies say.

    Central differences along the forces, and along the stress if there is one, with two
    steps each: eight labels at most, none of them kept. Energies and forces that are both
    in kcal/mol pass: they belong together.

    Parameters
    ----------
    oracle
        As of `Labeller`.
    atoms
        Not at rest: forces must tell.
    timeout
        As of `Labeller`.

    Raises
    ------
    InputError
        Tells the factor and what may explain it; when nothing can be told of these atoms;
        when the oracle fails.
    """
    crew: Crew = Processes(oracle, 1, timeout) if timeout else Alone(oracle, {})

    def label(x: Atoms) -> dict:
        crew.start(Job("", x, ""))
        answers: list[Answer] = []
        while not answers:
            answers = [answer for _, answer in crew.finished()]
        if answers[0].fatal is not None:
            raise answers[0].fatal
        if answers[0].results is None:
            raise InputError(
                f"{oracle.name} gives no label", wanted="energy and forces",
                got=answers[0].reason, mend="try it in Python on such a structure",
            )  # fmt: skip
        return answers[0].results

    def energy(x: Atoms) -> float:
        return label(x)["energy"]

    with closing(crew):
        first = label(atoms)
        found = _forces(oracle.name, atoms, first["forces"], energy)
        if "stress" not in first:
            return Checked(found, None)
        stress = voigt_6_to_full_3x3_stress(first["stress"])
        return Checked(found, _stress(oracle.name, atoms, stress, energy))


def _forces(name: str, atoms: Atoms, forces: np.ndarray, energy: Callable) -> float:
    size = float(np.linalg.norm(forces))

    def moved(step: float) -> Atoms:
        x = atoms.copy()
        x.positions += step * forces / size
        return x

    slope = -_slope(name, "forces", size, lambda h: energy(moved(h)), STEP) / size
    if abs(slope - 1) > ALLOWED:
        raise InputError(
            f"{name}: forces are not the slope of the energy: "
            + _nearest(FACTORS, slope, f"a factor of {slope:.4g}"),
            wanted="eV and eV/A: a factor of one",
            got=f"{slope:.4g}, one over {1 / slope:.4g}" if slope else "0",
            mend="convert the calculator's results to eV and eV/A",
        )  # fmt: skip
    return slope


def _stress(name: str, atoms: Atoms, stress: np.ndarray, energy: Callable) -> float:
    size, volume = float(np.linalg.norm(stress)), atoms.get_volume()

    def strained(step: float) -> Atoms:
        x = atoms.copy()
        x.set_cell(atoms.cell @ (np.eye(3) + step * stress / size), scale_atoms=True)
        return x

    along = volume * size
    slope = _slope(name, "stress", size, lambda h: energy(strained(h)), STRAIN) / along
    if abs(slope - 1) > ALLOWED:
        sign = "" if slope > 0 else ", compression positive"
        near = {abs(slope) * f: f"in {unit}{sign}" for unit, f in UNITS.items()}
        raise InputError(
            f"{name}: stress is not what the energy of strained cells says: "
            + _nearest(near, 1.0, "another unit or order"),
            wanted="eV/A^3, tension positive, Voigt order: a factor of one",
            got=f"{slope:.4g}", mend="convert the calculator's stress",
        )  # fmt: skip
    return slope


def _nearest(names: Mapping[float, str], value: float, otherwise: str) -> str:
    """What a number within a few percent of the value means."""
    return next((n for f, n in names.items() if abs(value / f - 1) < NEAR), otherwise)


def _slope(name: str, what: str, size: float, energy: Callable, step: float) -> float:
    """Central difference with a step and its double."""
    mend = f"give atoms with larger {what}: displace or strain them"
    if not size > 0:
        raise InputError(f"{name}: nothing to tell units from", wanted=what, got="zeros",
                         mend=mend)  # fmt: skip
    fine, coarse = ((energy(h) - energy(-h)) / (2 * h) for h in (step, 2 * step))
    if abs(coarse - fine) > SMOOTH * abs(fine):
        raise InputError(
            f"{name}: energies are too rough to tell units of {what} from",
            wanted=f"the same slope with steps of {step} and {2 * step}",
            got=f"{fine:.5g} and {coarse:.5g}", mend=mend,
        )  # fmt: skip
    return (4 * fine - coarse) / 3
