"""The figures of the interface report: SI data sets in, matplotlib figures out."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ...core.stats import half_width95
from ...core.style import BLACK, BLUE, GREEN, ORANGE, band, colour, finish, panels, parity
from ...core.units import ELEMENTARY_CHARGE, NM, thermal_energy

#: Below this density (1/nm^3) a PMF or diffusion coefficient is not drawn.
DRAWN_DENSITY = 0.3


def limits(replicates: np.ndarray, ds: xr.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """95 % band of an array whose first axis is the replicate of `ds`."""
    half = half_width95(replicates, int(ds.attrs["n_units"]))
    return replicates[0] - half, replicates[0] + half


def learning(curve: list[dict], pair: dict[str, np.ndarray], summary: dict) -> Figure:
    """Parity of held-out force components, and the learning curve."""
    figure, (left, right) = panels(2)
    parity(left, pair["reference"], pair["predicted"])
    rmse = summary["force_rmse_eV_A"] * 1e3
    finish(
        left, f"Held-out forces, RMSE {rmse:.0f} meV/Å",
        "oracle (eV/Å)", "learned + Coulomb (eV/Å)",
    )  # fmt: skip
    steps = [point["step"] for point in curve]
    right.semilogy(
        steps, [point["force_rmse"] * 1e3 for point in curve], color=BLUE,
        marker="o", ms=3, label="held-out force RMSE",
    )  # fmt: skip
    std = summary["force_std_eV_A"] * 1e3
    right.axhline(0.06 * std, color=BLACK, lw=0.8, ls="--", label="6 % of force std")
    finish(right, "Learning curve", "training step", "force RMSE (meV/Å)")
    return figure


def rdfs(curves: dict[str, dict], title: str) -> Figure:
    """Radial distribution functions of several sources, one panel per pair.

    Parameters
    ----------
    curves
        Source -> {"r" (m), "pairs" {pair -> {"g", "error"}}}.
    title
        Of the figure; the pair is added.
    """
    first = next(iter(curves.values()))
    figure, axes = panels(len(first["pairs"]), height=2.9)
    looks = ((BLACK, "-"), (ORANGE, "--"), (GREEN, ":"))
    for ax, pair in zip(axes, first["pairs"], strict=True):
        for (source, data), (shade, dash) in zip(curves.items(), looks, strict=False):
            r = np.array(data["r"]) / NM
            g, error = (np.array(data["pairs"][pair][k]) for k in ("g", "error"))
            ax.fill_between(r, g - error, g + error, color=shade, alpha=0.2, lw=0)
            ax.plot(r, g, color=shade, ls=dash, label=source)
        ax.axhline(1, color="#999999", lw=0.5)
        finish(ax, f"{title} {pair}", "r (nm)", "g(r)", legend=ax is axes[0])
    return figure


def densities(profiles: xr.Dataset) -> Figure:
    """Number densities and potential across the slab, with 95 % bands."""
    figure, (left, right) = panels(2)
    z = (profiles["z"].values - profiles["z_face"].values[0]) / NM
    faces = (profiles["z_face"].values - profiles["z_face"].values[0]) / NM
    names = list(profiles["species"].values)
    for i, name in enumerate(names):
        rho = profiles["number_density"].values[:, i] * NM**3
        band(left, z, rho[0], *limits(rho, profiles), colour(name, names), name)
    finish(left, "Number density", "z from left wall (nm)", "density (nm$^{-3}$)")
    phi = profiles["potential"].values
    band(right, faces, phi[0], *limits(phi, profiles), BLACK, "mean potential")
    thermal = thermal_energy(profiles.attrs["temperature"]) / ELEMENTARY_CHARGE
    right.axhspan(-thermal, thermal, color="#bbbbbb", alpha=0.3, lw=0, label="± kT/e")
    finish(right, "Electrostatic potential", "z from left wall (nm)", "phi (V)")
    return figure


def _drawn(profiles: xr.Dataset, i: int) -> np.ndarray:
    return profiles["number_density"].values[0, i] * NM**3 > DRAWN_DENSITY


def mobility(profiles: xr.Dataset) -> Figure:
    """PMF, D_perp and D_par across the slab, with 95 % bands."""
    figure, axes = panels(3)
    z0 = profiles["z_face"].values[0]
    z, faces = (profiles["z"].values - z0) / NM, (profiles["z_face"].values - z0) / NM
    names = list(profiles["species"].values)
    thermal = thermal_energy(profiles.attrs["temperature"])
    for i, name in enumerate(names):
        shade, keep = colour(name, names), _drawn(profiles, i)
        on_faces = np.interp(faces, z, keep.astype(float)) > 0.5
        for ax, key, x, mask, unit in (
            (axes[0], "pmf", z, keep, thermal),
            (axes[1], "D_perp", faces, on_faces, 1e-9),
            (axes[2], "D_par", z, keep, 1e-9),
        ):
            values = profiles[key].values[:, i][:, mask] / unit
            band(ax, x[mask], values[0], *limits(values, profiles), shade, name)
        if "D_bulk" in profiles:
            bulk = profiles["D_bulk"].values[0, i] / 1e-9
            for ax in axes[1:]:
                ax.axhline(bulk, color=shade, lw=0.9, ls="--")
    for ax, key in zip(axes[1:], ("D_perp", "D_par"), strict=True):
        middle = float(np.median(profiles[key].values[0])) / 1e-9
        ax.set_ylim(0, 2.5 * middle)
    finish(axes[0], "Potential of mean force", "z (nm)", "W / kT")
    scale = "(10$^{-9}$ m$^2$ s$^{-1}$)"
    finish(axes[1], "D perpendicular (dashed: bulk)", "z (nm)", f"D$_\\perp$ {scale}")
    finish(axes[2], "D parallel", "z (nm)", f"D$_\\parallel$ {scale}")
    return figure


def pair_potentials(pmf: xr.Dataset) -> Figure:
    """Short-range pair PMF of the beads, with 95 % bands."""
    figure, (ax,) = panels(1, width=5.4)
    r, thermal = pmf["r"].values / NM, thermal_energy(pmf.attrs["temperature"])
    looks = (BLUE, GREEN, ORANGE)
    for i, pair in enumerate(pmf["pair"].values):
        seen = pmf["r"].values >= pmf["inner"].values[i]
        w = pmf["pmf"].values[:, i][:, seen] / thermal
        band(ax, r[seen], w[0], *limits(w, pmf), looks[i % 3], str(pair))
    deepest = float(pmf["pmf"].values[0].min() / thermal)
    ax.set_ylim(1.3 * min(deepest, -1.0), 12)
    finish(ax, "Bead pair potential beside Coulomb", "r (nm)", "w$_{SR}$ / kT")
    return figure


def transport(solution: xr.Dataset, reference: xr.Dataset) -> Figure:
    """Concentrations and potential of the solver beside the MD they came from.

    Parameters
    ----------
    solution
        `transport-solution/1`.
    reference
        The MD on the same axis: ``distance``, ``concentration``, ``low``, ``high``
        (species, distance) and ``potential``, SI.
    """
    figure, (left, right) = panels(2)
    names = list(solution["species"].values)
    d, seen = solution["distance"].values / NM, reference["distance"].values / NM
    for i, name in enumerate(names):
        shade = colour(name, names)
        low, high = (reference[k].values[i] * NM**3 for k in ("low", "high"))
        left.fill_between(seen, low, high, color=shade, alpha=0.3, lw=0)
        c = solution["concentration"].values[0, i] * NM**3
        left.plot(d, c, color=shade, label=f"{name}: solver (band: MD, 95 %)")
    finish(left, "Closure: solver at the MD's own state", "distance from wall (nm)",
           "concentration (nm$^{-3}$)")  # fmt: skip
    phi = solution["potential"].values
    band(right, d, phi[0], *limits(phi, solution), BLACK, "solver")
    right.plot(seen, reference["potential"].values, color=ORANGE, ls="--", label="MD")
    finish(right, "Potential", "distance from wall (nm)", "phi (V)")
    return figure


def resistance(solution: xr.Dataset, intervals: dict[str, dict]) -> Figure:
    """Resistance of the interface per species beside the same path filled with bulk."""
    figure, (ax,) = panels(1, width=5.4)
    names = list(solution["species"].values)
    place = np.arange(len(names))
    for offset, key, shade, label in (
        (-0.2, "resistance", BLUE, "interface (solver)"),
        (0.2, "resistance_bulk", "#999999", "same path, bulk"),
    ):
        values = solution[key].values[0]
        ax.bar(place + offset, values * 1e12, 0.36, color=shade, label=label)
    exact = solution["resistance_exact"].values[0] * 1e12
    ax.plot(place - 0.2, exact, "D", color=BLACK, ms=5, label="linear-response integral")
    for i, name in enumerate(names):
        low, high = intervals[name]["ci95"]
        value = intervals[name]["value"]
        ax.errorbar(
            i - 0.2, value * 1e12, [[(value - low) * 1e12], [(high - value) * 1e12]],
            color=BLACK, capsize=4, lw=1,
        )  # fmt: skip
    ax.set_xticks(place, names)
    finish(ax, "Transport resistance, 95 % interval", "species",
           "R (10$^{-12}$ ohm m$^2$)", legend=False)  # fmt: skip
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    return figure


def snapshot(frames: xr.Dataset, walls: tuple[float, float]) -> Figure:
    """The slab, seen along y: the last frame, nearer ions drawn larger."""
    figure, (ax,) = panels(1, width=9.2, height=4.4)
    x, y, z = frames["positions"].values[-1].T / NM
    lengths = np.diag(frames["box"].values[-1]) / NM
    x, y = x % lengths[0], y % lengths[1]
    species = frames["species"].values
    names = list(dict.fromkeys(species))
    radius = {"Na": 0.10, "Cl": 0.18}
    z0, z1 = (w / NM for w in walls)
    for index in np.argsort(-y):
        depth = 1 - 0.45 * y[index] / lengths[1]
        size = radius.get(species[index], 0.14)
        size_points = (size * 2 * 72 * 8.2 / (z1 - z0)) ** 2 * depth
        ax.scatter(
            z[index] - z0, x[index], s=size_points, color=colour(species[index], names),
            alpha=0.35 + 0.6 * (depth - 0.55) / 0.45, edgecolors="white", linewidths=0.4,
        )  # fmt: skip
    for name in names:
        ax.scatter([], [], s=60, color=colour(name, names), label=name)
    for wall in (0, z1 - z0):
        ax.axvline(wall, color=BLACK, lw=3)
    ax.set_aspect("equal")
    ax.set_xlim(-0.05, z1 - z0 + 0.05)
    finish(ax, "The slab between its walls (last frame)", "z (nm)", "x (nm)",
           legend=False)  # fmt: skip
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2)
    return figure
