"""Normal equations of force matching, per block of frames, for any terms.

Multiscale coarse graining (Noid et al. 2008, doi:10.1063/1.2938857): what is linear in
its coefficients needs one pass over forces. Equations are small, add up, and can be
solved for any choice of blocks without the frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..core.artefact import read_model, write_model
from ..core.errors import InputError, SchemaError
from .terms import Term

SCHEMA = "normal-equations/1"
#: Positions (F, B, 3) in nm, forces (F, B, 3) in kJ/mol/nm and boxes (F, 3, 3) in nm.
Chunk = tuple[np.ndarray, np.ndarray, np.ndarray | None]
#: Numbers of a design matrix that is made at once.
AT_ONCE = 2**19


@dataclass(frozen=True, eq=False)
class NormalEquations:
    """Additive statistics of force matching; U blocks, n coefficients.

    Attributes
    ----------
    terms
        Name and number of coefficients of each term; these sum to n.
    gram
        Products of the forces of functions, shape (U, n, n).
    moment
        Their products with the forces that are matched, shape (U, n).
    square
        Sum of the squares of those, shape (U,), (kJ/mol/nm)2.
    rows
        Number of force components, shape (U,).
    seen
        How often cells of coordinates were visited, of the terms that count it.
    """

    terms: tuple[tuple[str, int], ...]
    gram: np.ndarray
    moment: np.ndarray
    square: np.ndarray
    rows: np.ndarray
    seen: Mapping[str, np.ndarray]

    def columns(self, name: str) -> slice:
        """Where the coefficients of a term are."""
        names = [term for term, _ in self.terms]
        if name not in names:
            raise InputError("name of a term", wanted=", ".join(names), got=name)
        first = sum(size for _, size in self.terms[: names.index(name)])
        return slice(first, first + dict(self.terms)[name])

    def mean_square(self, coefficients: np.ndarray, weights=None) -> float:
        """Mean square of the force that is left, (kJ/mol/nm)2, of weighted blocks."""
        w, c = np.ones(len(self.rows)) if weights is None else weights, coefficients
        bent = np.tensordot(w, self.gram, 1) @ c
        left = w @ self.square - 2 * (w @ self.moment) @ c + c @ bent
        return float(max(left, 0.0) / (w @ self.rows))

    def save(self, path: Path | str, origin: Mapping) -> None:
        """Write a file; `origin`, plain data, says of what the equations are."""
        header = {
            "terms": [list(term) for term in self.terms], "origin": dict(origin),
            "units": {"length": "nm", "energy": "kJ/mol"},
        }  # fmt: skip
        tensors = {name: getattr(self, name) for name in SUMS}
        tensors |= {f"seen.{name}": count for name, count in self.seen.items()}
        write_model(path, SCHEMA, header, tensors)


#: Arrays with a row for each block.
SUMS = ("gram", "moment", "square", "rows")


def load_equations(path: Path | str) -> tuple[NormalEquations, dict]:
    """Read what `NormalEquations.save` wrote.

    Returns
    -------
    equations : NormalEquations
    origin : dict

    Raises
    ------
    SchemaError
        When the file is damaged or of another kind.
    """
    header, tensors = read_model(path, SCHEMA)
    try:
        terms = tuple((str(name), int(size)) for name, size in header["terms"])
        sums = {name: tensors.pop(name) for name in SUMS}
    except (KeyError, TypeError, ValueError) as exc:
        raise SchemaError(
            f"{path}: normal equations", wanted="the parts that `save` writes",
            got=f"{type(exc).__name__}: {exc}",
        ) from exc  # fmt: skip
    blocks, n = len(sums["rows"]), sum(size for _, size in terms)
    wanted = ((blocks, n, n), (blocks, n), (blocks,), (blocks,))
    found = tuple(sums[name].shape for name in SUMS)
    if found != wanted:
        raise SchemaError(f"{path}: shapes of sums", wanted=str(wanted), got=str(found))
    seen = {name.removeprefix("seen."): count for name, count in tensors.items()}
    return NormalEquations(terms, **sums, seen=seen), dict(header["origin"])


def joined(parts: Sequence[NormalEquations]) -> NormalEquations:
    """The blocks of several passes.

    Raises
    ------
    InputError
        When they are of other terms, or there are none.
    """
    if not parts or any(part.terms != parts[0].terms for part in parts):
        raise InputError(
            "normal equations that are joined", wanted="some, all of the same terms",
            got=" and ".join(sorted({str(part.terms) for part in parts})) or "none",
        )  # fmt: skip
    sums = {name: np.concatenate([getattr(p, name) for p in parts]) for name in SUMS}
    seen = {
        name: np.sum([part.seen[name] for part in parts], 0) for name in parts[0].seen
    }
    return NormalEquations(parts[0].terms, **sums, seen=seen)


def accumulate(terms: Sequence[Term], chunks: Iterable[Chunk]) -> NormalEquations:
    """Equations of one block.

    Parameters
    ----------
    terms
        With different names.
    chunks
        Frames in portions: see `Chunk`.

    Raises
    ------
    InputError
        When there are no terms, numbers are not finite, forces not those of the beads, or
        beads lie such that a coordinate has no gradient.
    """
    names = tuple((term.name, term.size) for term in terms)
    if not names or len({name for name, _ in names}) < len(names):
        raise InputError("names of terms", wanted="each once",
                         got=", ".join(name for name, _ in names) or "none")  # fmt: skip
    n = sum(size for _, size in names)
    gram, moment = torch.zeros(n, n, dtype=torch.float64), torch.zeros(n).double()
    square, rows = 0.0, 0
    seen: dict[str, np.ndarray] = {}
    for chunk in chunks:
        for x, force, box in _portions(chunk, n):
            design, visits = _design(terms, x, box)
            gram += design.T @ design
            moment += design.T @ force
            square += float(force @ force)
            rows += len(force)
            for name, count in visits.items():
                seen[name] = seen.get(name, 0) + count
    if not gram.isfinite().all():
        raise InputError(
            "coordinates of terms", wanted="beads at different places, no dihedral of "
            "three in a line", got="one without a gradient", mend="another map, or terms "
            "without these beads",
        )  # fmt: skip
    return NormalEquations(
        names, gram.numpy()[None], moment.numpy()[None], np.array([square]),
        np.array([rows]), seen,
    )  # fmt: skip


def _portions(chunk: Chunk, n: int):
    """Tensors of few frames each: x (F, B, 3), forces (3 F B,), boxes."""
    x, force, box = (
        None if part is None else np.ascontiguousarray(part, dtype=float)
        for part in chunk
    )
    if x is None or force is None or x.shape != force.shape:
        raise InputError(
            "forces on beads", wanted="a number for each component of each bead",
            got="none" if force is None else f"shape {force.shape}",
            mend="save forces with the trajectory",
        )  # fmt: skip
    if not (np.isfinite(x).all() and np.isfinite(force).all()):
        raise InputError("frames of beads", wanted="finite positions and forces",
                         got="NaN or infinity", mend="leave such frames out")  # fmt: skip
    step = max(1, AT_ONCE // (n * 3 * x.shape[1]))
    for start in range(0, len(x), step):
        part = slice(start, start + step)
        yield (
            torch.from_numpy(x[part]),
            torch.from_numpy(force[part]).flatten(),
            None if box is None else torch.from_numpy(box[part]),
        )


def _design(
    terms: Sequence[Term], x: Tensor, box: Tensor | None
) -> tuple[Tensor, dict[str, np.ndarray]]:
    """Forces of all functions, shape (3 F B, n), and visits of terms that count them."""
    parts: list[Tensor] = []
    seen: dict[str, np.ndarray] = {}
    for term in terms:
        counting = getattr(term, "design", None)
        if counting is None:
            part = term.forces(x, box)
        else:
            part, seen[term.name] = counting(x, box)
        parts.append(part.flatten(0, 2))
    return parts[0] if len(parts) == 1 else torch.cat(parts, -1), seen
