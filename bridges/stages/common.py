"""What the stages share: the cell of the configuration and chains of restartable MD."""

from __future__ import annotations

from pathlib import Path

import openmm

from ...atomistic.potential import to_openmm
from ...atomistic.systems import Cell, bulk_cell, make_system, number_density, slab_cell
from ...core.md import MDSettings, MDState, Trajectory, run_segments
from ...core.units import ELEMENTARY_CHARGE, KJ_MOL, NM, PS

#: Friction while melting and equilibrating (1/s): quick heat exchange, no dynamics asked.
STIRRING = 1e12
#: Time for the energy of a lattice with vacancies to leave (s).
SOFT_START = 0.5 * PS


def make_cell(kind: str, s: dict) -> Cell:
    """Bulk or slab of the settings (SI) as a `Cell` (nm, kJ/mol, e)."""
    density = number_density(s["density"])
    if kind == "bulk":
        return bulk_cell(s["ions"], density)
    return slab_cell(
        s["ions"],
        density,
        s["width"] / NM,
        vacuum=s["vacuum"],
        temperature=s["temperature"],
        wall_epsilon=s["wall_epsilon"] / KJ_MOL,
        wall_sigma=s["wall_sigma"] / NM,
        surface_charge=s["surface_charge"] / ELEMENTARY_CHARGE * NM**2,
    )


def learned_force(path: Path, cell: Cell, s: dict) -> openmm.Force:
    """The learned potential, with Coulomb where it predicts charges."""
    if s["electrostatics"] == "formal":
        return to_openmm(path, cell.species, baseline="engine")
    return to_openmm(path, cell.species, pbc="TTT" if cell.walls is None else "TTF")


class Chain:
    """MD runs of one cell, one after the other, each restartable, under one progress.

    Parameters
    ----------
    context
        Of the stage: progress and scratch folder.
    s
        Settings with ``timestep``, ``save``, ``segment`` (s) and ``oracle_cutoff`` (m).
    cell
        Bulk or slab.
    forces
        OpenMM forces beside walls and Coulomb of formal charges; these are left out where
        ``s["electrostatics"]`` is ``predicted`` and the forces hold Coulomb.
    source
        What moves the ions.
    total
        Time of all runs together (s), for the progress.
    """

    def __init__(self, context, s: dict, cell: Cell, forces, source: str, total: float):
        self.context, self.s, self.cell, self.source = context, s, cell, source
        formal = s.get("electrostatics", "formal") == "formal"
        self.system = make_system(
            cell, *forces, cutoff=s["oracle_cutoff"] / NM if formal else None
        )
        self.total, self.done, self.index = total, 0.0, 0

    def go(
        self,
        state: MDState,
        duration: float,
        temperature: float,
        seed: int,
        *,
        friction: float = STIRRING,
        save: float | None = None,
        timestep: float | None = None,
    ) -> Trajectory:
        """Run for `duration` (s) from `state`, keeping a frame every `save` (s)."""
        step = timestep or self.s["timestep"]
        stride = max(1, round((save or self.s["save"]) / step))
        n_steps = max(1, round(duration / step / stride)) * stride
        segment = max(1, round(self.s["segment"] / step) // stride) * stride
        before = self.done

        def progress(done: float, _: float, text: str) -> None:
            self.context.progress(before + done * step, self.total, text)

        run = run_segments(
            self.system,
            self.cell.species,
            state,
            MDSettings(temperature, step, friction, seed),
            n_steps=n_steps,
            stride=stride,
            segment_steps=segment,
            source=self.source,
            scratch=self._folder(),
            progress=progress,
        )
        self.done += n_steps * step
        return run

    def melt(
        self, state: MDState, duration: float, temperature: float, seed: int
    ) -> tuple[Trajectory, Trajectory]:
        """Melt a lattice: quarter steps while it gives off energy, then whole ones."""
        begin = self.go(
            state, SOFT_START, temperature, seed, friction=10 * STIRRING,
            save=0.1 * SOFT_START, timestep=0.25 * self.s["timestep"],
        )  # fmt: skip
        rest = duration - SOFT_START
        return begin, self.go(begin.final, rest, temperature, seed + 1)

    def _folder(self) -> Path:
        folder = Path(self.context.scratch) / f"run-{self.index:02d}"
        folder.mkdir(parents=True, exist_ok=True)
        self.index += 1
        return folder
