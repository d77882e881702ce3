"""All-atom diffusion to calibrate friction to, and calibrations as models keep them.

Units: nm, ps, K; diffusion coefficients from and for outside in m2/s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ..core.errors import InputError, SchemaError
from ..core.schema import validate
from ..core.stats import half_width95
from ..core.units import NM, PS
from .diffusion import Diffusion
from .linear_model import LinearModel
from .model import CGModel
from .neural import NeuralModel

#: m2/s of a nm2/ps.
SI = NM**2 / PS
#: Regimes of `bulk-transport/1` in which D is one.
GOOD = ("diffusive", "good")
#: Relative differences of temperatures, steps and frictions that are rounding.
ROUNDING = 1e-3
#: Where `validity` of a model keeps its calibration, and what it has of each species.
KEY = "dynamics"
COLUMNS = "friction_per_ps", "D_reached_m2/s", "D_target_m2/s", "time_factor"

AnyModel = CGModel | LinearModel | NeuralModel
Model = TypeVar("Model", CGModel, LinearModel, NeuralModel)


@dataclass(frozen=True)
class Target:
    """All-atom self-diffusion in an infinite system.

    Attributes
    ----------
    temperature
        K.
    D
        Of each species: value and half of its 95 % interval, m2/s.
    corrected
        That the values are corrected for the size of their box (Yeh & Hummer 2004,
        doi:10.1021/jp0477147), or measured: all-atom boxes of a few nm are 10 to 30 %
        too slow.

    Raises
    ------
    InputError
        When values are not corrected, or not positive.
    """

    temperature: float
    D: Mapping[str, tuple[float, float]]
    corrected: bool = False

    def __post_init__(self):
        if not self.corrected:
            raise InputError(
                "all-atom diffusion of a periodic box", got="corrected=False",
                wanted="values for an infinite one", mend="correct them for the size of "
                "the box (Yeh & Hummer), then say corrected=True",
            )  # fmt: skip
        for name, (value, half) in self.D.items():
            if not (0 < value < np.inf and 0 <= half < np.inf):
                raise InputError(
                    f"all-atom diffusion of {name}", got=f"{value}, {half}",
                    wanted="a value and half of its interval, m2/s",
                )  # fmt: skip

    @classmethod
    def of(cls, transport: xr.Dataset) -> Target:
        """Of ``bulk-transport/1``, which must have ``D_infinite``.

        Raises
        ------
        InputError
            When it has not, or a species did not diffuse.
        """
        ds = validate(transport, "bulk-transport/1")
        if "D_infinite" not in ds:
            raise InputError(
                "all-atom diffusion of a periodic box", wanted="D_infinite",
                got=", ".join(map(str, ds.data_vars)),
                mend="give the viscosity, so that D is corrected for the size of the box",
            )  # fmt: skip
        names, regimes = (ds[key].values.tolist() for key in ("species", "regime"))
        for name, regime in zip(names, regimes, strict=True):
            if regime not in GOOD:
                raise InputError(f"all-atom diffusion of {name}", got=str(regime),
                                 wanted=" or ".join(GOOD), mend="run longer")  # fmt: skip
        D = ds["D_infinite"].values
        half = half_width95(D, int(ds.attrs["n_units"]))
        pairs = zip(D[0].tolist(), half.tolist(), strict=True)
        return cls(float(ds.attrs["temperature"]), dict(zip(names, pairs, strict=True)),
                   corrected=True)  # fmt: skip

    def of_species(self, species: Sequence[str]) -> np.ndarray:
        """Values and half intervals, shape (S, 2), nm2/ps.

        Raises
        ------
        InputError
            When one is missing.
        """
        _known("all-atom diffusion", self.D, species)
        return np.array([self.D[name] for name in species]) / SI


@dataclass(frozen=True)
class Calibration:
    """Frictions with which S species diffuse as in all-atom runs.

    Attributes
    ----------
    species
        Names, length S.
    friction
        Values and half of their 95 % intervals, shape (S, 2), 1/ps; those leave out what
        the friction of one species does to the others.
    D_reached, D_target
        With these frictions and in all-atom runs, likewise, m2/s.
    time_factor
        Likewise: how many times faster than all-atom time that of the model runs at
        `own_friction`, without calibration. A model has one only if species agree.
    own_friction
        1/ps, of all beads.
    temperature, step
        K, ps.
    rounds
        Frictions that were tried.
    """

    species: tuple[str, ...]
    friction: np.ndarray
    D_reached: np.ndarray
    D_target: np.ndarray
    time_factor: np.ndarray
    own_friction: float
    temperature: float
    step: float
    rounds: int

    def of_beads(self, beads: Sequence[str]) -> Tensor:
        """Friction of each bead from its species, shape (B,), 1/ps, for `Langevin`.

        Raises
        ------
        InputError
            When a species was not calibrated.
        """
        _known("calibrated friction", self.species, beads)
        of = dict(zip(self.species, self.friction[:, 0].tolist(), strict=True))
        return torch.tensor([of[name] for name in beads], dtype=torch.float64)

    def kept_in(self, model: Model) -> Model:
        """The model with this calibration in its `validity`.

        Raises
        ------
        InputError
            When it is of another temperature.
        """
        own = model.validity.get("temperature_K", self.temperature)
        same("temperature of a calibration", own, self.temperature, "K")
        return replace(model, validity={**model.validity, KEY: self.as_json()})

    def as_json(self) -> dict:
        """For `validity` and reports: pairs are values and half 95 % intervals."""
        columns = self.friction, self.D_reached, self.D_target, self.time_factor
        rows = zip(self.species, *(c.tolist() for c in columns), strict=True)
        return {
            "temperature_K": self.temperature, "step_ps": self.step,
            "own_friction_per_ps": self.own_friction, "rounds": self.rounds,
            "species": {name: dict(zip(COLUMNS, r, strict=True)) for name, *r in rows},
        }  # fmt: skip

    @classmethod
    def of(cls, model: AnyModel) -> Calibration:
        """That of a model.

        Raises
        ------
        InputError
            When it has none.
        SchemaError
            When it cannot be read.
        """
        found = model.validity.get(KEY)
        if found is None:
            raise InputError(
                "times of a model that is not calibrated", got="no calibration",
                wanted="friction calibrated to all-atom diffusion", mend="coarse."
                "dynamics.calibrate(BulkRun(...), Target(...), friction).kept_in(model)",
            )  # fmt: skip
        try:
            rows = found["species"]
            pairs = np.array([[row[key] for key in COLUMNS] for row in rows.values()])
            if pairs.shape != (len(rows), len(COLUMNS), 2):
                raise ValueError("values without their half intervals")
            return cls(
                tuple(rows), pairs[:, 0], pairs[:, 1], pairs[:, 2], pairs[:, 3],
                float(found["own_friction_per_ps"]), float(found["temperature_K"]),
                float(found["step_ps"]), int(found["rounds"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise SchemaError(
                f"{KEY} in the validity of a model", wanted="what `as_json` writes",
                got=f"{type(exc).__name__}: {exc}",
            ) from exc  # fmt: skip


def time_factor(found: Diffusion, target: Target) -> np.ndarray:
    """How much faster than all-atom time beads move: D over the all-atom one.

    Returns
    -------
    ndarray, shape (S, 2)
        Value and half of its 95 % interval for each species.
    """
    own, aim = found.interval, target.of_species(found.species)
    ratio = own[:, 0] / aim[:, 0]
    half = np.hypot(own[:, 1] / own[:, 0], aim[:, 1] / aim[:, 0])
    return np.stack([ratio, ratio * half], 1)


def _known(what: str, known, asked: Sequence[str]) -> None:
    missing = sorted(set(asked) - set(known))
    if missing:
        raise InputError(f"{what} of {', '.join(missing)}", wanted="one",
                         got=f"that of {', '.join(known)}")  # fmt: skip


def same(
    what: str, wanted: float, got: float, unit: str, mend: str = "calibrate for it"
) -> None:
    """Refuse a number that differs by more than `ROUNDING`."""
    if not abs(got - wanted) <= ROUNDING * abs(wanted):
        raise InputError(what, wanted=f"{wanted:g} {unit}", got=f"{got:g} {unit}",
                         mend=mend)  # fmt: skip
