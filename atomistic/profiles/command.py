"""`mesobridge profiles`: from a trajectory on disk to a file of profiles."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr
from matplotlib.figure import Figure
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ...core.artefact import write_dataset
from ...core.cautions import Caution
from ...core.errors import InputError
from ...core.units import quantity
from .coordinates import Coordinate, Cylindrical, Planar, Spherical
from .estimates import Electrics
from .interface import Resolution, View, density_profiles, interface_profiles
from .particles import Species
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


def run(request: Request, out: Path, plot: Path | None, quiet: bool) -> xr.Dataset:
    """Make profiles, write them whole, and draw them.

    Raises
    ------
    InputError
        When files cannot be read, text not understood, or as `interface_profiles`.
    """
    for path in (out, plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(
                f"{path} cannot be written",
                wanted="a folder that is there",
                got=str(path.parent),
            )
    kinds = Figure().canvas.get_supported_filetypes()
    if plot is not None and plot.suffix[1:] not in kinds:
        raise InputError(
            f"{plot} cannot be drawn", wanted=", ".join(sorted(kinds)), got=plot.suffix
        )
    electrics = _electrics(request)
    resolution = Resolution(
        quantity(request.bin, "m"),
        0.0 if request.lag is None else quantity(request.lag, "s"),
        None if request.block is None else quantity(request.block, "s"),
        request.replicates,
        request.seed,
    )
    universe = _universe(request)
    view = View(
        quantity(request.temperature, "K"),
        _coordinate(request),
        request.moving,
        {k: _number(v, k) for k, v in _pairs(request.charges, "charges")},
        electrics,
        request.start,
        request.stop,
        request.processes,
        request.thermostat,
        None if request.friction is None else quantity(request.friction, "1/s"),
    )
    species: dict[str, Species] = {}
    for name, text in _pairs(request.species, "species"):
        if name in species:
            raise InputError("species of profiles", wanted="each once", got=name)
        species[name] = _species(text)
    with _shown(quiet) as progress, warnings.catch_warnings():
        warnings.simplefilter("ignore", Caution)  # the closing summary tells them
        if request.lag is None:
            found = density_profiles(
                universe, species, resolution, view, progress=progress
            )
        else:
            found = interface_profiles(
                universe, species, resolution, view, progress=progress
            )
    write_dataset(found, out, found.attrs["schema"])
    if plot is not None:
        from .plot import plot_profiles

        plot_profiles(found, plot)
    return found


def _electrics(request: Request) -> Electrics:
    left = quantity(request.wall_left, "C/m**2")
    right = None
    if request.wall_right is not None:
        right = quantity(request.wall_right, "C/m**2")
    elif request.geometry != "planar":  # shells have one wall
        left, right = 0.0, left
    return Electrics(request.boundary, left, right, reference=request.reference)


def _universe(request: Request) -> Any:
    import MDAnalysis

    files = [one for one in (request.topology, request.trajectory) if one is not None]
    for one in files:
        if not one.is_file():
            raise InputError(f"{one} is not there", wanted="a file", got="none")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MDAnalysis.Universe(*map(str, files))
    except Exception as exc:  # MDAnalysis raises many kinds
        raise InputError(
            f"{files[-1]} cannot be read",
            wanted="a topology and a trajectory that MDAnalysis reads",
            got=str(exc).splitlines()[0] if str(exc) else type(exc).__name__,
        ) from exc


def _pairs(texts: Sequence[str], what: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        # Selections may hold an equals sign; names and numbers do not.
        first, _, last = (
            text.rpartition("=") if what == "charges" else text.partition("=")
        )
        if not first or not last:
            wanted = "SELECTION=CHARGE" if what == "charges" else "NAME=SELECTION"
            raise InputError(f"{what} of profiles", wanted=wanted, got=repr(text))
        yield first.strip(), last.strip()


def _species(text: str) -> Species:
    head, _, rest = text.partition(":")
    return Species(rest, "residues") if head == "residues" and rest else Species(text)


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise InputError(
            f"charge of {name}", wanted="a number, in e", got=repr(text)
        ) from exc


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


@contextmanager
def _shown(quiet: bool):
    """Progress with its remaining time, on a terminal."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("reading", total=1.0)

        def tell(done: float, of: float, what: str) -> None:
            bar.update(task, completed=done / of, description=what)

        yield tell
