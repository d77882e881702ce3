"""The coarse-grained model: pair potentials beside formal-charge Coulomb, in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import xarray as xr

from ..core.artefact import read_model, write_model
from ..core.errors import InputError, SchemaError
from ..core.schema import dataset
from ..core.units import KJ_MOL, NM
from .bases import Spline

#: Curvature with which a potential goes on below its innermost pair, kJ/mol/nm2: an ion
#: that gets there is pushed back, whatever the spline would do.
STIFFNESS = 2e5


@dataclass(frozen=True)
class CGModel:
    """Beads with charges and pair potentials; R replicates, P pairs, m coefficients.

    Attributes
    ----------
    species
        Names of the bead species.
    charges
        Formal charge of each species, e.
    pairs
        Such as ``"Na-Cl"``.
    spline
        Basis; cut-off in nm.
    coefficients
        Shape (R + 1, P, m), kJ/mol; replicate 0 is the point estimate.
    inner
        Distance below which a potential is extrapolated, shape (P,), nm.
    n_units
        Blocks that were resampled.
    validity
        State point: temperature (K), number density (1/m3), what it was trained on.
    permittivity
        Relative, of the medium that the charges are in.
    """

    species: tuple[str, ...]
    charges: tuple[float, ...]
    pairs: tuple[str, ...]
    spline: Spline
    coefficients: np.ndarray
    inner: np.ndarray
    n_units: int
    validity: Mapping
    permittivity: float = 1.0

    def __post_init__(self):
        if not 0 < self.permittivity < np.inf:
            raise InputError("relative permittivity", wanted="above zero",
                             got=str(self.permittivity))  # fmt: skip

    def potential(self, r: np.ndarray, replicate: int = 0) -> np.ndarray:
        """Short-range pair potentials.

        Parameters
        ----------
        r
            Distances, shape (n,), nm; zero is returned beyond the cut-off.
        replicate
            Which one.

        Returns
        -------
        ndarray, shape (P, n)
            kJ/mol. Below `inner` each goes on with its force there, at least none
            inwards, and with `STIFFNESS`.
        """
        out = np.zeros((len(self.pairs), len(r)))
        for p, inner in enumerate(self.inner):
            c = self.coefficients[replicate, p]
            within = (r >= inner) & (r < self.spline.stop)
            out[p, within] = self._basis(r[within])[0] @ c
            value, slope = (d @ c for d in self._basis(np.array([inner])))
            gap = inner - r[r < inner]
            push = max(-float(slope[0]), 0.0)
            out[p, r < inner] = value[0] + push * gap + 0.5 * STIFFNESS * gap**2
        return out

    def _basis(self, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, slope = self.spline.dense(torch.from_numpy(r))
        return value.numpy(), slope.numpy()

    def pair_pmf(self, n: int = 160) -> xr.Dataset:
        """``pair-pmf/1``: the force-matched effective pair potentials.

        From the smallest distance of any pair to the cut-off; ``inner`` says for each
        pair below which distance it is an extrapolation.
        """
        r = np.linspace(float(self.inner.min()), self.spline.stop, n)
        replicates = range(len(self.coefficients))
        values = np.array([self.potential(r, k) for k in replicates])
        return dataset(
            "pair-pmf/1",
            {
                "r": r * NM,
                "pair": list(self.pairs),
                "pmf": values * KJ_MOL,
                "inner": self.inner * NM,
            },
            {
                "temperature": temperature_of(self),
                "coulomb": f"{self._coulomb()}, not included",
                "relative_permittivity": self.permittivity,
                "n_units": self.n_units,
            },
        )

    def _coulomb(self) -> str:
        where = "vacuum" if self.permittivity == 1 else f"eps_r = {self.permittivity:g}"
        return f"formal charges in {where}"

    def save(self, path: Path | str) -> None:
        """Write ``cg-model/1``."""
        header = {
            "map": "one bead per atom",
            "basis": {"kind": "cubic B-spline", "spacing": self.spline.width,
                      "start": self.spline.start, "ends": self.spline.ends},
            "species": list(self.species),
            "charges": list(self.charges),
            "pairs": list(self.pairs),
            "units": {"length": "nm", "energy": "kJ/mol", "charge": "e"},
            "cutoff": self.spline.stop,
            "coulomb": f"{self._coulomb()}, particle-mesh Ewald",
            "permittivity": self.permittivity,
            "validity": dict(self.validity),
            "n_units": self.n_units,
        }  # fmt: skip
        tensors = {"coefficients": self.coefficients, "inner": self.inner}
        write_model(path, "cg-model/1", header, tensors)


class HasValidity(Protocol):
    """Any model."""

    @property
    def validity(self) -> Mapping:
        """State point."""


def temperature_of(model: HasValidity) -> float:
    """Of the state point, K, at which alone a potential of mean force holds.

    Raises
    ------
    InputError
        When the model does not tell it.
    """
    found = model.validity.get("temperature_K")
    if not isinstance(found, int | float) or not 0 < found < np.inf:
        raise InputError("validity of a model", wanted="temperature_K above zero",
                         got=repr(found), mend='make it with {"temperature_K": ...}'
                         )  # fmt: skip
    return float(found)


def load_model(path: Path | str) -> CGModel:
    """Read ``cg-model/1`` of ions with charges.

    Raises
    ------
    SchemaError
        When the file breaks the contract or is of another kind of model.
    """
    header, tensors = read_model(path, "cg-model/1")
    if "model" in header:
        raise SchemaError(
            f"{path}: another kind of model", wanted="pairs and charges of `CGModel`",
            got=str(header["model"]), mend="load_linear reads linear models, load_neural "
            "networks",
        )  # fmt: skip
    try:
        basis = header["basis"]
        spline = Spline.spaced(
            float(basis.get("start", 0.0)), float(header["cutoff"]),
            float(basis["spacing"]), basis.get("ends", "zero"),
        )  # fmt: skip
        model = CGModel(
            tuple(header["species"]), tuple(header["charges"]), tuple(header["pairs"]),
            spline, tensors["coefficients"], tensors["inner"], int(header["n_units"]),
            header["validity"], float(header.get("permittivity", 1.0)),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError, InputError) as exc:
        raise SchemaError(
            f"{path}: header of cg-model/1", wanted="the fields that `save` writes",
            got=f"{type(exc).__name__}: {exc}",
        ) from exc  # fmt: skip
    wanted = (len(model.pairs), spline.size)
    if model.coefficients.ndim != 3 or model.coefficients.shape[1:] != wanted:
        raise SchemaError(
            f"{path}: shape of coefficients", wanted=f"(R + 1, {wanted[0]}, {wanted[1]})",
            got=str(model.coefficients.shape),
        )  # fmt: skip
    return model


def charges_of(model: CGModel, beads: Sequence[str]) -> np.ndarray:
    """Charge of each bead, e.

    Raises
    ------
    InputError
        When the model does not know a bead.
    """
    unknown = sorted(set(beads) - set(model.species))
    if unknown:
        raise InputError(
            "beads that the model does not know",
            wanted=", ".join(model.species),
            got=", ".join(unknown),
        )
    table = dict(zip(model.species, model.charges, strict=True))
    return np.array([table[b] for b in beads])
