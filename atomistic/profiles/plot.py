"""A quick look at profiles, with 95 % bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.artefact import replacing
from ...core.schema import QUALITY_FLAGS, validate
from ...core.stats import half_width95
from ...core.units import ELEMENTARY_CHARGE, NM, thermal_energy

#: Okabe & Ito's, distinguishable under every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
BLACK = "#222222"
#: W (kT) above which it is not drawn: nothing goes there.
HIGHEST = 12.0


def plot_profiles(profiles: xr.Dataset, path: Path | str | None = None) -> Figure:
    """Densities, potential, PMF and diffusion (or charge) across an interface.

    Cells that particles hardly visit are left out; D without a plateau is dotted.

    Parameters
    ----------
    profiles
        ``interface-profiles/1`` or ``density-profiles/1``.
    path
        Where the figure is saved, if it is.

    Raises
    ------
    SchemaError
        When the data set breaks its contract.
    """
    ds = validate(profiles, profiles.attrs["schema"])
    figure = Figure(figsize=(10.0, 7.2), layout="constrained")
    (density, work), (electric, last) = figure.subplots(2, 2, sharex=True)
    x = ds["z"].values / NM
    kT = thermal_energy(ds.attrs["temperature"])
    flags = ds["quality_flag"].values
    bad = QUALITY_FLAGS["few_visits"] | QUALITY_FLAGS["unvisited"]
    for s, name in enumerate(ds["species"].values):
        colour, seen = COLOURS[s % len(COLOURS)], (flags[s] & bad) == 0
        band(density, ds, x, ds["number_density"][:, s] * NM**3, colour, str(name))
        W = ds["pmf"].values[:, s] / kT
        band(work, ds, x, np.where(seen & (W[0] < HIGHEST), W, np.nan), colour)
        if "D_perp" in ds:
            _diffusion(last, ds, s, x, seen, colour)
    band(electric, ds, ds["z_face"].values / NM, ds["potential"].values, BLACK)
    label(density, r"number density / $\mathrm{nm^{-3}}$")
    label(work, r"PMF / $kT$")
    label(electric, f"potential ({ds.attrs['phi_kind'].replace('_', ' ')}) / V")
    density.legend(frameon=False)
    if "D_perp" in ds:
        label(last, r"D / $10^{-9}\,\mathrm{m^2\,s^{-1}}$")
        styles = [("-", "across"), (":", "across, no plateau"), ("--", "along")]
        for style, text in styles + [("-.", "bulk")] * ("D_bulk" in ds):
            last.plot([], [], style, color=BLACK, label=text)
        last.legend(frameon=False)
    else:
        charge = ds["charge_density"].values / ELEMENTARY_CHARGE * NM**3
        band(last, ds, x, charge, BLACK)
        label(last, r"charge density / $e\,\mathrm{nm^{-3}}$")
    names = {"planar": "position", "surface": "depth below the surface"}
    axis = names.get(ds.attrs.get("geometry", "planar"), "radius")
    for ax in (electric, last):
        ax.set_xlabel(f"{axis} / nm")
    return saved(figure, path)


def saved(figure: Figure, path: Path | str | None) -> Figure:
    """The figure, in a file when there is a path."""
    if path is not None:
        with replacing(Path(path)) as temporary:
            figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:] or "png")
    return figure


def _diffusion(ax: Axes, ds: xr.Dataset, s: int, x, seen, colour: str) -> None:
    faces = 1e9 * ds["D_perp"].values[:, s]
    across, along = 0.5 * (faces[:, 1:] + faces[:, :-1]), 1e9 * ds["D_par"].values[:, s]
    moving = (ds["quality_flag"].values[s] & QUALITY_FLAGS["no_plateau"]) != 0
    band(ax, ds, x, np.where(seen & ~moving, across, np.nan), colour)
    ax.plot(x, np.where(seen & moving, across[0], np.nan), ":", color=colour)
    ax.plot(x, np.where(seen, along[0], np.nan), "--", color=colour)
    if "D_bulk" in ds:
        ax.axhline(1e9 * float(ds["D_bulk"][0, s]), color=colour, lw=0.8, ls="-.")


def band(ax: Axes, ds: xr.Dataset, x, values, colour: str, name: str = "") -> None:
    """A curve and its 95 % band, of values (R + 1, n)."""
    values = np.asarray(values)
    half = half_width95(values, int(ds.attrs["n_units"]))
    ax.fill_between(x, values[0] - half, values[0] + half, color=colour, alpha=0.25, lw=0)
    ax.plot(x, values[0], color=colour, label=name or None)


def label(ax: Axes, text: str) -> None:
    """What is upward, without lines at the top and at the right."""
    ax.set_ylabel(text)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
