"""Delta-learning: a baseline subtracted in training, and added in use.

A potential learns what is left of labels after any ASE calculator: GFN2-xTB, an OpenMM
system, the repulsion of cores, a pair potential, another potential. Its file keeps the
baseline's energy of one training frame, and the baseline that is added in use must give
this energy. A `NamedBaseline` is kept too and made again from the file; any other must be
brought by whoever uses the file.

Source: Ramakrishnan et al. 2015, doi:10.1021/acs.jctc.5b00099.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import xarray as xr

from ...core.config import checked
from ...core.errors import SchemaError
from ...core.units import EV
from ..oracle import Oracle, frame_atoms, label, residual, total_charge
from .evaluation import CalculatorPotential
from .named import NamedBaseline

#: ``"engine"``: the program that moves the atoms adds the baseline itself.
Baseline = Oracle | Callable[[], Oracle] | Literal["engine"] | None

#: Two baselines are the same within this of the energy of the frame that is kept (eV).
TOLERANCE, RELATIVE = 1e-3, 1e-6


def without_baseline(
    labels: xr.Dataset, baseline: Oracle | NamedBaseline, *, source: str = ""
) -> xr.Dataset:
    """What is left of labelled frames (`frames/1`) after a baseline.

    Parameters
    ----------
    labels
        With energies.
    baseline
        Any ASE calculator, or a named one, which potentials will make by themselves.
    source
        Name of the calculator, for the files.

    Raises
    ------
    SchemaError
        When a baseline was subtracted before, or this one lacks a label.
    InputError
        When a named baseline cannot be made.
    """
    if not isinstance(baseline, NamedBaseline):
        return residual(labels, label(labels, baseline, source=source))
    named = baseline.located(".")
    return subtracted(labels, label(labels, named(), source=named.name), named)


def subtracted(
    labels: xr.Dataset, baseline: xr.Dataset, named: NamedBaseline | None
) -> xr.Dataset:
    """`residual`, which keeps what a named (and located) baseline is made of."""
    left = residual(labels, baseline)
    if named is not None:
        left.attrs["baseline_spec"] = json.dumps(named.values(), sort_keys=True)
    return left


def baseline_record(sets: Sequence[xr.Dataset]) -> dict | None:
    """What a potential's file says of the baseline of its training frames.

    Raises
    ------
    SchemaError
        When the sets have different baselines.
    """
    names = {(ds.attrs.get("baseline"), ds.attrs.get("baseline_spec")) for ds in sets}
    mixed = (None, None) in names and any("baseline_energy" in ds for ds in sets)
    if len(names) > 1 or mixed:
        raise SchemaError(
            "training frames with different baselines", wanted="one baseline",
            got=", ".join(str(name) for name, _ in names),
            mend="subtract the same baseline from all",
        )  # fmt: skip
    if names <= {(None, None)}:
        return None
    ((source, spec),) = names
    # Single atoms tell little: many a baseline gives them no energy.
    kept = next((ds for ds in sets if ds.sizes["atom"] > 1), sets[0])
    atoms, energy = frame_atoms(kept, 0), kept["baseline_energy"].values[0] / EV
    return {
        "source": source,
        "spec": None if spec is None else json.loads(spec),
        "species": list(atoms.symbols),
        "positions": atoms.positions.tolist(),
        "box": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "charge": total_charge(atoms.info),
        "energy": float(energy),
    }


def record_beside(record: Mapping | None, folder: Path) -> dict | None:
    """A record whose file, if there is one, is named as seen from `folder`."""
    if record is None or record.get("spec") is None:
        return None if record is None else dict(record)
    named = NamedBaseline(**record["spec"]).relative_to(folder)
    return {**record, "spec": named.values()}


def agrees(found: float, wanted: float) -> bool:
    """Whether two energies (eV) of a frame are of one baseline; of NaN they are not."""
    return abs(found - wanted) <= TOLERANCE + RELATIVE * abs(wanted)


def checked_baseline(
    record: Mapping | None, baseline: Baseline, path: Path | str
) -> CalculatorPotential | None:
    """The baseline of a file, named by it or given by the user, when it is the right one.

    Raises
    ------
    SchemaError
        When one is missing, not wanted, or another one.
    InputError
        When a named one cannot be made: its file or a package is not there.
    """
    if record is None:
        if baseline is not None:
            raise SchemaError(
                f"{path} was trained without a baseline", wanted="baseline=None",
                got=str(baseline), mend="leave the baseline out",
            )  # fmt: skip
        return None
    if baseline is None:
        baseline = _rebuilt(record, path)
    if baseline == "engine":
        return None
    given = CalculatorPotential(baseline)
    probe = (np.array(record["positions"]), record["species"], np.array(record["box"]))
    more = record["pbc"], record.get("charge", 0.0)
    found = given.evaluate(*probe, *more, stress=False).energy
    wanted = record["energy"]
    if not agrees(found, wanted):
        raise SchemaError(
            f"{path}: another baseline than that of its training",
            wanted=f"{record['source']}, {wanted:.4f} eV for the first training frame",
            got=f"{found:.4f} eV", mend="give the calculator it was trained with",
        )  # fmt: skip
    return given


def _rebuilt(record: Mapping, path: Path | str) -> NamedBaseline:
    """The baseline that a file names, its own file found."""
    if record.get("spec") is None:
        raise SchemaError(
            f"{path} is only what is left after a baseline", wanted=record["source"],
            got="no baseline, and the file does not say how to make it",
            mend='give baseline=CALCULATOR (on the command line --baseline '
            'module:factory), or "engine" where the MD engine adds it',
        )  # fmt: skip
    mend = "use the version that wrote it, or give baseline=CALCULATOR"
    named = checked(NamedBaseline, record["spec"], f"{path}: its baseline", mend)
    if named.path is not None and named.sha256 is None:  # any file, also this one
        raise SchemaError(
            f"{path}: its baseline has no hash", wanted="sha256 of the baseline's file",
            got=named.path, mend="train again",
        )  # fmt: skip
    return named.located(Path(path).parent)
