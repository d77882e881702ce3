"""Making one label, wherever that is: here, in a process beside, or on a cluster."""

from __future__ import annotations

import platform
import threading
import time
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator

from ...core.errors import InputError, MesobridgeError
from ...core.process import cpu_seconds
from ...core.provenance import processor, version_of
from ..named_oracle import OracleSpec
from ..oracle import gives_stress


@dataclass(frozen=True)
class Job:
    """A configuration to be labelled; settings are those of the oracle, canonical."""

    key: str
    atoms: Atoms
    settings: str
    fresh: bool = False


@dataclass(frozen=True)
class Answer:
    """What came of it: results (ASE's units), or a reason why there are none.

    Attributes
    ----------
    hopeless
        Another attempt would fail as well.
    fatal
        The oracle itself cannot be made.
    """

    results: dict | None = None
    reason: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    versions: dict = field(default_factory=dict)
    hopeless: bool = False
    fatal: MesobridgeError | None = None


#: Calculators of this thread of an executor, by their settings.
_local = threading.local()


def work(oracle: OracleSpec, job: Job, made: dict | None = None, begun=None) -> Answer:
    """Make a label.

    Parameters
    ----------
    made
        Keeps the calculator for the next label, which then starts warm (unless the job
        asks for a fresh one); ``None`` keeps it with the thread.
    begun
        Called when the calculator is there.
    """
    if made is None:
        made = _local.__dict__.setdefault("made", {})
    try:
        if job.fresh:
            made.pop(job.settings, None)
        if job.settings not in made:
            made[job.settings] = oracle()
    except MesobridgeError as exc:
        return Answer(fatal=exc)
    except Exception as exc:  # the user's code raises what it likes
        return Answer(fatal=InputError(
            f"the oracle {oracle.name} cannot be made", wanted="an ASE calculator",
            got=f"{type(exc).__name__}: {exc}", mend="try it in Python",
        ))  # fmt: skip
    if begun is not None:
        begun()
    calculator = made[job.settings]
    cpu, wall = cpu_seconds(), time.perf_counter()
    results, reason, hopeless = None, "", False
    try:
        results = _results(calculator, job.atoms)
    except InputError as exc:
        reason, hopeless = str(exc), True
    except MesobridgeError as exc:
        reason = str(exc)
    except Exception as exc:  # calculators raise what they like
        reason = f"{type(exc).__name__}: {exc}"
    if results is None and not hopeless:
        del made[job.settings]  # what it was left in is not known
    return Answer(
        results, reason, cpu_seconds() - cpu, time.perf_counter() - wall,
        _versions(oracle, calculator), hopeless,
    )  # fmt: skip


def _results(calculator: Calculator, atoms: Atoms) -> dict:
    """Energy that the forces follow, forces and, if there is, stress."""
    results = {}
    if atoms.pbc.all() and gives_stress(calculator):  # first: one calculation for all
        results["stress"] = np.array(calculator.get_stress(atoms), dtype=float)
    results["forces"] = np.array(calculator.get_forces(atoms), dtype=float)
    # Smeared electrons: forces are slopes of the free energy.
    free = "free_energy" in getattr(calculator, "implemented_properties", ())
    name = "free_energy" if free else "energy"
    results["energy"] = np.array(calculator.get_property(name, atoms), dtype=float)
    shapes = {"energy": (), "forces": (len(atoms), 3), "stress": (6,)}
    for name, value in results.items():
        if value.shape != shapes[name]:
            raise ValueError(f"{name} of shape {value.shape}, not {shapes[name]}")
        if not np.isfinite(value).all():
            raise ValueError(f"{name} is NaN or infinite")
    return results


def _versions(oracle: OracleSpec, calculator: Calculator) -> dict:
    names = ("mesobridge", "numpy", *oracle.packages)
    found = {"python": platform.python_version(), "processor": processor()}
    return found | {n: version_of(n) for n in names} | getattr(calculator, "software", {})
