"""The oracle: whatever gives reference energies and forces. Any ASE calculator is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import xarray as xr
from ase import Atoms
from ase.stress import voigt_6_to_full_3x3_stress

from ..core.errors import InputError, SchemaError
from ..core.schema import dataset
from ..core.units import ANGSTROM, EV

#: Keys of `Atoms.info` that may give a frame's total charge (e).
TOTAL_CHARGE = ("total_charge", "charge")


@runtime_checkable
class Oracle(Protocol):
    """What labelling asks of a reference method (units of ASE: eV, A).

    Every ASE calculator satisfies it: DFT codes, GFN2-xTB, MACE, or the Fumi-Tosi model
    of `mesobridge.atomistic.fumi_tosi`.
    """

    def get_potential_energy(self, atoms: Atoms) -> float:
        """Energy, eV."""

    def get_forces(self, atoms: Atoms) -> np.ndarray:
        """Forces, shape (n, 3), eV/A."""

    def get_stress(self, atoms: Atoms) -> np.ndarray:
        """Stress, Voigt order, shape (6,), eV/A^3, tension positive."""


def gives_stress(oracle: Oracle) -> bool:
    """Whether a calculator can be asked for stress."""
    return "stress" in getattr(oracle, "implemented_properties", ("stress",))


def total_charge(info: Mapping) -> float:
    """Total charge (e) that `Atoms.info` gives, zero where it gives none.

    Raises
    ------
    InputError
        When it is no number.
    """
    value = next((info[key] for key in TOTAL_CHARGE if key in info), 0.0)
    try:
        charge = float(value)
    except (TypeError, ValueError):
        charge = np.nan
    if not np.isfinite(charge):
        raise InputError("total charge of the atoms", wanted="a number (e)",
                         got=repr(value), mend="mend atoms.info")  # fmt: skip
    return charge


def checked_charge(atoms: Atoms, charge: float, oracle: str) -> None:
    """Refuse atoms that say another total charge (e) than an oracle was made for.

    Raises
    ------
    InputError
    """
    said = any(key in atoms.info for key in TOTAL_CHARGE)
    if said and total_charge(atoms.info) != charge:
        raise InputError(
            f"{oracle} was made for another total charge", wanted=f"{charge:g} e",
            got=f"{total_charge(atoms.info):g} e in the info of the atoms",
            mend="give the oracle the charge of the frames; one oracle for each charge",
        )  # fmt: skip


def frame_atoms(frames: xr.Dataset, index: int) -> Atoms:
    """One frame as ASE atoms (A).

    The attributes ``pbc`` ("TTT", "TTF") and ``charge_number`` are honoured.
    """
    charge = frames.attrs.get("charge_number")
    return Atoms(
        info={} if charge is None else {TOTAL_CHARGE[0]: float(charge)},
        symbols=list(frames["species"].values),
        positions=frames["positions"].values[index] / ANGSTROM,
        cell=frames["box"].values[index] / ANGSTROM,
        pbc=[flag == "T" for flag in frames.attrs.get("pbc", "TTT")],
    )


def label(
    frames: xr.Dataset,
    oracle: Oracle,
    *,
    source: str,
    stress: bool = True,
    progress: Callable[[float, float, str], None] | None = None,
) -> xr.Dataset:
    """Energies, forces and, for fully periodic frames, stress (if it has one).

    Parameters
    ----------
    frames
        `frames/1`; its own forces are replaced.
    oracle
        Any ASE calculator.
    source
        Name of the reference, kept in the data set.
    stress
        Whether it is wanted: some oracles take long over it.

    Returns
    -------
    xarray.Dataset
        `frames/1` with the oracle's labels.

    Raises
    ------
    SchemaError
        When the oracle returns a number that is not finite.
    """
    n = frames.sizes["frame"]
    periodic = stress and frames.attrs.get("pbc", "TTT") == "TTT"
    periodic = periodic and gives_stress(oracle)
    energy, forces = np.empty(n), np.empty(frames["positions"].shape)
    tension = np.empty((n, 3, 3))
    for i in range(n):
        atoms = frame_atoms(frames, i)
        if periodic:  # first: one calculation then serves all three
            tension[i] = voigt_6_to_full_3x3_stress(oracle.get_stress(atoms))
        energy[i] = oracle.get_potential_energy(atoms)
        forces[i] = oracle.get_forces(atoms)
        if not (np.isfinite(energy[i]) and np.isfinite(forces[i]).all()):
            raise SchemaError(
                f"{source}: the label of frame {i} is not finite",
                wanted="finite energy and forces", got="NaN or infinity",
                mend="look at that frame; sample without it",
            )  # fmt: skip
        if progress is not None:
            progress(i + 1, n, source)
    values = {
        k: frames[k].values for k in ("positions", "box", "species", "mass", "time")
    }
    values |= {"energy": energy * EV, "forces": forces * EV / ANGSTROM}
    if periodic:
        values["stress"] = tension * EV / ANGSTROM**3
    return dataset("frames/1", values, {**frames.attrs, "source": source})


def residual(labels: xr.Dataset, baseline: xr.Dataset) -> xr.Dataset:
    """What is left of `labels` after `baseline` (both `frames/1`, same frames).

    The name of the baseline and its energies stay with the frames, for the potential
    that learns from them.

    Raises
    ------
    SchemaError
        When the frames differ, are a residual already, or the baseline lacks a label.
    """
    if not np.array_equal(labels["positions"].values, baseline["positions"].values):
        raise SchemaError(
            "labels and baseline belong to different frames",
            wanted="the same positions", got="others",
            mend="label both from one set of frames",
        )  # fmt: skip
    if "baseline_energy" in labels:
        raise SchemaError(
            "a baseline was subtracted from these labels before",
            wanted="one baseline", got=labels.attrs.get("baseline", "several"),
            mend="add the calculators (ase.calculators.mixing.SumCalculator)",
        )  # fmt: skip
    left = labels.copy()
    for key in ("energy", "forces", "stress"):
        if key not in labels:
            continue
        if key not in baseline:
            raise SchemaError(
                f"the baseline has no {key}", wanted=f"{key}, as the labels have",
                got=", ".join(map(str, baseline.data_vars)),
                mend=f"drop {key} from the labels, or take another baseline",
            )  # fmt: skip
        left[key] = labels[key] - baseline[key]
        left[key].attrs = labels[key].attrs
    left["baseline_energy"] = baseline["energy"]
    left.attrs["baseline"] = baseline.attrs["source"]
    left.attrs["source"] = f"{labels.attrs['source']} - {baseline.attrs['source']}"
    return left
