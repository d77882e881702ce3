"""Coulomb energy of point charges in crystals, slabs and clusters. eV, A, e.

The sum is split in two. Close by, each charge is screened by a Gaussian of the opposite
charge: those pairs end within the cut-off, so that the network's neighbour list serves
(`near_kernel`). What the Gaussians add is smooth, and `far_energy` sums it: over wave
vectors in a cell (Ewald), on a mesh where atoms are many (particle-mesh Ewald),
by pairs where nothing repeats. Both ends are faded out instead of cut, so that energies
have two continuous derivatives with respect to positions and cell.

Sources: the mesh, Essmann et al. 1995, doi:10.1063/1.470117, with the
influence function of Hockney & Eastwood 1988, ISBN 978-0-85274-392-8; slabs, Yeh &
Berkowitz 1999, doi:10.1063/1.479595; charged slabs, Ballenegger, Arnold & Cerda 2009,
doi:10.1063/1.3216473.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from scipy.fft import next_fast_len
from torch import Tensor, nn

from ...core.errors import InputError
from ...core.units import ANGSTROM, ELEMENTARY_CHARGE, EV, VACUUM_PERMITTIVITY
from .basis import smooth_cutoff

#: e^2 / (4 pi eps0), eV A.
COULOMB = ELEMENTARY_CHARGE**2 / (4 * math.pi * VACUUM_PERMITTIVITY) / EV / ANGSTROM
#: Cut-off over the width of the Gaussians, and their width times the largest wave vector.
SPLIT = 5.5
#: Part of the cut-off and of the largest wave vector over which the sums fade out.
FADE = 0.1
#: Atoms from which a mesh is faster than the sum over wave vectors.
MESH_ATOMS = 200
#: Spacing of the mesh over the width, and order of the splines on it.
MESH, ORDER = 0.6, 6


def near_kernel(r: Tensor, cutoff: float) -> Tensor:
    """Energy of two unit charges at r (A) that are screened by Gaussians, eV."""
    screened = torch.erfc(r * (SPLIT / cutoff / math.sqrt(2))) / r
    return COULOMB * screened * _fade(r / cutoff)


def cluster_energies(
    charges: Tensor, positions: Tensor, counts: Sequence[int], cutoff: float
) -> Tensor:
    """`far_energy` of clusters of so many atoms, put end to end, (n_clusters,), eV."""
    starts = [sum(counts[:c]) for c in range(len(counts))]
    i, j = torch.cat(
        [torch.triu_indices(n, n, 1) + s for n, s in zip(counts, starts, strict=True)], 1
    )
    owner = torch.arange(len(counts)).repeat_interleave(
        torch.tensor([n * (n - 1) // 2 for n in counts])
    )
    r = (positions[i] - positions[j]).pow(2).sum(-1).sqrt()
    pairs = charges[i] * charges[j] * torch.erf(r * (SPLIT / cutoff / math.sqrt(2))) / r
    return COULOMB * charges.new_zeros(len(counts)).index_add(0, owner, pairs)


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
    width = cutoff / SPLIT
    _check_cell(positions.detach(), box.detach(), pbc)
    total = charges.sum()
    sum_up = _wave_sum if len(charges) < MESH_ATOMS else _mesh_sum
    energy = sum_up(charges, positions, box, width)
    # The Gaussians' own energy, and that of an even background where charge is left.
    energy = energy - (charges**2).sum() / (math.sqrt(2 * math.pi) * width)
    energy = energy - math.pi * width**2 * total**2 / torch.det(box).abs()
    if not all(pbc):
        energy = energy + _open_slab(charges, positions, box, list(pbc).index(False))
    return COULOMB * energy


def _fade(x: Tensor) -> Tensor:
    """One up to 1 - FADE, zero from 1 on."""
    return smooth_cutoff(((x - 1 + FADE) / FADE).clamp(0.0, 1.0))


def _wave_sum(charges: Tensor, positions: Tensor, box: Tensor, width: float) -> Tensor:
    """Sum over wave vectors k != 0 of 2 pi / V exp(-k^2 w^2 / 2) / k^2 |S(k)|^2."""
    reciprocal = 2 * math.pi * torch.linalg.inv(box)  # columns
    largest = SPLIT / width
    lengths = box.detach().norm(dim=1).tolist()
    orders = [int(largest * length / (2 * math.pi)) for length in lengths]
    # k and -k are equal: the first index goes over one half. A factor of the phase for
    # each index makes the sum over atoms a product of matrices.
    ranges = [
        torch.arange(-m if c else 0, m + 1, dtype=box.dtype, device=box.device)
        for c, m in enumerate(orders)
    ]
    angles = (positions @ reciprocal).unbind(1)
    one, two, three = (
        torch.exp(1j * (a.unsqueeze(1) * n)) for a, n in zip(angles, ranges, strict=True)
    )
    plane = (two.unsqueeze(2) * three.unsqueeze(1)).flatten(1)
    factor = torch.view_as_real((one * charges.unsqueeze(1)).T @ plane)
    strength = factor.pow(2).sum(-1).flatten()

    n = torch.cartesian_prod(*ranges)
    k2 = (n @ reciprocal.T).pow(2).sum(1)
    inside = (k2 < largest**2) & (n != 0).any(1)
    n, k2, strength = n[inside], k2[inside], strength[inside]
    weight = torch.where(n[:, 0] > 0, 2.0, 1.0).to(k2.dtype) * _fade(k2.sqrt() / largest)
    terms = weight * torch.exp(-0.5 * width**2 * k2) / k2 * strength
    return 2 * math.pi / torch.det(box).abs() * terms.sum()


def _mesh_sum(charges: Tensor, positions: Tensor, box: Tensor, width: float) -> Tensor:
    """The same sum with structure factors of charges on a mesh, spread by splines.

    Only the energy is asked for: its derivatives follow from one transform back, which
    autograd makes.
    """
    sizes = [
        next_fast_len(math.ceil(length / (MESH * width)), real=True)
        for length in box.detach().norm(dim=1).tolist()
    ]
    mesh = torch.tensor(sizes, device=box.device)
    place = positions @ torch.linalg.inv(box) * mesh
    corner = place.detach().floor()
    weights = _splines(place - corner)
    nodes = (corner.long().unsqueeze(-1) - torch.arange(ORDER, device=box.device)) % (
        mesh.unsqueeze(-1)
    )
    x, y, z = nodes.unbind(1)
    index = (x[:, :, None, None] * sizes[1] + y[:, None, :, None]) * sizes[2]
    index = index + z[:, None, None, :]
    spread = torch.einsum("n,nx,ny,nz->nxyz", charges, *weights.unbind(1))
    on_mesh = box.new_zeros(math.prod(sizes))
    on_mesh = on_mesh.index_add(0, index.flatten(), spread.flatten())
    factor = torch.view_as_real(torch.fft.rfftn(on_mesh.view(sizes)))

    half = [torch.fft.fftfreq(k, 1 / k, dtype=box.dtype) for k in sizes[:2]]
    half.append(torch.fft.rfftfreq(sizes[2], 1 / sizes[2], dtype=box.dtype))
    n = torch.cartesian_prod(*half).to(box.device)
    k2 = (n @ (2 * math.pi * torch.linalg.inv(box)).T).pow(2).sum(1)[1:]
    twice = (n[1:, 2] > 0) & (2 * n[1:, 2] < sizes[2])
    weight = torch.where(twice, 2.0, 1.0).to(k2.dtype) * _influence(sizes, n)[1:]
    strength = factor.pow(2).sum(-1).flatten()[1:]
    terms = weight * torch.exp(-0.5 * width**2 * k2) / k2 * strength
    return 2 * math.pi / torch.det(box).abs() * terms.sum()


def _splines(x: Tensor) -> Tensor:
    """Cardinal B-splines of `ORDER` at x + j, j = 0 .. ORDER - 1, for x in [0, 1]."""
    values, x = torch.ones_like(x).unsqueeze(-1), x.unsqueeze(-1)
    for order in range(2, ORDER + 1):
        j = torch.arange(order, dtype=x.dtype, device=x.device)
        low, high = nn.functional.pad(values, (0, 1)), nn.functional.pad(values, (1, 0))
        values = ((x + j) * low + (order - x - j) * high) / (order - 1)
    return values


def _influence(sizes: list[int], n: Tensor) -> Tensor:
    """Weight of waves n that takes the splines and their aliases out again.

    The one of least error (Hockney & Eastwood), U^2 / (sum of U^2 over aliases)^2: the
    interpolating one of smooth PME has a thirty times larger error of the energy.
    """
    weight = torch.ones_like(n[:, 0])
    for c, size in enumerate(sizes):
        shifts = torch.arange(-3, 4, dtype=n.dtype, device=n.device)
        powers = torch.sinc(n[:, c : c + 1] / size + shifts) ** (2 * ORDER)
        weight = weight * powers[:, 3] / powers.sum(1) ** 2
    return weight


def _open_slab(charges: Tensor, positions: Tensor, box: Tensor, axis: int) -> Tensor:
    """Takes the field of a slab's repetitions along `axis` away."""
    a, b = (box[c] for c in range(3) if c != axis)
    normal = torch.linalg.cross(a, b)
    area, volume = normal.norm(), torch.det(box).abs()
    z, total = positions @ (normal / area), charges.sum()
    moment, second = (charges * z).sum(), (charges * z**2).sum()
    height = volume / area
    shape = moment**2 - total * second - (total * height) ** 2 / 12
    return 2 * math.pi / volume * shape


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
