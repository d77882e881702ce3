"""Orders of convergence by manufactured solutions (Roache, doi:10.1115/1.1436090)."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import l2_errors, medium_of, ufl  # noqa: E402

from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402

pytestmark = pytest.mark.fem

CHARGES = (2, -1, 0)
C_REF = np.array([0.5, 1.0, 0.7])
POISSON = 0.3
LEVEL = 0.5  # the second coordinate in one dimension


class Manufactured:
    """Fields whose equations hold with a source; `fn` is NumPy or UFL throughout.

    Its `rate` makes a species i < n, or charge for i = n, as a reaction would.
    """

    def __init__(self, i, symmetry):
        self.i, self.symmetry, self.stoichiometry = i, symmetry, {i: 1.0}
        self.mesh = None

    @staticmethod
    def psi(fn, x):
        """Electrochemical potentials; zero at the borders."""
        bump = fn.sin(np.pi * (x[0] - 0.5)) * fn.sin(np.pi * x[1])
        return [0.8 * bump * fn.cos(x[0]), -0.6 * bump * (1 + x[1]), 0.7 * bump * x[0]]

    @staticmethod
    def phi(fn, x):
        """Potential; zero at the borders."""
        return fn.sin(2 * np.pi * (x[0] - 0.5)) * fn.sin(np.pi * x[1]) * (0.4 + x[1])

    @staticmethod
    def mu(fn, x):
        """Excess chemical potentials."""
        return [0.3 * fn.cos(3 * x[0]), 0.4 * fn.sin(2 * x[0] - x[1]), 0.5 * x[0] * x[1]]

    @staticmethod
    def ln_d(fn, x):
        """Logarithms of D."""
        return [0.4 * fn.sin(2 * x[0]), 0.3 * fn.cos(x[0] + x[1]), 0.5 * x[0]]

    @staticmethod
    def ln_eps(fn, x):
        """Logarithm of the permittivity."""
        return 0.5 * fn.cos(2 * x[0] + x[1])

    def rate(self, fn, c):
        """Source, from the fields alone."""
        x = place(self.mesh)
        phi = self.phi(ufl, x)
        density = [
            float(C_REF[i]) * ufl.exp(psi - z * phi - mu)
            for i, (psi, z, mu) in enumerate(
                zip(self.psi(ufl, x), CHARGES, self.mu(ufl, x), strict=True)
            )
        ]
        if self.i == len(CHARGES):
            charge = sum(z * c for z, c in zip(CHARGES, density, strict=True))
            field = -POISSON * ufl.exp(self.ln_eps(ufl, x)) * ufl.grad(phi)
            return self.divergence(field) - charge
        psi = self.psi(ufl, x)[self.i]
        mobility = ufl.exp(self.ln_d(ufl, x)[self.i])
        return self.divergence(-mobility * density[self.i] * ufl.grad(psi))

    def divergence(self, flux):
        """In the coordinates of the symmetry."""
        r = ufl.SpatialCoordinate(self.mesh)[0]
        power = {"none": 0, "axial": 1, "spherical": 2}[self.symmetry]
        return ufl.div(flux) + power * flux[0] / r


def place(mesh):
    """Coordinates; the second is a constant on an interval."""
    x = ufl.SpatialCoordinate(mesh)
    return (x[0], x[1]) if mesh.topology.dim > 1 else (x[0], LEVEL)


def errors(domain, degree):
    """L2 errors of psi_i and phi."""
    sources = [Manufactured(i, domain.symmetry) for i in range(len(CHARGES) + 1)]
    for source in sources:
        source.mesh = domain.mesh
    model = NernstPlanckPoisson(domain, CHARGES, degree=degree, reactions=sources)
    one = sources[0]
    x = list(model.points.T[:2]) if domain.dim > 1 else [model.x, LEVEL]
    medium = medium_of(
        model,
        mu_ex=np.array(one.mu(np, x)),
        diffusivity=np.exp(one.ln_d(np, x)),
        permittivity=np.exp(one.ln_eps(np, x)),
        poisson=POISSON,
        c_ref=C_REF,
    )
    held = Conditions(
        {(i, border): 0.0 for i in range(len(CHARGES)) for border in domain.borders},
        dict.fromkeys(domain.borders, 0.0),
    )
    solve_steady(model, medium, held)
    here = place(domain.mesh)
    return l2_errors(model, [*one.psi(ufl, here), one.phi(ufl, here)])


def line(n, symmetry):
    return interval(np.linspace(0.5, 1.5, n + 1), symmetry=symmetry)


def square(n, symmetry):
    return rectangle(
        np.linspace(0.5, 1.5, n + 1), np.linspace(0, 1, n + 1), symmetry=symmetry
    )


@pytest.mark.parametrize(
    ("domain", "symmetry", "degree", "sizes"),
    [
        (line, "none", 1, (20, 40)),
        (line, "none", 2, (20, 40)),
        (line, "spherical", 2, (20, 40)),
        (square, "none", 1, (12, 24)),
        (square, "none", 2, (12, 24)),
        (square, "axial", 2, (12, 24)),
    ],
)
def test_order_of_all_fields(domain, symmetry, degree, sizes):
    """Three species, D(x), mu_ex(x), eps(x): psi_i and phi are of order degree + 1."""
    found = np.array([errors(domain(n, symmetry), degree) for n in sizes])
    orders = np.log(found[0] / found[1]) / np.log(sizes[1] / sizes[0])
    assert orders == pytest.approx(degree + 1, abs=0.1)
