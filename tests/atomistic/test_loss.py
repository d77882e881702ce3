"""What training makes small, by hand."""

import numpy as np
import pytest
import torch
from potentials import CUTOFF, frames, molecules

from mesobridge.atomistic.potential import TrainingSettings
from mesobridge.atomistic.potential.charges import born_charges, charges_of, dipoles
from mesobridge.atomistic.potential.data import batch, load_frames
from mesobridge.atomistic.potential.derivatives import derivatives
from mesobridge.atomistic.potential.loss import loss
from mesobridge.atomistic.potential.settings import new_model
from mesobridge.core.units import ANGSTROM, ELEMENTARY_CHARGE, EV

SETTINGS = TrainingSettings(
    ("O", "H"), CUTOFF * ANGSTROM, channels=4, radial=4, hidden=8, dtype="float64",
    charges=(-0.8, 0.4), energy_weight=3.0, stress_weight=50.0, charge_weight=2.0,
    dipole_weight=0.7, born_weight=0.3,
)  # fmt: skip


def labelled(n, pbc, rng, **more):
    x, symbols, box = molecules(n)
    forces = rng.normal(size=(1, *x.shape))
    ds = frames([x], symbols, box, pbc, rng.normal(size=1), forces)
    if pbc == "TTT":
        stress = rng.normal(size=(1, 3, 3)) * 0.02 * EV / ANGSTROM**3
        more["stress"] = ("frame", "i", "j"), stress + stress.swapaxes(1, 2)
    else:
        dipole = rng.normal(size=(1, 3)) * ELEMENTARY_CHARGE * ANGSTROM
        more["dipole"] = ("frame", "i"), dipole
        born = rng.normal(size=(1, len(x), 3, 3)) * ELEMENTARY_CHARGE
        more["born_charge"] = ("frame", "atom", "i", "j"), born
    charge = rng.normal(size=(1, len(x))) * ELEMENTARY_CHARGE
    return ds.assign(charge=(("frame", "atom"), charge), **more)


def test_every_error_has_its_weight():
    """Frames of two sizes, with stress or with dipoles, of unequal weights."""
    rng, weights = np.random.default_rng(0), (2.0, 0.5, 1.5)
    sets = [labelled(8, "TTT", rng), labelled(1, "FFF", rng), labelled(1, "TTT", rng)]
    some = load_frames(sets, SETTINGS.species, CUTOFF)
    torch.manual_seed(1)
    model = new_model(SETTINGS)
    torch.nn.init.normal_(model.charges.last.weight, std=0.3)
    b = batch(some, CUTOFF, torch.float64)
    found = loss(
        model, b, torch.tensor(weights), SETTINGS.energy_weight, SETTINGS.stress_weight,
        (3, 40), SETTINGS.label_weights,
    )  # fmt: skip

    energy, forces, virial = derivatives(model, b)
    charges = charges_of(model, b)
    moments, born = dipoles(charges, b), born_charges(charges, b)
    wanted, start = 0.0, 0
    for i, (f, weight) in enumerate(zip(some, weights, strict=True)):
        own, s = slice(start, start + len(f.species)), f.system
        start = own.stop
        off = (forces[own].numpy() - f.forces) ** 2
        per_atom = (float(energy[i]) - f.energy) / len(f.species)
        errors = 3.0 * per_atom**2 + 2.0 * square(charges[own], s.charges)
        if f.virial is not None:
            errors += 50.0 * square(virial[i] / f.volume, f.virial / f.volume)
        if s.dipole is not None:
            errors += 0.7 * square(moments[i], s.dipole)
        if s.born is not None:
            errors += 0.3 * square(born[own], s.born)
        wanted += weight * (off.sum() / (3 * 40) + errors / 3)
    assert float(found.detach()) == pytest.approx(wanted, rel=1e-10)


def square(found, label):
    return ((found.detach().numpy() - label) ** 2).mean()
