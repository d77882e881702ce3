"""Parts of a validation that need no dynamics: figures, verdicts, curves for plots.

A part is a dictionary of plain values: ``figures``, ``checks`` and ``curves``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

from ase import Atoms

from ...core.errors import StageError
from ..potential.predictions import error_table
from .accuracy import predict_with, shown
from .checks import Check, at_least, at_most
from .consistency import consistency
from .elastic import elastic_constants
from .equation_of_state import equation_of_state
from .phonons import phonons
from .subject import Subject

Progress = Callable[[float, float, str], None]

#: Limits of the verdicts.
FORCE_ERROR, STRESS_ERROR, STRESS_FLOOR = 0.01, 0.01, 0.01  # 1, 1, GPa
ELASTIC_ERROR, IMAGINARY = 0.01, -0.05  # 1, THz


def part(figures: dict, checks: Sequence[Check] = (), curves: dict | None = None) -> dict:
    """A part as it is stored."""
    return {
        "figures": figures,
        "checks": [c.as_json() for c in checks],
        "curves": curves or {},
    }


def failed_part(name: str, error: StageError) -> dict:
    """A part that the potential could not finish."""
    check = Check(name, math.nan, "1", error.wanted, False, f"{error.what}: {error.got}")
    return part({}, [check])


def error_part(subject: Subject, frames: Sequence[Atoms], progress: Progress) -> dict:
    """Errors on labelled frames."""
    found = predict_with(subject.used, frames, progress)
    return part({"rows": error_table(found)}, (), {"parity": shown(found)})


def derivative_part(
    subject: Subject, frames: Sequence[Atoms], progress: Progress
) -> dict:
    """Forces and stress against differences of the energy."""
    found = consistency(subject.exact, frames, progress=progress)
    name = "{} against differences of the energy".format
    checks = [at_most(name("forces"), found.force, "1", FORCE_ERROR)]
    if found.stress is not None and found.stress_scale is not None:
        limit = max(STRESS_FLOOR, STRESS_ERROR * found.stress_scale)
        checks.append(
            at_most(
                "stress against differences of the energy", found.stress, "GPa", limit
            )
        )
    figures = {"force_error": found.force, "stress_error_GPa": found.stress}
    return part(figures, checks)


def elastic_part(subject: Subject, crystal: Atoms, progress: Progress) -> dict:
    """Elastic constants and stability."""
    found = elastic_constants(crystal, subject.exact, progress=progress)
    checks = (
        at_most(
            "elastic constants, stress against energy", found.disagreement, "1",
            ELASTIC_ERROR,
        ),
        at_least("smallest eigenvalue of C (Born)", found.stability, "GPa", 0.0),
    )  # fmt: skip
    figures = {
        "from_stress_GPa": found.from_stress.tolist(),
        "from_energy_GPa": found.from_energy.tolist(),
        "bulk_modulus_GPa": found.bulk_modulus, "cubic_GPa": found.cubic(),
        "density_kg_m3": found.density,
    }  # fmt: skip
    return part(figures, checks)


def state_part(subject: Subject, crystal: Atoms, progress: Progress) -> dict:
    """Equation of state."""
    found = equation_of_state(crystal, subject.exact, progress=progress)
    figures = {
        "volume_A3": found.volume, "energy_eV": found.energy,
        "bulk_modulus_GPa": found.bulk_modulus, "derivative": found.derivative,
        "residual_meV": found.residual,
    }  # fmt: skip
    curves = {
        "volumes": found.volumes.tolist(), "energies": found.energies.tolist(),
        "coefficients": found.coefficients.tolist(),
    }  # fmt: skip
    return part(figures, (), curves)


def phonon_part(subject: Subject, crystal: Atoms, progress: Progress) -> dict:
    """Phonons."""
    found = phonons(crystal, subject.exact, progress=progress)
    exact = at_least(
        "no imaginary modes: lowest of waves that fit into the supercell",
        found.lowest_fitting, "THz", IMAGINARY,
    )  # fmt: skip
    between = at_least("the same, interpolated", found.lowest, "THz", IMAGINARY)
    if exact.ok and not between.ok:
        between = replace(
            between, ok=None,
            note="forces reach beyond the supercell, or a larger one shows a mode",
        )  # fmt: skip
    checks = [exact, between]
    figures = {
        "lowest_THz": found.lowest, "highest_THz": float(found.bands.max()),
        "supercell": list(found.supercell),
    }  # fmt: skip
    curves = {
        "path": found.path.tolist(), "bands": found.bands.tolist(),
        "ticks": found.ticks.tolist(), "labels": list(found.labels),
        "dos_frequency": found.dos_frequency.tolist(), "dos": found.dos.tolist(),
    }  # fmt: skip
    return part(figures, checks, curves)
