"""`bulk-transport/1` of a trajectory that MDAnalysis reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from ...core.errors import InputError
from ...core.schema import dataset
from ...core.stats import bootstrap_weights
from ...core.units import DALTON, ELEMENTARY_CHARGE, NM, PS, thermal_energy
from .blocks import FEWEST
from .bulk import bulk_diffusion
from .collective import collective_transport, displacement_sums
from .finite_size import yeh_hummer
from .green_kubo import green_kubo
from .lags import Window, fit_window
from .origin import origin_of
from .particles import Particles, Species, particles_of
from .paths import Paths
from .readers import read_paths
from .settings import Progress
from .source import ANGSTROM

METHODS = ("einstein", "green-kubo")
#: Intervals between frames in a block that nobody asked for: lags of one to three.
SHORTEST = 5
#: Lags of the curve that is drawn, and the part of a block that it spans.
CURVE, SPAN = 24, 0.8
#: Mass that may be left out where all of it is the frame of reference.
LEFT_OUT = 1e-3


def bulk_transport(
    universe: Any,
    species: Mapping[str, str | Species],
    *,
    temperature: float,
    charges: Mapping[str, float] | None = None,
    method: str = "einstein",
    block: float | None = None,
    lags: tuple[float, float] | None = None,
    cutoff: float | None = None,
    viscosity: float | None = None,
    frame: str = "barycentric",
    solvent: str | None = None,
    collective: bool = True,
    replicates: int = 200,
    seed: int = 0,
    start: int = 0,
    stop: int | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Diffusion, conductivity and transference of a bulk liquid.

    Paths of the particles are held in memory; positions wrapped or not (`read_paths`).

    Parameters
    ----------
    universe
        Of MDAnalysis, with masses and charges, and velocities for ``green-kubo``.
    species
        Name -> selection of atoms, or `Species` (residues by their centres of mass); all
        of the box, solvent included.
    temperature
        K.
    charges
        Selection or species -> charge of each of its atoms, e; else the topology's.
    method
        ``einstein`` (`collective_transport`, or `bulk_diffusion` where nothing is
        charged) or ``green-kubo`` (`green_kubo`).
    block
        Unit of the bootstrap, s; a tenth of the run when ``None``, so that Student's
        factor is small. ``regime`` tells whether its lags reach diffusion.
    lags
        Of Einstein's slope, s; a fifth and three fifths of a block when ``None``.
    cutoff
        Of the Green-Kubo integrals, s; a fifth of a block when ``None``.
    viscosity
        Of the simulated model, Pa s: D is corrected for the size of a cubic box
        (`yeh_hummer`).
    frame, solvent
        As for `collective_transport`.
    collective
        Whether conductivity and the like are wanted: if not, no charges are needed.
    replicates, seed
        Of the bootstrap, at least 50.
    start, stop
        Frames that count.
    progress
        Called with (done, of, what).

    Returns
    -------
    Dataset
        ``bulk-transport/1``; what needs charges is there for charged species only.

    Raises
    ------
    InputError
        When frames are too few, species are not all of the box, velocities are missing,
        or as the estimators say.
    """
    if method not in METHODS:
        raise InputError("method", wanted=" or ".join(METHODS), got=repr(method))
    idle = {
        "lags": lags is not None and method != "einstein",
        "cutoff": cutoff is not None and method != "green-kubo",
        "solvent": solvent is not None and frame != "solvent",
    }
    if any(idle.values()):
        raise InputError(
            "options that do nothing here",
            wanted="lags for einstein, cutoff for green-kubo, solvent for its frame",
            got=", ".join(name for name, is_so in idle.items() if is_so),
        )
    tell = progress or (lambda *_: None)
    tell(0, 3, "reading")
    charges = charges if collective else {"all": 0.0}
    paths, z = read_paths(universe, species, charges=charges, start=start, stop=stop)
    _refuse_frame(paths, universe, frame, method, any(z.values()))
    if block is None:
        block = tenth(len(paths.positions)) * paths.spacing
    how = {"block": block, "replicates": replicates, "seed": seed}
    tell(1, 3, "correlations")
    if method == "green-kubo":
        particles = particles_of(universe, species, charges)
        v = _velocities(universe, particles, start, stop)
        paths = replace(paths, velocities=v)
        values, attrs = _integrals(paths, z, temperature, cutoff, how)
    else:
        if any(z.values()):
            values, attrs = _collective(paths, z, temperature, lags, frame, solvent, how)
        else:
            values, attrs = _single(paths, lags, how)
        tell(2, 3, "displacements")
        window = fit_window(paths.spacing, block, lags)
        values |= _curves(paths, z, window, frame, solvent, how)
        attrs |= {"lag_first": window.lags[0], "lag_last": window.lags[-1]}
    values |= _of_box(paths, z, values["D"], temperature, viscosity)
    attrs |= {
        "method": method,
        "frame": frame,
        "solvent": solvent or "",
        "temperature": temperature,
        "volume": paths.volume(),
        "block_length": block,
        "seed": seed,
    }
    return dataset("bulk-transport/1", values, attrs | origin_of(universe))


def tenth(n_frames: int, least: int = SHORTEST) -> int:
    """Intervals between frames in a block that nobody asked for.

    Raises
    ------
    InputError
        When the run is too short.
    """
    size = (n_frames - 1) // FEWEST
    if size < least:
        raise InputError(
            "too few frames to choose blocks",
            wanted=f"{FEWEST * least + 1} frames or more",
            got=str(n_frames),
            mend="run longer, save more often, or give the length of a block",
        )
    return size


def _refuse_frame(paths: Paths, universe: Any, frame: str, method: str, charged: bool):
    """Refuse frames that a method cannot take, and a barycentre of a part of the box."""
    if frame != "barycentric":
        if method == "green-kubo" or not charged:
            raise InputError(
                "frame of Green-Kubo integrals, or of species without charge",
                wanted="barycentric",
                got=frame,
            )
        return
    share = paths.mass.sum() / (universe.atoms.masses.sum() * DALTON)
    if abs(share - 1) > LEFT_OUT:
        raise InputError(
            "species that are not all of the box",
            wanted="each atom in one species: their centre of mass is the reference",
            got=f"{share:.1%} of the mass",
            mend="name the rest as a species of its own (residues:SELECTION), "
            "or take the lab frame",
        )


def _collective(paths, z, temperature, lags, frame, solvent, how):
    found = collective_transport(
        [paths],
        charge_number=z,
        temperature=temperature,
        lags=lags,
        frame=frame,
        solvent=solvent,
        **how,
    )
    regime = found.regime
    values = {
        "D": found.D,
        "regime": [regime[name] for name in found.species],
        "exponent": found.exponent[:, :-1],
        "onsager": found.L,
        "conductivity": found.conductivity,
        "transference": found.transference,
        "haven": found.haven,
    }
    return values, {"n_units": found.n_units, "regime_collective": regime["dipole"]}


def _single(paths, lags, how):
    found = bulk_diffusion([paths], lags=lags, **how)
    values = {"D": found.D, "regime": found.regime, "exponent": found.exponent}
    return values, {"n_units": found.n_units}


def _integrals(paths, z, temperature, cutoff, how):
    found = green_kubo(
        [paths], charge_number=z, temperature=temperature, cutoff=cutoff, **how
    )
    flags = found.flags
    values = {
        "D": found.D,
        "regime": [flags[name] for name in found.species],
        "conductivity": found.conductivity,
        "lag": found.times,
        "running_D": np.moveaxis(found.running_D, 1, 2),
        "running_conductivity": found.running_conductivity,
    }
    attrs = {
        "n_units": found.n_units,
        "regime_collective": flags["current"],
        "lag_first": 0.0,
        "lag_last": float(found.times[-1]),
    }
    return values, attrs


def _curves(paths, z, window: Window, frame, solvent, how) -> dict:
    """Mean-square displacements from one frame to most of a block."""
    longest = max(int(SPAN * window.size), int(window.steps[-1]))
    steps = np.unique(np.geomspace(1, longest, CURVE).round().astype(int))
    curve = replace(window, steps=steps)
    together, own = displacement_sums(paths, curve, frame, solvent)
    weights = bootstrap_weights(len(own), how["replicates"], how["seed"]) / len(own)
    number = paths.members().sum(axis=0)
    q = ELEMENTARY_CHARGE * np.array([z[name] for name in paths.names])
    found = {
        "lag": curve.lags,
        "msd": np.einsum("ru,uls->rsl", weights, own) / number[:, None],
    }
    if q.any():
        found["dipole_msd"] = np.einsum("ru,i,ulij,j->rl", weights, q, together, q)
    return found


def _of_box(paths: Paths, z, D, temperature: float, viscosity: float | None) -> dict:
    """What follows from D and the box."""
    number = np.array([z[name] for name in paths.names])
    density = paths.members().sum(axis=0) / paths.volume()
    found = {
        "species": paths.names,
        "charge_number": number,
        "number_density": density,
    }
    if number.any():
        square = (ELEMENTARY_CHARGE * number) ** 2
        found["nernst_einstein"] = D @ (square * density) / thermal_energy(temperature)
    if viscosity is not None:
        found["D_infinite"] = yeh_hummer(
            D, box=paths.box, temperature=temperature, viscosity=viscosity
        )
        found["viscosity"] = np.full(len(D), viscosity)
    return found


def _velocities(universe, particles: Particles, start: int, stop: int | None):
    """Of the followed particles, shape (F, N, 3), m/s."""
    found = np.empty((len(range(*slice(start, stop).indices(len(universe.trajectory)))),
                      len(particles.followed), 3))  # fmt: skip
    for v, ts in zip(found, universe.trajectory[start:stop], strict=True):
        if not ts.has_velocities:
            raise InputError(
                "Green-Kubo integrals without velocities",
                wanted="a trajectory that holds them, such as TRR",
                got=f"none in frame {ts.frame}",
                mend="save velocities, or use Einstein's relation",
            )
        v[:] = ts.velocities[particles.atoms]
        for s, (atoms, begin) in particles.bodies.items():
            mass = particles.masses[atoms, None]
            momentum = np.add.reduceat(mass * ts.velocities[atoms], begin)
            v[particles.followed == s] = momentum / np.add.reduceat(mass, begin)
    return found * (ANGSTROM * NM / PS)
