"""Coulomb energy of point charges in crystals, slabs and clusters. eV, A, e.

The sum is split in two. Close by, each charge is screened by a Gaussian of the opposite
charge: those pairs end within the cut-off, so that the network's neighbour list serves
(`near_kernel`). What the Gaussians add is smooth, and `far_energy` sums it: over wave
vectors in a cell (Ewald), on a mesh where atoms are many (particle-mesh Ewald),
by pairs where nothing repeats. Both ends are faded out instead of cut, so that energies
have two continuous derivatives with respect to positions and cell.

Sources: slabs, Yeh & Berkowitz 1999, doi:10.1063/1.479595; charged slabs, Ballenegger,
Arnold & Cerda 2009, doi:10.1063/1.3216473.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn

from ...core.errors import InputError
from ...core.units import ANGSTROM, ELEMENTARY_CHARGE, EV, VACUUM_PERMITTIVITY
from .basis import smooth_cutoff
from .structure_factors import Mesh, Phases, Sizes, waves

#: e^2 / (4 pi eps0), eV A.
COULOMB = ELEMENTARY_CHARGE**2 / (4 * math.pi * VACUUM_PERMITTIVITY) / EV / ANGSTROM
#: Cut-off over the width of the Gaussians, and their width times the largest wave vector.
SPLIT = 5.5
#: Part of the cut-off and of the largest wave vector over which the sums fade out.
FADE = 0.1
#: Atoms from which a mesh is faster than the sum over wave vectors.
MESH_ATOMS = 200
#: Spacing of the mesh over the width.
MESH = 0.6


def near_kernel(r: Tensor, cutoff: float) -> Tensor:
    """Energy of two unit charges at r (A) that are screened by Gaussians, eV."""
    screened = torch.erfc(r * (SPLIT / cutoff / math.sqrt(2))) / r
    return COULOMB * screened * _fade(r / cutoff)


def with_slope(kernel: Callable[[Tensor], Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """An elementwise function and its derivative."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = kernel(x)
        (slope,) = torch.autograd.grad(value.sum(), x)
    return value.detach(), slope


def cluster_energies(
    charges: Tensor, positions: Tensor, counts: Sequence[int], cutoff: float
) -> Tensor:
    """`far_energy` of clusters of so many atoms, put end to end, (n_clusters,), eV."""
    starts = [sum(counts[:c]) for c in range(len(counts))]
    i, j = torch.cat(
        [
            torch.triu_indices(n, n, 1, device=charges.device) + s
            for n, s in zip(counts, starts, strict=True)
        ],
        1,
    )
    pairs = torch.tensor([n * (n - 1) // 2 for n in counts], device=charges.device)
    r = (positions[i] - positions[j]).pow(2).sum(-1).sqrt()
    energies = charges[i] * charges[j] * _cluster_kernel(r, cutoff)
    owner = torch.repeat_interleave(pairs)
    return charges.new_zeros(len(counts)).index_add(0, owner, energies)


def far_energy(
    charges: Tensor, positions: Tensor, box: Tensor, pbc: Sequence[bool], cutoff: float
) -> Tensor:
    """Energy of the Gaussians that `near_kernel` screens with, in a cell.

    Parameters
    ----------
    charges
        Shape (N,), e, float64.
    positions, box
        Shape (N, 3) and (3, 3), A, float64; rows of `box` are its vectors.
    pbc
        Which of them repeat: all, or two (the third must leave a gap).
    cutoff
        Of the near part, A.

    Returns
    -------
    Tensor
        eV, a scalar.

    Raises
    ------
    InputError
        When one direction repeats, or the cell is flat or leaves no gap.
    """
    _check_cell(positions.detach(), box.detach(), pbc)
    width, (sizes, mesh) = cutoff / SPLIT, _sizes(len(charges), box, cutoff)
    inverse = torch.linalg.inv(box)
    factors = (Mesh if mesh else Phases)(positions @ inverse, sizes).factors(charges)
    numbers, count, influence = waves(sizes, mesh, box.device)
    k2 = (numbers @ (2 * math.pi * inverse).T).pow(2).sum(1)
    terms = count * influence * _wave_kernel(k2, width) * _squared(factors)
    energy = terms.sum() / torch.det(box).abs()
    energy = energy + 0.5 * _own_kernel(width) * (charges**2).sum()
    return energy if all(pbc) else energy + _open_slab(charges, positions, box, pbc)


class Slopes(NamedTuple):
    """Energy of one frame (eV) and its derivatives.

    Attributes
    ----------
    energy
        A scalar.
    charges
        Shape (N,), eV/e.
    positions
        Shape (N, 3), eV/A.
    strain
        Shape (3, 3), eV.
    """

    energy: Tensor
    charges: Tensor
    positions: Tensor
    strain: Tensor


def far_slopes(
    charges: Tensor, positions: Tensor, box: Tensor, pbc: Sequence[bool], cutoff: float
) -> Slopes:
    """`far_energy` or, where nothing repeats, `cluster_energies`, with derivatives.

    The chain rule is written out but for the field of a slab's repetitions. What depends
    on the box alone is kept.
    """
    if not any(pbc):
        return cluster_slopes(charges, positions, cutoff)
    _check_cell(positions, box, pbc)
    width, (sizes, mesh) = cutoff / SPLIT, _sizes(len(charges), box, cutoff)
    cell = _cell(box.cpu().numpy().tobytes(), sizes, mesh, width, box.device)
    atoms = (Mesh if mesh else Phases)(positions @ cell.inverse, sizes)
    factors = atoms.factors(charges)
    potential, *slopes = atoms.back(2 * cell.kernel * factors)
    by_positions = torch.stack(slopes, 1) * charges.unsqueeze(1) @ cell.inverse.T
    energy = 0.5 * charges @ potential
    weight = cell.bend * _squared(factors)
    strain = cell.vectors.T @ (weight.unsqueeze(1) * cell.vectors)
    strain.diagonal().sub_(energy)  # the waves' share goes with the inverse volume
    own = _own_kernel(width) * charges
    energy, potential = energy + 0.5 * charges @ own, potential + own
    found = Slopes(energy, potential, by_positions, strain)
    if all(pbc):
        return found
    slab = _slab_slopes(charges, positions, box, pbc)
    return Slopes(*(a + b for a, b in zip(found, slab, strict=True)))


class _Cell(NamedTuple):
    """What a sum over K waves needs of a box.

    Its inverse, wave vectors (K, 3), what a wave adds to the strain along them (K,), and
    the kernel in the shape of structure factors.
    """

    inverse: Tensor
    vectors: Tensor
    bend: Tensor
    kernel: Tensor


@functools.lru_cache(maxsize=4)
def _cell(
    box: bytes, sizes: Sizes, mesh: bool, width: float, device: torch.device
) -> _Cell:
    cell = torch.frombuffer(bytearray(box), dtype=torch.float64).view(3, 3).to(device)
    inverse = torch.linalg.inv(cell)
    numbers, count, influence = waves(sizes, mesh, device)
    vectors = numbers @ (2 * math.pi * inverse).T
    weight = influence / torch.det(cell).abs()
    kernel, slope = with_slope(lambda k2: _wave_kernel(k2, width), vectors.pow(2).sum(1))
    # A strain e takes k to k (1 - e).
    bend = -2 * count * weight * slope
    grid = (*sizes[:2], sizes[2] // 2 + 1)
    return _Cell(inverse, vectors, bend, (weight * kernel).view(grid))


def _squared(factors: Tensor) -> Tensor:
    return (factors.real.square() + factors.imag.square()).flatten()


def cluster_slopes(charges: Tensor, positions: Tensor, cutoff: float) -> Slopes:
    """`cluster_energies` with derivatives, of clusters of one size along leading axes.

    Parameters
    ----------
    charges, positions
        Shape (..., N) and (..., N, 3).
    """
    exact = "donot_use_mm_for_euclid_dist"
    r = torch.cdist(positions, positions, compute_mode=exact)
    r.diagonal(dim1=-2, dim2=-1).fill_(math.inf)
    pairs, slope = with_slope(lambda r: _cluster_kernel(r, cutoff), r)
    potential = (pairs @ charges.unsqueeze(-1)).squeeze(-1)
    along = slope / r * charges.unsqueeze(-2) * charges.unsqueeze(-1)
    by_positions = positions * along.sum(-1, keepdim=True) - along @ positions
    energy = 0.5 * (charges * potential).sum(-1)
    strain = positions.transpose(-2, -1) @ by_positions
    return Slopes(energy, potential, by_positions, strain)


def _cluster_kernel(r: Tensor, cutoff: float) -> Tensor:
    """Energy of two Gaussians of unit charge, eV."""
    return COULOMB * torch.erf(r * (SPLIT / cutoff / math.sqrt(2))) / r


def _wave_kernel(k2: Tensor, width: float) -> Tensor:
    """Energy times volume of waves |S|^2 = 1 of Gaussians, eV A^3.

    The first k^2 is zero: left there is an even background of the opposite charge.
    """
    k2 = k2[1:]
    fade = _fade(k2.sqrt() * (width / SPLIT))
    waves = 2 * math.pi * fade * torch.exp(-0.5 * width**2 * k2) / k2
    return COULOMB * nn.functional.pad(waves, (1, 0), value=-math.pi * width**2)


def _own_kernel(width: float) -> float:
    """Takes the energy of a Gaussian with itself out of the waves, twice of it, eV."""
    return -2 * COULOMB / (math.sqrt(2 * math.pi) * width)


def _fade(x: Tensor) -> Tensor:
    """One up to 1 - FADE, zero from 1 on."""
    return smooth_cutoff(((x - 1 + FADE) / FADE).clamp(0.0, 1.0))


def _sizes(n: int, box: Tensor, cutoff: float) -> tuple[Sizes, bool]:
    """Waves along each axis for n atoms, and whether they are those of a mesh."""
    lengths, width = box.detach().norm(dim=1), cutoff / SPLIT
    mesh = n >= MESH_ATOMS

    def size(length: float) -> int:
        if mesh:
            return next_fast_len(math.ceil(length / (MESH * width)), real=True)
        return 2 * int(SPLIT / width * length / (2 * math.pi)) + 1

    x, y, z = map(size, lengths.tolist())
    return (x, y, z), mesh


def _slab_slopes(charges, positions, box, pbc) -> Slopes:
    with torch.enable_grad():
        inputs = [charges, positions, torch.zeros_like(box)]
        q, x, strain = inputs = [t.detach().requires_grad_() for t in inputs]
        deform = torch.eye(3, dtype=box.dtype, device=box.device) + strain
        energy = _open_slab(q, x @ deform, box @ deform, pbc)
        return Slopes(energy.detach(), *torch.autograd.grad(energy, inputs))


def _open_slab(
    charges: Tensor, positions: Tensor, box: Tensor, pbc: Sequence[bool]
) -> Tensor:
    """Takes the field of a slab's repetitions away, eV."""
    axis = list(pbc).index(False)
    a, b = (box[c] for c in range(3) if c != axis)
    normal = torch.linalg.cross(a, b)
    area, volume = normal.norm(), torch.det(box).abs()
    z, total = positions @ (normal / area), charges.sum()
    moment, second = (charges * z).sum(), (charges * z**2).sum()
    height = volume / area
    shape = moment**2 - total * second - (total * height) ** 2 / 12
    return 2 * math.pi * COULOMB / volume * shape


def _check_cell(positions: Tensor, box: Tensor, pbc: Sequence[bool]) -> None:
    if sum(map(bool, pbc)) == 1:
        raise InputError(
            "charges cannot be summed along one periodic direction",
            wanted="three, two or no periodic directions", got="one",
            mend="repeat all three, with wide gaps",
        )  # fmt: skip
    volume, lengths = float(torch.det(box).abs()), box.norm(dim=1)
    if volume < 1e-6 * float(lengths.prod()) or not volume > 0:
        raise InputError(
            "the cell of charges has no volume",
            wanted="three independent box vectors (A)", got=str(box.tolist()),
            mend="give a slab its gap as part of the cell",
        )  # fmt: skip
    if all(pbc):
        return
    axis = list(pbc).index(False)
    a, b = (box[c] for c in range(3) if c != axis)
    normal = torch.linalg.cross(a, b)
    z = positions @ (normal / normal.norm())
    gap = volume / float(normal.norm()) - float(z.max() - z.min())
    wanted = max(float(a.norm()), float(b.norm()))
    # What the correction leaves falls as exp(-2 pi gap / length of the cell).
    if gap < wanted:
        raise InputError(
            "the gap between a slab and its repetition is too narrow",
            wanted=f"at least {wanted:.1f} A (the cell's longer side)",
            got=f"{gap:.1f} A", mend="make the cell higher",
        )  # fmt: skip
