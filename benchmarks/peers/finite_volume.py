"""Steady Nernst-Planck-Poisson in one dimension by finite volumes, NumPy and SciPy alone.

The scheme of Scharfetter and Gummel (doi:10.1109/T-ED.1969.16566) on vertex-centred
cells, of second order, with full Newton steps and a banded LU. Scaled units and equations
are those of the continuum part::

    div J_i = 0,        J_i = -D_i (c_i' + z_i c_i phi' + c_i mu_ex_i')
    -(p eps phi')' = sum_i z_i c_i + rho_fix

The unknowns are the electrochemical potentials psi_i and phi: same discrete solution as
with c_i as unknowns, but c_i > 0, and Newton's method converges at high potentials.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dgbsv


class NotConverged(Exception):  # noqa: N818
    """Newton's method stopped without a solution."""


@dataclass(frozen=True)
class State:
    """A steady state.

    Attributes
    ----------
    psi, concentration
        Shape (n_species, n_vertices).
    phi
        Shape (n_vertices,).
    flux
        J_i along x, mean over the cells, shape (n_species,).
    charge
        Surface charge of the left border, by Gauss's law over its half cell.
    steps, rejected, iterations
        Load steps, steps that failed and were halved, Newton iterations of both.
    """

    psi: np.ndarray
    phi: np.ndarray
    concentration: np.ndarray
    flux: np.ndarray
    charge: float
    steps: int
    rejected: int
    iterations: int


def graded(
    length: float, n_cells: int, offset: float, power: float = 5 / 3
) -> np.ndarray:
    """Vertices from 0 to `length` with cells that grow as ``(x + offset)**power``.

    With power 1 it is the geometric mesh. Fewest cells for the charge of a wall at
    potential zeta (25 Debye lengths) need power 5/3 with the offset ``2 exp(-zeta / 2)``
    of the concentration ``4 / (x + offset)**2`` beside it; of ions with a volume of
    0.0075 at zeta 20, power 23.6 with offset 22.
    """
    rest = 1 - power
    ratio = np.log1p(length / offset)
    s = np.linspace(0, 1, n_cells + 1)
    grown = s * ratio if rest == 0 else np.log1p(s * np.expm1(rest * ratio)) / rest
    vertices = offset * np.expm1(grown)
    vertices[-1] = length
    return vertices


class FiniteVolume:
    """The equations on one mesh.

    Parameters
    ----------
    x
        Vertices, shape (n_vertices,), increasing.
    charge_numbers
        Shape (n_species,).
    poisson
        Poisson number p.
    diffusivity, mu_ex
        On the vertices, shape (n_species, n_vertices) or a number.
    permittivity, fixed_charge
        On the vertices, shape (n_vertices,) or a number.
    c_ref
        Concentration where psi, phi and mu_ex are zero, shape (n_species,) or a number.
    volume
        Of an ion, shape (n_species,) or a number: Bikerman's closure
        (doi:10.1103/PhysRevE.75.021502) as ``mesobridge.continuum.medium`` has it.
    """

    def __init__(
        self, x, charge_numbers, *, poisson, diffusivity=1.0, mu_ex=0.0,
        permittivity=1.0, fixed_charge=0.0, c_ref=1.0, volume=0.0,
    ):  # fmt: skip
        self.x = np.asarray(x, dtype=float)
        self.z = np.asarray(charge_numbers, dtype=float)[:, None]
        n, m = len(self.z), len(self.x)
        size = np.diff(self.x)
        self.width = (np.append(size, 0) + np.append(0, size)) / 2
        d = np.broadcast_to(np.asarray(diffusivity, dtype=float), (n, m))
        eps = np.broadcast_to(np.asarray(permittivity, dtype=float), (m,))
        # Half cells in series.
        self.mobility = 2 / (1 / d[:, 1:] + 1 / d[:, :-1]) / size
        self.capacity = poisson * 2 / (1 / eps[1:] + 1 / eps[:-1]) / size
        self.mu_ex = np.broadcast_to(np.asarray(mu_ex, dtype=float), (n, m))
        self.fixed_charge = np.broadcast_to(np.asarray(fixed_charge, dtype=float), (m,))
        self.c_ref = np.broadcast_to(np.asarray(c_ref, dtype=float), (n,))[:, None]
        self.volume = np.broadcast_to(np.asarray(volume, dtype=float), (n,))[:, None]
        self.steric = bool(self.volume.any())
        # Unknowns vertex by vertex, phi last: a point ion's flux then reaches no further
        # down than one block. From the reservoir to the wall: the other way round, pivots
        # are differences of conductances that fall by decades.
        self.block = n + 1
        self.below = 2 * n + 1 if self.steric else n + 1
        self.above = 2 * n + 1
        pairs = np.ndindex(n, n + 1)
        self._pairs = [(i, j) for i, j in pairs if self.steric or j in (i, n)]
        rows = 2 * self.below + self.above + 1  # `dgbsv` fills the first `below`
        self._band = np.zeros((m, self.block, rows))

    def solve(
        self, *, phi=(0.0, 0.0), psi_left=np.nan, psi_right=0.0, surface_charge=0.0,
        first_step=1.0, tolerance=1e-9, max_iterations=60,
    ) -> State:  # fmt: skip
        """Steady state, from rest.

        Parameters
        ----------
        phi
            Held at the left and at the right; ``None`` at the left leaves it to
            `surface_charge`.
        psi_left, psi_right
            Held there, shape (n_species,) or a number; nan at the left lets nothing in.
        surface_charge
            Of the left border.
        first_step
            First step as a part of the load; a step that fails is halved.
        tolerance
            Largest increment of an unknown in the last iteration.
        max_iterations
            Of one step.

        Raises
        ------
        NotConverged
            When load steps become shorter than 1e-4.
        """
        n = len(self.z)
        wanted = np.full((2, self.block), np.nan)
        wanted[0, :-1], wanted[1, :-1] = psi_left, psi_right
        wanted[:, -1] = np.array(phi, dtype=float)  # nan for None
        self._through = np.append(np.isfinite(wanted[0, :-1]), True)
        u = np.zeros((self.block, len(self.x)))
        done, step, steps, rejected, self._iterations = 0.0, first_step, 0, 0, 0
        while done < 1:
            part = min(1.0, done + step)
            try:
                u = self._newton(
                    u, part, part * wanted, surface_charge, tolerance, max_iterations
                )
            except NotConverged:
                rejected, step = rejected + 1, step / 2
                if step < 1e-4:
                    raise
            else:
                done, step, steps = part, 2 * step, steps + 1
        residual, c, flux = self._residual(u, 1.0, 0.0)[:3]
        charge, flux = float(residual[0, -1]), flux.mean(axis=1)
        return State(u[:n], u[n], c, flux, charge, steps, rejected, self._iterations)

    @np.errstate(all="ignore")  # what overflows is not converged
    def _newton(self, u, part, held, surface_charge, tolerance, max_iterations):
        sides, components = np.nonzero(np.isfinite(held))
        vertices = np.where(sides == 0, 0, len(self.x) - 1)
        values = held[sides, components]
        u = u.copy()
        for _ in range(max_iterations):
            self._iterations += 1
            right, *parts = self._residual(u, part, surface_charge)
            if not np.isfinite(right).all():
                break
            right *= self._jacobian(*parts)
            self._hold(vertices, components)
            right[vertices, components] = u[components, vertices] - values
            step = self._linear(right)
            u -= step
            if not self.steric:
                # Newton in c: what grows is not overshot, what falls keeps a hundredth.
                change = self.z * step[-1] - step[:-1]
                u[:-1] += np.log(np.maximum(1 + change, 0.01)) - change
                u[components, vertices] = values
            if np.abs(step).max() < tolerance:
                return u
        raise NotConverged(f"at {part:.4g} of the load")

    def _linear(self, right: np.ndarray) -> np.ndarray:
        band = self._band.reshape(right.size, -1).T  # Fortran order: nothing is copied
        below, above, right = self.below, self.above, right[::-1]
        *_, step, info = dgbsv(below, above, band, right.ravel(), overwrite_ab=1)
        if info:
            raise NotConverged("singular matrix")
        return step.reshape(right.shape)[::-1].T

    def _residual(self, u, part, surface_charge):
        """What flows out of each cell less what is made in it, shape (m, n + 1).

        Of a species that is closed at the left only the flux to the right, which must be
        zero: the sum of the cells so far. Differences of fluxes would lose psi where
        conductances span 16 decades, as they do at 20 kT/e.
        """
        psi, phi = u[:-1], u[-1]
        ln_c = psi - self.z * phi - part * self.mu_ex
        c = self.c_ref * np.exp(ln_c)
        if self.steric:
            free = 1 + (self.volume * (c - self.c_ref)).sum(axis=0)
            c, ln_c = c / free, ln_c - np.log(free)
        # Scharfetter and Gummel without differences of large numbers: x / sinh(x) times
        # the geometric mean of c times 2 sinh(rise).
        rise = (psi[:, 1:] - psi[:, :-1]) / 2
        x = (ln_c[:, :-1] - ln_c[:, 1:]) / 2 + rise
        x = np.where(np.abs(x) < 1e-4, 1e-4, x)
        mean = 2 * self.mobility * np.sqrt(c[:, :-1] * c[:, 1:]) * (x / np.sinh(x))
        flux = -mean * np.sinh(rise)
        residual = np.empty((len(self.x), self.block))
        charge = (self.z * c).sum(axis=0) + part * self.fixed_charge
        residual[:, :-1] = 0
        residual[:, -1] = -charge * self.width
        residual[0, -1] -= part * surface_charge
        outflow = np.vstack([flux, self.capacity * (phi[:-1] - phi[1:])]).T
        residual[:-1] += outflow
        residual[1:] -= outflow * self._through
        return residual, c, flux, (mean, rise, x)

    def _jacobian(self, c, flux, cells):
        """Fill the band with scaled rows; the scale, shape (m, n + 1), is returned."""
        mean, rise, x = cells
        self._band[:] = 0
        slope = self._slope(c)
        # Without it pivots in the rows of ions as rare as exp(-40) are lost in rounding.
        scale = np.zeros((len(self.x), self.block))
        conductance = np.vstack([mean, self.capacity]).T
        scale[:-1] += conductance
        scale[1:] += conductance * self._through
        scale[-1] += conductance[-1]  # held; of no use but positive
        by_charge = (self.z[:, None] * c[:, None] * slope).sum(axis=0) * self.width
        scale[:, -1] += np.abs(by_charge).max(axis=0)
        scale = 1 / scale
        bend = 1 / x - 1 / np.tanh(x)  # d ln(x / sinh x) / dx
        direct = (flux * bend - mean * np.cosh(rise)) / 2  # by psi at given c
        by_left, by_right = flux * (1 + bend) / 2, flux * (1 - bend) / 2  # by ln c
        n, ends = len(self.z), (slice(-1), slice(1, None))
        constant = slope.shape[-1] == 1
        for i, j in self._pairs:
            left, right = (slope[i, j] if constant else slope[i, j, s] for s in ends)
            left, right = by_left[i] * left, by_right[i] * right
            if i == j:
                left, right = left - direct[i], right + direct[i]
            self._couple(i, j, left, right, scale[:, i])
        self._couple(n, n, self.capacity, -self.capacity, scale[:, n])
        for j in range(n + 1):
            self._entry(n, j, 0)[:] -= by_charge[j] * scale[:, n]
        return scale

    def _slope(self, c):
        """D ln c_i / d u_j, shape (n, n + 1, m), or 1 instead of m for point ions."""
        slope = np.hstack([np.eye(len(self.z)), -self.z])[:, :, None]
        if self.steric:
            filled = self.volume * c
            slope = slope - np.vstack([filled, -(self.z * filled).sum(axis=0)])
        return slope

    def _entry(self, i, j, shift):
        """Band of d residual i / d u_j, the latter `shift` vertices further on."""
        diagonal = self.below + self.above + i - j + shift * self.block
        return self._band[::-1][max(shift, 0) : len(self.x) + min(shift, 0), j, diagonal]

    def _couple(self, i, j, left, right, scale):
        """Add a flux's slopes by u_j at the left and at the right vertex."""
        self._entry(i, j, 0)[:-1] += left * scale[:-1]
        self._entry(i, j, 1)[:] = right * scale[:-1]
        if self._through[i]:
            self._entry(i, j, 0)[1:] -= right * scale[1:]
            self._entry(i, j, -1)[:] = -left * scale[1:]

    def _hold(self, vertices, components):
        """Rows of the identity."""
        band = self._band.reshape(-1, self._band.shape[-1])
        for k, i in zip(vertices, components, strict=True):
            row = (len(self.x) - 1 - k) * self.block + i
            last = min(row + self.above, len(band) - 1)
            columns = np.arange(max(row - self.below, 0), last + 1)
            band[columns, self.below + self.above + row - columns] = columns == row
