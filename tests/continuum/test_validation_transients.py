"""Electrodes in time against closed forms: Cottrell, Sand, constant current."""

import numpy as np
import pytest

pytest.importorskip("dolfinx")

from nernst_planck import medium_of, still  # noqa: E402
from scipy.integrate import trapezoid  # noqa: E402

from mesobridge.continuum.borders import ChargeTransfer, Stern  # noqa: E402
from mesobridge.continuum.domain import interval  # noqa: E402
from mesobridge.continuum.medium import Conditions, Scales  # noqa: E402
from mesobridge.continuum.mesh import graded  # noqa: E402
from mesobridge.continuum.model import NernstPlanckPoisson  # noqa: E402
from mesobridge.continuum.transient import solve_transient  # noqa: E402
from mesobridge.core.errors import InputError  # noqa: E402
from mesobridge.core.units import AVOGADRO  # noqa: E402

pytestmark = pytest.mark.fem


def cottrell(times):
    return 1 / np.sqrt(np.pi * np.asarray(times))


def test_cottrell_current_of_a_supported_species():
    """``i = n F c sqrt(D / (pi t))`` (Cottrell 1903, doi:10.1515/zpch-1903-4229).

    1 mmol/l, D = 1e-9 m2/s, after 1 s: 1.72142 A/m2.
    """
    model = NernstPlanckPoisson(interval(graded(12.0, 1e-3, growth=1.12)), [0])
    medium = medium_of(model)
    held = Conditions(
        phi={"right": 0.0}, concentration={(0, "left"): 1e-6, (0, "right"): 1.0}
    )
    times = [0.01, 0.1, 1.0]
    run = solve_transient(
        model, medium, held, 1.0, start=still(model, medium), at=times, tolerance=1e-4
    )
    got = [-run.snapshots[t].inflow[0, "left"] for t in times]
    assert got == pytest.approx(cottrell(times), rel=5e-3)
    scales = Scales(np.sqrt(1e-9), AVOGADRO, 1e-9, 298.15)  # the unit of time is 1 s
    assert scales.time == pytest.approx(1.0)
    assert got[-1] * scales.current_density == pytest.approx(1.72142, rel=5e-3)


METAL = (1.0, 0.0)  # M -> M+ + e-
DEEP = graded(8.0, 1e-3, growth=1.15)
FAR = {(i, "right"): 1.0 for i in (0, 1)}


def test_cottrell_current_of_a_binary_salt():
    """Migration doubles it: ``i = F c sqrt(D/(pi t)) / (1 - t+)``, t+ = 1/2.

    Levich 1962; Newman & Thomas-Alyea, ch. 17: the anions' field brings half of the ions.
    """
    model = NernstPlanckPoisson(interval(DEEP), [1, -1])

    def held(time):
        # Without diffuse layers a salt follows no jump: it takes 1e-4 here.
        surface = 1e-5 + np.exp(-time / 1e-4)
        return Conditions(
            phi={"right": 0.0}, concentration={**FAR, (0, "left"): min(surface, 1.0)}
        )

    medium, times = medium_of(model, poisson=0.0), [0.1, 0.5]
    run = solve_transient(
        model,
        medium,
        held,
        0.5,
        start=still(model, medium),
        at=times,
        tolerance=1e-4,
        first_step=1e-6,
    )
    got = [-run.snapshots[t].inflow[0, "left"] for t in times]
    assert got == pytest.approx(2 * cottrell(times), rel=5e-3)


def test_sand_time():
    """``tau = pi D (F c / (2 (1 - t+) i))^2`` (Sand 1901, doi:10.1080/14786440109462590).

    At a constant current the ions at the metal are used up as ``c_s = 1 - sqrt(t/tau)``
    (Bard & Faulkner 8.2) and its potential falls without bound.
    """
    current = -2.0
    tau = np.pi / current**2
    plate = ChargeTransfer("left", METAL, 1e3)
    model = NernstPlanckPoisson(interval(DEEP), [1, -1], borders=[plate])
    held = Conditions(
        phi={"right": 0.0},
        concentration=FAR,
        borders=(plate,),
        current={"left": current},
    )
    medium, times = medium_of(model, poisson=0.0), np.array([0.25, 0.5, 0.8, 0.95]) * tau
    run = solve_transient(
        model,
        medium,
        held,
        times[-1],
        start=still(model, medium),
        at=times,
        tolerance=1e-4,
        first_step=1e-6,
    )
    surface = np.array([run.snapshots[t].concentration[0, 0] for t in times])
    assert surface == pytest.approx(1 - np.sqrt(times / tau), abs=2e-3)
    # The straight line through the last two ends at sqrt(tau).
    root = np.sqrt(times[2:])
    slope = (surface[3] - surface[2]) / (root[1] - root[0])
    found = (root[1] - surface[3] / slope) ** 2
    assert found == pytest.approx(tau, rel=1e-2)
    assert run.inflow[0, "left"][1:] == pytest.approx(current, rel=1e-8)
    # Nernst's ln c_s, the resistance of what the ions have left, and the kinetics'.
    ohmic = trapezoid(current / (2 * run.last.concentration[0]), model.x)
    kinetic = current / (1e3 * np.sqrt(surface[3]))
    assert run.potential[-1] == pytest.approx(
        np.log(surface[3]) + ohmic + kinetic, abs=5e-3
    )


def plates(terms):
    vertices = graded(20.0, 0.1, growth=1.2, largest=0.5, both=True)
    return NernstPlanckPoisson(interval(vertices), [1, -1], borders=terms)


def test_constant_current_charges_an_electrode():
    """``dQ/dt = I`` at every instant; later ``dV/dt = I / C`` with all layers in series.

    ``1/C = 2/C_H + 2 lam/p`` for small potentials, two Stern layers and the salt between.
    """
    terms = (Stern("left", 0.5), Stern("right", 0.5))
    model = plates(terms)
    medium, current = medium_of(model), 2e-3
    held = Conditions(borders=terms, current={"left": current})
    run = solve_transient(
        model, medium, held, 60.0, start=still(model, medium), at=[50.0]
    )
    assert run.charge["left"] == pytest.approx(current * run.time, rel=1e-9, abs=1e-13)
    assert run.charge["right"] == pytest.approx(-current * run.time, rel=1e-7, abs=1e-13)
    assert run.current["left"][1:] == pytest.approx(current, rel=1e-9)
    rise = run.last.potential - run.snapshots[50.0].potential
    assert rise / 10 == pytest.approx(5 * current, rel=1e-3)


def test_constant_current_at_a_metal_held_directly():
    """Without a compact layer: the potential is held as phi, and found."""
    model = plates(())
    medium, current = medium_of(model), -0.05
    held = Conditions(phi={"left": 0.0, "right": 0.0}, current={"left": current})
    run = solve_transient(model, medium, held, 20.0, start=still(model, medium))
    assert run.charge["left"] == pytest.approx(current * run.time, rel=1e-9, abs=1e-12)
    assert len(run.potential) == len(run.time)
    last = run.last
    assert last.phi[0] == pytest.approx(last.potential, abs=1e-12)


def test_a_current_needs_an_electrode():
    terms = (Stern("left"), Stern("right"))
    model = plates(terms)
    medium = medium_of(model)
    start = still(model, medium)
    both = Conditions(borders=terms, current={"left": 1.0, "right": -1.0})
    with pytest.raises(InputError, match="more than one given current"):
        solve_transient(model, medium, both, 1.0, start=start)
    bare = plates(())
    medium = medium_of(bare)
    with pytest.raises(InputError, match="without an electrode"):
        solve_transient(
            bare,
            medium,
            Conditions(phi={"right": 0.0}, current={"left": 1.0}),
            1.0,
            start=still(bare, medium),
        )
