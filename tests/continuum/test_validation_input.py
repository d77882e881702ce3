"""What cannot be meant is refused with a word on what was wanted, not computed."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, reservoir  # noqa: E402

from mesobridge.continuum.borders import (  # noqa: E402
    ChargeTransfer,
    Flux,
    Outflow,
    Stern,
    SurfaceCharge,
)
from mesobridge.continuum.closures import Bikerman, CarnahanStarling  # noqa: E402
from mesobridge.continuum.domain import Domain, interval, rectangle  # noqa: E402
from mesobridge.continuum.medium import Conditions, Medium  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.reactions import Reaction  # noqa: E402
from mesobridge.continuum.steady import solve_steady  # noqa: E402
from mesobridge.core.errors import InputError, StageError  # noqa: E402

pytestmark = pytest.mark.fem
LINE = interval(np.linspace(0, 1, 6))
N_NODES = 11


def model_of(**given):
    return NernstPlanckPoisson(LINE, [1, -1], **given)


@pytest.fixture(scope="module")
def plain():
    return model_of()


BULK = reservoir(2, "right")


def held(**given):
    return Conditions(**{**BULK, **given})


# ---------------------------------------------------------------------------- medium


@pytest.mark.parametrize("name", ["diffusivity", "permittivity", "c_ref"])
@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_coefficients_must_be_positive(plain, name, bad):
    value = np.full(2, bad) if name == "c_ref" else bad
    with pytest.raises(InputError, match=f"{name} out of range"):
        medium_of(plain, **{name: value})


@pytest.mark.parametrize(
    "name",
    ["mu_ex", "diffusivity", "c_ref", "poisson", "permittivity", "fixed_charge"],
)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_coefficients_must_be_finite(plain, name, bad):
    value = np.full(2, bad) if name == "c_ref" else bad
    with pytest.raises(InputError, match=f"{name} is not finite"):
        medium_of(plain, **{name: value})


def test_the_place_of_a_bad_value_is_told(plain):
    diffusivity = np.ones((2, N_NODES))
    diffusivity[1, 7] = -0.25
    with pytest.raises(InputError, match=r"-0.25 at index \(1, 7\)"):
        medium_of(plain, diffusivity=diffusivity)


def test_parameters_of_a_medium(plain):
    with pytest.raises(InputError, match="poisson out of range"):
        medium_of(plain, poisson=-1e-3)
    with pytest.raises(InputError, match="incomplete diffusion tensor"):
        medium_of(plain, distance=np.zeros(N_NODES))
    with pytest.raises(InputError, match="incomplete diffusion tensor"):
        medium_of(plain, diffusivity_par=1.0)
    with pytest.raises(InputError, match="velocity is not finite"):
        medium_of(plain, velocity=np.full((1, N_NODES), np.nan))
    with pytest.raises(InputError, match="diffusivity_par out of range"):
        medium_of(plain, diffusivity_par=0.0, distance=np.zeros(N_NODES))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"mu_ex": np.zeros((2, 3))}, "mu_ex does not fit the nodes"),
        ({"mu_ex": np.zeros((3, N_NODES))}, "mu_ex does not fit the nodes"),
        ({"diffusivity": np.ones(N_NODES)}, "diffusivity does not fit the nodes"),
        ({"permittivity": np.ones(4)}, "permittivity does not fit the nodes"),
        ({"fixed_charge": np.zeros((2, N_NODES))}, "fixed_charge does not fit"),
        ({"c_ref": np.ones(3)}, "ln_activity does not fit the model"),
    ],
)
def test_fields_must_fit_the_nodes(plain, given, words):
    fields = {
        "mu_ex": np.zeros((2, N_NODES)),
        "diffusivity": np.ones((2, N_NODES)),
        "c_ref": np.ones(2),
        "poisson": 1.0,
    }
    with pytest.raises(InputError, match=words):
        solve_steady(plain, Medium(**{**fields, **given}), held())


@pytest.mark.parametrize(
    ("kind", "medium", "words"),
    [
        ({}, {"velocity": np.ones((1, N_NODES))}, "velocity"),
        ({"advection": True}, {}, "velocity"),
        ({"anisotropic": True}, {}, "diffusion tensor"),
        (
            {},
            {"diffusivity_par": 1.0, "distance": np.linspace(0, 1, N_NODES)},
            "diffusion tensor",
        ),
        ({}, {"closure": Bikerman([0.1, 0.1])}, "closure"),
        ({"closure": Bikerman([0.1, 0.1])}, {}, "closure"),
        (
            {"closure": Bikerman([0.1, 0.1])},
            {"closure": Bikerman([0.1, 0.2])},
            "closure",
        ),
        (
            {"closure": Bikerman([0.1, 0.2])},
            {"closure": CarnahanStarling([0.1, 0.2])},
            "closure",
        ),
    ],
)
def test_a_medium_must_be_of_the_kind_of_the_model(kind, medium, words):
    """A model keeps numbers that a medium does not bring: those of an earlier one."""
    model = model_of(**kind)
    with pytest.raises(InputError, match=f"was not made for: {words}"):
        solve_steady(model, medium_of(model, **medium), held())


def test_closures_are_for_a_number_of_species(plain):
    closure = Bikerman([0.1, 0.1, 0.1])
    with pytest.raises(InputError, match="another number of species"):
        medium_of(plain, closure=closure)
    with pytest.raises(InputError, match="another number of species"):
        model_of(closure=closure)


# ------------------------------------------------------------------------- conditions


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_conditions_must_be_finite(plain, bad):
    medium = medium_of(plain)
    for given in (
        {"phi": {"right": bad}},
        {"psi": {(0, "right"): 0.0, (1, "right"): bad}},
    ):
        with pytest.raises(InputError, match="condition that is not finite"):
            solve_steady(plain, medium, held(**given))
    term = SurfaceCharge("left", bad)
    with pytest.raises(InputError, match="charge at a border"):
        model_of(borders=[term])


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan])
def test_concentrations_that_are_held_must_be_positive(plain, bad):
    given = held(concentration={(0, "left"): bad})
    with pytest.raises(InputError, match="concentration that cannot be held"):
        solve_steady(plain, medium_of(plain), given)


@pytest.mark.parametrize("species", [2, -1])
def test_species_must_be_those_of_the_model(plain, species):
    """They are components of one function: others would be the potential."""
    medium = medium_of(plain)
    for given in (
        {"psi": {**BULK["psi"], (species, "left"): 1.0}},
        {"concentration": {(species, "left"): 1.0}},
    ):
        with pytest.raises(InputError, match="a species that the model does not have"):
            solve_steady(plain, medium, held(**given))


def test_species_of_terms_and_reactions():
    with pytest.raises(InputError, match="a species that the model does not have"):
        model_of(borders=[Flux("left", 2, 1.0)])
    with pytest.raises(InputError, match="stoichiometry of a charge transfer"):
        model_of(borders=[ChargeTransfer("left", (1.0, 0.0, 1.0), 1.0)])
    with pytest.raises(InputError, match="stoichiometry of a reaction"):
        Reaction("A", {2: 1}, ["A", "B"])
    with pytest.raises(InputError, match="finite parameters"):
        Reaction("k * A", {0: 1}, ["A", "B"], {"k": np.nan})


def test_places(plain):
    medium = medium_of(plain)
    with pytest.raises(InputError, match="unknown border"):
        solve_steady(plain, medium, held(phi={"rigth": 0.0}))
    with pytest.raises(InputError, match="between the nodes"):
        solve_steady(plain, medium, held(phi={0.123: 0.0}))
    with pytest.raises(InputError, match="between the nodes"):
        solve_steady(plain, medium, held(phi={1.5: 0.0}))
    with pytest.raises(InputError, match="unknown border"):
        model_of(borders=[Stern("top")])
    flat = NernstPlanckPoisson(rectangle([0, 1], [0, 1]), [1, -1])
    with pytest.raises(InputError, match="more than one dimension"):
        solve_steady(flat, medium_of(flat), Conditions(**reservoir(2, 1.0)))


@pytest.mark.parametrize("missing", [0, 1])
def test_every_species_must_be_held_somewhere(plain, missing):
    psi = {(1 - missing, "right"): 0.0}
    with pytest.raises(InputError, match=rf"nowhere for species {missing}"):
        solve_steady(plain, medium_of(plain), held(psi=psi))


@pytest.mark.parametrize(
    "terms",
    [
        (),
        (Stern("right"),),
        (SurfaceCharge("left"),),
        (Stern("left"), Stern("left")),
    ],
)
def test_terms_must_be_those_of_the_model(terms):
    model = model_of(borders=[Stern("left")])
    with pytest.raises(InputError, match="was not made for"):
        solve_steady(model, medium_of(model), held(borders=terms))


@pytest.mark.parametrize(
    "bad",
    [
        {"branch": "forward"},
        {"rate": -1.0},
        {"rate": np.nan},
        {"alpha": 1.1},
        {"alpha": -0.1},
        {"alpha": np.nan},
        {"electrons": 0.0},
    ],
)
def test_kinetics_out_of_range(bad):
    with pytest.raises(InputError, match="kinetics"):
        ChargeTransfer("left", (1.0, 0.0), **{"rate": 1.0, **bad})


def test_given_currents():
    terms = (Stern("left"), Stern("right"))
    model = model_of(borders=terms)
    medium = medium_of(model)
    both = {"left": 1.0, "right": -1.0}
    with pytest.raises(InputError, match="more than one given current"):
        solve_steady(model, medium, held(borders=terms, current=both))
    bare = model_of()
    with pytest.raises(InputError, match="without an electrode"):
        solve_steady(bare, medium_of(bare), held(current={"left": 1.0}))
    # A blocking electrode passes no steady current.
    with pytest.raises(StageError, match="does not depend on the potential"):
        solve_steady(model, medium, held(borders=terms, current={"left": 1.0}))


# ----------------------------------------------------------------------------- domain


def test_domains():
    for bad in ([0.0], [0.0, 0.0], [1.0, 0.0], [0.0, np.nan], [[0.0, 1.0]]):
        with pytest.raises(InputError, match="vertices of a mesh"):
            interval(bad)
    with pytest.raises(InputError, match="x of a mesh"):
        rectangle([1, 0], [0, 1])
    with pytest.raises(InputError, match="y of a mesh"):
        rectangle([0, 1], [0.0])
    with pytest.raises(InputError, match="unknown symmetry"):
        interval([0, 1], symmetry="cylindrical")
    with pytest.raises(InputError, match="a radius below zero"):
        interval([-1, 1], symmetry="axial")
    with pytest.raises(InputError, match="more than one dimension"):
        rectangle([0, 1], [0, 1], symmetry="spherical")
    assert isinstance(interval([0, 1], symmetry="axial"), Domain)


def test_what_is_meant_is_computed():
    """The same calls with nothing wrong: plug flow of a neutral salt."""
    model = model_of(borders=[Outflow("right")], advection=True)
    medium = medium_of(model, velocity=np.ones((1, N_NODES)))
    given = Conditions(
        phi={"left": 0.0},
        concentration={(i, "left"): 1.0 for i in (0, 1)},
        borders=(Outflow("right"),),
    )
    got = solve_steady(model, medium, given)
    assert got.concentration == pytest.approx(np.ones((2, N_NODES)), rel=1e-9)
    assert got.inflow[0, "right"] == pytest.approx(-1.0, rel=1e-9)
