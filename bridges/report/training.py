"""The report of a training: learning curve, parity, errors with intervals, data."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

from ...atomistic.potential import TrainingResult
from ...atomistic.potential.data import load_frames
from ...atomistic.potential.predictions import Predictions, error_table, predict
from ...atomistic.potential.settings import build_model
from ...core.page import Page, with_interval
from ...core.style import BLUE, ORANGE, colour, finish, panels, parity, to_svg
from ...core.units import ANGSTROM, EV
from ..pipeline.provenance import provenance

#: Panels of one row, and groups that get a colour of their own.
PANELS, GROUPS = 3, 6


def judge(
    result: TrainingResult, validation: Sequence[xr.Dataset]
) -> tuple[Predictions | None, dict]:
    """Predictions on validation frames, and their errors; ``None`` without frames."""
    tensors = {k: torch.from_numpy(v) for k, v in result.tensors.items()}
    model = build_model(result.settings, tensors)
    frames = load_frames(validation, result.settings.species, model.cutoff)
    if not frames:
        return None, {}
    found = predict(model, frames)
    return found, error_table(found, result.settings.species)


def training_page(
    config, data, result: TrainingResult, found: Predictions | None, errors: dict
) -> Page:
    """The page.

    Parameters
    ----------
    config, data
        `TrainingConfig` and `Labelled` of `bridges.training`.
    result
        What `train` returned.
    found, errors
        As `judge` gives them.
    """
    s = result.settings
    page = Page(
        f"{config.run.name}: training of a potential",
        f"{', '.join(s.species)}; Cartesian ACE of {s.layers} layer(s), {s.channels} "
        f"channels, cut-off {s.cutoff / ANGSTROM:g} Å. Errors are those on frames that "
        "were held out.",
    )
    steps = result.curve[-1]["step"] if result.curve else 0
    tiles = [(f"{steps}", "training steps")]
    if errors:
        total = errors["all"]
        tiles = [
            (f"{with_interval(total['force']['rmse'], digits=1)} meV/Å", "force RMSE"),
            (f"{with_interval(total['energy']['rmse'])} meV/atom", "energy RMSE"),
            *tiles,
        ]
    page.tiles(tiles)
    if result.curve and found is not None:
        page.section("Learning")
        page.figure(
            to_svg(learning_curve(result.curve), "curve"),
            "Errors of the averaged weights on (at most 48) held-out frames.",
        )
        _parity(page, s.species, found)
        _errors(page, errors)
    _data(page, data)
    page.section("Settings and provenance")
    page.listing("Settings", config.model_dump_json(indent=2))
    page.listing("Software and hardware", json.dumps(provenance(), indent=2))
    return page


def learning_curve(curve: list[dict]) -> Figure:
    """Force and energy errors against the step."""
    figure, axes = panels(2)
    for ax, key, scale, unit, shade in (
        (axes[0], "force_rmse", 1e3, "meV/Å", BLUE),
        (axes[1], "energy_rmse", 1.0, "meV/atom", ORANGE),
    ):
        steps = [point["step"] for point in curve]
        ax.semilogy(steps, [point[key] * scale for point in curve], color=shade,
                    marker="o", ms=3)  # fmt: skip
        what = "Force" if key == "force_rmse" else "Energy"
        finish(ax, f"{what} RMSE, held-out frames", "training step", unit)
    return figure


def _parity(page: Page, species: Sequence[str], p: Predictions) -> None:
    for start in range(0, len(species), PANELS):
        names = species[start : start + PANELS]
        figure, axes = panels(len(names), width=3.3 * max(2, len(names)), height=2.9)
        for offset, (ax, name) in enumerate(zip(axes, names, strict=True)):
            rows = p.species == start + offset
            if rows.any():
                parity(ax, p.forces[0, rows].ravel(), p.forces[1, rows].ravel())
            finish(ax, f"Forces on {name}", "label (eV/Å)", "potential (eV/Å)")
        page.figure(
            to_svg(figure, f"forces-{start}"), "Components of forces, by element."
        )
    figure, axes = panels(
        2 if len(p.stressed) else 1, width=9.2 if len(p.stressed) else 5
    )
    _by_group(axes[0], p.energy * 1e3, p.group)
    finish(axes[0], "Energy beyond the elements' own", "label (meV/atom)",
           "potential (meV/atom)")  # fmt: skip
    if len(p.stressed):
        _by_group(axes[1], p.stress.reshape(2, -1), np.repeat(p.group[p.stressed], 9))
        finish(axes[1], "Stress", "label (GPa)", "potential (GPa)", legend=False)
    page.figure(to_svg(figure, "groups"), "Energies (and stress) of frames, by group.")


def _by_group(ax, values: np.ndarray, group: np.ndarray) -> None:
    low, high = values.min(), values.max()
    ax.plot([low, high], [low, high], color="#999999", lw=0.7, ls=":")
    names = list(dict.fromkeys(group))
    for name in names[:GROUPS]:
        rows = group == name
        ax.plot(*values[:, rows], ".", ms=4, color=colour(name, names), label=str(name))
    if len(names) > GROUPS:
        rows = ~np.isin(group, names[:GROUPS])
        ax.plot(*values[:, rows], ".", ms=4, color="#999999", label="others")


def _errors(page: Page, errors: dict) -> None:
    page.section(
        "Errors",
        "Root mean squared errors on held-out frames; brackets are 95 % intervals from "
        "resampled frames, too narrow where frames of one trajectory are alike.",
    )
    rows = []
    for name, row in errors.items():
        cells = [name, str(row["frames"])]
        for key, digits in (("force", 1), ("energy", 2), ("stress", 3)):
            cells.append(_cell(row, key, "rmse", digits))
        rows.append((*cells, _cell(row, "force", "mae", 1)))
    page.table(
        ("frames of", "number", "force (meV/Å)", "energy (meV/atom)", "stress (GPa)",
         "force, mean absolute (meV/Å)"),
        rows,
    )  # fmt: skip


def _cell(row: dict, key: str, what: str, digits: int) -> str:
    if key not in row:
        return "-"
    if row["frames"] == 1:
        return f"{row[key][what]['value']:.{digits}f}"
    return with_interval(row[key][what], digits=digits)


def _data(page: Page, data) -> None:
    texts = []
    if data.units is not None:
        u = data.units
        texts.append(
            f"Units: energies go along with the forces with a slope of {u.slope:.2f} ± "
            f"{u.error:.2f} (a linear potential fitted to the forces of {u.frames} "
            f"frames, {100 * u.explained:.0f} % of their square explained); 1 when both "
            "are in one set of units."
        )
    page.section("Data", *texts)
    rows = []
    for what, sets in (("training", data.training), ("held out", data.validation)):
        for ds in sets:
            for group in dict.fromkeys(ds["group"].values):
                rows.append((what, *_summary(ds.isel(frame=ds["group"].values == group))))
    head = ("use", "group", "composition", "frames", "periodic", "stress",
            "force rms (eV/Å)", "energy std (meV/atom)")  # fmt: skip
    page.table(head, rows)


def _summary(ds: xr.Dataset) -> tuple[str, ...]:
    kinds, numbers = np.unique(ds["species"].values, return_counts=True)
    forces = ds["forces"].values / (EV / ANGSTROM)
    energy = ds["energy"].values / EV / ds.sizes["atom"]
    return (
        str(ds["group"].values[0]),
        " ".join(f"{k}{n}" for k, n in zip(kinds, numbers, strict=True)),
        str(ds.sizes["frame"]),
        ds.attrs.get("pbc", "TTT"),
        "yes" if "stress" in ds else "no",
        f"{np.sqrt((forces**2).mean()):.3f}",
        f"{1e3 * energy.std():.2f}",
    )
