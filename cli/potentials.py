"""Verbs over potentials."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Optional

import typer

from .stopping import stop_on_signals

Text = Optional[str]  # noqa: UP045 - typer reads it at run time
File = Optional[Path]  # noqa: UP045
Labels = Optional[list[str]]  # noqa: UP045
Code = Annotated[Text, typer.Option(help="module:factory, in place of section oracle.")]
Version = Annotated[
    str, typer.Option(help="Of that calculator; others make labels anew.")
]
Quiet = Annotated[bool, typer.Option("--quiet")]
Runs = Annotated[Path, typer.Option(help="Folder that holds run folders.")]


def train(
    config: Annotated[Path, typer.Argument(help="TOML, see examples/potential.")],
    out: Runs = Path("runs"),
    baseline: Annotated[
        Text,
        typer.Option(
            help="module:factory of a calculator, in place of section baseline."
        ),
    ] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Forget the training in the run folder.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a potential on labelled frames; a training that was killed goes on."""
    from ..bridges.training import POTENTIAL, REPORT, run_training

    stop_on_signals()
    folder = run_training(config, out, baseline=baseline, fresh=fresh, quiet=quiet)
    if os.environ.get("RANK", "0") == "0":  # of torchrun
        typer.echo(f"potential {folder / POTENTIAL}")
        typer.echo(f"report    {folder / REPORT}")


def validate(
    potential: Annotated[
        str, typer.Argument(help="potential/1 file, or module:factory of a calculator.")
    ],
    data: Annotated[
        File, typer.Option(help="Labelled frames: extxyz, npz or .nc.")
    ] = None,
    label: Annotated[
        Labels,
        typer.Option(help="What --data calls a label, energy=REF_energy; repeat."),
    ] = None,
    crystal: Annotated[
        Text, typer.Option(help="'Si diamond 5.43' (A), or a file.")
    ] = None,
    md: Annotated[Text, typer.Option(help="Temperature of dynamics, '300 K'.")] = None,
    time: Annotated[str, typer.Option(help="Of the NVT and the NVE run.")] = "5 ps",
    timestep: Annotated[str, typer.Option(help="Of dynamics.")] = "1 fs",
    reference: Annotated[
        File, typer.Option(help="Frames at that temperature, for g(r).")
    ] = None,
    baseline: Annotated[
        Text, typer.Option(help="module:factory, of a file that does not name its own.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder.")] = Path("validation"),
    seed: Annotated[int, typer.Option(min=0)] = 0,
    quiet: Quiet = False,
) -> None:
    """Judge a potential: errors, crystals, conservation, ensembles; one report page."""
    from ..bridges.validation import Request, validate

    found = validate(
        Request(
            potential,
            data,
            crystal,
            md,
            time,
            timestep,
            reference,
            out,
            seed,
            quiet,
            baseline,
            tuple(label or ()),
        )  # fmt: skip
    )
    for name in found["failed"]:
        typer.echo(f"FAILED    {name}")
    typer.echo(f"report    {out / 'report.html'}")
    if not found["ok"]:
        raise typer.Exit(1)


def speedup(
    potential: Annotated[Path, typer.Argument(help="potential/1 file.")],
    structure: Annotated[Path, typer.Option(help="What moves: its first configuration.")],
    labels: Annotated[Path, typer.Option(help="Label store, or a labels/1 file.")],
    config: Annotated[File, typer.Option(help="TOML with a section [oracle].")] = None,
    oracle: Annotated[Text, typer.Option(help="module:factory of a calculator.")] = None,
    training: Annotated[
        File, typer.Option(help="Folder of the training; that of the potential without.")
    ] = None,
    training_cpu: Annotated[
        Text, typer.Option(help="CPU time of the training, '2 hour'.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Of the run in mind.")] = 150_000,
    frames: Annotated[int, typer.Option(min=2, help="That the oracle is timed on.")] = 5,
    replicas: Annotated[int, typer.Option(min=1, help="In a batch; 1: OpenMM.")] = 1,
    compile: Annotated[bool, typer.Option("--compile")] = False,
    temperature: Annotated[str, typer.Option(help="Of the short run.")] = "300 K",
    timestep: Annotated[str, typer.Option(help="Of the short run.")] = "0.5 fs",
    baseline: Annotated[
        Text, typer.Option(help="module:factory, of a file that does not name its own.")
    ] = None,
    json: Annotated[File, typer.Option(help="File for all figures.")] = None,
    html: Annotated[File, typer.Option(help="File for a page.")] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also over an oracle that is cheap itself.")
    ] = False,
) -> None:
    """Measure what a potential saves, its labels and its training paid for."""
    from ..bridges.report.speedup import speedup_lines
    from ..bridges.speedup import Request, speedup

    stop_on_signals()
    found = speedup(
        Request(
            potential, structure, labels, config, oracle, training, training_cpu, steps,
            frames, replicas, compile, temperature, timestep, baseline, json, html,
            anyway,
        )
    )  # fmt: skip
    for line in speedup_lines(found):
        typer.echo(line)


def learn(
    config: Annotated[Path, typer.Argument(help="TOML, see examples/ethanol.")],
    out: Runs = Path("runs"),
    oracle: Code = None,
    oracle_version: Version = "",
    quiet: Quiet = False,
) -> None:
    """Learn a potential where its own dynamics goes; a run that was killed goes on."""
    from ..bridges.active_job import POTENTIAL, REPORT, run_learning

    stop_on_signals()
    folder, last = run_learning(
        config, out, oracle=oracle, version=oracle_version, quiet=quiet
    )
    typer.echo(f"potential {folder / POTENTIAL}")
    typer.echo(f"report    {folder / REPORT}")
    if not last.done:
        typer.echo("not within the bounds yet")


def produce(
    config: Annotated[Path, typer.Argument(help="TOML, see examples/nacl_heated.")],
    out: Runs = Path("runs"),
    potential: Annotated[
        File, typer.Option(help="potential/1 file, in place of system.potential.")
    ] = None,
    oracle: Code = None,
    oracle_version: Version = "",
    quiet: Quiet = False,
) -> None:
    """Run a learned potential that is watched; a run that was killed goes on."""
    from ..bridges.production_job import REPORT, production_lines, run_production

    stop_on_signals()
    folder, found = run_production(
        config, out, potential=potential, oracle=oracle, version=oracle_version,
        quiet=quiet,
    )  # fmt: skip
    for line in production_lines(folder, found):
        typer.echo(line)
    typer.echo(f"report    {folder / REPORT}")


VERBS = (train, validate, learn, produce, speedup)
