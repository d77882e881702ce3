"""Dynamic validation: right models pass, wrong ones are caught, alarms are rare."""

from types import SimpleNamespace

import numpy as np
import openmm
import pytest
from ase import Atoms, units
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes

from mesobridge.atomistic.validation import dynamic_parts
from mesobridge.atomistic.validation.canonical import canonical_test, inefficiency
from mesobridge.atomistic.validation.conservation import drift, order
from mesobridge.atomistic.validation.consistency import consistency, pressures
from mesobridge.atomistic.validation.dynamic_parts import Plan
from mesobridge.atomistic.validation.dynamics import (
    ase_engine,
    openmm_engine,
    run,
    thermal,
)
from mesobridge.atomistic.validation.subject import of_calculator
from mesobridge.core.errors import StageError
from mesobridge.core.md import MDSettings
from mesobridge.core.units import FS, PS

SIGMA, EPSILON = 3.4, 0.0104


def quiet(done, of, text):
    pass


def momenta(rng, n, dof, tau):
    """Kinetic energies (kT) of `dof` momenta with correlation time tau, shape (n,)."""
    keep = np.exp(-1 / tau)
    v, series = rng.standard_normal(dof), np.empty(n)
    for i, noise in enumerate(rng.standard_normal((n, dof))):
        v = keep * v + np.sqrt(1 - keep**2) * noise
        series[i] = 0.5 * (v @ v)
    return series


def test_inefficiency_of_a_known_correlation():
    rng = np.random.default_rng(0)
    found = np.mean([inefficiency(momenta(rng, 4000, 30, 10)) for _ in range(10)])
    keep = np.exp(-2 / 10)
    assert found == pytest.approx((1 + keep) / (1 - keep), rel=0.1)
    assert inefficiency(rng.standard_normal(5000)) < 1.2
    assert inefficiency(np.full(100, 3.0)) == 1.0


def test_false_alarms_are_as_rare_as_asked():
    rng = np.random.default_rng(1)
    tests = [canonical_test(momenta(rng, 1500, 60, 8), 60, 1.0) for _ in range(200)]
    assert sum(t.mean_p < 0.01 for t in tests) <= 6  # 3 %
    assert sum(t.variance_p < 0.01 for t in tests) <= 6
    ratios = np.array([t.mean_ratio for t in tests])
    errors = np.array([t.mean_error for t in tests])
    assert np.std((ratios - 1) / errors) == pytest.approx(1, abs=0.2)


def test_wrong_ensembles_are_caught():
    rng = np.random.default_rng(2)
    series = momenta(rng, 3000, 90, 5)
    assert canonical_test(series, 90, 1.0).mean_p > 0.01
    assert canonical_test(series, 90, 0.95).mean_p < 1e-3  # 5 % too warm
    assert canonical_test(series, 93, 1.0).mean_p < 1e-2  # three degrees too many
    squeezed = 45 + 0.8 * (series - 45)  # as by velocity scaling
    test = canonical_test(squeezed, 90, 1.0)
    assert test.mean_p > 0.01
    assert test.variance_p < 1e-3
    assert canonical_test(series, 90, 0.97, allowance=0.05).mean_p > 0.01
    assert canonical_test(series[:60], 90, 1.0).mean_p is None


def test_drift_has_its_error():
    rng = np.random.default_rng(3)
    t = np.linspace(0, 2, 400)
    wave = 0.05 * np.sin(2 * np.pi * t / 0.05)
    misses = []
    for _ in range(40):
        noise = np.convolve(rng.standard_normal(419), np.ones(20), "valid") / 50
        found = drift(t, 0.02 * t + wave + noise, 10)
        misses.append((found.drift - 2.0) / found.error)
    assert np.mean(np.abs(misses) < 3) > 0.85
    assert 0.3 < np.std(misses) < 1.6
    assert order([1, 2, 4], [0.1, 0.4, 1.6]) == pytest.approx(2)


class Nothing(Calculator):
    """Atoms that do not feel each other."""

    implemented_properties = ["energy", "forces", "stress"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        forces = np.zeros((len(self.atoms), 3))
        self.results = {"energy": 0.0, "forces": forces, "stress": np.zeros(6)}


def test_the_pressure_of_an_ideal_gas():
    frames = [Atoms("Ar3", np.eye(3), cell=[9, 10, 11], pbc=True)] * 2
    found = pressures(Nothing(), frames, 300.0)
    wanted = 3 * 1.380649e-23 * 300 / 990e-30 / 1e9
    for name in ("virial", "volume"):
        assert found[name]["value"] == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", ["ase", "openmm"])
def test_friction_is_what_is_asked_for(name):
    """Velocities of free atoms forget their start at its rate, and stay as warm."""
    engine = ase_engine(Nothing()) if name == "ase" else openmm_engine(lambda atoms: [])
    start = thermal(Atoms("Ar2000", np.zeros((2000, 3))), 300.0, 1)
    friction, time = 2e12, 0.4 * PS
    mover = engine(start, MDSettings(300.0, 4 * FS, friction, 5), 5)
    mover.step(100)
    *_, velocities = mover.observe()
    before = start.get_velocities()
    left = (velocities * before).sum() / (before**2).sum()
    assert left == pytest.approx(
        np.exp(-friction * time), abs=0.05
    )  # four times its error
    kinetic = 0.5 * (start.get_masses()[:, None] * velocities**2).sum()
    assert kinetic == pytest.approx(3000 * units.kB * 300, rel=0.08)


def test_noise_of_atoms_at_rest_is_no_error():
    crystal = bulk("Ar", "fcc", a=5.3, cubic=True)
    assert consistency(Argon(), [crystal * 2]).force < 1e-3
    assert consistency(Nothing(), [crystal]).force == 0


class Wells(Nothing):
    """Every atom in a well of its own at the origin, in eV/A^2."""

    stiffness = 5.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results["forces"] = -self.stiffness * self.atoms.positions
        self.results["energy"] = 0.5 * self.stiffness * (self.atoms.positions**2).sum()


def test_the_error_of_a_step_is_that_of_an_oscillator():
    """Verlet's kinetic energy falls behind its potential energy by that part."""
    mass, dt, kT = 39.948, 40 * FS, units.kB * 300
    wanted = Wells.stiffness / mass * (40 * units.fs) ** 2 / 4
    mover = ase_engine(Wells())(
        Atoms("Ar", [[1.0, 0, 0]]), MDSettings(300.0, dt, 0.0, 1), 1
    )
    potential, kinetic = 0.0, 0.0
    for _ in range(2000):
        mover.step(1)
        one, other, *_ = mover.observe()
        potential, kinetic = potential + one, kinetic + other
    assert 1 - kinetic / potential == pytest.approx(wanted, rel=0.02)

    x = np.random.default_rng(0).normal(0, np.sqrt(kT / Wells.stiffness), (2000, 3))
    nvt = SimpleNamespace(frames=lambda n: [Atoms("Ar2000", x)])
    subject = of_calculator(Wells(), "wells")
    found = dynamic_parts.step_error(subject, Plan(None, 300.0, dt, PS), nvt)
    assert found == pytest.approx(wanted, rel=0.08)  # four standard errors


class Argon(Calculator):
    """LJ under the minimum image, ended smoothly or abruptly, maybe in a whirl."""

    implemented_properties = ["energy", "forces", "stress"]

    def __init__(self, cutoff=5.25, smooth=True, whirl=0.0):
        super().__init__()
        self.cutoff, self.smooth, self.whirl = cutoff, smooth, whirl

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x, lengths = self.atoms.positions, self.atoms.cell.lengths()
        i, j = np.triu_indices(len(x), 1)
        d = x[j] - x[i]
        d -= lengths * np.round(d / lengths)
        r2 = (d**2).sum(1)
        inside = r2 < self.cutoff**2
        i, j, d, r2 = i[inside], j[inside], d[inside], r2[inside]
        s6 = (SIGMA**2 / r2) ** 3
        pair, slope = 4 * EPSILON * (s6**2 - s6), 4 * EPSILON * (-6 * s6**2 + 3 * s6) / r2
        if self.smooth:
            left = 1 - r2 / self.cutoff**2
            slope = slope * left**3 - 3 * pair * left**2 / self.cutoff**2
            pair = pair * left**3
        push = 2 * slope[:, None] * d
        forces = np.zeros_like(x)
        np.add.at(forces, i, push)
        np.add.at(forces, j, -push)
        forces += self.whirl * np.sin(2 * np.pi * np.roll(x / lengths, 1, axis=1))
        stress = d.T @ push / self.atoms.get_volume()
        self.results = {
            "energy": pair.sum(), "forces": forces,
            "stress": stress.ravel()[[0, 4, 8, 5, 2, 1]],
        }  # fmt: skip


def plan(temperature=30.0, timestep=10 * FS, time=1 * PS, repeat=2):
    start = bulk("Ar", "fcc", a=5.3, cubic=True) * ((repeat,) * 3)
    return Plan(start, temperature, timestep, time, seed=4)


def checks(part):
    return {c["name"]: c["ok"] for c in part["checks"]}


def test_argon_conserves_its_energy_to_second_order():
    asked = plan()
    start = thermal(asked.start, 60.0, 1)
    part = dynamic_parts.energy_part(
        of_calculator(Argon(), "argon"), asked, start, None, quiet
    )
    assert set(checks(part).values()) == {True}, part["checks"]


def test_a_force_that_is_cut_off_is_caught():
    """Energy jumps where a pair crosses a cut-off without a taper."""
    asked = plan()
    abrupt = of_calculator(Argon(4.2, smooth=False), "abrupt")
    start = thermal(asked.start, 120.0, 1)
    part = dynamic_parts.energy_part(abrupt, asked, start, None, quiet)
    assert False in checks(part).values(), part["checks"]


def test_forces_without_an_energy_heat():
    asked = plan(time=2 * PS)
    whirl = of_calculator(Argon(whirl=0.002), "whirl")
    start = thermal(asked.start, 60.0, 1)
    part = dynamic_parts.energy_part(whirl, asked, start, None, quiet)
    assert False in checks(part).values(), part["checks"]


def springs():
    """Einstein's crystal in OpenMM, and its force constant (eV/A^2)."""

    def forces(atoms):
        force = openmm.CustomExternalForce("20*((x-x0)^2+(y-y0)^2+(z-z0)^2)")
        for name in ("x0", "y0", "z0"):
            force.addPerParticleParameter(name)
        for i, x in enumerate(atoms.info["sites"] / 10):
            force.addParticle(i, x)
        return [force]

    return openmm_engine(forces)


def einstein(n=20):
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * (1, 1, n // 4)
    atoms.pbc = False
    atoms.info["sites"] = atoms.positions.copy()
    return atoms


def langevin(engine, start, temperature=100.0, dt=5 * FS, steps=20_000, **options):
    settings = MDSettings(temperature, dt, 5e12, 3)
    settled = run(engine, thermal(start, temperature, 2), settings, 500, stride=10)
    return run(engine, settled.final, settings, steps, stride=10, **options)


@pytest.mark.parametrize("kelvin", [100.0, 108.0])
def test_openmm_is_canonical_and_a_wrong_thermostat_is_caught(kelvin):
    found = langevin(springs(), einstein(), kelvin)
    test = canonical_test(found.kinetic, 60, units.kB * 100.0)
    assert test.mean_p > 1e-4 if kelvin == 100.0 else test.mean_p < 1e-4
    # Equipartition: the potential energy of springs is as large as the kinetic one.
    assert found.potential.mean() == pytest.approx(30 * units.kB * kelvin, rel=0.06)
    centre = canonical_test(found.centre, 3, units.kB * kelvin)
    assert centre.mean_ratio == pytest.approx(1, abs=0.25)


def test_a_flying_ice_cube_is_caught():
    """Cold inside, warm as a whole: the total kinetic energy alone would pass."""
    rng = np.random.default_rng(6)
    n, kT = 20, 1.0
    inner = 0.9 * np.array([momenta(rng, 2000, 3 * n - 3, 4)]).T
    centre = 1.5 * kT + 0.1 * 0.5 * (3 * n - 3) * kT + 0 * inner[:, 0]
    centre = centre * (1 + 0.2 * rng.standard_normal(2000))
    atoms = bulk("Ar", "fcc", a=5.3, cubic=True) * (1, 1, 5)
    from mesobridge.atomistic.validation.dynamics import Run

    cube = Run(
        np.arange(2000.0), np.zeros(2000), inner[:, 0] + centre, centre, ("Ar",), inner,
        np.zeros((2000, n, 3)), atoms,
    )  # fmt: skip
    found = dynamic_parts._partition(cube, kT, 0.0)
    assert found["all"].mean_ratio == pytest.approx(1, abs=0.02)
    assert found["Ar"].mean_p < 1e-3
    assert found["the centre of mass"].mean_p < 1e-3


def test_engines_agree_on_springs():
    """The same start without friction: ASE and OpenMM tell the same energies."""

    class Einstein(Calculator):
        implemented_properties = ["energy", "forces"]

        def calculate(self, atoms=None, properties=("energy",), changes=all_changes):
            super().calculate(atoms, properties, changes)
            d = self.atoms.positions - self.atoms.info["sites"]
            k = 20 * units.kJ / units.mol / 100
            self.results = {"energy": k * (d**2).sum(), "forces": -2 * k * d}

    start = thermal(einstein(), 100.0, 5)
    settings = MDSettings(100.0, 1 * FS, 0.0, 1)
    one = run(ase_engine(Einstein()), start, settings, 400, stride=20)
    two = run(springs(), start, settings, 400, stride=20)
    np.testing.assert_allclose(one.total, two.total, rtol=1e-3)
    np.testing.assert_allclose(one.kinetic, two.kinetic, rtol=0.02)
    np.testing.assert_allclose(one.positions, two.positions, atol=0.01)


def test_ase_langevin_passes_as_a_whole():
    asked = plan(temperature=30.0, time=12 * PS)
    subject = of_calculator(Argon(), "argon")
    nvt = dynamic_parts.canonical_run(subject, asked, None, quiet)
    part = dynamic_parts.temperature_part(subject, asked, nvt, quiet)
    p = [c["value"] for c in part["checks"] if c["wanted"].startswith("p")]
    assert len(p) == 4
    assert min(p) > 1e-4
    assert part["checks"][-1]["ok"], part["checks"]
    assert part["figures"]["independent"] > 50
    assert part["figures"]["step_error"] < 0.02


def test_a_killed_run_goes_on_bit_equal(tmp_path):
    engine, start = ase_engine(Argon()), thermal(plan(repeat=1).start, 30.0, 1)
    settings = MDSettings(30.0, 5 * FS, 1e12, 7)
    whole = run(engine, start, settings, 600, stride=5)

    def killer(done, of, text):
        if done >= 500:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(engine, start, settings, 600, stride=5, scratch=tmp_path, progress=killer)
    assert len(list(tmp_path.iterdir())) == 1
    (tmp_path / "segment-00000.npz").write_bytes(b"damaged")
    again = run(engine, start, settings, 600, stride=5, scratch=tmp_path)
    np.testing.assert_array_equal(again.positions, whole.positions)
    np.testing.assert_array_equal(again.total, whole.total)


def test_an_explosion_is_told():
    start = thermal(plan(repeat=1).start, 30.0, 1)
    start.positions[0] = start.positions[1] + 0.5
    with pytest.raises(StageError, match="unstable"):
        run(ase_engine(Argon()), start, MDSettings(30.0, 20 * FS, 0.0, 1), 50)


@pytest.mark.parametrize(
    ("value", "error", "ok"),
    [(0.05, 1.0, True), (-0.12, 0.03, None), (0.2, 0.01, False), (np.nan, 0.0, False)],
)
def test_a_drift_fails_only_beyond_its_error(value, error, ok):
    assert dynamic_parts._drift_check(value, error).ok is ok
