"""Words of errors: names of species, and numbers with units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

#: Scaled units, which lengths and times go without.
SCALED = {
    "time": (1.0, ""),
    "length": (1.0, ""),
    "concentration": (1.0, "c0"),
    "charge": (1.0, "e c0 l^d"),
    "frequency": (1.0, "D0 / l^2 (angular)"),
}


@dataclass(frozen=True)
class Words:
    """How errors of a model name its species and write numbers.

    Attributes
    ----------
    species
        Names; species go by their index without.
    units
        Kind of number, a key of `SCALED` -> (value of a scaled unit, its name).
        Frequencies are angular in scaled units.
    """

    species: tuple[str, ...] = ()
    units: Mapping[str, tuple[float, str]] = field(default_factory=lambda: SCALED)

    def name(self, i: int) -> str:
        """Of a species."""
        return self.species[i] if self.species else f"species {i}"

    def number(self, kind: str, value: float) -> str:
        """A number with its unit."""
        size, unit = self.units[kind]
        return f"{value * size:.6g} {unit}".strip()

    def place(self, point: np.ndarray) -> str:
        """Coordinates with their unit."""
        size, unit = self.units["length"]
        return f"({', '.join(f'{x * size:.4g}' for x in point)}) {unit}".strip()
