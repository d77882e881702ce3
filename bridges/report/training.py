"""The report of a training: learning curve, parity, errors with intervals, data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...atomistic.potential import TrainingResult
from ...atomistic.potential.data import load_frames
from ...atomistic.potential.predictions import (
    UNITS,
    Predictions,
    error_table,
    predict,
    row_of,
)
from ...atomistic.potential.reading import is_isolated
from ...atomistic.potential.settings import build_model
from ...core.page import Page
from ...core.style import BLUE, GREEN, ORANGE, colour, finish, panels, parity, to_svg
from ...core.units import ANGSTROM, EV
from ..pipeline.provenance import provenance
from .errors import error_tables, interval
from .training_data import data_section
from .uncertainty import uncertainty_tables

#: Panels of one row, and groups that get a colour of their own.
PANELS, GROUPS = 3, 6
#: What a baseline leaves of labels.
LEFT = ("energy", "forces", "stress")
#: Titles of panels of quantities by group.
TITLES = {
    "energy": "Energy beyond that of the elements", "stress": "Stress",
    "charge": "Charges", "dipole": "Dipoles", "born_charge": "Born charges",
}  # fmt: skip


def judge(
    result: TrainingResult, validation: Sequence[xr.Dataset]
) -> tuple[Predictions | None, list[dict]]:
    """Predictions on validation frames, and their errors; ``None`` without frames."""
    tensors = {k: torch.from_numpy(v) for k, v in result.tensors.items()}
    model = build_model(result.settings, tensors)
    frames = load_frames(validation, result.settings.species, model.cutoff)
    if not frames:
        return None, []
    found = predict(model, frames, result.settings.species)
    return found, error_table(found)


def baseline_alone(
    result: TrainingResult, data, found: Predictions | None
) -> dict | None:
    """Name and errors of the baseline on the same frames, had nothing been learned.

    Labels of the network are what the baseline leaves: its errors are their size, of
    energies beyond those of the elements, fitted to the training frames.
    """
    if result.baseline is None or found is None:
        return None
    species = result.settings.species
    counts, energy = _energies([d for d in data.training if not is_isolated(d)], species)
    elements = np.linalg.lstsq(counts, energy, rcond=None)[0]
    counts, energy = _energies(data.validation, species)
    left = {name: of.values[0] for name, of in found.pairs.items() if name in LEFT}
    left["energy"] = ((energy - counts @ elements) / counts.sum(1))[:, None]
    pairs = {
        name: replace(found.pairs[name], values=np.stack([values, 0 * values]))
        for name, values in left.items()
    }
    table = error_table(replace(found, pairs=pairs))
    whole = [r for r in table if r["group"] == "all" and r["element"] is None]
    return {"source": result.baseline["source"], "errors": whole}


def _energies(sets: Sequence[xr.Dataset], species: Sequence[str]):
    """Atoms of each element in each frame, shape (F, S), and energies, eV."""
    counts = [
        np.tile(
            [(ds["species"].values == s).sum() for s in species], (ds.sizes["frame"], 1)
        )
        for ds in sets
    ]
    energies = [ds["energy"].values / EV for ds in sets]
    return np.concatenate(counts).astype(float), np.concatenate(energies)


def training_page(
    config,
    data,
    result: TrainingResult,
    found: Predictions | None,
    errors: list[dict],
    alone: dict | None,
    sure,
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
    alone
        As `baseline_alone` gives it.
    sure
        `Sureness` of `bridges.training_uncertainty`.
    """
    s = result.settings
    page = Page(f"{config.run.name}: training of a potential", _lead(result, found))
    steps = result.curve[-1]["step"] if result.curve else 0
    page.tiles([*_headlines(errors), (f"{steps}", "training steps")])
    if result.curve and found is not None:
        page.section("Learning")
        page.figure(
            to_svg(learning_curve(result.curve), "curve"),
            "Errors of the averaged weights on (at most 48) held-out frames.",
        )
        _parity(page, found)
        _errors(page, errors, alone)
    if s.charges is not None:
        _charges(page, dict(zip(s.species, s.charges, strict=True)), found)
    page.section("Uncertainty of forces", sure.text)
    if sure.rows:
        uncertainty_tables(page, sure.rows, sure.curves)
    data_section(page, data)
    page.section("Settings and provenance")
    page.listing("Settings", config.model_dump_json(indent=2))
    page.listing("Software and hardware", json.dumps(provenance(), indent=2))
    return page


def _lead(result: TrainingResult, found: Predictions | None) -> str:
    s = result.settings
    return (
        f"{', '.join(s.species)}; Cartesian ACE of {s.layers} layer(s), {s.channels} "
        f"channels, cut-off {s.cutoff / ANGSTROM:g} Å"
        + ("" if s.charges is None else ", with predicted charges")
        + (
            ". Errors are those on frames that were held out."
            if found is not None
            else ". No frame was held out: its errors are not known."
        )  # fmt: skip
        + _baseline_line(result)
    )


def _headlines(errors: list[dict]) -> list[tuple[str, str]]:
    """Tiles of errors."""
    names = {"forces": "force RMSE", "energy": "energy RMSE", "stress": "stress RMSE"}
    there = {row["quantity"] for row in errors}
    rows = {text: row_of(errors, name) for name, text in names.items() if name in there}
    return [
        (f"{interval(row['rmse'])} {row['unit']}", text) for text, row in rows.items()
    ]


def _errors(page: Page, errors: list[dict], alone: dict | None) -> None:
    page.section(
        "Errors",
        "On held-out frames; brackets are 95 % intervals from resampled frames, too "
        "narrow where frames of one trajectory are alike.",
    )
    error_tables(page, errors)
    if alone is not None:
        page.section(
            "Errors of the baseline",
            f"On the same frames, by {alone['source']} and fitted energies of the "
            "elements alone.",
        )
        error_tables(page, alone["errors"])


def _baseline_line(result: TrainingResult) -> str:
    if result.baseline is None:
        return ""
    return (
        f" The baseline {result.baseline['source']} was subtracted from the labels and "
        "is added in use: labels below are what it leaves, errors those of the sum."
    )


def learning_curve(curve: list[dict]) -> Figure:
    """Errors of forces, energies and, where labelled, stress against the step."""
    shown = [
        ("force_rmse", "Force", 1e3, "meV/Å", BLUE),
        ("energy_rmse", "Energy", 1.0, "meV/atom", ORANGE),
        ("stress_rmse", "Stress", 1.0, "GPa", GREEN),
    ]
    shown = [line for line in shown if curve[-1].get(line[0]) is not None]
    figure, axes = panels(len(shown))
    steps = [point["step"] for point in curve]
    for ax, (key, what, scale, unit, shade) in zip(axes, shown, strict=True):
        errors = [point[key] * scale for point in curve]
        ax.semilogy(steps, errors, color=shade, marker="o", ms=3)
        finish(ax, f"{what} RMSE (held out)", "training step", unit)
    return figure


def _figures(
    page: Page, names: Sequence[str], caption: str
) -> Iterator[tuple[Axes, str]]:
    """Axes for each name, a few a figure."""
    for start in range(0, len(names), PANELS):
        some = names[start : start + PANELS]
        figure, axes = panels(len(some), width=3.3 * max(2, len(some)), height=2.9)
        yield from zip(axes, some, strict=True)
        page.figure(to_svg(figure, f"{some[0]}-{start}"), caption)


def _parity(page: Page, found: Predictions) -> None:
    forces = found.pairs["forces"]
    elements = sorted(set(forces.element))
    for ax, name in _figures(page, elements, "Components of forces, by element."):
        values = forces.values[:, forces.element == name]
        parity(ax, values[0].ravel(), values[1].ravel())
        finish(ax, f"Forces on {name}", "label (eV/Å)", "potential (eV/Å)")
    shown = [name for name in TITLES if name in found.pairs]
    for ax, name in _figures(page, shown, "Quantities of frames and atoms, by group."):
        pairs, (plain, small, scale) = found.pairs[name], UNITS[name]
        unit, scale = (small, scale) if name == "energy" else (plain, 1.0)
        group = np.repeat(found.group[pairs.frame], pairs.values.shape[2])
        _by_group(ax, scale * pairs.values.reshape(2, -1), group)
        finish(ax, TITLES[name], f"label ({unit})", f"potential ({unit})",
               legend=name == shown[0])  # fmt: skip


def _charges(page: Page, guess: dict[str, float], found: Predictions | None) -> None:
    """What charges the potential gives to elements."""
    page.section(
        "Predicted charges",
        "Energies, forces and stress are with the Coulomb energy of the predicted "
        "charges, as the labels are; energies alone do not tell the sign of charges.",
    )
    if found is not None:
        page.table(
            ("element", "guess (e)", "mean (e)", "standard deviation (e)", "atoms"),
            [
                (name, f"{guess[name]:+.3f}", f"{q.mean():+.3f}", f"{q.std():.3f}",
                 str(len(q)))
                for name, q in found.charges.items()
            ],
        )  # fmt: skip


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
