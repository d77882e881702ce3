"""Frames of beads from where they lie: arrays, ``frames/1``, trajectories on disk.

Each can be cut anywhere and is read in portions, so that none has to fit into memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import openmm
import xarray as xr

from ..core.coulomb import coulomb_force
from ..core.errors import InputError
from ..core.units import AVOGADRO, NM
from .neighbours import check_cutoff
from .normal_equations import Chunk

#: Positions of beads from those of atoms (..., N, 3), nm, and boxes (..., 3, 3) or none.
Positions = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
#: Forces on beads from those on atoms (..., N, 3).
Forces = Callable[[np.ndarray], np.ndarray]

#: Atoms of all frames that are mapped at once.
AT_ONCE = 2**15
#: Relative accuracy of the Coulomb forces that are taken off.
EWALD_TOLERANCE = 5e-5
#: nm in an Angstrom.
ANGSTROM = 0.1


class Frames(Protocol):
    """What force matching reads."""

    def __len__(self) -> int:
        """Number of frames."""

    def chunks(self, start: int, stop: int) -> Iterator[Chunk]:
        """Frames from `start` to before `stop`, in portions."""


@dataclass(frozen=True, eq=False)
class ArrayFrames:
    """Beads that are in memory.

    Attributes
    ----------
    x, force
        Shape (F, B, 3), nm and kJ/mol/nm.
    box
        Shape (F, 3, 3), nm, or none.

    Raises
    ------
    InputError
        When forces are missing or of other frames or beads.
    """

    x: np.ndarray
    force: np.ndarray
    box: np.ndarray | None = None

    def __post_init__(self):
        shapes = np.shape(self.x), np.shape(self.force)
        if shapes[0] != shapes[1] or len(shapes[0]) != 3 or shapes[0][2] != 3:
            raise InputError(
                "frames of beads", wanted="positions and forces, shape (F, B, 3) each",
                got=f"{shapes[0]} and {shapes[1] if shapes[1] else 'no forces'}",
            )  # fmt: skip

    def __len__(self) -> int:
        return len(self.x)

    def chunks(self, start: int, stop: int) -> Iterator[Chunk]:
        """See `Frames`."""
        box = None if self.box is None else self.box[start:stop]
        yield self.x[start:stop], self.force[start:stop], box


@dataclass(frozen=True, eq=False)
class DatasetFrames:
    """Every `stride`-th frame of ``frames/1``.

    Attributes
    ----------
    data
        Positions, forces and boxes in SI.
    positions, forces
        Maps to beads.
    stride
        One frame of so many is used.
    """

    data: xr.Dataset
    positions: Positions
    forces: Forces
    stride: int = 1

    def __len__(self) -> int:
        return _count(self.data.sizes["frame"], self.stride)

    def chunks(self, start: int, stop: int) -> Iterator[Chunk]:
        """See `Frames`."""
        if "forces" not in self.data:
            raise _no_forces("frames/1")
        step = max(1, AT_ONCE // self.data.sizes["atom"])
        for first in range(start, stop, step):
            last = min(first + step, stop)
            which = slice(first * self.stride, last * self.stride, self.stride)
            part = self.data[["positions", "forces", "box"]].isel(frame=which)
            box = part["box"].values / NM
            force = part["forces"].values.astype(float) * (NM * AVOGADRO / 1e3)
            x = part["positions"].values.astype(float) / NM
            yield self.positions(x, box), self.forces(force), box


@dataclass(frozen=True, eq=False)
class TrajectoryFrames:
    """Every `stride`-th frame of a trajectory with forces that MDAnalysis reads.

    Attributes
    ----------
    files
        What ``MDAnalysis.Universe`` takes: topology, trajectory, further trajectories.
    positions, forces
        Maps to beads.
    stride
        One frame of so many is used.
    """

    files: tuple[str, ...]
    positions: Positions
    forces: Forces
    stride: int = 1

    @cached_property
    def _readers(self) -> dict[int, Any]:
        return {}

    @property
    def _trajectory(self) -> Any:
        """A reader of this process: one that was forked shares its place in the file."""
        import MDAnalysis

        if os.getpid() not in self._readers:
            self._readers[os.getpid()] = MDAnalysis.Universe(*self.files).trajectory
        return self._readers[os.getpid()]

    def __getstate__(self) -> dict:
        """Without readers."""
        return {k: v for k, v in self.__dict__.items() if k != "_readers"}

    def __len__(self) -> int:
        return _count(len(self._trajectory), self.stride)

    def chunks(self, start: int, stop: int) -> Iterator[Chunk]:
        """See `Frames`."""
        step = max(1, AT_ONCE // self._trajectory.n_atoms)
        for first in range(start, stop, step):
            last = min(first + step, stop)
            yield self._chunk(slice(first * self.stride, last * self.stride, self.stride))

    def _chunk(self, which: slice) -> Chunk:
        x, force, boxes = [], [], []
        for frame in self._trajectory[which]:
            if not frame.has_forces:
                raise _no_forces(f"frame {frame.frame} of {self.files[-1]}")
            x.append(frame.positions * ANGSTROM)
            force.append(frame.forces / ANGSTROM)
            # Some readers give the same array in every frame.
            box = frame.triclinic_dimensions
            boxes.append(None if box is None else np.array(box, dtype=float) * ANGSTROM)
        box = None if boxes[0] is None else np.array(boxes)
        moved = self.positions(np.array(x, dtype=float), box)
        return moved, self.forces(np.array(force, dtype=float)), box


@dataclass(frozen=True, eq=False)
class WithoutCoulomb:
    """Frames whose forces lack what formal charges do, by particle-mesh Ewald.

    Attributes
    ----------
    frames
        In periodic boxes.
    charges
        Of each bead, shape (B,), e.
    cutoff
        Of the sum in real space, nm.
    """

    frames: Frames
    charges: np.ndarray
    cutoff: float

    def __len__(self) -> int:
        return len(self.frames)

    def chunks(self, start: int, stop: int) -> Iterator[Chunk]:
        """See `Frames`."""
        for x, force, box in self.frames.chunks(start, stop):
            if box is None:
                raise InputError("charged beads", wanted="periodic boxes", got="none")
            for cell in box:
                check_cutoff(np.linalg.inv(cell), self.cutoff)
            context = self._context(box[0])
            pulls = [self._forces(context, *frame) for frame in zip(x, box, strict=True)]
            yield x, force - np.array(pulls), box

    @staticmethod
    def _forces(context: openmm.Context, x: np.ndarray, box: np.ndarray) -> np.ndarray:
        context.setPeriodicBoxVectors(*box)
        context.setPositions(x)
        return context.getState(getForces=True).getForces(asNumpy=True)._value

    def _context(self, box: np.ndarray) -> openmm.Context:
        system = openmm.System()
        for _ in self.charges:
            system.addParticle(1.0)
        system.setDefaultPeriodicBoxVectors(*box)
        system.addForce(coulomb_force(self.charges, self.cutoff, EWALD_TOLERANCE))
        platform = openmm.Platform.getPlatformByName("CPU")
        integrator = openmm.VerletIntegrator(1e-3)
        return openmm.Context(system, integrator, platform, {"Threads": "1"})


def _count(frames: int, stride: int) -> int:
    if stride < 1:
        raise InputError("stride of frames", wanted="one or more", got=str(stride))
    return frames // stride


def _no_forces(where: str) -> InputError:
    return InputError(
        "trajectory without forces", wanted="forces in every frame", got=where,
        mend="save forces too (GROMACS: nstfout)",
    )  # fmt: skip
