"""Profiles of real trajectories: a slab of SPC/E water, and a magnesium electrolyte."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import MDAnalysis as mda
import numpy as np
from figures import figure

from mesobridge.atomistic.profiles import (
    Paths,
    Resolution,
    Species,
    View,
    centres_of_mass,
    collective_transport,
    density_profiles,
)
from mesobridge.atomistic.profiles.estimates import Electrics
from mesobridge.core.stats import half_width95
from mesobridge.core.units import DALTON, NM, PS

HERE = Path(__file__).resolve().parent
SLAB = HERE.parent / "runs" / "spce_slab"
MAGNESIUM = HERE.parents[1] / "shared" / "data" / "mg_tfsi_dme"


def water(length: float, block: float) -> list[dict]:
    """Density and potential of a slab of water against its vapour; made if not there."""
    if not (SLAB / "spce_slab.xtc").exists():
        command = [sys.executable, str(HERE / "spce_slab.py"), "--out", str(SLAB)]
        subprocess.run([*command, "--ps", str(length)], check=True)  # noqa: S603
    u = mda.Universe(str(SLAB / "spce_slab.pqr"), str(SLAB / "spce_slab.xtc"))
    u.add_TopologyAttr("masses", [16.0 if a[0] == "O" else 1.0 for a in u.atoms.names])
    view = View(300.0, electrics=Electrics("slab", reference="vacuum"))
    how = Resolution(0.05 * NM, 0.0, block * PS)
    ds = density_profiles(u, {"water": Species("all", "residues")}, how, view)
    middle = np.abs(ds["z"].values - ds["z"].values.mean()) < 0.6 * NM
    on_faces = np.abs(ds["z_face"].values - ds["z"].values.mean()) < 0.6 * NM
    n = ds.attrs["n_units"]
    density = ds["mass_density"].values[:, middle].mean(axis=1) / 1000 * 18.015 / 18.0
    drop = ds["potential"].values[:, on_faces].mean(axis=1)
    rho, phi = half_width95(density, n), half_width95(drop, n)
    note = f"{n} blocks of {ds.attrs['block_length'] / PS:.0f} ps"
    off, deviation = abs(density[0] - 0.99) - 0.01, float(abs(drop[0] + 0.6))
    return [
        figure("SPC/E slab: density outside 0.98-1.00 g/cc", max(off, 0.0), "g/cc", "<=",
               float(rho), f"{density[0]:.4f} +- {rho:.4f}; {note}"),
        figure("SPC/E slab: |phi(liquid) - phi(vapour) + 0.6 V|", deviation,
               "V", "<=", float(phi), f"{drop[0]:.3f} +- {phi:.3f} V; {note}"),
    ]  # fmt: skip


def magnesium() -> list[dict]:
    """Diffusion and conductivity of Mg(TFSI)2 in DME, with errors."""
    if not MAGNESIUM.is_dir():
        return []
    data = np.load(MAGNESIUM / "topology.npz")
    reader = mda.coordinates.XTC.XTCReader(str(MAGNESIUM / "traj_unwrapped.xtc"))
    x = np.stack([frame.positions.copy() for frame in reader]) * 0.1 * NM
    box = reader[0].dimensions[:3] * 0.1 * NM
    centres, mass, molecules = centres_of_mass(x, data["mass"] * DALTON, data["mol"], box)
    atoms = np.unique(data["mol"], return_counts=True)[1]
    names = np.array(["Mg", "TFSI", "DME"])[np.searchsorted([1, 15, 16], atoms)]
    found = collective_transport(
        [Paths(centres, mass, names, reader.dt * PS, box)],
        charge_number={"Mg": 2, "TFSI": -1}, temperature=298.15, block=1000 * PS,
        replicates=200, seed=1,
    )  # fmt: skip
    out = []
    for s, name in enumerate(found.species):
        half = half_width95(found.D[:, s], found.n_units) * 1e9
        out.append(
            figure(f"Mg(TFSI)2/DME: D of {name}, error / value",
                   float(half / found.D[0, s] / 1e9), "1", "<=", 0.5,
                   f"{found.D[0, s] * 1e9:.3f} +- {half:.3f} 1e-9 m2/s")
        )  # fmt: skip
    half = half_width95(found.conductivity, found.n_units)
    out.append(
        figure("Mg(TFSI)2/DME: conductivity, S/m", float(found.conductivity[0]), "S/m",
               ">=", 0.0, f"+- {half:.2f}; Nernst-Einstein "
               f"{found.nernst_einstein[0]:.2f}; {found.n_units} blocks")
    )  # fmt: skip
    return out


def figures(*, quick: bool) -> list[dict]:
    """All figures of physics."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return water(*((20.0, 2.0) if quick else (400.0, 50.0))) + magnesium()
