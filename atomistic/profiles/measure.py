"""`mesobridge transport`, `dielectric` and `residence`: from a trajectory to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ...core.artefact import write_dataset
from ...core.errors import InputError
from ...core.progress import shown
from ...core.stats import interval95
from ...core.units import PS, quantity
from .asked import charges_of, check_files, species_of, universe_of
from .collective import NEUTRAL


@dataclass(frozen=True)
class Files:
    """What is read and written, and the bootstrap.

    Attributes
    ----------
    trajectory, topology
        Files that MDAnalysis reads; without a topology the trajectory has all.
    out, plot
        NetCDF file, and picture if one is wanted.
    block
        With a unit; chosen when ``None``.
    replicates, seed, start, stop
        Numbers.
    quiet
        Show no progress.
    """

    trajectory: Path
    topology: Path | None
    out: Path
    plot: Path | None
    block: str | None
    replicates: int
    seed: int
    start: int
    stop: int | None
    quiet: bool

    def measured(self, what: str, measure: Callable[..., xr.Dataset]) -> xr.Dataset:
        """`measure` of the universe, written whole and drawn."""
        check_files(self.out, self.plot, self.trajectory, self.topology)
        universe = universe_of(self.trajectory, self.topology)
        with shown(what, False if self.quiet else None) as progress:
            found = measure(
                universe,
                block=_or_none(self.block, "s"),
                replicates=self.replicates,
                seed=self.seed,
                start=self.start,
                stop=self.stop,
                progress=progress,
            )
        write_dataset(found, self.out, found.attrs["schema"])
        if self.plot is not None:
            from .plot_measures import plot_measures

            plot_measures(found, self.plot)
        return found


def transport(
    files: Files,
    species: Sequence[str],
    charges: Sequence[str],
    temperature: str,
    *,
    lags: tuple[str, str] | None,
    viscosity: str | None,
    cutoff: str | None,
    **how: Any,
) -> list[str]:
    """Bulk transport into a file, and a table of it; `how` as for `bulk_transport`.

    Raises
    ------
    InputError
        When files cannot be read, text not understood, or as `bulk_transport`.
    """
    from .transport import bulk_transport

    options: dict[str, Any] = {
        "temperature": quantity(temperature, "K"),
        "charges": charges_of(charges),
        "lags": None if lags is None else tuple(quantity(lag, "s") for lag in lags),
        "viscosity": _or_none(viscosity, "Pa*s"),
        "cutoff": _or_none(cutoff, "s"),
    }
    named = species_of(species)
    found = files.measured(
        "transport", lambda u, **more: bulk_transport(u, named, **options, **how, **more)
    )
    return [_head(files, found), *_transport_lines(found)]


def dielectric(
    files: Files,
    charges: Sequence[str],
    temperature: str,
    *,
    bin: str,
    **how: Any,
) -> list[str]:
    """Dielectric profile into a file, and a table; `how` as for `dielectric_response`.

    Raises
    ------
    InputError
        When files cannot be read, text not understood, or as `dielectric_response`.
    """
    from .molecules import dielectric_response

    options: dict[str, Any] = {
        "temperature": quantity(temperature, "K"),
        "charges": charges_of(charges),
        "bin": quantity(bin, "m"),
    }
    found = files.measured(
        "dielectric", lambda u, **more: dielectric_response(u, **options, **how, **more)
    )
    return [_head(files, found), *_dielectric_lines(found)]


def residence(
    files: Files,
    species: Sequence[str],
    *,
    between: tuple[str, str] | None,
    axis: str,
    moving: str | None,
    around: str | None,
    within: str | None,
    pairs: bool,
    kind: str,
    **times: str | None,
) -> list[str]:
    """Residence times into a file, and a table of them.

    Raises
    ------
    InputError
        When files cannot be read, text not understood, or as `residence_times`.
    """
    from .stays import Shell, Slab, residence_times

    shell = around is not None or within is not None
    if shell == (between is not None) or (shell and None in (around, within)):
        raise InputError(
            "region of the residence time",
            wanted="--between LOW HIGH, or --around SELECTION --within RADIUS",
            got=f"between {between}, around {around}, within {within}",
        )
    if (pairs and around is None) or (moving and between is None):
        raise InputError(
            "region of the residence time",
            wanted="--pairs with --around, --moving with --between",
            got="--pairs with --between" if pairs else "--moving with --around",
        )
    region: Slab | Shell
    if between is not None:
        low, high = (quantity(plane, "m") for plane in between)
        region = Slab(low, high, axis, moving)
    else:
        region = Shell(str(around), quantity(str(within), "m"), pairs)
    options: dict[str, Any] = {
        "longest": _or_none(times["longest"], "s"),
        "tolerance": _or_none(times["tolerance"], "s") or 0.0,
        "margin": _or_none(times["margin"], "m") or 0.0,
        "kind": kind,
    }
    named = species_of(species)
    found = files.measured(
        "residence",
        lambda u, **more: residence_times(u, named, region, **options, **more),
    )
    return [_head(files, found), *_residence_lines(found)]


def _or_none(text: str | None, unit: str) -> float | None:
    return None if text is None else quantity(text, unit)


def _head(files: Files, ds: xr.Dataset) -> str:
    length = ds.attrs["block_length"] / PS
    return f"{files.out}: {ds.attrs['n_units']} blocks of {length:.4g} ps, 95 % intervals"


def _row(name: str, ds: xr.Dataset, values, scale: float, unit: str, note="") -> str:
    """A number with its interval: as many digits as it has."""
    values = np.asarray(values) / scale
    low, high = interval95(values, int(ds.attrs["n_units"]))
    digits = int(np.clip(1 - np.floor(np.log10(max(high - low, 1e-12))), 0, 6))
    number = f"{values[0]:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}] {unit}"
    return f"{name:<26} {number:<36} {note}".rstrip()


def _transport_lines(ds: xr.Dataset) -> list[str]:
    lines = []
    for s, name in enumerate(ds["species"].values):
        regime = str(ds["regime"].values[s])
        for key, text in (("D", "D"), ("D_infinite", "D of an infinite box")):
            if key in ds:
                note = regime if key == "D" else ""
                D = ds[key].values[:, s]
                lines.append(_row(f"{text} {name}", ds, D, 1e-9, "1e-9 m2/s", note))
    for key, text in (
        ("conductivity", "conductivity"),
        ("nernst_einstein", "Nernst-Einstein"),
    ):
        if key in ds:
            note = ds.attrs["regime_collective"] if key == "conductivity" else ""
            lines.append(_row(text, ds, ds[key], 1.0, "S/m", note))
    if "transference" in ds:
        for s, name in enumerate(ds["species"].values):
            if abs(ds["charge_number"].values[s]) > NEUTRAL:
                t = ds["transference"].values[:, s]
                lines.append(_row(f"transference {name}", ds, t, 1.0, ds.attrs["frame"]))
    if "haven" in ds:
        lines.append(_row("Haven ratio", ds, ds["haven"], 1.0, ""))
    if {"subdiffusive", "superdiffusive"} & set(ds["regime"].values):
        lines.append("WARNING  lags that do not reach diffusion: take longer blocks")
    return lines


def _dielectric_lines(ds: xr.Dataset) -> list[str]:
    lines = []
    if "bulk_permittivity" in ds:
        low, high = ds.attrs["bulk_low"], ds.attrs["bulk_high"]
        eps = float(ds["bulk_permittivity"][0])
        lines.append(f"{'bulk permittivity':<26} {eps:.3g} [{low:.3g}, {high:.3g}]")
    # Cells by their molecules: what is empty is no liquid.
    density = ds["number_density"].values
    share = density[0] / density[0].sum()
    for key, text in (
        ("parallel", "mean eps_par"),
        ("inverse_perpendicular", "mean 1 / eps_perp"),
    ):
        lines.append(_row(text, ds, ds[key].values @ share, 1.0, ""))
    lines.append(f"{'dipole relaxes in':<26} {ds.attrs['relaxation_time'] / PS:.3g} ps")
    if ds.attrs["blocks_too_short"]:
        lines.append("WARNING  blocks are too short for it, errors too small: run longer")
    return lines


def _residence_lines(ds: xr.Dataset) -> list[str]:
    lines = [f"{ds.attrs['kind']}, {ds.attrs['region']}"]
    for s, name in enumerate(ds["species"].values):
        note = f"{100 * ds['tail'].values[s]:.0f} % of it extrapolated, "
        note += f"{ds['occupancy'].values[s]:.3g} inside"
        lines.append(_row(f"time {name}", ds, ds["time"].values[:, s], PS, "ps", note))
    return lines
