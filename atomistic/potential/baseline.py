"""Delta-learning: a baseline subtracted in training, and added in use.

A potential learns what is left of labels after any ASE calculator: GFN2-xTB, an OpenMM
system, the repulsion of cores, a pair potential, another potential. Its file keeps the
baseline's energy of one training frame, and whoever uses the file must bring a baseline
that gives this energy.

Source: Ramakrishnan et al. 2015, doi:10.1021/acs.jctc.5b00099.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import xarray as xr

from ...core.errors import SchemaError
from ...core.units import EV
from ..oracle import Oracle, frame_atoms, label, residual, total_charge
from .evaluation import CalculatorPotential

#: ``"engine"``: the program that moves the atoms adds the baseline itself.
Baseline = Oracle | Callable[[], Oracle] | Literal["engine"] | None

#: Two baselines are the same within this of the energy of the frame that is kept (eV).
TOLERANCE, RELATIVE = 1e-3, 1e-6


def without_baseline(labels: xr.Dataset, baseline: Oracle, *, source: str) -> xr.Dataset:
    """What is left of labelled frames (`frames/1`) after a baseline.

    Parameters
    ----------
    labels
        With energies.
    baseline
        Any ASE calculator.
    source
        Its name, for the files.
    """
    return residual(labels, label(labels, baseline, source=source))


def baseline_record(sets: Sequence[xr.Dataset]) -> dict | None:
    """What a potential's file says of the baseline of its training frames.

    Raises
    ------
    SchemaError
        When the sets have different baselines.
    """
    names = {ds.attrs.get("baseline") for ds in sets}
    mixed = None in names and any("baseline_energy" in ds for ds in sets)
    if len(names) > 1 or mixed:
        raise SchemaError(
            "training frames with different baselines", wanted="one baseline",
            got=", ".join(map(str, names)), mend="subtract the same baseline from all",
        )  # fmt: skip
    if names <= {None}:
        return None
    atoms, energy = frame_atoms(sets[0], 0), sets[0]["baseline_energy"].values[0] / EV
    return {
        "source": names.pop(),
        "species": list(atoms.symbols),
        "positions": atoms.positions.tolist(),
        "box": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "charge": total_charge(atoms.info),
        "energy": float(energy),
    }


def checked_baseline(
    record: Mapping | None, baseline: Baseline, path: object
) -> CalculatorPotential | None:
    """The baseline a user gave for a file, when it is the one the file was trained with.

    Raises
    ------
    SchemaError
        When one is missing, not wanted, or another one.
    """
    if record is None:
        if baseline is not None:
            raise SchemaError(
                f"{path} was trained without a baseline", wanted="baseline=None",
                got=str(baseline), mend="leave the baseline out",
            )  # fmt: skip
        return None
    if baseline is None:
        raise SchemaError(
            f"{path} is only what is left after a baseline", wanted=record["source"],
            got="no baseline",
            mend='give baseline=CALCULATOR, or "engine" where the MD engine adds it',
        )  # fmt: skip
    if baseline == "engine":
        return None
    given = CalculatorPotential(baseline)
    probe = (np.array(record["positions"]), record["species"], np.array(record["box"]))
    more = record["pbc"], record.get("charge", 0.0)
    found = given.evaluate(*probe, *more, stress=False).energy
    wanted = record["energy"]
    if not abs(found - wanted) <= TOLERANCE + RELATIVE * abs(wanted):
        raise SchemaError(
            f"{path}: another baseline than that of its training",
            wanted=f"{record['source']}, {wanted:.4f} eV for the first training frame",
            got=f"{found:.4f} eV", mend="give the calculator it was trained with",
        )  # fmt: skip
    return given
