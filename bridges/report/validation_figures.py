"""Figures of a validation, from its curves."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator
from scipy.stats import chi2

from ...core.style import BLACK, BLUE, ORANGE, SPECIES_COLOURS, finish, panels

LABELS = {
    "energy": ("Energy about its mean", "meV/atom"), "forces": ("Forces", "eV/Å"),
    "stress": ("Stress", "GPa"), "charge": ("Charges", "e"),
    "dipole": ("Dipoles", "e Å"),
}  # fmt: skip


def parity(curves: dict) -> Figure:
    """Predicted against reference, one panel a quantity, colours for elements."""
    shown = curves["parity"]
    figure, axes = panels(len(shown), width=3.3 * len(shown))
    for ax, (quantity, points) in zip(axes, shown.items(), strict=True):
        reference, predicted = (np.array(points[k]) for k in ("reference", "predicted"))
        if quantity == "energy":  # totals would leave no room for their ticks
            mean = reference.mean()
            reference, predicted = 1e3 * (reference - mean), 1e3 * (predicted - mean)
        element = np.array(points["element"])
        kinds = sorted(set(element))
        for i, kind in enumerate(kinds):
            of = element == kind
            shade = SPECIES_COLOURS[i % len(SPECIES_COLOURS)]
            ax.plot(
                reference[of], predicted[of], ".", ms=3, alpha=0.6, color=shade,
                label=kind if len(kinds) > 1 else None, rasterized=True,
            )  # fmt: skip
        ends = [reference.min(), reference.max()]
        ax.plot(ends, ends, color=BLACK, lw=0.7, ls=":")
        name, unit = LABELS[quantity]
        finish(ax, name, f"reference ({unit})", f"predicted ({unit})")
    return figure


def state(curves: dict, figures: dict) -> Figure:
    """Energy against volume with its fit."""
    figure, (ax,) = panels(1, width=5.2)
    v, e = np.array(curves["volumes"]), np.array(curves["energies"])
    fine = np.linspace(v.min(), v.max(), 200)
    fit = np.polyval(curves["coefficients"], fine ** (-2 / 3)) - figures["energy_eV"]
    ax.plot(fine, 1e3 * fit, color=BLUE, label="Birch-Murnaghan")
    ax.plot(v, 1e3 * (e - figures["energy_eV"]), "o", color=BLACK, ms=4, label="computed")
    finish(ax, "Equation of state", "volume (Å$^3$/atom)", "energy (meV/atom)")
    return figure


def phonons(curves: dict) -> Figure:
    """Bands along the path, and the density of states beside them."""
    figure, (left, right) = panels(2)
    path, bands = np.array(curves["path"]), np.array(curves["bands"])
    left.plot(path, bands, color=BLUE, lw=1.1)
    left.axhline(0, color=BLACK, lw=0.6)
    ticks: dict[float, str] = {}
    for x, label in zip(curves["ticks"], curves["labels"], strict=True):
        name = "Γ" if label == "G" else label
        ticks[x] = f"{ticks[x]}|{name}" if x in ticks else name
        left.axvline(x, color="#dddddd", lw=0.7, zorder=0)
    left.set_xticks(list(ticks), list(ticks.values()))
    left.set_xlim(path[0], path[-1])
    finish(left, "Phonon bands", "wave vector", "frequency (THz)")
    right.fill_betweenx(curves["dos_frequency"], 0, curves["dos"], color=BLUE, alpha=0.3)
    right.plot(curves["dos"], curves["dos_frequency"], color=BLUE, lw=1.1)
    right.set_ylim(left.get_ylim())
    finish(right, "Density of states", "states per THz and cell", "frequency (THz)")
    return figure


def temperature(curves: dict) -> Figure:
    """Kinetic energy in time, and its histogram beside the canonical law."""
    figure, (left, right) = panels(2)
    kT, dof = curves["kT"], curves["dof"]
    kinetic = np.array(curves["kinetic"]) * 2 / (dof * kT)
    left.plot(curves["time"], kinetic, color=BLUE, lw=0.6)
    left.axhline(1, color=BLACK, lw=0.8, ls="--")
    finish(left, "NVT", "time (ps)", "kinetic energy / (dof kT / 2)")
    right.hist(kinetic, bins=40, density=True, color=BLUE, alpha=0.35, label="run")
    x = np.linspace(kinetic.min(), kinetic.max(), 300)
    right.plot(x, dof * chi2.pdf(x * dof, dof), color=BLACK, label="canonical")
    finish(right, "Distribution", "kinetic energy / (dof kT / 2)", "density")
    return figure


def energy(curves: dict) -> Figure:
    """Total energy in time, and its fluctuation against the time step."""
    figure, (left, right) = panels(2)
    left.plot(curves["time"], curves["total"], color=BLUE, lw=0.7)
    finish(left, "NVE: total energy", "time (ps)", "change (meV/atom)")
    dt, seen = np.array(curves["timesteps_fs"]), np.array(curves["fluctuations"])
    right.loglog(dt, seen, "o", color=BLUE, label="run")
    right.loglog(dt, seen[0] * (dt / dt[0]) ** 2, color=BLACK, ls="--", label="dt$^2$")
    right.set_xticks(dt, [f"{t:.3g}" for t in dt])
    right.xaxis.set_minor_locator(NullLocator())
    finish(right, "Fluctuation", "time step (fs)", "standard deviation (meV/atom)")
    return figure


def structure(curves: dict) -> Figure:
    """Radial distributions of the run and of the reference, 95 % bands."""
    pairs = curves["pairs"]
    figure, axes = panels(len(pairs), width=max(5.2, 3.1 * len(pairs)))
    for k, (ax, pair) in enumerate(zip(axes, pairs, strict=True)):
        for name, shade, dash in (("reference", BLACK, "-"), ("run", ORANGE, "--")):
            r, g = np.array(curves["r"]), np.array(curves[name][k])
            half = np.array(curves[f"{name}_error"][k])
            ax.fill_between(r, g - half, g + half, color=shade, alpha=0.2, lw=0)
            ax.plot(r, g, color=shade, ls=dash, label=name)
        finish(ax, pair, "r (Å)", "g(r)")
    return figure
