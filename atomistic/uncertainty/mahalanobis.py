"""Distributions of the features of each element in a training set."""

from __future__ import annotations

import torch
from torch import Tensor

from ...core.errors import InputError

#: Share of the mean variance, over the number of atoms, that is added to every direction:
#: that few atoms do not vary along one does not say that none ever will.
RIDGE = 0.01
#: Atoms of an element below which there is no distribution to be far from.
FEWEST = 10


def fit_features(features: Tensor, species: Tensor, n_species: int):
    """Mean and whitening matrix of each species, as `Uncertainty` has them.

    Parameters
    ----------
    features
        Of all atoms of the set, shape (N, H), float64.
    species
        Numbers, shape (N,).
    n_species
        S.

    Returns
    -------
    mean : Tensor
        Shape (S, H).
    whiten : Tensor
        Shape (S, H, H).

    Raises
    ------
    InputError
        When an element that is there has too few atoms.
    """
    h = features.shape[1]
    mean, whiten = features.new_zeros(n_species, h), features.new_zeros(n_species, h, h)
    for s in species.unique().tolist():
        own = features[species == s]
        if len(own) < FEWEST:
            raise InputError(
                f"atoms of species {s} in the training set", wanted=f"{FEWEST} or more",
                got=str(len(own)), mend="label more frames that hold it",
            )  # fmt: skip
        cov = torch.cov(own.T)
        ridge = RIDGE / len(own) * cov.diagonal().mean()
        cov += ridge * torch.eye(h, dtype=cov.dtype)
        mean[s] = own.mean(0)
        whiten[s] = torch.linalg.cholesky(torch.linalg.inv(cov) / h)
    return mean, whiten
