"""A selective film on an electrode, with the noise of profiles of short trajectories."""

from dataclasses import replace

import numpy as np
from nernst_planck import medium_of, reservoir

from mesobridge.continuum.domain import interval
from mesobridge.continuum.medium import Conditions, Medium
from mesobridge.continuum.mesh import graded
from mesobridge.continuum.model import NernstPlanckPoisson

#: The electrode takes up the cation at 2 kT/e.
CONDITIONS = Conditions(
    psi={**reservoir(2, "right")["psi"], (0, "left"): -1.0},
    phi={"left": -2.0, "right": 0.0},
)


def film_model() -> NernstPlanckPoisson:
    """197 quadratic elements over 20 Debye lengths of a 1:1 salt."""
    return NernstPlanckPoisson(interval(graded(20.0, 5e-3, growth=1.0234)), [1, -1])


def film_medium(model: NernstPlanckPoisson) -> Medium:
    """A barrier of 3 kT and a well for the cation; both ions are slow in the film."""
    x = model.x
    barrier = 3 * np.exp(-(((x - 1.2) / 0.4) ** 2))
    well = 1.5 * np.exp(-(((x - 0.4) / 0.25) ** 2))
    anion = 1.5 * np.exp(-(((x - 0.8) / 0.5) ** 2))
    slow = [0.1 + 0.9 * (1 - np.exp(-x / width)) for width in (1.0, 0.8)]
    return medium_of(
        model, mu_ex=np.vstack([barrier - well, anion]), diffusivity=np.vstack(slow)
    )


def film_replicates(
    model: NernstPlanckPoisson, n: int, work: float = 0.2, spread: float = 0.1
) -> list[Medium]:
    """The medium, then n of noise `work` (kT) in W and `spread` in ln D.

    The noise has a correlation length of half a Debye length and fades in the bulk.
    """
    x, rng, medium = model.x, np.random.default_rng(1), film_medium(model)
    square = ((x[:, None] - x) / 0.5) ** 2
    root = np.linalg.cholesky(np.exp(-square / 2) + 1e-8 * np.eye(len(x)))
    fade = np.exp(-((x / 5) ** 2))
    noise = fade * (root @ rng.normal(size=(n, 2, len(x), 2))).transpose(0, 1, 3, 2)
    return [
        medium,
        *(
            replace(
                medium,
                mu_ex=medium.mu_ex + work * one,
                diffusivity=medium.diffusivity * np.exp(spread * other),
            )
            for one, other in noise
        ),
    ]


def uptake_and_charge(model, solution):
    """Flux of the cation into the electrode, and the electrode's charge."""
    return [solution.inflow[0, "left"], solution.charge["left"]]
