"""The job of a small peptide: atomistic runs with a bias, beads, gate, report."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..core.artefact import replacing, write_json
from ..core.errors import InputError
from .pipeline.lock import run_lock
from .pipeline.progress import Display
from .pipeline.runner import Runner
from .pipeline.stage import Stage
from .pipeline.summary import summarise

_MD = ("numpy", "openmm", "torch", "MDAnalysis")
_STAGES = "mesobridge.bridges.stages"
#: Replicas of the final run, side by side.
RUNS = 2


@dataclass(frozen=True)
class MoleculeJob:
    """What is simulated, and for how long. Dihedrals and bonds are of the beads.

    Attributes
    ----------
    pdb
        Text of a PDB file with all atoms.
    bonds
        Pairs of beads of the backbone: C N CA C N of alanine dipeptide.
    dihedrals
        Phi and psi, four beads each.
    starts
        Phi and psi (rad) where each of the two atomistic replicas starts.
    force_field, rigid, temperature
        As `read_molecule`; K.
    timestep, friction
        ps, 1/ps.
    settle, length, stride, segment
        Steps of each atomistic replica: see `sample_biased`.
    points, order, ceiling
        Of the relaxed surface, of the map that flattens it, kJ/mol: see `flattening`.
    block
        Atomistic frames that depend on each other.
    copies, bead_settle, every
        Replicas of a run of beads, steps before their first frame, steps between frames.
    refining, running
        Frames of each such replica in a round of refinement, and in the final run.
    bins, deepest
        Of each dihedral in the gate; kJ/mol above the minimum that it judges up to.
    seed
        Of everything random.

    Raises
    ------
    InputError
        When a number is none or out of range, or dihedrals are not along bonds: before
        anything runs.
    """

    pdb: str
    bonds: tuple[tuple[int, int], ...]
    dihedrals: tuple[tuple[int, ...], tuple[int, ...]]
    starts: tuple[tuple[float, float], tuple[float, float]]
    force_field: tuple[str, ...] = ("amber14-all.xml", "implicit/obc2.xml")
    rigid: bool = True
    temperature: float = 300.0
    timestep: float = 0.002
    friction: float = 1.0
    settle: int = 2500
    length: int = 350_000
    stride: int = 50
    segment: int = 10_000
    points: int = 16
    order: int = 5
    ceiling: float = 40.0
    block: int = 250
    copies: int = 1000
    bead_settle: int = 500
    every: int = 40
    refining: int = 50
    running: int = 100
    bins: int = 24
    deepest: float = 15.0
    seed: int = 1

    def __post_init__(self):
        self._check_beads()
        least = {"settle": 0, "bead_settle": 0, "seed": 0, "points": 2 * self.order + 1}
        for field in (f for f in fields(self) if f.type in ("int", "float")):
            value, low = getattr(self, field.name), least.get(field.name)
            good = isinstance(value, int if field.type == "int" else (int, float))
            if not (good and (0 < value < math.inf if low is None else value >= low)):
                sign = "above zero" if low is None else f"from {low} on"
                raise InputError(f"MoleculeJob: {field.name}", got=repr(value),
                                 wanted=f"{field.type} {sign}")  # fmt: skip
        steps = self.settle, self.length, self.segment
        if any(n % self.stride for n in steps) or self.length < self.least_length:
            raise InputError(
                "MoleculeJob: settle, length, segment",
                wanted=f"multiples of stride, {self.stride}; four blocks in length, "
                f"{self.least_length}", got=str(steps),
            )  # fmt: skip

    @property
    def least_length(self) -> int:
        """Steps of a replica whose noise the gate can tell."""
        return 4 * self.block * self.stride

    def _check_beads(self) -> None:
        bonded = {frozenset(bond) for bond in self.bonds}
        along = [len(d) == 4 and all(frozenset(b) in bonded for b in pairwise(d))
                 for d in self.dihedrals]  # fmt: skip
        beads = set().union(*bonded)
        if along != [True, True] or beads != set(range(len(beads))):
            raise InputError(
                "MoleculeJob: bonds and dihedrals", got=f"{self.bonds}, {self.dihedrals}",
                wanted="beads from 0 on, none left out; two of four bonded beads",
            )  # fmt: skip
        if np.shape(self.starts) != (2, 2) or not np.isfinite(self.starts).all():
            raise InputError("MoleculeJob: starts", wanted="phi and psi of two replicas",
                             got=str(self.starts))  # fmt: skip

    def plan(self) -> list[Stage]:
        """Stages, in an order that honours their needs."""
        atoms = self._of("pdb", "force_field", "rigid", "dihedrals", "order")
        state = self._of("temperature", "seed")
        moved = self._of("timestep", "friction", "settle", "length", "stride", "segment",
                         "starts")  # fmt: skip
        samples = ("sample_0", "sample_1")
        beads = self._of("copies", "every", "block") | state
        beads["settle"] = self.bead_settle
        runs = ("run_matched", *(f"run_{r}" for r in range(RUNS)))
        settings = {"frames": self.running, **beads}
        matching = {**atoms, **state, **self._of("bonds", "block"), "replicates": 20}
        judging = state | self._of("dihedrals", "block", "bins", "deepest", "copies")
        found = {
            "scan": _stage("scan", atoms | self._of("points", "ceiling"), (), 8),
            **{
                name: _stage(
                    "sample_atoms", {**atoms, **state, **moved, "replica": r}, ("scan",),
                    100,
                )
                for r, name in enumerate(samples)
            },
            "match": _stage("match_beads", matching, ("scan", *samples), 15),
            "refine": _stage(
                "refine_beads", {**beads, "frames": self.refining}, ("scan", "match"), 40
            ),
            "run_matched": _stage(
                "run_beads", {**settings, "replica": RUNS, "model": "match"},
                ("scan", "match"), 20,
            ),
            **{
                f"run_{r}": _stage(
                    "run_beads", {**settings, "replica": r, "model": "refine"},
                    ("scan", "match", "refine"), 20,
                )
                for r in range(RUNS)
            },
            "judge": _stage("judge_beads", judging, ("match", "refine", *runs), 5),
        }  # fmt: skip
        stages = [_named(name, *parts) for name, parts in found.items()]
        report = Stage("report", f"{_STAGES}.molecule_report:report", 2, {},
                       tuple(found), 3)  # fmt: skip
        return [*stages, report]

    def _of(self, *names: str) -> dict:
        whole = asdict(self)
        return {name: whole[name] for name in names}


def _stage(function: str, settings: dict, needs: tuple[str, ...], cost: float):
    return function, settings, needs, cost


def _named(name: str, function: str, settings: dict, needs, cost: float) -> Stage:
    judges = function == "judge_beads"
    where = f"{_STAGES}.{'molecule_report' if judges else 'molecule'}:{function}"
    return Stage(name, where, 1 + judges, settings, needs, cost, _MD)


def run_molecule(job: MoleculeJob, folder: Path, *, workers: int = 2) -> dict:
    """Run what is not there yet, one thread for each worker.

    Parameters
    ----------
    job
        What to run.
    folder
        Gets ``model.safetensors``, ``report.html``, ``summary.json`` and the store; a run
        that was killed goes on from there.
    workers
        Processes.

    Returns
    -------
    dict
        The summary.

    Raises
    ------
    InputError
        When forces are not what they should be, or another run holds the folder.
    StageError
        When a stage failed; finished ones are kept.

    Notes
    -----
    Worker processes import the calling script again: call this under
    ``if __name__ == "__main__":``.
    """
    with run_lock(folder), Display(folder / "run.jsonl") as display:
        runner = Runner(job.plan(), folder, workers, display)
        outcome = runner.run()
        for stage, name in (("judge", "model.safetensors"), ("report", "report.html")):
            source = runner.store.path(outcome.metas[stage]["key"]) / name
            with replacing(folder / name) as temporary:
                temporary.write_bytes(source.read_bytes())
        summary = summarise(outcome)
        write_json(folder / "summary.json", summary)
    return summary
