"""The command line: thin verbs over `mesobridge.bridges`."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, Optional

import typer

from ..core.errors import InputError
from ..core.script import plain_errors
from . import potentials, trajectories
from .stopping import signals, stop_on_signals, tell

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
    from ..bridges.pipeline.template import TEMPLATE
    from ..core.artefact import write_text

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
    from ..bridges.interface_job import plan
    from ..bridges.pipeline.config import load_config
    from ..bridges.pipeline.limits import check_memory

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
    from ..bridges.jobs import REPORT, run_job
    from ..bridges.pipeline.summary import headline

    stop_on_signals()
    job = run_job(config, out, workers=workers, first=first, until=until)
    for line in headline(job.summary):
        typer.echo(line)
    typer.echo(f"summary   {job.folder / 'summary.json'}")
    if (job.folder / REPORT).is_file():
        typer.echo(f"report    {job.folder / REPORT}")


@app.command()
def status(config: ConfigFile, out: Out = Path("runs")) -> None:
    """Show which stages are done, started, or to do; change nothing."""
    from ..bridges.jobs import status as states_of
    from ..bridges.pipeline.config import load_config

    states = states_of(load_config(config), out)
    for name, state in states.items():
        typer.echo(f"{name:<16} {state}")
    done = sum(state == "done" for state in states.values())
    typer.echo(f"{done} of {len(states)} stages done")


@app.command()
def report(config: ConfigFile, out: Out = Path("runs")) -> None:
    """Make the report of a finished run again and say where it is."""
    from ..bridges.jobs import REPORT, run_job
    from ..bridges.jobs import status as states_of
    from ..bridges.pipeline.config import load_config

    states = states_of(load_config(config), out)
    open_stages = [n for n, s in states.items() if s != "done" and n != "report"]
    if open_stages:
        raise InputError(
            "the run is not complete", wanted="every stage done",
            got=f"to do: {', '.join(open_stages)}", mend=f"mesobridge run {config}",
        )  # fmt: skip
    job = run_job(config, out, first="report", quiet=True)
    typer.echo(str(job.folder / REPORT))


for verb in (*potentials.VERBS, *trajectories.VERBS):
    app.command()(verb)


@app.command()
def doctor() -> None:
    """Say what this installation can do, and what it lacks."""
    from ..bridges.pipeline.doctor import examine

    findings = examine()
    for finding in findings:
        mark = "ok     " if finding.ok else "MISSING"
        typer.echo(f"{mark} {finding.name:<14} {finding.text}")
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    """Entry point: 0 ok, 1 a stage failed, 2 bad input, 130 Ctrl-C, 143 terminated."""
    try:
        with plain_errors("mesobridge: "):
            app()
    except Exception as exc:  # a defect of ours: short for users, whole for us
        if signals:  # a pool that was just being started cannot be shut down
            sys.exit(signals[0])
        if os.environ.get("MESOBRIDGE_DEBUG"):
            traceback.print_exc()
        tell(f"unexpected {type(exc).__name__}: {exc}\n  mend:   --debug shows where")
        sys.exit(1)
