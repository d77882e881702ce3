"""`mesobridge profiles`: from a trajectory on disk to a file of profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from ...core.artefact import read_dataset, write_dataset
from ...core.cautions import told_elsewhere
from ...core.errors import InputError
from ...core.progress import shown
from ...core.units import quantity
from .anchor import bulk_columns, with_bulk
from .asked import charges_of, check_files, species_of, universe_of
from .coordinates import Coordinate, Cylindrical, Planar, Spherical
from .estimates import Electrics
from .interface import View, density_profiles, interface_profiles
from .settings import Resolution
from .surface import Surface


@dataclass(frozen=True)
class Request:
    """What the user wrote, as text.

    Attributes
    ----------
    trajectory, topology
        Files that MDAnalysis reads; without a topology the trajectory has all.
    species
        ``NAME=SELECTION``, or ``NAME=residues:SELECTION`` for centres of mass.
    charges
        ``SELECTION=CHARGE``, e.
    bin, lag, block
        With units; without a lag nobody is followed, without a block it is chosen.
    geometry, axis
        ``planar``, ``cylindrical``, ``spherical`` or ``surface``; ``x``, ``y`` or ``z``.
    left, right, radius
        With units.
    moving
        Selection whose centre of mass is the origin.
    boundary, wall_left, wall_right, reference
        Of the potential.
    temperature
        With a unit.
    replicates, seed, processes, start, stop
        Numbers.
    thermostat, friction
        Its name; the friction of a Langevin one, with a unit.
    surface, depth, vapour, side
        Selection, lengths with units, ``upper`` or ``lower``: of a `Surface`.
    bulk
        File of ``bulk-transport/1``, whose D becomes D_bulk.
    """

    trajectory: Path
    topology: Path | None
    species: Sequence[str]
    charges: Sequence[str]
    bin: str
    lag: str | None
    block: str | None
    temperature: str
    geometry: str = "planar"
    axis: str = "z"
    left: str | None = None
    right: str | None = None
    radius: str | None = None
    moving: str | None = None
    boundary: str = "closed"
    wall_left: str = "0 C/m**2"
    wall_right: str | None = None
    reference: str = "middle"
    replicates: int = 200
    seed: int = 0
    processes: int = 1
    start: int = 0
    stop: int | None = None
    thermostat: str | None = None
    friction: str | None = None
    surface: str | None = None
    depth: str | None = None
    vapour: str = "1 nm"
    side: str = "upper"
    bulk: Path | None = None


def run(request: Request, out: Path, plot: Path | None, quiet: bool) -> xr.Dataset:
    """Make profiles, write them whole, and draw them.

    Raises
    ------
    InputError
        When files cannot be read, text not understood, or as `interface_profiles`.
    """
    check_files(out, plot, request.trajectory, request.topology, request.bulk)
    electrics = _electrics(request)
    resolution = Resolution(
        quantity(request.bin, "m"),
        0.0 if request.lag is None else quantity(request.lag, "s"),
        None if request.block is None else quantity(request.block, "s"),
        request.replicates,
        request.seed,
    )
    universe = universe_of(request.trajectory, request.topology)
    view = View(
        quantity(request.temperature, "K"),
        _coordinate(request),
        request.moving,
        charges_of(request.charges),
        electrics,
        request.start,
        request.stop,
        request.processes,
        request.thermostat,
        None if request.friction is None else quantity(request.friction, "1/s"),
    )
    _refuse_idle(request)
    species = species_of(request.species)
    bulk = _bulk(request, list(species), view.temperature)
    shown_progress = shown("profiles", False if quiet else None)
    with shown_progress as progress, told_elsewhere():
        if request.lag is None:
            found = density_profiles(
                universe, species, resolution, view, progress=progress
            )
        else:
            found = interface_profiles(
                universe, species, resolution, view, progress=progress
            )
    if bulk is not None:
        found = with_bulk(found, bulk)
    write_dataset(found, out, found.attrs["schema"])
    if plot is not None:
        from .plot import plot_profiles

        plot_profiles(found, plot)
    return found


def _bulk(request: Request, species: list[str], temperature: float) -> xr.Dataset | None:
    """The bulk run, when it belongs to the profiles: told before their long pass."""
    if request.bulk is None:
        return None
    if request.lag is None:
        raise InputError(
            "bulk diffusion for profiles without diffusion",
            wanted="--lag with --bulk",
            got="no lag",
        )
    bulk = read_dataset(request.bulk, "bulk-transport/1")
    bulk_columns(bulk, species, temperature)
    return bulk


def _electrics(request: Request) -> Electrics:
    left = quantity(request.wall_left, "C/m**2")
    right = None
    if request.wall_right is not None:
        right = quantity(request.wall_right, "C/m**2")
    elif request.geometry != "planar":  # shells have one wall
        left, right = 0.0, left
    return Electrics(request.boundary, left, right, reference=request.reference)


def _refuse_idle(request: Request) -> None:
    """Refuse lengths of another geometry: nothing would become of them."""
    of = {
        "left": "planar", "right": "planar", "surface": "surface", "depth": "surface",
        "radius": "cylindrical or spherical",
    }  # fmt: skip
    for name, wanted in of.items():
        if getattr(request, name) is not None and request.geometry not in wanted:
            raise InputError(
                f"--{name} with --geometry {request.geometry}",
                wanted=f"--geometry {wanted}", got=request.geometry,
            )  # fmt: skip


def _coordinate(request: Request) -> Coordinate:
    if request.geometry == "planar":
        ends = (
            None if text is None else quantity(text, "m")
            for text in (request.left, request.right)
        )
        return Planar(request.axis, *ends)
    if request.geometry == "surface":
        if request.surface is None or request.depth is None:
            raise InputError(
                "profiles from a surface",
                wanted="the selection that makes the surface, and a depth",
                got=f"surface {request.surface}, depth {request.depth}",
            )
        lengths = quantity(request.depth, "m"), quantity(request.vapour, "m")
        return Surface(request.surface, *lengths, request.axis, request.side)
    if request.geometry not in ("cylindrical", "spherical") or request.radius is None:
        raise InputError(
            "geometry of profiles",
            wanted="planar or surface, or cylindrical or spherical with a radius",
            got=f"{request.geometry}, radius {request.radius}",
        )
    radius = quantity(request.radius, "m")
    if request.geometry == "cylindrical":
        return Cylindrical(radius, request.axis)
    return Spherical(radius)
