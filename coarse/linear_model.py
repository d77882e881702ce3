"""A potential of mean force that is linear in its coefficients: terms, file, energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.artefact import read_model, write_model
from ..core.errors import InputError, SchemaError
from .bases import as_json, from_json
from .local_density import LocalDensity
from .pairs import Pairs
from .tables import Range
from .terms import Bonded, Term, Torsions
from .walls import Wall

#: Terms by the name they have in files.
KINDS = {
    "bonded": Bonded, "torsions": Torsions, "pairs": Pairs, "wall": Wall,
    "density": LocalDensity,
}  # fmt: skip
#: K that a run may be away from the state point of a model.
NEAR = 20.0
UNITS = {"length": "nm", "energy": "kJ/mol", "mass": "Da"}


@dataclass(frozen=True)
class LinearModel:
    """Beads and terms with coefficients; replicate 0 is the point estimate.

    Attributes
    ----------
    beads
        Name of each bead, length B.
    masses
        Shape (B,), Da.
    terms
        In the order of the coefficients.
    coefficients
        Shape (R + 1, K), kJ/mol: of all terms, one after the other.
    n_units
        Blocks that were resampled.
    validity
        State point and what it was trained on; verdicts of the gate.
    ranges
        By the name of a force, where its coordinates were seen, as `solving.Fit` has
        them; engines do not trust functions beyond. Files of old have none.
    """

    beads: tuple[str, ...]
    masses: np.ndarray
    terms: tuple[Term, ...]
    coefficients: np.ndarray
    n_units: int
    validity: Mapping
    ranges: Mapping[str, Range] = field(default_factory=dict)

    def __post_init__(self):
        masses, found = np.shape(self.masses), np.shape(self.coefficients)
        beads, size = len(self.beads), sum(term.size for term in self.terms)
        if masses != (beads,) or len(found) != 2 or found[0] < 1 or found[1] != size:
            raise InputError("masses and coefficients of a model",
                             wanted=f"shapes ({beads},) and (R + 1, {size})",
                             got=f"{masses} and {found}")  # fmt: skip

    def parts(self, replicate: int = 0) -> list[Tensor]:
        """Coefficients of each term."""
        whole = torch.from_numpy(self.coefficients[replicate])
        return list(whole.split([term.size for term in self.terms]))

    def energy(self, x: Tensor, box: Tensor | None = None, replicate: int = 0) -> Tensor:
        """Energies (F,), kJ/mol, of frames x (F, B, 3), nm, in boxes (F, 3, 3)."""
        pairs = zip(self.terms, self.parts(replicate), strict=True)
        return sum(
            (term.energies(x, box) @ c.to(x) for term, c in pairs), x.new_zeros(len(x))
        )

    def forces(self, x: Tensor, box: Tensor | None = None, replicate: int = 0) -> Tensor:
        """Forces (F, B, 3), kJ/mol/nm."""
        pairs = zip(self.terms, self.parts(replicate), strict=True)
        return sum(
            (term.forces(x, box) @ c.to(x) for term, c in pairs), torch.zeros_like(x)
        )

    def save(self, path: Path | str) -> None:
        """Write ``cg-model/1``."""
        write_model(path, "cg-model/1", *self.packed())

    def packed(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Header and tensors of the file."""
        header = {
            "model": "linear", "beads": list(self.beads), "units": UNITS,
            "terms": [_as_json(term) for term in self.terms],
            "n_units": self.n_units, "validity": dict(self.validity),
            "ranges": {name: list(seen) for name, seen in self.ranges.items()},
        }  # fmt: skip
        return header, {"coefficients": self.coefficients, "masses": self.masses}


def check_state(validity: Mapping, *temperatures: float) -> None:
    """Refuse temperatures (K) of which a potential of mean force was made for none.

    Raises
    ------
    InputError
        When all are more than `NEAR` away from that of `validity`, if that has one.
    """
    own = float(validity.get("temperature_K", temperatures[0]))
    temperature = min(temperatures, key=lambda t: abs(t - own))
    if not abs(temperature - own) <= NEAR:
        raise InputError(
            "temperature of a run", wanted=f"{own:g} K, that of the model, within "
            f"{NEAR:g} K", got=f"{temperature:g} K",
            mend="match forces at this temperature: its free energies are others",
        )  # fmt: skip


def load_linear(path: Path | str) -> LinearModel:
    """Read a linear ``cg-model/1``.

    Raises
    ------
    SchemaError
        When the file breaks the contract or is of another kind of model.
    """
    return unpacked(path, *read_model(path, "cg-model/1"))


def unpacked(
    path: Path | str, header: Mapping, tensors: Mapping[str, np.ndarray]
) -> LinearModel:
    """Model of what `LinearModel.packed` gave, found in a file.

    Raises
    ------
    SchemaError
        When it is something else.
    """
    try:
        if header.get("model") != "linear":
            raise ValueError(f"model {header.get('model', 'of ions: see load_model')}")
        return LinearModel(
            tuple(header["beads"]), tensors["masses"],
            tuple(_from_json(term) for term in header["terms"]),
            tensors["coefficients"], int(header["n_units"]), header["validity"],
            {k: (float(a), float(b)) for k, (a, b) in header.get("ranges", {}).items()},
        )  # fmt: skip
    except (
        KeyError, TypeError, ValueError, IndexError, AttributeError, InputError
    ) as exc:  # fmt: skip
        raise SchemaError(
            f"{path}: header of cg-model/1", wanted="a linear model, as `save` writes it",
            got=f"{type(exc).__name__}: {exc}",
        ) from exc  # fmt: skip


def _as_json(term: Term) -> dict:
    kind = next(name for name, of in KINDS.items() if type(term) is of)
    given = asdict(term)  # type: ignore[call-overload]
    if "basis" in given:
        given["basis"] = as_json(term.basis)  # type: ignore[attr-defined]
    return {"term": kind, **given}


def _from_json(data: Mapping) -> Term:
    given = dict(data)
    kind = KINDS[given.pop("term")]
    if "basis" in given:
        given["basis"] = from_json(given["basis"])
    return kind(**{name: _tuples(value) for name, value in given.items()})


def _tuples(value):
    """Lists, which JSON has in place of tuples, as tuples."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(_tuples(v) for v in value)
    return value
