"""Cells with membranes, gels and coatings, against closed forms."""

import numpy as np
import profiled_cell as film
import pytest

pytest.importorskip("dolfinx")

from mesobridge.continuum.cell import (  # noqa: E402
    Cell,
    Ion,
    Region,
    Reservoir,
    Symmetry,
    Wall,
    follow,
)
from mesobridge.continuum.domain import interval, rectangle  # noqa: E402
from mesobridge.continuum.mesh import layered  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402

pytestmark = pytest.mark.fem
VT = 1.380649e-23 * 298.15 / 1.602176634e-19
FARADAY = 96485.33212


def salt():
    return [
        Ion("Na", 1, "1.33e-9 m**2/s", "0.1 mol/L"),
        Ion("Cl", -1, "2.03e-9 m**2/s", "0.1 mol/L"),
    ]


def gel(region, ions=None, **options):
    """20 nm of solution, then 20 nm of gel."""
    domain = interval(layered([20, 20], 0.05, growth=1.2), names=("bulk", "gel"))
    borders = {"bulk": Reservoir(), "gel": Symmetry()}
    regions = {"gel": region}
    return Cell(domain, ions or salt(), borders, regions=regions, **options)


def tracer(vertices, region):
    """Flux of an uncharged species (D = 1e-9 m2/s) between 2 and 1 mol/m3."""
    ions = [Ion("A", 0, 1e-9, 1.0)]
    ends = {"left": Reservoir(concentration={"A": 2.0}), "right": Reservoir()}
    cell = Cell(interval(vertices), ions, ends, regions={"film": region})
    return cell.steady().inflow["A", "left"]


@pytest.mark.parametrize("charge", [-1e6, 1e7, -2e8])
def test_donnan_potential_of_a_charged_gel(charge):
    """``kT/e asinh(X / 2 c)`` inside, doi:10.1021/cr60001a003; ``y - tanh(y / 2)`` at its
    face, the first integral of Poisson and Boltzmann (Ohshima and Ohki 1985)."""
    state = gel(Region(("20 nm", "40 nm"), fixed_charge=charge)).steady()
    inside = np.arcsinh(charge / FARADAY / 200.0)
    assert state.potential[-1] == pytest.approx(VT * inside, rel=1e-7)
    face = state.potential[np.abs(state.x - 20e-9).argmin()]
    assert face == pytest.approx(VT * (inside - np.tanh(inside / 2)), rel=1e-5)
    product = state.concentration["Na"] * state.concentration["Cl"]
    assert product == pytest.approx(1e4, rel=1e-9)


def test_donnan_potential_where_charges_balance():
    region = Region((20e-9, 40e-9), fixed_charge="-1e7 C/m**3")
    state = gel(region, electroneutral=True).steady()
    inside = VT * np.arcsinh(-1e7 / FARADAY / 200.0)
    assert state.potential[-1] == pytest.approx(inside, rel=1e-9)


def test_partition_of_a_species_without_charge():
    """``c = c_bulk exp(-mu)``; a salt has the mean of both, as charges balance."""
    neutral = gel(Region((20e-9, 40e-9), mu_ex={"A": 2.0}), [Ion("A", 0, 1e-9, 1.0)])
    assert neutral.steady().concentration["A"][-1] == pytest.approx(np.exp(-2.0))
    state = gel(Region((20e-9, 40e-9), mu_ex={"Na": 2.0, "Cl": 0.0})).steady()
    for name in ("Na", "Cl"):
        inside = state.concentration[name][-1]
        assert inside == pytest.approx(100 * np.exp(-1.0), rel=1e-5)
    assert state.potential[-1] == pytest.approx(-VT, rel=1e-5)


@pytest.mark.parametrize("ratio", [0.01, 10.0])
@pytest.mark.parametrize("mu", [0.0, 2.0])
def test_two_layers_resist_in_series(ratio, mu):
    """``J = dc / (L1 / D1 + L2 exp(mu) / D2)``; the seam is 1/4000 of the thin layer."""
    region = Region((20e-9, 50e-9), {"A": ratio * 1e-9}, mu_ex={"A": mu})
    resistance = 20e-9 / 1e-9 + 30e-9 / (ratio * 1e-9) * np.exp(mu)
    flux = tracer(layered([20, 30], 0.5, growth=1.2), region)
    assert flux * resistance == pytest.approx(1.0, rel=1e-4)
    cut = tracer(np.linspace(0, 50, 51), region)
    assert cut * resistance == pytest.approx(1.0, rel=0.01)


def test_films_that_touch_and_a_border_inside():
    """Each node at a face belongs half to either; ends belong to their film."""
    regions = {
        "left": Region(("0 nm", "10 nm"), {"A": 1e-10}, permittivity=10.0),
        "right": Region(("10 nm", "20 nm"), {"A": 4e-10}, permittivity=40.0),
    }
    ions, ends = [Ion("A", 0, 1e-9, 1.0)], {"left": Reservoir(), "right": Wall()}
    domain = interval(layered([10, 10, 10], 1.0))
    medium = Cell(domain, ions, ends, regions=regions).medium
    at = medium.diffusivity[0]
    assert at[[0, -1]] == pytest.approx([0.1, 1.0])
    assert sorted(set(np.round(at, 12))) == pytest.approx([0.1, 0.2, 0.4, 0.4**0.5, 1])
    assert medium.permittivity[0] == pytest.approx(10.0)
    assert 20.0 in np.round(medium.permittivity, 9)


def test_a_film_in_the_plane_resists_as_on_an_interval():
    def inside(points):
        return points[:, 0] > 20e-9

    domain = rectangle(layered([20, 30], 1.0, growth=1.3), np.linspace(0, 5, 3))
    borders = {"left": Reservoir(), "right": Reservoir("1 mV")}
    borders |= {"top": Symmetry(), "bottom": Symmetry()}
    region = Region(inside, {"Na": 1.33e-10, "Cl": 2.03e-10})
    state = Cell(domain, salt(), borders, regions={"film": region}).steady()
    conductivity = FARADAY / VT * 100 * (1.33e-9 + 2.03e-9)
    exact = 1e-3 / (20e-9 / conductivity + 30e-9 / (0.1 * conductivity)) * 5e-9
    assert state.current["right"] == pytest.approx(exact, rel=2e-4)


def test_a_gel_fills_in_time():
    """It takes up what the Donnan equilibrium holds; amounts are kept."""
    cell = gel(Region(("20 nm", "40 nm"), fixed_charge=-1e6))
    run = follow(cell, "20 us", start=cell.at_rest(), tolerance=1e-3)
    steady = cell.steady()
    for name in ("Na", "Cl"):
        last = run.last.concentration[name]
        assert last == pytest.approx(steady.concentration[name], rel=1e-3)


@pytest.mark.parametrize(
    ("region", "match"),
    [
        (Region((40e-9, 20e-9)), "two that increase"),
        (Region(("50 nm", "60 nm")), "nothing is in the region 'gel'"),
        (Region((20e-9, 40e-9), {"K": 1e-9}), "unknown species"),
        (Region((20e-9, 40e-9), {"Na": 0.0}), "diffusivity in the region 'gel'"),
        (Region((20e-9, 40e-9), permittivity=-1.0), "permittivity in the region"),
        (Region(lambda points: 2 * (points[:, 0] > 1e-8)), "shares from 0 to 1"),
        (Region(("1 nm", "2 nm", "3 nm")), "two that increase"),
        (Region("20 nm"), "two that increase"),
        (Region(lambda points: np.ones(3)), "positions of a region"),
        (Region(lambda points: None), "positions of a region"),
        (Region((20e-9, 40e-9), "1e-10 m**2/s"), "diffusivity in the region 'gel'"),
        (Region((20e-9, 40e-9), mu_ex=[1.0, 2.0]), "mu_ex in the region 'gel'"),
        (Region, "the region 'gel'\n  wanted: a Region"),
        ("gel", "the region 'gel'\n  wanted: a Region"),
    ],
)
def test_regions_that_make_no_sense(region, match):
    with pytest.raises(InputError, match=match):
        gel(region)


def test_regions_that_do_not_go_together():
    domain = interval(np.linspace(0, 6, 61), names=("wall", "bulk"))
    borders = {"wall": Wall(), "bulk": Reservoir()}
    both = {"a": Region((0.0, 3e-9)), "b": Region((2e-9, 6e-9))}
    with pytest.raises(InputError, match="each point inside one region"):
        Cell(domain, salt(), borders, regions=both)
    for wrong in (both["a"], [both["a"]], "gel"):
        with pytest.raises(InputError, match="regions of a cell"):
            Cell(domain, salt(), borders, regions=wrong)
    with pytest.raises(InputError, match="regions and tabulated"):
        Cell(
            domain,
            salt(),
            borders,
            regions={"a": Region((0.0, 3e-9))},
            coefficients=film.sampled(),
            walls=["wall"],
        )
