"""Verbs over a trajectory that the user has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

Text = Optional[str]  # noqa: UP045
Number = Optional[int]  # noqa: UP045
File = Optional[Path]  # noqa: UP045
Trajectory = Annotated[Path, typer.Argument(help="Any that MDAnalysis reads.")]
Topology = Annotated[File, typer.Option(help="With charges and masses.")]
Kinds = Annotated[
    list[str], typer.Option(help="NAME=SELECTION or NAME=residues:SELECTION; repeat.")
]
Charges = Annotated[
    Optional[list[str]],  # noqa: UP045
    typer.Option(help="SELECTION=CHARGE (e) in place of the topology's; repeat."),
]
Temperature = Annotated[str, typer.Option(help="Such as '300 K'.")]
Block = Annotated[Text, typer.Option(help="Unit of the bootstrap; else chosen.")]
NetCDF = Annotated[Path, typer.Option(help="NetCDF file.")]
Plot = Annotated[File, typer.Option(help="Picture, by its suffix.")]
Replicates = Annotated[int, typer.Option(min=50, max=10_000)]
Seed = Annotated[int, typer.Option(min=0)]
Start = Annotated[int, typer.Option(min=0, help="First frame.")]
Stop = Annotated[Number, typer.Option(help="Frame after the last.")]
Quiet = Annotated[bool, typer.Option("--quiet")]
Two = Optional[tuple[str, str]]  # noqa: UP045


def profiles(
    trajectory: Trajectory,
    species: Kinds,
    temperature: Temperature,
    lag: Annotated[
        Text, typer.Option(help="Of displacements, '2 ps'; without it no diffusion.")
    ] = None,
    block: Block = None,
    topology: Topology = None,
    out: NetCDF = Path("profiles.nc"),
    plot: Plot = None,
    charge: Charges = None,
    bin: Annotated[str, typer.Option(help="Width of a cell.")] = "0.02 nm",
    geometry: Annotated[
        str, typer.Option(help="planar, cylindrical, spherical or surface.")
    ] = "planar",
    axis: Annotated[str, typer.Option(help="Normal of planes, axis of a pore.")] = "z",
    left: Annotated[Text, typer.Option(help="Position of the left wall.")] = None,
    right: Annotated[Text, typer.Option(help="Position of the right wall.")] = None,
    radius: Annotated[Text, typer.Option(help="Of shells.")] = None,
    moving: Annotated[
        Text, typer.Option(help="Selection whose centre of mass is the origin.")
    ] = None,
    surface: Annotated[
        Text, typer.Option(help="Selection that makes the instantaneous surface.")
    ] = None,
    depth: Annotated[Text, typer.Option(help="Of cells below the surface.")] = None,
    vapour: Annotated[str, typer.Option(help="Of cells above the surface.")] = "1 nm",
    side: Annotated[str, typer.Option(help="upper or lower surface.")] = "upper",
    boundary: Annotated[str, typer.Option(help="closed, periodic or slab.")] = "closed",
    wall_charge: Annotated[str, typer.Option(help="Of the left wall.")] = "0 C/m**2",
    far_charge: Annotated[
        Text, typer.Option(help="Of the right wall; the opposite by default.")
    ] = None,
    reference: Annotated[
        str, typer.Option(help="phi is 0: middle, left, right, vacuum, none.")
    ] = "middle",
    replicates: Replicates = 200,
    seed: Seed = 0,
    processes: Annotated[int, typer.Option(min=1, max=256)] = 1,
    start: Start = 0,
    stop: Stop = None,
    thermostat: Annotated[Text, typer.Option(help="Its name, for the file.")] = None,
    friction: Annotated[
        Text, typer.Option(help="Of a Langevin thermostat, '0.1/ps'.")
    ] = None,
    bulk: Annotated[
        File, typer.Option(help="Of `mesobridge transport`: D_bulk of the species.")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Densities, potential, PMF and diffusion across an interface of a trajectory."""
    from ..atomistic.profiles.command import Request, run
    from ..atomistic.profiles.summary import summary

    found = run(
        Request(
            trajectory, topology, species, charge or (), bin, lag, block, temperature,
            geometry, axis, left, right, radius, moving, boundary, wall_charge,
            far_charge, reference, replicates, seed, processes, start, stop,
            thermostat, friction,
            surface=surface, depth=depth, vapour=vapour, side=side, bulk=bulk,
        ),
        out, plot, quiet,
    )  # fmt: skip
    typer.echo(f"{out}: {found.attrs['schema']}, {found.sizes['z']} cells")
    typer.echo(str(summary(found)))


def transport(
    trajectory: Trajectory,
    species: Kinds,
    temperature: Temperature,
    topology: Topology = None,
    charge: Charges = None,
    lags: Annotated[Two, typer.Option(help="Shortest and longest of the slope.")] = None,
    viscosity: Annotated[
        Text, typer.Option(help="Of the model: D of an infinite box (Yeh-Hummer).")
    ] = None,
    frame: Annotated[str, typer.Option(help="barycentric, lab or solvent.")] = (
        "barycentric"
    ),
    solvent: Annotated[Text, typer.Option(help="Species at rest in its frame.")] = None,
    green_kubo: Annotated[
        bool, typer.Option("--green-kubo", help="From velocities.")
    ] = False,
    cutoff: Annotated[Text, typer.Option(help="Of Green-Kubo integrals.")] = None,
    self_only: Annotated[
        bool, typer.Option("--self-only", help="No conductivity: charges are not needed.")
    ] = False,
    block: Block = None,
    replicates: Replicates = 200,
    seed: Seed = 0,
    start: Start = 0,
    stop: Stop = None,
    out: NetCDF = Path("transport.nc"),
    plot: Plot = None,
    quiet: Quiet = False,
) -> None:
    """Diffusion, conductivity and transference of a bulk liquid."""
    from ..atomistic.profiles import measure

    files = measure.Files(
        trajectory, topology, out, plot, block, replicates, seed, start, stop, quiet
    )
    lines = measure.transport(
        files, species, charge or (), temperature, lags=lags, viscosity=viscosity,
        cutoff=cutoff, frame=frame, solvent=solvent, collective=not self_only,
        method="green-kubo" if green_kubo else "einstein",
    )  # fmt: skip
    typer.echo("\n".join(lines))


def dielectric(
    trajectory: Trajectory,
    temperature: Temperature,
    boundary: Annotated[str, typer.Option(help="periodic, or slab (EW3DC).")],
    topology: Topology = None,
    selection: Annotated[str, typer.Option(help="Neutral molecules.")] = "all",
    charge: Charges = None,
    bin: Annotated[str, typer.Option(help="Width of a cell.")] = "0.02 nm",
    axis: Annotated[str, typer.Option(help="Normal of the slab.")] = "z",
    block: Block = None,
    replicates: Replicates = 200,
    seed: Seed = 0,
    start: Start = 0,
    stop: Stop = None,
    out: NetCDF = Path("dielectric.nc"),
    plot: Plot = None,
    quiet: Quiet = False,
) -> None:
    """Permittivity along and across a slab, or of bulk, from fluctuating dipoles."""
    from ..atomistic.profiles import measure

    files = measure.Files(
        trajectory, topology, out, plot, block, replicates, seed, start, stop, quiet
    )
    lines = measure.dielectric(
        files, charge or (), temperature, bin=bin, boundary=boundary, axis=axis,
        selection=selection,
    )  # fmt: skip
    typer.echo("\n".join(lines))


def residence(
    trajectory: Trajectory,
    species: Kinds,
    topology: Topology = None,
    between: Annotated[Two, typer.Option(help="Planes of a slab.")] = None,
    axis: Annotated[str, typer.Option(help="Normal of the planes.")] = "z",
    moving: Annotated[
        Text, typer.Option(help="Selection whose centre of mass is the origin.")
    ] = None,
    around: Annotated[Text, typer.Option(help="Centres of shells.")] = None,
    within: Annotated[Text, typer.Option(help="Radius of shells.")] = None,
    pairs: Annotated[bool, typer.Option("--pairs", help="Follow each contact.")] = False,
    kind: Annotated[str, typer.Option(help="continuous or intermittent.")] = "continuous",
    longest: Annotated[Text, typer.Option(help="Longest lag; half a block.")] = None,
    tolerance: Annotated[Text, typer.Option(help="Absence that is overlooked.")] = None,
    margin: Annotated[
        Text, typer.Option(help="Beyond the border, before one has left.")
    ] = None,
    block: Block = None,
    replicates: Replicates = 200,
    seed: Seed = 0,
    start: Start = 0,
    stop: Stop = None,
    out: NetCDF = Path("residence.nc"),
    plot: Plot = None,
    quiet: Quiet = False,
) -> None:
    """How long particles stay between two planes, or close to others."""
    from ..atomistic.profiles import measure

    files = measure.Files(
        trajectory, topology, out, plot, block, replicates, seed, start, stop, quiet
    )
    lines = measure.residence(
        files, species, between=between, axis=axis, moving=moving, around=around,
        within=within, pairs=pairs, kind=kind, longest=longest, tolerance=tolerance,
        margin=margin,
    )  # fmt: skip
    typer.echo("\n".join(lines))


VERBS = (profiles, transport, dielectric, residence)
