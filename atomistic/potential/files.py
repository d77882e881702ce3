"""`potential/1` files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch

from ...core.artefact import read_model, write_model
from ...core.errors import InputError, SchemaError
from .baseline import Baseline, checked_baseline, record_beside
from .gradient import Compiled, by_hand
from .potential import Potential
from .settings import TrainingResult, TrainingSettings, build_model, check_device
from .uncertainty import PREFIX, Uncertainty, read_uncertainty

UNITS = {"energy": "eV", "length": "angstrom"}


def save_potential(
    path: Path | str,
    result: TrainingResult,
    validity: Mapping,
    uncertainty: Uncertainty | None = None,
) -> None:
    """Write a `potential/1` file.

    Parameters
    ----------
    path
        Of the safetensors file.
    result
        What `train` returned.
    validity
        Where the potential may be trusted: temperatures, hash of its training set.
    uncertainty
        How sure it is of its forces (`atomistic.uncertainty.calibrate`).
    """
    settings = asdict(result.settings)
    header = {
        "architecture": "cartesian-ace/2",
        "settings": settings,
        "species": list(result.settings.species),
        "units": UNITS,
        "cutoff": result.settings.cutoff,
        "baseline": record_beside(result.baseline, Path(path).parent),
        "validity": dict(validity),
        "calibration": {"held_out": result.curve[-1] if result.curve else None},
    }
    tensors = dict(result.tensors)
    if uncertainty is not None:
        tensors |= uncertainty.tensors()
    write_model(path, "potential/1", header, tensors)


def load_potential(
    path: Path | str,
    *,
    baseline: Baseline = None,
    compile: bool = False,
    device: str = "cpu",
) -> Potential:
    """Read a `potential/1` file.

    Parameters
    ----------
    path
        Of the file.
    baseline
        What its training frames were without: an ASE calculator, a function that makes
        one, or ``"engine"`` where the program that moves the atoms adds it. A baseline
        that the file names (`NamedBaseline`) is made from it.
    compile
        Compile the network for MD: three times as fast after a minute or two, which are
        spent again for another number of atoms. Needs a C++ compiler. Potentials that
        predict charges cannot be compiled.
    device
        Of the network: ``cpu`` or ``cuda``; lists of neighbours are made on the CPU.

    Raises
    ------
    SchemaError
        When the file is broken, of another architecture, or of another baseline.
    InputError
        When a potential with charges is to be compiled, the baseline that the file
        names cannot be made, or there is no such device.
    """
    check_device(device)
    header, arrays = read_model(path, "potential/1")
    if header["architecture"] != "cartesian-ace/2":
        raise SchemaError(
            f"{path}: unknown architecture", wanted="cartesian-ace/2",
            got=str(header["architecture"]), mend="use the version that wrote it",
        )  # fmt: skip
    try:
        settings = TrainingSettings(
            **{**header["settings"], "species": tuple(header["species"])}
        )
        uncertainty = read_uncertainty(arrays)
        tensors = {
            k: torch.from_numpy(v) for k, v in arrays.items() if not k.startswith(PREFIX)
        }
        model = build_model(settings, tensors)
    except (KeyError, RuntimeError, TypeError) as exc:
        raise SchemaError(
            f"{path}: weights and settings do not fit", wanted="those of one training",
            got=str(exc).splitlines()[0], mend="train again",
        ) from exc  # fmt: skip
    added = checked_baseline(header["baseline"], baseline, path)
    if compile and model.charges is not None:
        raise InputError(
            f"{path} predicts charges, whose sums cannot be compiled",
            wanted="compile=False", got="compile=True", mend="leave compile out",
        )  # fmt: skip
    run = Compiled() if compile else by_hand
    model = model.to(device)
    return Potential(model, settings.species, header, added, run, uncertainty)
