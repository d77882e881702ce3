"""Restartable MD: analytic motion, restart, refusal."""

import numpy as np
import openmm
import pytest

from mesobridge.core.errors import StageError
from mesobridge.core.md import MDSettings, MDState, run_segments
from mesobridge.core.units import BOLTZMANN, DALTON, KJ_MOL, NM, PS

SPRING, MASS = 500.0, 20.0  # kJ/mol/nm^2, Da


def harmonic(n=30, expression="0.5*k*(x^2+y^2+z^2)"):
    system = openmm.System()
    force = openmm.CustomExternalForce(expression)
    force.addGlobalParameter("k", SPRING)
    for i in range(n):
        system.addParticle(MASS)
        force.addParticle(i, [])
    system.addForce(force)
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * 5))
    return system


def run(system, n, settings, **options):
    start = options.pop("start", MDState(np.zeros((n, 3)), np.eye(3) * 5))
    defaults = {"n_steps": 200, "stride": 10, "segment_steps": 50, "source": "test"}
    return run_segments(system, ["Na"] * n, start, settings, **{**defaults, **options})


def test_oscillator_follows_its_analytic_path():
    omega = np.sqrt(SPRING / MASS)  # 1/ps
    start = MDState(np.full((1, 3), 0.1), np.eye(3) * 5, np.zeros((1, 3)))
    out = run(harmonic(1), 1, MDSettings(300, 0.1e-15, 0, 1), start=start, n_steps=2000)
    t = out.frames["time"].values / PS
    x = out.frames["positions"].values[:, 0, 0] / NM
    # OpenMM's Verlet velocities lag half a step: the error is omega * dt / 2.
    assert np.abs(x - 0.1 * np.cos(omega * t)).max() < 0.1 * omega * 1e-4
    f = out.frames["forces"].values[:, 0, 0]
    np.testing.assert_allclose(f, -SPRING * KJ_MOL / NM * x, rtol=1e-5)
    assert out.frames["mass"].values[0] == pytest.approx(MASS * DALTON)


def test_energy_is_conserved_without_friction():
    out = run(harmonic(), 30, MDSettings(300, 1e-15, 0, 1), n_steps=1000)
    assert np.ptp(out.total_energy) < 1e-4 * out.total_energy.mean()


def test_langevin_reaches_equipartition():
    out = run(
        harmonic(200), 200, MDSettings(300, 2e-15, 5e12, 3),
        n_steps=4000, stride=20, segment_steps=1000,
    )  # fmt: skip
    x = out.frames["positions"].values[50:] / NM
    thermal = BOLTZMANN * 300 / KJ_MOL
    # 600 coordinates, about 15 correlation times: 1 % standard error, 5 sigma.
    assert (x**2).mean() * SPRING == pytest.approx(thermal, rel=0.05)


def test_a_killed_run_ends_bit_equal(tmp_path):
    settings = MDSettings(300, 1e-15, 1e12, 7)
    whole = run(harmonic(), 30, settings)

    class Kill(Exception):
        pass

    def kill(done, total, text):
        if done >= 100:
            raise Kill

    with pytest.raises(Kill):
        run(harmonic(), 30, settings, scratch=tmp_path, progress=kill)
    assert len(list(tmp_path.glob("*.npz"))) == 2
    resumed = run(harmonic(), 30, settings, scratch=tmp_path)
    for key in ("positions", "forces", "energy"):
        np.testing.assert_array_equal(resumed.frames[key], whole.frames[key])
    np.testing.assert_array_equal(resumed.final.velocities, whole.final.velocities)


def test_another_seed_moves_otherwise():
    one, two = (run(harmonic(), 30, MDSettings(300, 1e-15, 1e12, s)) for s in (1, 2))
    assert np.abs(one.final.positions - two.final.positions).max() > 1e-4


def test_bias_group_is_left_out_of_the_stored_forces():
    system = harmonic(5)
    bias = openmm.CustomExternalForce("100*x")
    for i in range(5):
        bias.addParticle(i, [])
    bias.setForceGroup(31)
    system.addForce(bias)
    out = run(system, 5, MDSettings(300, 1e-15, 1e12, 1))
    x, f = out.frames["positions"].values / NM, out.frames["forces"].values
    np.testing.assert_allclose(f, -SPRING * KJ_MOL / NM * x, rtol=1e-5, atol=1e-20)


def test_an_unstable_run_says_so():
    with pytest.raises(StageError, match="unstable"):
        run(harmonic(expression="-1e6*x^4"), 30, MDSettings(3000, 50e-15, 1e12, 1))


def test_uneven_strides_are_refused():
    with pytest.raises(ValueError, match="multiples"):
        run(harmonic(), 30, MDSettings(300, 1e-15, 1e12, 1), stride=7)


def test_an_explosion_is_refused_even_with_finite_numbers():
    """Ions that fall down a hole and fly off as hot gas must not pass for a run."""
    system = openmm.System()
    force = openmm.CustomExternalForce("-1e4*exp(-r^2/0.02); r=sqrt(x^2+y^2+z^2)")
    for i in range(8):
        system.addParticle(MASS)
        force.addParticle(i, [])
    system.addForce(force)
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * 5))
    start = MDState(np.full((8, 3), 0.1), np.eye(3) * 5)
    with pytest.raises(StageError, match="unstable") as caught:
        run(system, 8, MDSettings(300, 1e-15, 1e11, 1), start=start)
    assert "times the thermostat" in caught.value.got


def test_a_damaged_segment_is_run_again(tmp_path):
    settings = MDSettings(300, 1e-15, 1e12, 5)
    one = run(harmonic(), 30, settings, scratch=tmp_path)
    path = sorted(tmp_path.glob("segment-*.npz"))[1]
    path.write_bytes(path.read_bytes()[:100])
    again = run(harmonic(), 30, settings, scratch=tmp_path)
    assert one.frames.identical(again.frames)
