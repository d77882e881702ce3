"""A quick look at bulk transport, dielectric profiles and residence, with 95 % bands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ...core.schema import validate
from ...core.stats import half_width95
from ...core.units import ELEMENTARY_CHARGE, NM, PS, thermal_energy
from .plot import BLACK, COLOURS, band, label, saved

#: Share of the greatest density below which a cell holds no liquid.
EMPTY = 0.02


def plot_measures(ds: xr.Dataset, path: Path | str | None = None) -> Figure:
    """A figure of what `bulk_transport` and its like measured.

    Parameters
    ----------
    ds
        ``bulk-transport/1``, ``dielectric-profile/1`` or ``residence/1``.
    path
        Where the figure is saved, if it is.

    Raises
    ------
    SchemaError
        When the data set breaks its contract.
    """
    draw = {
        "bulk-transport/1": _transport,
        "dielectric-profile/1": _dielectric,
        "residence/1": _residence,
    }
    name = ds.attrs["schema"]
    return saved(draw[name](validate(ds, name)), path)


def _transport(ds: xr.Dataset) -> Figure:
    einstein = "msd" in ds
    both = ("dipole_msd" if einstein else "running_conductivity") in ds
    figure = Figure(figsize=(10.0 if both else 5.4, 4.2), layout="constrained")
    single, *rest = figure.subplots(1, 2 if both else 1, squeeze=False)[0]
    lag = ds["lag"].values / PS
    for s, name in enumerate(ds["species"].values):
        colour, D = COLOURS[s % len(COLOURS)], ds["D"].values[:, s] / 1e-9
        text = rf"{name}: D = ({_number(ds, D)}) $10^{{-9}}\,\mathrm{{m^2\,s^{{-1}}}}$"
        if einstein:
            msd = ds["msd"].values[:, s] / NM**2
            band(single, ds, lag, msd, colour, text)
            _slope(single, ds, lag, msd[0], 6 * D[0] * 1e-9 * PS / NM**2)
        else:
            band(single, ds, lag, ds["running_D"].values[:, s] / 1e-9, colour, text)
    sigma = ds["conductivity"].values if both else np.zeros(3)
    text = f"conductivity {_number(ds, sigma)} " + r"$\mathrm{S\,m^{-1}}$"
    if einstein:
        label(single, r"mean-square displacement / $\mathrm{nm^2}$")
        for ax in rest:
            unit = (ELEMENTARY_CHARGE * NM) ** 2
            moved = ds["dipole_msd"].values / unit
            band(ax, ds, lag, moved, BLACK, text)
            kT = thermal_energy(ds.attrs["temperature"])
            slope = 6 * ds.attrs["volume"] * kT * sigma[0] * PS / unit
            _slope(ax, ds, lag, moved[0], slope)
            label(ax, r"collective dipole, mean square / $e^2\,\mathrm{nm^2}$")
    else:
        label(single, r"running D / $10^{-9}\,\mathrm{m^2\,s^{-1}}$")
        for ax in rest:
            band(ax, ds, lag, ds["running_conductivity"].values, BLACK, text)
            label(ax, r"running conductivity / $\mathrm{S\,m^{-1}}$")
    for ax in (single, *rest):
        ax.set_xlabel("lag / ps")
        if einstein:
            _logarithmic(ax)
            first, last = (ds.attrs[f"lag_{end}"] / PS for end in ("first", "last"))
            ax.axvspan(first, last, color="#bbbbbb", alpha=0.3, lw=0, label="fitted")
        ax.legend(frameon=False, loc="upper left" if einstein else "best")
    return figure


def _logarithmic(ax: Axes) -> None:
    """Both axes, with room for the legend above curves that rise."""
    ax.set(xscale="log", yscale="log")
    ax.set_ylim(top=6 * ax.get_ylim()[1])
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_formatter(NullFormatter())


def _slope(ax: Axes, ds: xr.Dataset, lag, curve, slope: float) -> None:
    """The line that was fitted, through the middle of its window."""
    ends = np.array([ds.attrs["lag_first"], ds.attrs["lag_last"]]) / PS
    middle = np.sqrt(ends.prod())
    level = np.exp(np.interp(np.log(middle), np.log(lag), np.log(curve)))
    ax.plot(ends, level + slope * (ends - middle), "--", color=BLACK, lw=1.2, zorder=3)


def _dielectric(ds: xr.Dataset) -> Figure:
    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    along, across = figure.subplots(2, 1, sharex=True)
    z, density = ds["z"].values / NM, ds["number_density"].values[0]
    full = density > EMPTY * density.max()
    for ax, key, colour, text in (
        (along, "parallel", COLOURS[0], r"$\epsilon_\parallel$"),
        (across, "inverse_perpendicular", COLOURS[1], r"$1\,/\,\epsilon_\perp$"),
    ):
        band(ax, ds, z, np.where(full, ds[key].values, np.nan), colour)
        label(ax, text)
        if "bulk_permittivity" in ds:
            bulk = float(ds["bulk_permittivity"][0])
            ends = (ds.attrs[f"bulk_{end}"] for end in ("low", "high"))
            name = (
                rf"bulk: $\epsilon$ = {bulk:.0f} [{', '.join(f'{x:.0f}' for x in ends)}]"
            )
            value = bulk if key == "parallel" else 1 / bulk
            ax.axhline(value, color=BLACK, ls="--", lw=1.0, label=name)
            ax.legend(frameon=False)
    across.axhline(0.0, color="#999999", lw=0.6)
    across.set_xlabel(f"{ds.attrs.get('axis', 'z')} / nm")
    if ds.attrs["blocks_too_short"]:
        relaxation = ds.attrs["relaxation_time"] / PS
        along.set_title(
            f"blocks too short: the dipole relaxes in {relaxation:.3g} ps", fontsize=9
        )
    return figure


def _residence(ds: xr.Dataset) -> Figure:
    figure = Figure(figsize=(5.4, 4.2), layout="constrained")
    ax = figure.subplots()
    for s, name in enumerate(ds["species"].values):
        text = f"{name}: {_number(ds, ds['time'].values[:, s] / PS)} ps"
        colour = COLOURS[s % len(COLOURS)]
        band(ax, ds, ds["lag"].values / PS, ds["survival"].values[:, s], colour, text)
    ax.set_xlabel("lag / ps")
    label(ax, f"{ds.attrs['kind']} survival")
    ax.set_title(ds.attrs["region"], fontsize=9)
    ax.axhline(0.0, color="#999999", lw=0.6)
    ax.legend(frameon=False)
    return figure


def _number(ds: xr.Dataset, values: np.ndarray) -> str:
    half = float(half_width95(values, int(ds.attrs["n_units"])))
    digits = int(np.clip(1 - np.floor(np.log10(max(half, 1e-12))), 0, 6))
    return f"{values[0]:.{digits}f} ± {half:.{digits}f}"
