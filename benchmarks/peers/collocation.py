"""Rubinstein and Shtilman's permselective electrode by collocation, SciPy alone.

Two monovalent ions of one diffusivity (doi:10.1039/F29797500231) in scaled units, beside
a cathode at x = 0 that lets only cations through, with a reservoir at x = 1::

    J = -(c+' + c+ phi'),   0 = c-' - c- phi',   -2 lam^2 phi'' = c+ - c-
    phi(0) = -V, c+(0) = 1, that is psi+(0) = -V;   no anions pass x = 0
    phi(1) = 0, c+(1) = c-(1) = 1, that is psi+(1) = psi-(1) = 0

The current is the cation flux into the cathode, ``I = -J > 0`` in D c0 / l, near 2 for
lam -> 0. In the finite elements' terms: Poisson number 2 lam^2, psi+ and phi held at both
ends, psi- at x = 1 alone.

With ``c- = exp(phi)``, E = phi' and the first integral ``c+ + c- = lam^2 E^2 + I x + A``
one equation is left, ``2 lam^2 E'' = E (lam^2 E^2 + I x + A) - I`` (Painleve's second).
It shares nothing with the finite elements or volumes, and `scipy.integrate.solve_bvp` (of
fourth order, doi:10.1145/502800.502801) solves it to more than ten digits.
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_bvp

#: (lam, V) -> I of `rubinstein_shtilman`. Tolerances of 1e-8 and 1e-10 change them by
#: less than 2e-12 and 1e-13; finite volumes with 2000, 4000 and 8000 cells, extrapolated,
#: come within 3e-11 (all relative).
CURRENTS = {
    (1e-2, 5.0): 1.923347728772,
    (1e-2, 20.0): 2.690882862524,
    (1e-2, 40.0): 3.473200043773,
    (1e-2, 80.0): 5.253101026568,
    (1e-3, 5.0): 1.844908449166,
    (1e-3, 20.0): 2.110623761692,
    (1e-3, 40.0): 2.223976144391,
    (1e-3, 80.0): 2.406789414709,
    (1e-4, 5.0): 1.836743666621,
    (1e-4, 20.0): 2.019166951670,
    (1e-4, 40.0): 2.042964579599,
    (1e-4, 80.0): 2.077503469646,
}


def rubinstein_shtilman(
    lam: float, volts: float, *, tolerance: float = 1e-9, max_nodes: int = 100_000
) -> float:
    """Current of the problem above.

    Parameters
    ----------
    lam
        Debye length in units of the distance.
    volts
        V in kT/e. It is approached in growing steps at a loose tolerance; a step that
        fails is halved.
    tolerance
        Relative residual of the last solution.
    max_nodes
        Of the mesh, which `solve_bvp` refines itself.

    Raises
    ------
    RuntimeError
        When steps become shorter than 1e-3, or the tolerance is not met.
    """
    x = np.concatenate([[0.0], np.geomspace(lam / 20, 1, 60)])
    y, p = np.zeros((3, len(x))), [0.0, 2.0]  # at V = 0
    reached, step = 0.0, 2.0
    while reached < volts:
        target = min(reached + step, volts)
        found = _solve(lam, target, x, y, p, tol=1e-4, max_nodes=max_nodes)
        if found.success:
            x, y, p, reached, step = found.x, found.y, found.p, target, 1.5 * step
        elif step < 1e-3:
            raise RuntimeError(f"stuck at V = {reached:.4g}: {found.message}")
        else:
            step /= 2
    found = _solve(lam, volts, x, y, p, tol=tolerance, max_nodes=max_nodes)
    if not found.success:
        raise RuntimeError(found.message)
    return float(found.p[0])


def _solve(lam, volts, x, y, p, **options):
    """`solve_bvp` for phi, e = lam E, g = lam^2 E' = (c- - c+) / 2 and p = (I, A)."""

    def slope(x, y, p):
        _, e, g = y
        current, constant = p
        bend = e * (e**2 + current * x + constant) - lam * current
        return np.vstack([e, g, bend / 2]) / lam

    def slope_by(x, y, p):
        e, zero, one = y[1], np.zeros_like(x), np.ones_like(x)
        current, constant = p
        bend = (3 * e**2 + current * x + constant) / 2
        by_y = [[zero, one, zero], [zero, zero, one], [zero, bend, zero]]
        by_p = [[zero, zero], [zero, zero], [(e * x - lam) / 2, e / 2]]
        return np.array(by_y) / lam, np.array(by_p) / lam

    def ends(left, right, p):
        c_left = (left[1] ** 2 + p[1]) / 2 - left[2]
        sum_right = right[1] ** 2 + p.sum()
        # The last but one: no charge density at the reservoir.
        return np.array([left[0] + volts, c_left - 1, right[0], right[2], sum_right - 2])

    def ends_by(left, right, p):
        by_left, by_right, by_p = np.zeros((5, 3)), np.zeros((5, 3)), np.zeros((5, 2))
        by_left[0, 0] = by_right[2, 0] = by_right[3, 2] = 1
        by_left[1, 1:] = left[1], -1
        by_right[4, 1] = 2 * right[1]
        by_p[1, 1], by_p[4] = 0.5, 1
        return by_left, by_right, by_p

    return solve_bvp(slope, ends, x, y, p, fun_jac=slope_by, bc_jac=ends_by, **options)
