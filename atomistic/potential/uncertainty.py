"""How sure a potential is of its forces: distances from its training set, and heads.

Two things are known of every atom. Its Mahalanobis distance says how far its features are
from those of its element in the training set, as Lee et al. 2018
(doi:10.48550/arXiv.1807.03888) take it per class; the energy needs the features anyway.
Shallow heads, M energies that share all but the last weights, say by the spread of their
forces what those features leave open; each costs a backward pass. `atomistic.uncertainty`
fits both, and scales them so that intervals hold as many errors as they say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...core.errors import InputError, SchemaError

#: Power of the distance in a standard deviation: between one, which is best where the
#: training set is, and two, which is safest away from it (docs/decisions.md).
POWER = 1.5
#: Probabilities of intervals that are kept.
LEVELS = (0.5, 0.6827, 0.8, 0.9, 0.95, 0.99)
#: Of tensors in files.
PREFIX = "uncertainty."


@dataclass(frozen=True)
class Uncertainty:
    """Of a network with H features and S species; M heads, L levels. Float64.

    Attributes
    ----------
    mean
        Of features in the training set, shape (S, H).
    whiten
        Shape (S, H, H): W with W W^T = C^-1 / H, C their covariance. Zero for a species
        that is not in the set: its atoms are infinitely far.
    heads
        Shape (M, H), eV: what each adds to the last weights.
    floor
        Shape (S,), eV/A: standard deviation of a force where heads do not differ.
    scale
        Shape (S, L): half width of the interval of each of `LEVELS`, over the standard
        deviation.
    """

    mean: Tensor
    whiten: Tensor
    heads: Tensor
    floor: Tensor
    scale: Tensor

    def distance(self, features: Tensor, species: Tensor) -> Tensor:
        """Mahalanobis distances of N atoms, shape (N,); about one in the training set.

        Parameters
        ----------
        features
            Shape (N, H).
        species
            Numbers, shape (N,).
        """
        return self.whitened(features, species).norm(dim=1)

    def whitened(self, features: Tensor, species: Tensor) -> Tensor:
        """Features beside the mean of their species, with `distance` as norm, (N, H)."""
        beside = (features.double() - self.mean[species]) @ self._side_by_side
        own = beside.view(len(species), *self.mean.shape)[
            torch.arange(len(species)), species
        ]
        return own + self._away[species]

    @cached_property
    def _side_by_side(self) -> Tensor:
        """Matrices of all species, (H, S H): one product is faster than one for each."""
        return self.whiten.transpose(0, 1).flatten(1).contiguous()

    @cached_property
    def _away(self) -> Tensor:
        """Infinite for species that are not in the training set, shape (S, 1)."""
        away = torch.zeros(len(self.whiten), 1, dtype=torch.float64)
        return away.masked_fill(~self.whiten.flatten(1).any(1, keepdim=True), torch.inf)

    def force_std(self, distance: Tensor, spread: Tensor, species: Tensor) -> Tensor:
        """Standard deviation of a component of the force on each atom, (N,), eV/A.

        Parameters
        ----------
        distance
            Of `distance`, shape (N,).
        spread
            Mean square, over heads and components, of the forces that heads add; (N,),
            (eV/A)^2.
        species
            Numbers, shape (N,).
        """
        return distance**POWER * (spread + self.floor[species].square()).sqrt()

    def half_width(self, std: Tensor, species: Tensor, level: float = 0.95) -> Tensor:
        """Half width of the interval of a component of the force, shape (N,), eV/A.

        Parameters
        ----------
        std
            Of `force_std`, shape (N,).
        species
            Numbers, shape (N,).
        level
            Probability, one of `LEVELS`.

        Raises
        ------
        InputError
            When there is no such level.
        """
        if level not in LEVELS:
            raise InputError("level of an interval", wanted=", ".join(map(str, LEVELS)),
                             got=str(level))  # fmt: skip
        return std * self.scale[species, LEVELS.index(level)]

    def tensors(self) -> dict[str, np.ndarray]:
        """For a file, by names that begin with `PREFIX`."""
        return {PREFIX + f.name: getattr(self, f.name).numpy() for f in fields(self)}


def read_uncertainty(tensors: Mapping[str, np.ndarray]) -> Uncertainty | None:
    """What a file says; ``None`` where it says nothing.

    Raises
    ------
    SchemaError
        When a part is missing or of another shape.
    """
    found = {
        k.removeprefix(PREFIX): torch.from_numpy(v)
        for k, v in tensors.items()
        if k.startswith(PREFIX)
    }
    if not found:
        return None
    names = [f.name for f in fields(Uncertainty)]
    if sorted(found) != sorted(names) or found["heads"].ndim != 2:
        raise SchemaError("uncertainty of a potential", wanted=", ".join(names),
                          got=", ".join(found), mend="calibrate it again")  # fmt: skip
    s, h = len(found["floor"]), found["heads"].shape[1]
    shapes = {"mean": (s, h), "whiten": (s, h, h), "scale": (s, len(LEVELS))}
    for name, wanted in shapes.items():
        if tuple(found[name].shape) != wanted:
            raise SchemaError(f"{name} of the uncertainty of a potential",
                              wanted=str(wanted), got=str(tuple(found[name].shape)),
                              mend="calibrate it again")  # fmt: skip
    return Uncertainty(**found)
