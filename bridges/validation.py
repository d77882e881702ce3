"""`mesobridge validate`: the parts that apply, each stored when done, and one report."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from ase import Atoms
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ..atomistic.cells import straight, upright
from ..atomistic.potential.labelled_frame import Keys
from ..atomistic.validation import dynamic_parts, static_parts
from ..atomistic.validation.crystal import parse_crystal, relaxed, supercell
from ..atomistic.validation.dynamics import Run
from ..atomistic.validation.labels import read_frames
from ..atomistic.validation.subject import Subject, find_subject
from ..atomistic.validation.uncertainty_part import uncertainty_part
from ..core.artefact import read_json, sha256, write_json, write_text
from ..core.errors import InputError, StageError, UnitError
from ..core.units import quantity
from .report.validation import validation_page

Tell = Callable[[float, float, str], None]

#: Shortest side of a cell for dynamics, A; frames whose derivatives are taken.
SIDE, DERIVATIVES = 10.0, 6

#: Fields of the request that parts depend on; some may be files.
_DATA = ("data", "labels")
_RUN = (*_DATA, "crystal", "temperature", "time", "timestep", "seed")
USES = {
    "errors": _DATA, "uncertainty": _DATA, "derivatives": (*_DATA, "crystal", "seed"),
    "elastic": ("crystal",), "state": ("crystal",), "phonons": ("crystal",),
    "temperature": _RUN, "energy": _RUN, "structure": (*_RUN, "reference"),
}  # fmt: skip
FILES = ("data", "crystal", "reference")


@dataclass(frozen=True)
class Request:
    """What the user wrote.

    Attributes
    ----------
    potential
        ``potential/1`` file, or ``module:factory`` of an ASE calculator.
    data, crystal, reference
        Labelled frames; ``"Si diamond 5.43"`` or a file; frames for g(r).
    temperature, time, timestep
        Of dynamics, with units; no dynamics without a temperature.
    out
        Folder.
    baseline
        ``module:factory`` of the baseline of a file that does not name it.
    labels
        What labels of `data` are called: fields of `Keys` = names in the file, such as
        ``("energy=REF_energy", "forces=REF_forces")``.
    """

    potential: str
    data: Path | None
    crystal: str | None
    temperature: str | None
    time: str
    timestep: str
    reference: Path | None
    out: Path
    seed: int = 0
    quiet: bool = False
    baseline: str | None = None
    labels: tuple[str, ...] = ()


def validate(request: Request, subject: Subject | None = None) -> dict:
    """Run what applies and is not there yet; write ``validation.json`` and a report.

    Parameters
    ----------
    request
        The user's.
    subject
        In place of ``request.potential``: what `of_calculator` makes of a calculator.

    Returns
    -------
    dict
        ``parts`` (name -> figures and checks) and ``ok``: no check failed.

    Raises
    ------
    InputError
        When there is nothing to validate against or an input cannot be used.
    """
    if not (request.data or request.crystal):
        raise InputError(
            "nothing to validate against", wanted="--data, --crystal or both",
            got="neither", mend="give labelled frames, or a crystal",
        )  # fmt: skip
    if subject is None:
        subject = find_subject(request.potential, request.baseline)
    job = _Job(request, subject)
    with _shown(request.quiet) as tell:
        parts = {name: job.part(name, make, tell) for name, make in job.parts()}
    failed = [c["name"] for p in parts.values() for c in p["checks"] if c["ok"] is False]
    summary = {
        "potential": job.subject.name, "sha256": job.subject.digest, "ok": not failed,
        "failed": failed,
        "parts": {k: {n: p[n] for n in ("figures", "checks")} for k, p in parts.items()},
    }  # fmt: skip
    write_json(request.out / "validation.json", summary)
    write_text(request.out / "report.html", validation_page(summary, parts))
    shutil.rmtree(request.out / "scratch", ignore_errors=True)
    return summary


class _Job:
    """Inputs, read once, and the parts that apply to them."""

    def __init__(self, request: Request, subject: Subject):
        self.request, self.subject = request, subject
        keys = _keys(request.labels)
        self.frames = read_frames(request.data, keys) if request.data else []
        self.crystal = parse_crystal(request.crystal) if request.crystal else None
        self.reference = read_frames(request.reference) if request.reference else []
        self._nvt: Run | None = None
        self._digest = subject.digest
        if subject.digest == subject.name:  # a calculator's name may stay as it changes
            self._digest += self._fingerprint()
        self._dynamics = {
            "temperature": _positive("--md", request.temperature or "300 K", "K"),
            "timestep": _positive("--timestep", request.timestep, "s"),
            "time": _positive("--time", request.time, "s"),
        }
        self.scratch = request.out / "scratch" / self._key("temperature")[:16]

    def parts(self) -> Iterator[tuple[str, Callable[[Tell], dict]]]:
        """Names and makers of parts, in the order of work."""
        s, crystal = self.subject, self.crystal
        if self.frames:
            yield "errors", lambda tell: static_parts.error_part(s, self.frames, tell)
            potential = s.potential
            if potential is not None and potential.uncertainty is not None:
                yield (
                    "uncertainty",
                    lambda tell: uncertainty_part(potential, self.frames, tell),
                )
        yield "derivatives", self._derivatives
        if crystal is not None:
            yield "elastic", lambda tell: static_parts.elastic_part(s, crystal, tell)
            yield "state", lambda tell: static_parts.state_part(s, crystal, tell)
            yield "phonons", lambda tell: static_parts.phonon_part(s, crystal, tell)
        if self.request.temperature:
            yield "temperature", self._temperature
            yield "energy", self._energy
            if self.reference:
                yield (
                    "structure",
                    lambda tell: dynamic_parts.structure_part(
                        self._canonical(tell), self.reference
                    ),
                )

    def part(self, name: str, make: Callable[[Tell], dict], tell: Tell) -> dict:
        """A part that was stored for these inputs, or made now."""
        path, key = self.request.out / "parts" / f"{name}.json", self._key(name)
        if path.is_file():
            stored = read_json(path)
            if stored.get("key") == key:
                return stored
        try:
            made = {"key": key, **make(tell)}
        except StageError as exc:  # a verdict on the potential; other parts go on
            made = {"key": key, **static_parts.failed_part(name, exc)}
        write_json(path, made)
        return made

    def _fingerprint(self) -> str:
        """What a calculator says of one frame, in digits that do not depend on noise."""
        atoms = self._moved()[0].copy()
        atoms.calc = self.subject.used
        try:
            energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        except Exception as exc:  # calculators raise what they like
            raise InputError(
                f"{self.subject.name} cannot evaluate {atoms.get_chemical_formula()}",
                wanted="energy and forces", got=f"{type(exc).__name__}: {exc}",
                mend="try it in Python: atoms.calc = ...; atoms.get_forces()",
            ) from exc  # fmt: skip
        size = float(np.sqrt((forces**2).mean()))
        return f"{round(energy, 5):.4e} {round(size, 5):.3e}"

    def _key(self, name: str) -> str:
        """Hash of all that a part depends on."""
        given = {}
        for field in USES[name]:
            value = getattr(self.request, field)
            is_file = field in FILES and value is not None and Path(value).is_file()
            given[field] = sha256(value) if is_file else str(value)
        text = json.dumps([self._digest, given], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def _derivatives(self, tell: Tell) -> dict:
        return static_parts.derivative_part(self.subject, self._moved(), tell)

    def _moved(self) -> list[Atoms]:
        """Frames away from rest."""
        every = max(1, len(self.frames) // DERIVATIVES)
        frames = self.frames[::every][:DERIVATIVES]
        if self.crystal is not None and not frames:
            frames = [supercell(self.crystal, SIDE / 2) for _ in range(2)]
            for i, atoms in enumerate(frames):
                atoms.rattle(0.1, seed=self.request.seed + i)
        return frames

    def _plan(self) -> dynamic_parts.Plan:
        return dynamic_parts.Plan(self._start(), **self._dynamics, seed=self.request.seed)

    def _start(self) -> Atoms:
        if self.crystal is None:
            return upright(straight(self.frames[-1]))[0]
        rest = relaxed(self.crystal, self.subject.exact, cell=True)
        return upright(supercell(rest, SIDE))[0]

    def _canonical(self, tell: Tell) -> Run:
        if self._nvt is None:
            self._nvt = dynamic_parts.canonical_run(
                self.subject, self._plan(), self.scratch, tell
            )
        return self._nvt

    def _temperature(self, tell: Tell) -> dict:
        return dynamic_parts.temperature_part(
            self.subject, self._plan(), self._canonical(tell), tell
        )

    def _energy(self, tell: Tell) -> dict:
        start = self._canonical(tell).final
        return dynamic_parts.energy_part(
            self.subject, self._plan(), start, self.scratch, tell
        )


def _keys(labels: Sequence[str]) -> Keys | None:
    """What labels are called, of ``NAME=KEY``; ``None`` without any."""
    if not labels:
        return None
    names, given = [f.name for f in fields(Keys)], dict[str, str]()
    for text in labels:
        name, _, key = text.partition("=")
        if name not in names or not key:
            raise InputError(
                "--label", wanted=f"NAME=KEY, NAME one of {', '.join(names)}", got=text,
                mend="say what the file calls it: --label energy=REF_energy",
            )  # fmt: skip
        given[name] = key
    return Keys(**given)


def _positive(option: str, text: str, unit: str) -> float:
    """Quantity above zero of an option, SI."""
    try:
        value = quantity(text, unit)
    except UnitError as exc:
        raise InputError(f"{option}: {exc.what}", wanted=exc.wanted, got=exc.got,
                         mend=exc.mend) from exc  # fmt: skip
    if not value > 0:
        raise InputError(option, wanted="more than zero", got=text)
    return value


@contextmanager
def _shown(quiet: bool) -> Iterator[Tell]:
    """A bar for each kind of work; where there is no terminal, a line as it begins."""
    plain = Console(stderr=True, quiet=quiet)
    console = Console(stderr=True, quiet=quiet or not plain.is_terminal)
    columns = TextColumn("{task.description:<26}"), BarColumn(), TimeRemainingColumn()
    tasks: dict[str, object] = {}
    with Progress(*columns, console=console) as bars:

        def tell(done: float, of: float, text: str) -> None:
            if text not in tasks:
                if not plain.is_terminal:
                    plain.print(text)
                tasks[text] = bars.add_task(text, total=of)
            bars.update(tasks[text], completed=done)  # type: ignore[arg-type]

        yield tell
