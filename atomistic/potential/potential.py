"""A trained potential, ready to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch

from ...core.errors import InputError, SchemaError
from .charges import Response
from .data import System, species_numbers
from .derivatives import forces_on_atoms
from .evaluation import CalculatorPotential, Evaluation
from .gradient import (
    Found,
    Run,
    by_hand,
    charged_energies_and_slopes,
    energies_and_slopes,
)
from .model import CartesianACE
from .neighbours import end_to_end
from .uncertainty import Uncertainty
from .verlet import VerletList, all_pairs

#: Vectors to neighbours, species, neighbours.
Rows = tuple[torch.Tensor, torch.Tensor, torch.Tensor]

#: Molecules up to this many atoms list all pairs, which is faster than finding near ones.
ALL_PAIRS = 32


@dataclass(frozen=True)
class Potential:
    """A potential ready to use.

    Attributes
    ----------
    model
        The network.
    species
        Symbols it knows.
    header
        Header of its file: architecture, baseline, validity, calibration.
    baseline
        What is added to the network, or ``None``.
    run
        `gradient.by_hand`, or that compiled.
    uncertainty
        How sure it is of its forces, where that was calibrated.
    """

    model: CartesianACE
    species: tuple[str, ...]
    header: Mapping
    baseline: CalculatorPotential | None = None
    run: Run = by_hand
    uncertainty: Uncertainty | None = None

    def evaluate(
        self,
        positions: np.ndarray,
        species: Sequence[str] | np.ndarray,
        box: np.ndarray | None = None,
        pbc: Sequence[bool] = (True, True, True),
        charge: float = 0.0,
        *,
        stress: bool = True,
        spread: bool = False,
        verlet: VerletList | None = None,
    ) -> Evaluation:
        """Energy, forces and stress of one configuration.

        Parameters
        ----------
        positions
            Shape (N, 3), A; unwrapped is fine.
        species
            Symbols, or their numbers in `Potential.species`; length N.
        box
            Shape (3, 3), A; rows are box vectors, which may be zero where none repeats;
            ``None`` when nothing repeats.
        pbc
            Which box vectors repeat.
        charge
            Total, e; of a potential that predicts charges.
        stress
            Whether it is wanted: some baselines take long over it.
        spread
            Whether standard deviations of forces are wanted, of a potential whose
            uncertainty was calibrated: as long as one more evaluation, or two.
        verlet
            Neighbour list of this system, kept between calls.

        Raises
        ------
        SchemaError
            When a species is unknown.
        InputError
            When a position is not finite, two atoms are at the same place, a periodic
            direction has no box vector, charges cannot be summed (see
            `ewald.far_energy`), or uncertainty was not calibrated.
        """
        if box is None:
            box, pbc = np.zeros((3, 3)), (False, False, False)
        numbers = self.numbers(species)
        rows, index = (verlet or VerletList(self.model.cutoff)).rows(positions, box, pbc)
        where = [positions], [box], pbc, charge, spread
        (found,) = self._found(rows, index, numbers, *where)
        return self._with_baseline(found, positions, numbers, box, pbc, charge, stress)

    def evaluate_many(
        self,
        positions: Sequence[np.ndarray] | np.ndarray,
        species: Sequence,
        boxes: Sequence[np.ndarray] | np.ndarray | None = None,
        pbc: Sequence[bool] = (True, True, True),
        charge: float = 0.0,
        *,
        stress: bool = True,
        spread: bool = False,
        verlets: Sequence[VerletList] | None = None,
    ) -> list[Evaluation]:
        """`evaluate` of B configurations at once: replicas, or different systems.

        Where charges are predicted and the box repeats, their sums go one after the
        other.

        Parameters
        ----------
        positions
            B arrays (N, 3), A; of replicas one of shape (B, N, 3).
        species
            Of one configuration for all of them, or B of these.
        boxes
            Shape (3, 3) for all, or (B, 3, 3), A; ``None`` when nothing repeats.
        pbc, charge, stress, spread
            As `evaluate`.
        verlets
            B neighbour lists.
        """
        n, none = len(positions), np.zeros((3, 3))
        if boxes is None:
            boxes, pbc = none, (False, False, False)
        boxes = np.broadcast_to(boxes, (n, 3, 3))
        shared = isinstance(species[0], (str, int, np.integer))
        lists = verlets or [VerletList(self.model.cutoff)] * n
        kinds = [self.numbers(species)] * n if shared else [*map(self.numbers, species)]
        if shared and not any(pbc) and 1 < len(kinds[0]) <= ALL_PAIRS:
            rows, index = all_pairs(np.asarray(positions, float))
        else:
            near = [
                own.rows(x, box, pbc)
                for own, x, box in zip(lists, positions, boxes, strict=True)
            ]
            rows, index = end_to_end(near, self.model.cutoff)
        numbers = np.concatenate(kinds)
        where = positions, boxes, pbc, charge, spread
        found = self._found(rows, index, numbers, *where)
        return [
            self._with_baseline(e, x, numbers, box, pbc, charge, stress)
            for e, x, numbers, box in zip(found, positions, kinds, boxes, strict=True)
        ]

    def numbers(self, species: Sequence[str] | np.ndarray) -> np.ndarray:
        """Place of each species in `Potential.species`; numbers stay as they are."""
        numbers = np.asarray(species)
        if numbers.dtype.kind not in "iu":
            return species_numbers(numbers, self.species)
        strange = numbers[(numbers < 0) | (numbers >= len(self.species))]
        if len(strange):
            raise SchemaError(
                "the potential does not know this species", got=str(strange[0]),
                wanted=f"symbols, or their places in {self.species}",
                mend="give symbols in place of atomic numbers",
            )  # fmt: skip
        return numbers.astype(np.int64)

    def features(
        self,
        positions: np.ndarray,
        species: Sequence[str] | np.ndarray,
        box: np.ndarray | None = None,
        pbc: Sequence[bool] = (True, True, True),
    ) -> np.ndarray:
        """Features of the last layer of each atom, shape (N, H); as `evaluate`."""
        if box is None:
            box, pbc = np.zeros((3, 3)), (False, False, False)
        rows, index = VerletList(self.model.cutoff).rows(positions, box, pbc)
        given = self._given(rows, self.numbers(species), index)
        with torch.no_grad():
            return self.model(*given)[1].cpu().numpy()

    def of_rows(
        self,
        rows: np.ndarray,
        index: np.ndarray,
        numbers: np.ndarray,
        boxes: Sequence[np.ndarray] | np.ndarray,
        sizes: Sequence[int] | None = None,
        *,
        spread: bool = False,
    ) -> list[Evaluation]:
        """The network alone, of configurations end to end with their neighbours.

        Parameters
        ----------
        rows, index
            Vectors to neighbours (N, K, 3), A, and their indices (N, K), padded.
        numbers
            Of the species, shape (N,).
        boxes
            B boxes (3, 3), A.
        sizes
            Atoms of each configuration; one holds all without.
        spread
            As `evaluate`.
        """
        given = self._given(rows, numbers, index)
        heads = self._heads() if spread else None
        found = energies_and_slopes(self.model, *given, self.run, heads)
        return self._evaluations(given, found, boxes, sizes or [len(numbers)])

    def calibrated(self) -> Uncertainty:
        """`uncertainty`.

        Raises
        ------
        InputError
            When it was not calibrated.
        """
        if self.uncertainty is None:
            raise InputError("uncertainty of forces", got="a potential that was not",
                             wanted="a potential whose uncertainty was calibrated",
                             mend="train with [uncertainty] calibrate, or `calibrate` "
                             "of atomistic.uncertainty")  # fmt: skip
        return self.uncertainty

    def _heads(self) -> torch.Tensor:
        return self.calibrated().heads.to(self.model.wave_numbers)

    def _found(
        self, rows, index, numbers, positions, boxes, pbc, charge, spread
    ) -> list[Evaluation]:
        """All but the baseline, of configurations end to end."""
        sizes = [*map(len, positions)]
        if self.model.charges is None:
            return self.of_rows(rows, index, numbers, boxes, sizes, spread=spread)
        systems = [
            System(np.array(x, float), np.array(box, float), tuple(pbc), charge)
            for x, box in zip(positions, boxes, strict=True)
        ]
        given = self._given(rows, numbers, index)
        heads = self._heads() if spread else None
        found, charged = charged_energies_and_slopes(self.model, *given, systems, heads)
        return self._evaluations(given, found, boxes, sizes, charged)

    def _given(self, rows, numbers, index) -> Rows:
        """Vectors, species and neighbours (N, K) on the device of the network."""
        if not 0 < len(numbers) == len(rows):
            raise InputError(
                "positions and species do not fit", wanted="a species for each atom",
                got=f"{len(rows)} atoms, {len(numbers)} species",
            )  # fmt: skip
        device = self.model.shift.device
        vectors = torch.as_tensor(rows, dtype=self.model.dtype)
        kinds, near = torch.from_numpy(numbers), torch.from_numpy(index)
        return vectors.to(device), kinds.to(device), near.to(device)

    def _with_baseline(
        self, found, positions, numbers, box, pbc, charge, stress
    ) -> Evaluation:
        if self.baseline is None:
            return found
        symbols = [self.species[k] for k in numbers]
        base = self.baseline.evaluate(positions, symbols, box, pbc, charge, stress=stress)
        both = found.stress is not None and base.stress is not None
        return replace(
            found,
            energy=found.energy + base.energy,
            forces=found.forces + base.forces,
            stress=found.stress + base.stress if both else None,
            energies=None,
        )

    def _evaluations(
        self, given: Rows, found: Found, boxes, sizes, charged: Response | None = None
    ) -> list[Evaluation]:
        """Parts of configurations end to end, with their uncertainty."""
        parts = _parts(given, found.energies, found.slopes, boxes, sizes, charged)
        if self.uncertainty is None:
            return parts
        species = given[1].cpu()
        distance = self.uncertainty.distance(found.features.cpu(), species)
        std = None
        if found.spread is not None:
            spread = found.spread.cpu().double()
            std = self.uncertainty.force_std(distance, spread, species)
        ends = np.cumsum(sizes)[:-1]
        distances = np.split(distance.numpy(), ends)
        stds = [None] * len(parts) if std is None else np.split(std.numpy(), ends)
        return [
            replace(part, distances=d, force_std=s)
            for part, d, s in zip(parts, distances, stds, strict=True)
        ]


def _parts(
    given: Rows, energies, slopes, boxes, sizes, charged: Response | None
) -> list[Evaluation]:
    """Parts of configurations end to end, with what their charges do."""
    vectors, _, near = given
    pull = forces_on_atoms(slopes, near, None, len(energies))
    strain = torch.bmm(vectors.transpose(1, 2), slopes).double().cpu().numpy()
    each = energies.cpu().numpy()
    starts = np.concatenate([[0], np.cumsum(sizes)])
    energy = np.add.reduceat(each, starts[:-1])
    virial = np.add.reduceat(strain, starts[:-1])
    if charged is not None:
        pull = pull - charged.positions
        energy = energy + charged.energies.cpu().numpy()
        virial = virial + charged.strain.cpu().numpy()
        charges = charged.charges.cpu().numpy()
    virial = 0.5 * (virial + virial.swapaxes(1, 2))
    volumes = np.abs(np.linalg.det(np.asarray(boxes)))
    found, forces = [], pull.cpu().numpy()
    for b, (start, end) in enumerate(pairwise(starts)):
        stress = virial[b] / volumes[b] if volumes[b] else None
        of = slice(start, end)
        last = (each[of], None) if charged is None else (None, charges[of])
        found.append(Evaluation(float(energy[b]), forces[of], stress, *last))
    return found
