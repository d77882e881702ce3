"""`mesobridge learn`: from a structure and an oracle to a potential that knows itself.

The run folder holds the labels, every round, ``rounds.json``, the potential and a report
that is written anew after each round: a look at it shows how far learning is.
"""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

from ase import Atoms
from ase.data import atomic_numbers

from ..atomistic.active import Round, learn
from ..atomistic.active.walkers import system_of
from ..atomistic.labels import Labeller, LabelStore, check_oracle
from ..atomistic.named_oracle import CodeOracle, NamedOracle, OracleSpec
from ..atomistic.potential.reading import read_structures
from ..core.artefact import existing, write_json, write_text
from ..core.errors import InputError
from .active_config import ActiveConfig, active_settings, load_active
from .pipeline.lock import run_lock
from .pipeline.progress import Display
from .report.active import active_page

POTENTIAL, REPORT, ROUNDS = "potential.safetensors", "report.html", "rounds.json"


def run_learning(
    path: Path | str,
    out: Path | str = "runs",
    *,
    oracle: str | None = None,
    version: str = "",
    quiet: bool = False,
) -> tuple[Path, Round]:
    """Learn as a configuration file says; a run that was killed goes on.

    Parameters
    ----------
    path
        TOML file; the structure is relative to its folder.
    out
        Folder that holds run folders; this run's is ``out/<run.name>``.
    oracle
        ``module:factory`` of an ASE calculator, in place of the section [oracle].
    version
        Of that calculator: labels of another version are made anew.
    quiet
        Show nothing.

    Returns
    -------
    folder : Path
        The run folder.
    last : Round
        What the last round came to.

    Raises
    ------
    InputError
        When configuration, structure or oracle cannot be used, or the folder holds
        another run.
    StageError
        When too many labels fail, or bounds are passed at once, round after round.
    """
    config = load_active(Path(path))
    folder = Path(out) / config.run.name
    spec = oracle_of(config.oracle, Path(path).parent, oracle, version)
    starts = _starts(config, Path(path).parent)
    settings = active_settings(config, _species(config, starts), len(starts[0]))
    n = config.labels
    with run_lock(folder), Display(folder / "run.jsonl", quiet=quiet) as display:
        if not (folder / ROUNDS).exists():
            display.line(f"checking units of {spec.name}")
            check_oracle(spec, displaced(starts[0]), n.timeout)
        labeller = Labeller(
            spec, LabelStore(folder / "labels"), processes=n.processes,
            timeout=n.timeout, retries=n.retries,
        )  # fmt: skip
        rounds: list[Round] = []

        phases = _Phases(display)

        def heard(last: Round) -> None:
            phases.end()
            rounds.append(last)
            write_json(folder / ROUNDS, {"rounds": [asdict(r) for r in rounds]})
            page = active_page(config, spec.name, rounds, settings)
            write_text(folder / REPORT, page.render())
            display.log("round", **asdict(last))
            display.line(round_line(last))

        learn(
            starts, labeller, settings, folder, heard=heard, show=not quiet,
            tell=phases,
        )  # fmt: skip
        if rounds[-1].doubt is not None:
            display.line(f"doubt: {rounds[-1].doubt}")
    return folder, rounds[-1]


class _Phases:
    """Training and walk of each round, one after the other on a display."""

    def __init__(self, display: Display):
        self.display, self.now, self.began = display, "", 0.0

    def __call__(self, what: str, done: float, total: float, text: str) -> None:
        if what != self.now:
            self.end()
            self.now, self.began = what, time.monotonic()
            self.display.begin(what)
        self.display.show(what, done, total, text)

    def end(self) -> None:
        """What went on is over."""
        if self.now:
            self.display.end(self.now, time.monotonic() - self.began)
        self.now = ""


def round_line(r: Round) -> str:
    """A round in a line."""
    text = f"round {r.number:<3} {r.labels:>5} labels"
    text += f" ({r.failed} failed)" if r.failed else ""
    text += f"  F {1e3 * r.force_rmse:.0f} meV/A held out"
    if r.surprise is not None:
        inside, rmse = r.surprise
        text += f"  new frames: {1e3 * rmse:.0f} meV/A, {100 * inside:.0f} % in 95 %"
    text += f"  walked {1e-3 * r.passed:.2f} ps, {len(r.triggers)} stopped"
    return text + f", unsure by {max(r.force, r.energy):.2f} of the bounds"


def oracle_of(
    named: NamedOracle | None, base: Path, code: str | None, version: str
) -> OracleSpec:
    """The oracle of a section [oracle], or of --oracle.

    Raises
    ------
    InputError
        When there are both, or neither.
    """
    if code is not None and named is None:
        return CodeOracle(code, code, version)
    if named is None or code is not None:
        raise InputError("the oracle", got="both" if code else "neither",
                         wanted="a section [oracle] or --oracle")  # fmt: skip
    return named.located(base)


def _starts(config: ActiveConfig, base: Path) -> list:
    """As many configurations as are asked for, spread over the file."""
    found = read_structures(existing(base / config.system.structure))
    n = config.system.starts
    if n > len(found):
        raise InputError("system.starts", wanted=f"up to {len(found)}, as many as the "
                         "file has", got=str(n))  # fmt: skip
    starts = found[:: len(found) // n][:n]
    for atoms in starts:
        atoms.calc = None
    system_of(starts)
    return starts


def displaced(atoms: Atoms) -> Atoms:
    """With forces that tell their unit."""
    moved = atoms.copy()
    moved.rattle(0.05, seed=0)
    return moved


def _species(config: ActiveConfig, starts: list) -> tuple[str, ...]:
    species = tuple(sorted(set(starts[0].symbols), key=lambda s: atomic_numbers[s]))
    charges = config.model.charges
    if charges is not None and set(charges) != set(species):
        raise InputError("model.charges", wanted=f"one for each of {', '.join(species)}",
                         got=", ".join(charges))  # fmt: skip
    return species
