"""The picture of the README, from a finished run: `python docs/picture.py RUN_FOLDER`."""

import sys
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib.figure import Figure

from mesobridge.bridges.report.figures import limits
from mesobridge.core.artefact import read_dataset, read_json
from mesobridge.core.style import BLACK, band, colour, finish
from mesobridge.core.units import NM, thermal_energy


def main(folder: Path) -> None:
    """Four panels: ions, PMF, D, and the solver beside the MD."""
    keys = read_json(folder / "stages.json")
    place = {name: folder / "store" / key for name, key in keys.items()}
    frames = read_dataset(place["slab_0"] / "slab.nc", "frames/1")
    profiles = read_dataset(place["profiles"] / "profiles.nc", "interface-profiles/1")
    solution = read_dataset(place["transport"] / "solution.nc", "transport-solution/1")
    summary = read_json(folder / "summary.json")
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    axes = figure.subplots(2, 2)
    ions(axes[0, 0], frames, profiles)
    works(axes[0, 1], profiles)
    mobilities(axes[1, 0], profiles)
    solver(axes[1, 1], solution, profiles, summary["interface"]["resistance_ohm_m2"])
    figure.savefig(Path(__file__).parent / "overview.png", dpi=110)


def ions(ax, frames, profiles) -> None:
    """Last frame, seen along y."""
    faces = profiles["z_face"].values / NM
    x, _, z = frames["positions"].values[-1].T / NM
    x = x % (frames["box"].values[0, 0, 0] / NM)
    names = list(profiles["species"].values)
    look = {"alpha": 0.75, "edgecolors": "white", "linewidths": 0.4}
    for name, size in zip(names, (60, 190), strict=True):
        chosen = frames["species"].values == name
        place = z[chosen] - faces[0], x[chosen]
        ax.scatter(*place, s=size, color=colour(name, names), label=name, **look)
    for wall in (0, faces[-1] - faces[0]):
        ax.axvline(wall, color=BLACK, lw=3)
    title = "1  ML-MD of molten NaCl between charged walls"
    finish(ax, title, "z (nm)", "x (nm)", legend=False)
    ax.set_xlim(-0.1, 3.75)
    ax.legend(loc="center right", frameon=False)


def works(ax, profiles) -> None:
    """W of both species."""
    kT = thermal_energy(profiles.attrs["temperature"])
    z = (profiles["z"].values - profiles["z_face"].values[0]) / NM
    names = list(profiles["species"].values)
    for i, name in enumerate(names):
        seen = profiles["pmf"].values[0, i] < 2 * kT
        values = profiles["pmf"].values[:, i][:, seen] / kT
        low, high = limits(values, profiles)
        band(ax, z[seen], values[0], low, high, colour(name, names), name)
    finish(ax, "2  potentials of mean force, 95 % bands", "z (nm)", "W / kT")


def mobilities(ax, profiles) -> None:
    """D across the interface."""
    faces = (profiles["z_face"].values - profiles["z_face"].values[0]) / NM
    names = list(profiles["species"].values)
    middle = 0.5 * (faces[1:] + faces[:-1])
    often = profiles["number_density"].values[0].min(axis=0) * NM**3 > 3
    seen = np.interp(faces, middle, often.astype(float)) > 0.5
    for i, name in enumerate(names):
        values = profiles["D_perp"].values[:, i][:, seen] / 1e-9
        low, high = limits(values, profiles)
        band(ax, faces[seen], values[0], low, high, colour(name, names), name)
    ax.set_ylim(0, 25)
    unit = "(10$^{-9}$ m$^2$ s$^{-1}$)"
    finish(ax, "3  diffusion across the slab", "z (nm)", f"D$_\\perp$ {unit}")


def solver(ax, solution, profiles, resistances) -> None:
    """Concentrations of the solver on the bands of the MD."""
    z = (profiles["z"].values - profiles["z_face"].values[0]) / NM
    near = z < solution["distance"].values[-1] / NM
    names = list(solution["species"].values)
    for i, name in enumerate(names):
        low, high = limits(profiles["number_density"].values[:, i] * NM**3, profiles)
        shade, r = colour(name, names), resistances[name]
        half = 0.5e12 * (r["ci95"][1] - r["ci95"][0])
        ax.fill_between(z[near], low[near], high[near], color=shade, alpha=0.3, lw=0)
        c = solution["concentration"].values[0, i] * NM**3
        label = f"{name}: R = {r['value'] * 1e12:.2f} ± {half:.2f} pΩ m²"
        ax.plot(solution["distance"].values / NM, c, color=shade, label=label)
    finish(ax, "4  Nernst-Planck-Poisson (lines) and MD (bands)",
           "distance from the left wall (nm)", "concentration (nm$^{-3}$)")  # fmt: skip


if __name__ == "__main__":
    main(Path(sys.argv[1]))
