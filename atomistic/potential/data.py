"""`frames/1` data sets as batches of tensors (eV, A)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ...core.errors import SchemaError
from ...core.units import ANGSTROM, ELEMENTARY_CHARGE, EV
from .neighbours import Neighbours, join, neighbours


@dataclass(frozen=True)
class Frame:
    """One labelled configuration, its neighbour list made once.

    Attributes
    ----------
    vectors
        Shape (N, K, 3), A.
    energy, forces, virial
        eV, eV/A (N, 3), eV (3, 3); `virial` is ``None`` where no stress was labelled.
    group
        What the frame was made for.
    """

    vectors: np.ndarray
    list: Neighbours
    species: np.ndarray
    energy: float
    forces: np.ndarray
    virial: np.ndarray | None
    volume: float
    system: System | None = None
    group: str = "all"

    @property
    def isolated(self) -> bool:
        """Whether it is a single atom without neighbours: its energy is a reference."""
        return self.vectors.shape[:2] == (1, 1)


@dataclass(frozen=True)
class System:
    """Where atoms are in space, as sums beyond the cut-off need it; labels of charges.

    Attributes
    ----------
    positions, box
        Shape (N, 3) and (3, 3), A.
    pbc
        Which box vectors repeat.
    charge
        Total, e.
    charges, dipole, born
        Shape (N,), (3,), (N, 3, 3): e, e A, e; ``None`` where not labelled.
    """

    positions: np.ndarray
    box: np.ndarray
    pbc: tuple[bool, ...]
    charge: float = 0.0
    charges: np.ndarray | None = None
    dipole: np.ndarray | None = None
    born: np.ndarray | None = None


#: Variables that tell data sets apart.
NUMBERS = (
    "positions", "forces", "energy", "stress", "box", "charge", "dipole", "born_charge",
)  # fmt: skip
#: Part of the rows that neighbours must fill, or pairs are listed one by one.
FULL_ROWS = 0.5


@dataclass(frozen=True)
class Batch:
    """Frames put end to end, as tensors of one floating type.

    Vectors to neighbours and their indices are rows padded to the longest one, (N, K, 3)
    and (N, K), or where most of that would be padding, (E, 3) and (E,) with the atom of
    each pair in `centre`.
    """

    vectors: Tensor
    species: Tensor
    index: Tensor
    centre: Tensor | None
    frame: Tensor
    atoms: Tensor
    energy: Tensor
    forces: Tensor
    virial: Tensor
    has_virial: Tensor
    volume: Tensor
    systems: tuple[System, ...] = ()

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return len(self.energy)

    def to(self, device: str) -> Batch:
        """The batch on a device."""
        if self.vectors.device.type == device:
            return self
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        moved = {k: v.to(device) for k, v in values.items() if isinstance(v, Tensor)}
        return Batch(**values | moved)


def digest(sets: Sequence[xr.Dataset]) -> str:
    """What tells data sets apart: SHA-256 of frames, their labels and groups."""
    found = hashlib.sha256()
    for ds in sets:
        for key in NUMBERS:
            if key in ds:
                found.update(np.ascontiguousarray(ds[key].values).tobytes())
        for key in ("species", "group"):
            if key in ds:
                found.update(",".join(map(str, ds[key].values)).encode())
        for key, usual in (("charge_number", 0), ("pbc", "TTT")):
            found.update(str(ds.attrs.get(key, usual)).encode())
    return found.hexdigest()


def load_frames(
    sets: Sequence[xr.Dataset], species: Sequence[str], cutoff: float
) -> list[Frame]:
    """Every frame of the data sets, with its neighbour list.

    Parameters
    ----------
    sets
        `frames/1` with energies; the attribute ``pbc`` says which directions repeat.
    species
        Symbols the model knows, in its order.
    cutoff
        A.

    Raises
    ------
    SchemaError
        When a set has no energies or a species is unknown.
    """
    frames = []
    for ds in sets:
        if "energy" not in ds:
            raise SchemaError(
                "frames without energies cannot be learned from",
                wanted="variable energy", got=", ".join(map(str, ds.variables)),
                mend="label the frames with an oracle",
            )  # fmt: skip
        numbers = species_numbers(ds["species"].values, species)
        pbc = [flag == "T" for flag in ds.attrs.get("pbc", "TTT")]
        for i in range(ds.sizes["frame"]):
            frames.append(_frame(ds.isel(frame=i), numbers, pbc, cutoff))
    return frames


def species_numbers(
    symbols: Sequence[str] | np.ndarray, species: Sequence[str]
) -> np.ndarray:
    """Place of each symbol in `species`."""
    unknown = sorted(set(symbols) - set(species))
    if unknown:
        raise SchemaError(
            "the potential does not know this species",
            wanted=", ".join(species), got=", ".join(unknown),
            mend="train on frames that hold it",
        )  # fmt: skip
    order = {name: number for number, name in enumerate(species)}
    return np.array([order[s] for s in symbols], dtype=np.int64)


def _frame(ds: xr.Dataset, numbers: np.ndarray, pbc, cutoff: float) -> Frame:
    positions, box = ds["positions"].values / ANGSTROM, ds["box"].values / ANGSTROM
    volume = abs(float(np.linalg.det(box)))
    stress = ds["stress"].values / EV * ANGSTROM**3 if "stress" in ds else None
    found = neighbours(positions, box, pbc, cutoff)

    def label(name: str, unit: float) -> np.ndarray | None:
        return ds[name].values / unit if name in ds else None

    system = System(
        positions, box, tuple(pbc), float(ds.attrs.get("charge_number", 0.0)),
        label("charge", ELEMENTARY_CHARGE),
        label("dipole", ELEMENTARY_CHARGE * ANGSTROM),
        label("born_charge", ELEMENTARY_CHARGE),
    )  # fmt: skip
    return Frame(
        vectors=vectors(positions, found),
        list=found,
        species=numbers,
        energy=float(ds["energy"].values) / EV,
        forces=ds["forces"].values / (EV / ANGSTROM),
        virial=None if stress is None else stress * volume,
        volume=volume,
        system=system,
        group=str(ds["group"].values) if "group" in ds else "all",
    )


def vectors(positions: np.ndarray, found: Neighbours) -> np.ndarray:
    """From each atom to its neighbours, shape (N, K, 3), in double precision."""
    return positions[found.index] + found.shift - positions[:, None, :]


def batch(frames: Sequence[Frame], cutoff: float, dtype: torch.dtype) -> Batch:
    """Frames as one batch."""
    joined = join([f.list for f in frames], cutoff)
    rows = np.empty((*joined.index.shape, 3))
    rows[:] = 2 * cutoff, 0.0, 0.0
    start = 0
    for f in frames:
        n, k = f.vectors.shape[:2]
        rows[start : start + n, :k] = f.vectors
        start += n

    index, centre = joined.index, None
    inside = (rows**2).sum(-1) < cutoff**2
    if inside.mean() < FULL_ROWS:
        centre = torch.from_numpy(np.nonzero(inside)[0])
        rows, index = rows[inside], index[inside]

    def tensor(values) -> Tensor:
        return torch.as_tensor(np.asarray(values), dtype=dtype)

    none = np.zeros((3, 3))
    return Batch(
        vectors=tensor(rows),
        species=torch.from_numpy(np.concatenate([f.species for f in frames])),
        index=torch.from_numpy(index),
        centre=centre,
        frame=torch.from_numpy(joined.frame),
        atoms=tensor([len(f.species) for f in frames]),
        energy=torch.tensor([f.energy for f in frames], dtype=torch.float64),
        forces=tensor(np.concatenate([f.forces for f in frames])),
        virial=tensor([none if f.virial is None else f.virial for f in frames]),
        has_virial=tensor([f.virial is not None for f in frames]),
        # Molecules may have no box: nothing is to be divided by its volume.
        volume=tensor([1.0 if f.virial is None else f.volume for f in frames]),
        systems=tuple(f.system for f in frames if f.system is not None),
    )
