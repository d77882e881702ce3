"""A quick look at `interface-profiles/1`, with 95 % bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.artefact import replacing
from ...core.schema import QUALITY_FLAGS, validate
from ...core.stats import half_width95
from ...core.units import NM, thermal_energy

#: Okabe & Ito's, distinguishable under every common colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
BLACK = "#222222"
#: W (kT) above which it is not drawn: nothing goes there.
HIGHEST = 12.0


def plot_profiles(profiles: xr.Dataset, path: Path | str | None = None) -> Figure:
    """Densities, potential, PMF and diffusion across an interface.

    Cells that particles hardly visit are left out; D without a plateau is dotted.

    Parameters
    ----------
    profiles
        ``interface-profiles/1``.
    path
        Where the figure is saved, if it is.

    Raises
    ------
    SchemaError
        When the data set breaks its contract.
    """
    ds = validate(profiles, "interface-profiles/1")
    figure = Figure(figsize=(10.0, 7.2), layout="constrained")
    (density, work), (electric, diffusion) = figure.subplots(2, 2, sharex=True)
    x = ds["z"].values / NM
    kT = thermal_energy(ds.attrs["temperature"])
    flags = ds["quality_flag"].values
    bad = QUALITY_FLAGS["few_visits"] | QUALITY_FLAGS["unvisited"]
    for s, name in enumerate(ds["species"].values):
        colour, seen = COLOURS[s % len(COLOURS)], (flags[s] & bad) == 0
        _band(density, ds, x, ds["number_density"][:, s] * NM**3, colour, str(name))
        W = ds["pmf"].values[:, s] / kT
        shown = seen & (W[0] < HIGHEST)
        _band(work, ds, x, np.where(shown, W, np.nan), colour)
        perp = ds["D_perp"].values[:, s]
        perp = 0.5e9 * (perp[:, 1:] + perp[:, :-1])
        moving = (flags[s] & QUALITY_FLAGS["no_plateau"]) != 0
        _band(diffusion, ds, x, np.where(seen & ~moving, perp, np.nan), colour)
        diffusion.plot(x, np.where(seen & moving, perp[0], np.nan), ":", color=colour)
        along = 1e9 * ds["D_par"].values[:, s]
        diffusion.plot(x, np.where(seen, along[0], np.nan), "--", color=colour)
    _band(electric, ds, ds["z_face"].values / NM, ds["potential"].values, BLACK)
    _label(density, r"number density / $\mathrm{nm^{-3}}$")
    _label(work, r"PMF / $kT$")
    _label(electric, f"potential ({ds.attrs['phi_kind'].replace('_', ' ')}) / V")
    _label(diffusion, r"D / $10^{-9}\,\mathrm{m^2\,s^{-1}}$")
    density.legend(frameon=False)
    lines = [
        diffusion.plot([], [], style, color=BLACK, label=label)[0]
        for style, label in (("-", "across"), (":", "no plateau"), ("--", "along"))
    ]
    diffusion.legend(handles=lines, frameon=False)
    axis = {"planar": "position"}.get(ds.attrs.get("geometry", "planar"), "radius")
    for ax in (electric, diffusion):
        ax.set_xlabel(f"{axis} / nm")
    if path is not None:
        with replacing(Path(path)) as temporary:
            figure.savefig(temporary, dpi=150, format=Path(path).suffix[1:] or "png")
    return figure


def _band(ax: Axes, ds: xr.Dataset, x, values, colour: str, label: str = "") -> None:
    values = np.asarray(values)
    half = half_width95(values, int(ds.attrs["n_units"]))
    ax.fill_between(x, values[0] - half, values[0] + half, color=colour, alpha=0.25, lw=0)
    ax.plot(x, values[0], color=colour, label=label or None)


def _label(ax: Axes, text: str) -> None:
    ax.set_ylabel(text)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
