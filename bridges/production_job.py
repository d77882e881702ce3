"""`mesobridge produce`: a run of a learned potential that is watched, from a file.

The run folder holds the trajectory, events, frames to look at, labels and a report.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ase import Atoms, units

from ..atomistic.active.walkers import started, system_of
from ..atomistic.labels import Labeller, LabelStore, check_oracle
from ..atomistic.potential import load_potential
from ..atomistic.potential.reading import read_structures
from ..atomistic.production import Produced, produce
from ..atomistic.production.run import SUMMARY, TRAJECTORY
from ..core.artefact import existing, read_json, write_text
from ..core.errors import InputError, StageError
from .active_config import motion
from .active_job import displaced, oracle_of
from .pipeline.lock import run_lock
from .pipeline.progress import Display
from .production_config import ProductionConfig, load_production, production_settings
from .report.production import production_page, watched

REPORT = "report.html"


def run_production(
    path: Path | str,
    out: Path | str = "runs",
    *,
    potential: Path | str | None = None,
    oracle: str | None = None,
    version: str = "",
    quiet: bool = False,
) -> tuple[Path, Produced]:
    """Run as a configuration file says; a run that was killed goes on.

    Parameters
    ----------
    path
        TOML file; structure, potential and files of an oracle are relative to its folder.
    out
        Folder that holds run folders; this run's is ``out/<run.name>``.
    potential
        Of another file than the configuration names.
    oracle, version
        As of `active_job.run_learning`; only the answer ``"correct"`` needs an oracle.
    quiet
        Show nothing.

    Returns
    -------
    folder : Path
        The run folder.
    found : Produced
        What the run came to.

    Raises
    ------
    InputError
        When configuration, structure, potential or oracle cannot be used, or the folder
        holds another run.
    StageError
        When it cannot go on; the report says how far it came.
    """
    config, base = load_production(Path(path)), Path(path).parent
    folder = Path(out) / config.run.name
    settings = production_settings(config)
    learned = load_potential(_potential(config, base, potential))
    start = start_of(config, base)
    learned.numbers(list(start.symbols))
    learned.calibrated()
    with run_lock(folder), Display(folder / "run.jsonl", quiet=quiet) as display:
        labeller = None
        if settings.answer == "correct":
            spec = oracle_of(config.oracle, base, oracle, version)
            if not (folder / "segments").exists():
                display.line(f"checking units of {spec.name}")
                check_oracle(spec, displaced(start), config.answer.timeout)
            store = LabelStore(folder / "labels")
            labeller = Labeller(spec, store, timeout=config.answer.timeout)
        display.begin("production")

        def tell(done: float, total: float, text: str) -> None:
            display.show("production", done, total, text)

        try:
            found = produce(start, learned, settings, folder, labeller, tell=tell)
            display.log("ended", **asdict(found))
        except StageError:
            if (folder / SUMMARY).is_file():  # else labels could not even begin
                _report(config, folder, Produced(**read_json(folder / SUMMARY)))
            raise
        _report(config, folder, found)
    return folder, found


def production_lines(folder: Path, found: Produced) -> list[str]:
    """What a run came to, in words."""
    seen, ended = watched(folder), "to its end" if found.ended else found.reason
    lines = [
        f"ran       {1e-3 * found.time:.3f} ps, {found.steps} steps: {ended}",
        f"events    {len(seen.events)} unsure or unsafe, {found.rewound} set back",
    ]
    if found.energy_error is not None:
        part = 100 * found.calls / max(found.steps, 1)
        lines += [
            f"oracle    {found.calls} calls, {part:.1f} % of the steps",
            f"energy    error {found.energy_error:.2f} meV/atom found at calls (worst "
            f"{found.worst_error:.2f}), {seen.expected:.2f} expected",
        ]
    elif found.drift is not None:
        lines.append(f"energy    {found.drift:.2f} meV/atom of drift in the potential, "
                     f"shortest step {found.smallest_step:.3g} fs")  # fmt: skip
    if seen.frames:
        lines.append(f"look at   {folder / 'frames'}: {len(seen.frames)} frames")
    return lines


def _report(config: ProductionConfig, folder: Path, found: Produced) -> None:
    if not (folder / TRAJECTORY).is_file():  # the oracle failed at once
        return
    page = production_page(config, found, folder, production_lines(folder, found))
    write_text(folder / REPORT, page.render())


def _potential(config: ProductionConfig, base: Path, given: Path | str | None) -> Path:
    named = config.system.potential
    if given is None and named is None:
        raise InputError("the potential", got="neither",
                         wanted="system.potential or --potential")  # fmt: skip
    return existing(Path(given) if given is not None else base / str(named))


def start_of(config: ProductionConfig, base: Path) -> Atoms:
    """With velocities of the temperature it starts at, unless it has some."""
    start = read_structures(existing(base / config.system.structure))[0]
    start.calc = None
    if not start.get_velocities().any():
        at_first = motion(config.walk, config.walk.temperature, config.seed)
        walker = started(system_of([start]), at_first, start.positions, 0)
        start.set_velocities(walker.v / units.fs)
    return start
