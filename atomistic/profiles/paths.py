"""Unwrapped paths of particles as plain arrays: what bulk transport is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...core.errors import InputError
from .images import moves
from .settings import even_spacing

#: Steps between two frames, as fractions of the box, that are taken for a passage through
#: the boundary: where all paths lie within one box, and where they spread further.
LONG_STEP, LONGEST_STEP = 1 / 3, 2 / 3
#: Paths that spread by less than this many boxes may be wrapped ones, molecules whole.
WRAPPED_SPREAD = 1.5
CHUNK = 256  # frames looked at together


@dataclass(frozen=True)
class Paths:
    """One replica: unwrapped paths of atoms, ions or molecules.

    Collective transport and the removal of the centre of mass need every particle of the
    box, solvent included; molecules go in by their centres of mass (`centres_of_mass`).

    Attributes
    ----------
    positions
        Shape (F, N, 3), m, unwrapped.
    mass
        Shape (N,), kg.
    species
        Shape (N,), names.
    spacing
        Time between frames, s (`even_spacing` gets it from times).
    box
        Edges (3,) or box vectors in rows (3, 3), m; kept as (3, 3). When given, steps
        between frames are checked against it.
    velocities
        Shape (F, N, 3), m/s, at the same frames, for Green-Kubo integrals.

    Raises
    ------
    InputError
        When shapes do not fit together, a value is not finite, or a particle jumps
        through the boundary (`refuse_jumps`).
    """

    positions: np.ndarray
    mass: np.ndarray
    species: np.ndarray
    spacing: float
    box: np.ndarray | None = None
    velocities: np.ndarray | None = None

    def __post_init__(self):
        put = lambda name, value: object.__setattr__(self, name, value)  # noqa: E731
        put("positions", _array(self.positions, (None, None, 3), "positions"))
        n_frames, n = self.positions.shape[:2]
        put("mass", _array(self.mass, (n,), "masses"))
        put("species", np.asarray(self.species).astype(str))
        if self.species.shape != (n,):
            raise _misshapen("species", (n,), self.species.shape)
        if n_frames < 2 or not self.spacing > 0 or not (self.mass > 0).all():
            raise InputError(
                "paths of particles",
                wanted="two frames or more, a positive spacing and positive masses",
                got=f"{n_frames} frames, {self.spacing:g} s, {self.mass.min():g} kg",
            )
        if self.velocities is not None:
            shape = self.positions.shape
            put("velocities", _array(self.velocities, shape, "velocities"))
        if self.box is not None:
            put("box", box_matrix(self.box))
            refuse_jumps(self.positions, self.box)

    @classmethod
    def of_frames(cls, frames: xr.Dataset) -> Paths:
        """From ``frames/1``, unwrapped; the box is the mean one."""
        return cls(
            positions=frames["positions"].values,
            mass=frames["mass"].values,
            species=frames["species"].values,
            spacing=even_spacing(frames["time"].values),
            box=frames["box"].values.mean(axis=0),
        )

    @property
    def names(self) -> list[str]:
        """Species in the order of their first particle."""
        return list(dict.fromkeys(self.species.tolist()))

    def members(self) -> np.ndarray:
        """Which particle belongs to which species: ones and zeros, shape (N, S)."""
        return (self.species[:, None] == np.array(self.names)).astype(float)

    def volume(self) -> float:
        """Of the box, m3.

        Raises
        ------
        InputError
            When there is no box.
        """
        if self.box is None:
            raise InputError(
                "paths without a box",
                wanted="the box, which gives the volume",
                mend="Paths(..., box=(Lx, Ly, Lz)) in metres",
            )
        return float(abs(np.linalg.det(self.box)))


def alike(paths: Sequence[Paths]) -> list[Paths]:
    """Replicas as a list, when they hold the same species at the same spacing.

    Raises
    ------
    InputError
        When there are none or they differ.
    """
    paths = list(paths)
    if not paths:
        raise InputError("no trajectory", wanted="at least one replica")
    first = paths[0]
    for other in paths[1:]:
        if not np.array_equal(other.species, first.species) or not np.isclose(
            other.spacing, first.spacing, rtol=1e-3, atol=0
        ):
            raise InputError(
                "replicas that differ",
                wanted=f"the same particles, a frame each {first.spacing:g} s",
                got=f"{len(other.species)} particles, {other.spacing:g} s",
                mend="same system and same saving interval in every replica",
            )
    return paths


def centres_of_mass(
    values: np.ndarray, mass: np.ndarray, molecule: np.ndarray, box=None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centres of mass of molecules, residues or fragments.

    Parameters
    ----------
    values
        Unwrapped positions (F, N, 3), m, or velocities, m/s. A molecule that starts split
        across the boundary only shifts its centre by a constant.
    mass
        Shape (N,), kg.
    molecule
        Shape (N,), which molecule each atom belongs to, any labels.
    box
        As in `Paths`: steps of the *atoms* are checked when it is given, since an atom
        that jumps moves the centre of a large molecule by little.

    Returns
    -------
    centres
        Shape (F, M, 3); molecules in the order of their sorted labels.
    mass
        Shape (M,), kg.
    molecules
        Shape (M,), the labels.

    Raises
    ------
    InputError
        When shapes do not fit together or atoms jump.
    """
    from scipy.sparse import csr_array

    values = np.asarray(values)
    _array(values[:1], (1, None, 3), "positions")
    n = values.shape[1]
    mass, molecule = _array(mass, (n,), "masses"), np.asarray(molecule)
    if molecule.shape != (n,):
        raise _misshapen("molecules", (n,), molecule.shape)
    if box is not None:
        refuse_jumps(values, box_matrix(box))
    labels, index = np.unique(molecule, return_inverse=True)
    total = np.bincount(index, mass)
    shape = (len(labels), n)
    share = csr_array((mass / total[index], (index, np.arange(n))), shape=shape)
    centres = np.stack([share @ x.astype(float) for x in values])
    return centres, total, labels


def unwrap(positions: np.ndarray, box) -> np.ndarray:
    """Unwrapped paths from wrapped ones: moves to the nearest image, added up.

    Good while particles move by less than half of the box between frames, in boxes that
    vary too (`images.moves`).

    Parameters
    ----------
    positions
        Shape (F, N, 3), m; centres of mass of molecules.
    box
        As in `Paths`, m, or one for each frame: (F, 3) or (F, 3, 3). Three by three are
        the vectors of one box.

    Returns
    -------
    ndarray, shape (F, N, 3)
    """
    x, box = np.array(positions, dtype=float), np.asarray(box, dtype=float)
    each = box.ndim == 3 or (box.ndim == 2 and box.shape != (3, 3))
    boxes = np.stack([box_matrix(one) for one in (box if each else [box])])
    x[1:] = x[0] + np.cumsum(moves(x, np.broadcast_to(boxes, (len(x), 3, 3))), axis=0)
    return x


def box_matrix(box) -> np.ndarray:
    """Box vectors in rows (3, 3) from edges (3,) or vectors.

    Raises
    ------
    InputError
        When it is neither, or has no volume.
    """
    box = np.asarray(box, dtype=float)
    box = np.diag(box) if box.shape == (3,) else box
    if box.shape != (3, 3) or not np.isfinite(box).all() or not abs(np.linalg.det(box)):
        raise InputError(
            "a box that cannot be used",
            wanted="three edges, or three box vectors in rows, in metres",
            got=f"shape {box.shape}: {box.tolist()}",
        )
    return box


def refuse_jumps(positions: np.ndarray, box: np.ndarray) -> None:
    """Refuse paths that are not unwrapped, by their steps between frames.

    Steps above two thirds of the box are passages through the boundary. So are steps
    above one third when all paths lie within one box; paths that spread further have
    been unwrapped, and fast particles in rare frames may step that far.

    Parameters
    ----------
    positions
        Shape (F, N, 3), m.
    box
        Box vectors in rows (3, 3), m.

    Raises
    ------
    InputError
        Names the particle, the frames and the step.
    """
    inverse = np.linalg.inv(box)
    low, high = np.full(3, np.inf), np.full(3, -np.inf)
    longest, where = np.zeros(3), np.zeros((3, 2), int)
    for start in range(0, len(positions) - 1, CHUNK):
        x = positions[start : start + CHUNK + 1] @ inverse
        low, high = np.minimum(low, x.min((0, 1))), np.maximum(high, x.max((0, 1)))
        step = np.abs(np.diff(x, axis=0)).reshape(-1, 3)
        for axis, at in enumerate(step.argmax(axis=0)):
            if step[at, axis] > longest[axis]:
                longest[axis] = step[at, axis]
                where[axis] = start + at // x.shape[1], at % x.shape[1]
    limit = np.where(high - low < WRAPPED_SPREAD, LONG_STEP, LONGEST_STEP)
    if (longest > limit).any():
        axis = int((longest / limit).argmax())
        frame, particle = where[axis]
        raise InputError(
            "a particle that jumps between two frames",
            wanted=f"unwrapped positions: steps below {limit[axis]:.2g} of the box",
            got=f"particle {particle}, frames {frame} and {frame + 1}: "
            f"{longest[axis]:.2f} of the box",
            mend="unwrap first (mesobridge.atomistic.profiles.unwrap, atom by atom); "
            "if they are unwrapped, save frames more often",
        )


def _array(value, shape: tuple, what: str) -> np.ndarray:
    """`value` as floats, when it has the shape (``None``: any size) and is finite."""
    value = np.asarray(value, dtype=float)
    fits = value.ndim == len(shape) and all(
        w is None or w == g for w, g in zip(shape, value.shape, strict=True)
    )
    if not fits:
        raise _misshapen(what, shape, value.shape)
    if not np.isfinite(value).all():
        raise InputError(f"{what} that are not finite", wanted="numbers", got="NaN")
    return value


def _misshapen(what: str, wanted: tuple, got: tuple) -> InputError:
    shape = ", ".join("any" if w is None else str(w) for w in wanted)
    return InputError(f"shape of the {what}", wanted=f"({shape})", got=str(got))
