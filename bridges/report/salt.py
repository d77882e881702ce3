"""The report of a salt: w_ij(r), osmotic and activity coefficients beside experiment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from ...coarse.ion_pmf import COULOMB
from ...coarse.model import CGModel
from ...core.page import Page
from ...core.stats import half_width95
from ...core.style import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    SPECIES_COLOURS,
    band,
    finish,
    panels,
    to_svg,
)
from ...core.units import AVOGADRO, BOLTZMANN, KJ_MOL
from ..activity import debye_hueckel, to_molal
from ..salt import SaltActivity

MOLAR = 1e3 * AVOGADRO
#: Density of water at 298 K, kg/L, and its relative permittivity.
WATER, PERMITTIVITY = 0.99705, 78.4


def molal_curve(
    found: SaltActivity, volume: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Molalities (n,), mol/kg, ln of the molal coefficient (R + 1, n) and c (n,), mol/L.

    Parameters
    ----------
    found
        Of a salt in water.
    volume
        Partial molar volume of the salt, L/mol.
    """
    activity = found.activity
    c = activity["concentration"].values / MOLAR
    ln_gamma = to_molal(
        activity["ln_gamma"].values, activity["osmotic"].values, c, volume
    )
    return c / (WATER * (1 - c * volume)), ln_gamma, c


def comparison(
    found: SaltActivity, volume: float, experiment: Mapping[float, float]
) -> list[dict]:
    """Rows of molality, ln gamma of the model, of experiment, and what eps_r explains.

    Parameters
    ----------
    found, volume
        See `molal_curve`.
    experiment
        Molality (mol/kg) -> molal activity coefficient.

    Returns
    -------
    list of dict
        Of molalities within the table: ``molality``, ``ln_gamma``, ``half`` (of the 95 %
        interval), ``experiment`` (its ln gamma), ``permittivity``: by how much Debye and
        Hueckel's law differs between the solvent of the model and water.
    """
    molality, ln_gamma, c = molal_curve(found, volume)
    half = half_width95(ln_gamma, int(found.activity.attrs["n_units"]))
    attrs, rows = found.activity.attrs, []
    for m, gamma in experiment.items():
        if not molality[0] <= m <= molality[-1]:
            continue
        at, charge = np.interp([m], molality, c) * MOLAR, attrs["charge"]
        ours, water = (
            debye_hueckel(at, charge, eps, attrs["temperature"])[0][0]
            for eps in (attrs["relative_permittivity"], PERMITTIVITY)
        )
        rows.append({
            "molality": m,
            "ln_gamma": float(np.interp(m, molality, ln_gamma[0])),
            "half": float(np.interp(m, molality, half)),
            "experiment": float(np.log(gamma)),
            "permittivity": float(ours - water),
        })  # fmt: skip
    return rows


def salt_page(
    model: CGModel,
    found: SaltActivity,
    volume: float,
    experiment: Mapping[float, float],
    source: str,
) -> Page:
    """The page.

    Parameters
    ----------
    model
        Ions in an implicit solvent.
    found
        What `salt_activity` gave.
    volume, experiment
        See `comparison`.
    source
        Of the experiment.
    """
    salt, top = found.activity.attrs["salt"], found.concentration[-1] / MOLAR
    rows = comparison(found, volume, experiment)
    page = Page(
        f"{salt} in implicit water: from w_ij(r) to ln gamma",
        f"Valid from {found.activity['concentration'].values[0] / MOLAR:.3g} to "
        f"{top:.3g} mol/L at {model.validity['temperature_K']:g} K; nothing is "
        "extrapolated.",
    )
    page.tiles([
        (f"{r['ln_gamma']:.3f} ± {r['half']:.3f}",
         f"ln gamma at {r['molality']:g} mol/kg (experiment {r['experiment']:.3f})")
        for r in rows if r["molality"] in (0.1, 0.5, 1.0)
    ])  # fmt: skip
    page.section(
        "Two ions in water",
        "Umbrella windows in a periodic box of explicit water, brought to infinite "
        f"dilution. Short-ranged: without charges in eps_r = {model.permittivity:g}.",
    )
    page.figure(to_svg(_potentials(model), "potentials"), "Bands: 95 %, of blocks.")
    page.section(
        "Many ions without water",
        "Langevin dynamics of ions in a periodic box, particle-mesh Ewald in the same "
        "eps_r. Bands carry the noise of these runs and that of the potentials.",
    )
    page.figure(
        to_svg(_coefficients(found, volume, experiment), "coefficients"),
        "Left: osmotic coefficient by the virial and the fit that is integrated. Right: "
        f"molal activity coefficient; experiment: {source}.",
    )
    page.table(
        ("molality (mol/kg)", "ln gamma", "experiment", "difference",
         "of it by eps_r of the model's water"),
        [(f"{r['molality']:g}", f"{r['ln_gamma']:.3f} ± {r['half']:.3f}",
          f"{r['experiment']:.3f}", f"{r['ln_gamma'] - r['experiment']:+.3f}",
          f"{r['permittivity']:+.3f}") for r in rows],
    )  # fmt: skip
    told = {k: v for k, v in model.validity.items() if k != "temperature_K"}
    page.listing("What the potentials are from", "\n".join(
        f"{key}: {value}" for key, value in told.items()))  # fmt: skip
    return page


def _potentials(model: CGModel) -> Figure:
    """w_ij(r) whole and short-ranged, over kT."""
    figure, axes = panels(2)
    thermal = BOLTZMANN * model.validity["temperature_K"] / KJ_MOL
    charge = dict(zip(model.species, model.charges, strict=True))
    r = np.linspace(float(model.inner.min()), model.spline.stop, 400)
    every = np.array([model.potential(r, k) for k in range(len(model.coefficients))])
    half = half_width95(every, model.n_units)
    for p, pair in enumerate(model.pairs):
        seen, shade = r >= model.inner[p], SPECIES_COLOURS[p]
        product = np.prod([charge[name] for name in pair.split("-")])
        law = product * COULOMB / model.permittivity / r[seen]
        for ax, more in zip(axes, (law, 0 * law), strict=True):
            value = (every[0, p, seen] + more) / thermal
            wide = half[p, seen] / thermal
            band(ax, r[seen], value, value - wide, value + wide, shade, pair)
            if ax is axes[0]:
                ax.plot(r[seen], law / thermal, color=shade, lw=0.8, ls=":")
    for ax in axes:
        ax.axhline(0, color=BLACK, lw=0.5)
        ax.set_ylim(-5, 6)
    finish(axes[0], "w(r); dotted: Coulomb alone", "r (nm)", "w / kT")
    finish(axes[1], "Short-ranged part", "r (nm)", "w / kT", legend=False)
    return figure


def _coefficients(found: SaltActivity, volume: float, experiment: Mapping) -> Figure:
    figure, (left, right) = panels(2)
    units, attrs = int(found.activity.attrs["n_units"]), found.activity.attrs
    medium = attrs["charge"], attrs["relative_permittivity"], attrs["temperature"]
    molality, ln_gamma, c = molal_curve(found, volume)
    fit = found.activity["osmotic"].values
    wide = half_width95(fit, units)
    band(left, np.sqrt(c), fit[0], fit[0] - wide, fit[0] + wide, BLUE, "fit, 95 %")
    left.errorbar(
        np.sqrt(found.concentration / MOLAR), found.osmotic[0],
        half_width95(found.osmotic, units), color=BLACK, fmt="o", ms=4, label="runs",
    )  # fmt: skip
    left.plot(np.sqrt(c), 1 + debye_hueckel(c * MOLAR, *medium, 0.0)[2], color=GREEN,
              ls="--", lw=1, label="limiting law")  # fmt: skip
    low, high = left.get_ylim()
    left.set_ylim(max(low, fit.min() - 0.1), high)
    finish(left, "Osmotic coefficient", "sqrt(c / (mol/L))", "phi")
    wide = half_width95(ln_gamma, units)
    x = np.sqrt(molality)
    band(right, x, ln_gamma[0], ln_gamma[0] - wide, ln_gamma[0] + wide, BLUE,
         "model, 95 %")  # fmt: skip
    within = {m: g for m, g in experiment.items() if m <= molality[-1]}
    right.plot(np.sqrt(list(within)), np.log(list(within.values())), "s", ms=5,
               color=ORANGE, label="experiment")  # fmt: skip
    right.plot(x, debye_hueckel(c * MOLAR, *medium, 0.0)[0], color=GREEN, ls="--", lw=1,
               label="limiting law, the model's eps_r")  # fmt: skip
    right.set_ylim(min(-0.7, ln_gamma.min() - 0.05), 0.02)
    finish(right, "Mean activity coefficient", "sqrt(m / (mol/kg))", "ln gamma")
    return figure
