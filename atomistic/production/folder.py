"""Whose folder it is: a run goes on only where it began."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from ase import Atoms

from ..active.kept import claim, digest
from ..labels import Labeller
from ..oracle import total_charge
from ..potential.potential import Potential
from .settings import ProductionSettings

RUN = "run.json"


def claimed(
    folder: Path,
    start: Atoms,
    potential: Potential,
    settings: ProductionSettings,
    oracle: Labeller | None,
) -> None:
    """Make a folder that of one run.

    Raises
    ------
    InputError
        When it is that of another.
    """
    claim(folder / RUN, "another run", {
        "settings": asdict(settings), "potential": _digest_of(potential),
        "start": digest(start.numbers, start.positions, start.cell.array, start.pbc,
                        start.get_velocities()),
        "charge": total_charge(start.info),
        "oracle": oracle and oracle.settings,
    })  # fmt: skip


def _digest_of(potential: Potential) -> str:
    tensors = {k: v.cpu().numpy() for k, v in potential.model.state_dict().items()}
    tensors |= potential.calibrated().tensors()
    return digest(*(tensors[k] for k in sorted(tensors)))
