"""The command line: thin verbs over `mesobridge.bridges`."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated, Optional

import typer

from .core.errors import InputError, MesobridgeError

app = typer.Typer(
    name="mesobridge",
    help="Couple scales: forces, ML molecular dynamics, beads, Nernst-Planck transport.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

ConfigFile = Annotated[Path, typer.Argument(help="TOML file, see `mesobridge init`.")]
Out = Annotated[Path, typer.Option(help="Folder that holds run folders.")]


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks of unexpected errors.")
    ] = False,
) -> None:
    if debug:
        os.environ["MESOBRIDGE_DEBUG"] = "1"


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="File to write.")] = Path("config.toml"),
) -> None:
    """Write a commented configuration to start from."""
    from .bridges.pipeline.template import TEMPLATE
    from .core.artefact import write_text

    if path.exists():
        raise InputError(
            f"{path} is there already", wanted="a new file", got="an existing one",
            mend="choose another name, or remove it",
        )  # fmt: skip
    write_text(path, TEMPLATE)
    typer.echo(f"wrote {path}; next: mesobridge run {path}")


@app.command()
def check(config: ConfigFile) -> None:
    """Check a configuration and show the stages it asks for; run nothing."""
    from .bridges.interface_job import plan
    from .bridges.pipeline.config import load_config
    from .bridges.pipeline.limits import check_memory

    checked = load_config(config)
    check_memory(checked, str(config))
    stages = plan(checked)
    for stage in stages:
        needs = ", ".join(stage.needs) or "-"
        typer.echo(f"{stage.name:<16} needs {needs}")
    typer.echo(f"{config}: good, {len(stages)} stages")


@app.command()
def run(
    config: ConfigFile,
    out: Out = Path("runs"),
    workers: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this at run time
        typer.Option(min=1, max=256, help="Processes; run.workers of the file."),
    ] = None,
    first: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--from", help="Run this stage and what follows again."),
    ] = None,
    until: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="Stop after this stage."),
    ] = None,
) -> None:
    """Run what is not there yet; running again takes up what was killed."""
    from .bridges.jobs import REPORT, run_job
    from .bridges.pipeline.summary import headline

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stopped)
    job = run_job(config, out, workers=workers, first=first, until=until)
    for line in headline(job.summary):
        typer.echo(line)
    typer.echo(f"summary   {job.folder / 'summary.json'}")
    if (job.folder / REPORT).is_file():
        typer.echo(f"report    {job.folder / REPORT}")


#: Exit codes of signals that came; what fails on the way out must not hide them.
_signals: list[int] = []


def _stopped(number: int, _) -> None:
    _signals.append(128 + number)
    _tell("stopped; run again to go on from here")
    sys.exit(_signals[0])


@app.command()
def status(config: ConfigFile, out: Out = Path("runs")) -> None:
    """Show which stages are done, started, or to do; change nothing."""
    from .bridges.jobs import status as states_of
    from .bridges.pipeline.config import load_config

    states = states_of(load_config(config), out)
    for name, state in states.items():
        typer.echo(f"{name:<16} {state}")
    done = sum(state == "done" for state in states.values())
    typer.echo(f"{done} of {len(states)} stages done")


@app.command()
def report(config: ConfigFile, out: Out = Path("runs")) -> None:
    """Make the report of a finished run again and say where it is."""
    from .bridges.jobs import REPORT, run_job
    from .bridges.jobs import status as states_of
    from .bridges.pipeline.config import load_config

    states = states_of(load_config(config), out)
    open_stages = [n for n, s in states.items() if s != "done" and n != "report"]
    if open_stages:
        raise InputError(
            "the run is not complete", wanted="every stage done",
            got=f"to do: {', '.join(open_stages)}", mend=f"mesobridge run {config}",
        )  # fmt: skip
    job = run_job(config, out, first="report", quiet=True)
    typer.echo(str(job.folder / REPORT))


Text = Optional[str]  # noqa: UP045
Number = Optional[int]  # noqa: UP045
File = Optional[Path]  # noqa: UP045


@app.command()
def profiles(
    trajectory: Annotated[Path, typer.Argument(help="Any that MDAnalysis reads.")],
    species: Annotated[
        list[str],
        typer.Option(help="NAME=SELECTION or NAME=residues:SELECTION; repeat."),
    ],
    temperature: Annotated[str, typer.Option(help="Such as '300 K'.")],
    lag: Annotated[
        Text, typer.Option(help="Of displacements, '2 ps'; without it no diffusion.")
    ] = None,
    block: Annotated[
        Text, typer.Option(help="Unit of the bootstrap; by default the run's memory.")
    ] = None,
    topology: Annotated[File, typer.Option(help="With charges and masses.")] = None,
    out: Annotated[Path, typer.Option(help="NetCDF file.")] = Path("profiles.nc"),
    plot: Annotated[File, typer.Option(help="Picture, by its suffix.")] = None,
    charge: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(help="SELECTION=CHARGE (e) in place of the topology's; repeat."),
    ] = None,
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
    replicates: Annotated[int, typer.Option(min=50, max=10_000)] = 200,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    processes: Annotated[int, typer.Option(min=1, max=256)] = 1,
    start: Annotated[int, typer.Option(min=0, help="First frame.")] = 0,
    stop: Annotated[Number, typer.Option(help="Frame after the last.")] = None,
    thermostat: Annotated[Text, typer.Option(help="Its name, for the file.")] = None,
    friction: Annotated[
        Text, typer.Option(help="Of a Langevin thermostat, '0.1/ps'.")
    ] = None,
    bulk: Annotated[
        File, typer.Option(help="Of `mesobridge transport`: D_bulk of the species.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet")] = False,
) -> None:
    """Densities, potential, PMF and diffusion across an interface of a trajectory."""
    from .atomistic.profiles.command import Request, run
    from .atomistic.profiles.summary import summary

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


@app.command()
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
    from .atomistic.profiles import measure

    files = measure.Files(
        trajectory, topology, out, plot, block, replicates, seed, start, stop, quiet
    )
    lines = measure.transport(
        files, species, charge or (), temperature, lags=lags, viscosity=viscosity,
        cutoff=cutoff, frame=frame, solvent=solvent, collective=not self_only,
        method="green-kubo" if green_kubo else "einstein",
    )  # fmt: skip
    typer.echo("\n".join(lines))


@app.command()
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
    from .atomistic.profiles import measure

    files = measure.Files(
        trajectory, topology, out, plot, block, replicates, seed, start, stop, quiet
    )
    lines = measure.dielectric(
        files, charge or (), temperature, bin=bin, boundary=boundary, axis=axis,
        selection=selection,
    )  # fmt: skip
    typer.echo("\n".join(lines))


@app.command()
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
    from .atomistic.profiles import measure

    files = measure.Files(
        trajectory, topology, out, plot, block, replicates, seed, start, stop, quiet
    )
    lines = measure.residence(
        files, species, between=between, axis=axis, moving=moving, around=around,
        within=within, pairs=pairs, kind=kind, longest=longest, tolerance=tolerance,
        margin=margin,
    )  # fmt: skip
    typer.echo("\n".join(lines))


@app.command()
def doctor() -> None:
    """Say what this installation can do, and what it lacks."""
    from .bridges.pipeline.doctor import examine

    findings = examine()
    for finding in findings:
        mark = "ok     " if finding.ok else "MISSING"
        typer.echo(f"{mark} {finding.name:<14} {finding.text}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: 0 ok, 1 a stage failed, 2 bad input, 130 Ctrl-C, 143 terminated."""
    try:
        app()
    except MesobridgeError as exc:
        _tell(str(exc))
        sys.exit(exc.exit_code)
    except OSError as exc:
        _tell(f"{exc.filename or 'a file'}: {exc.strerror or exc}")
        sys.exit(2)
    except Exception as exc:  # a defect of ours: short for users, whole for us
        if _signals:  # a pool that was just being started cannot be shut down
            sys.exit(_signals[0])
        if os.environ.get("MESOBRIDGE_DEBUG"):
            traceback.print_exc()
        _tell(f"unexpected {type(exc).__name__}: {exc}\n  mend:   --debug shows where")
        sys.exit(1)


def _tell(text: str) -> None:
    typer.echo(f"mesobridge: {text}", err=True)


if __name__ == "__main__":
    main()
