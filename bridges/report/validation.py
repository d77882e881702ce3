"""The page of a validation."""

from __future__ import annotations

from ...core.page import Page
from ...core.style import to_svg
from . import validation_figures as draw
from .errors import error_tables, interval
from .uncertainty import uncertainty_tables

AXES = ("xx", "yy", "zz", "yz", "xz", "xy")


def validation_page(summary: dict, parts: dict[str, dict]) -> str:
    """HTML of a validation.

    Parameters
    ----------
    summary
        As in ``validation.json``.
    parts
        Name -> figures, checks and curves.
    """
    checks = [c for p in parts.values() for c in p["checks"]]
    judged = [c for c in checks if c["ok"] is not None]
    good = sum(c["ok"] for c in judged)
    lead = f"{good} of {len(judged)} checks passed"
    if len(judged) < len(checks):
        lead += f"; {len(checks) - len(judged)} could not be judged"
    page = Page(f"Validation of {summary['potential']}", lead)
    page.section("Verdicts")
    page.table(
        ("", "check", "value", "wanted", "note"),
        [_verdict(c) for c in checks],
    )
    for name, write in _SECTIONS.items():
        if name in parts and parts[name]["figures"]:
            write(page, parts[name]["figures"], parts[name]["curves"])
    return page.render()


def _verdict(c: dict) -> tuple[str, ...]:
    mark = {True: "ok", False: "!FAILED", None: "not judged"}[c["ok"]]
    value = "-" if c["value"] is None else f"{c['value']:.3g}"
    unit = "" if c["unit"] == "1" else f" {c['unit']}"
    return mark, c["name"], value + unit, c["wanted"] + unit, c["note"]


def _errors(page: Page, figures: dict, curves: dict) -> None:
    page.section(
        "Errors on labelled frames", "Intervals are 95 %, by bootstrap over frames."
    )
    error_tables(page, figures["rows"])
    page.figure(
        to_svg(draw.parity(curves), "parity"), "Predicted against reference values."
    )


def _uncertainty(page: Page, figures: dict, curves: dict) -> None:
    trained = ", ".join(figures["trained"])
    page.section(
        "Uncertainty of forces",
        "Intervals promise what they say for frames like those they were calibrated on, "
        "and for no others; on these frames they hold what the table says. Frames that "
        "were used to train or to calibrate would flatter."
        + (f" Groups that were trained on: {trained}." if trained else ""),
    )
    uncertainty_tables(page, figures["rows"], curves)


def _derivatives(page: Page, figures: dict, curves: dict) -> None:
    text = f"Forces differ from the slope of the energy by {figures['force_error']:.1e}."
    if figures["stress_error_GPa"] is not None:
        text += f" The stress differs by {figures['stress_error_GPa']:.1e} GPa."
    page.section("Forces and stress as derivatives of the energy", text)


def _elastic(page: Page, figures: dict, curves: dict) -> None:
    page.section(
        "Elastic constants",
        "At rest, atoms relaxed in every strained cell; GPa. From stress; in brackets "
        "from energies.",
    )
    rows = zip(AXES, figures["from_stress_GPa"], figures["from_energy_GPa"], strict=True)
    page.table(
        ("", *AXES),
        [
            (
                axis,
                *(f"{_plain(a)} ({_plain(b)})" for a, b in zip(one, other, strict=True)),
            )
            for axis, one, other in rows
        ],
    )
    if figures["cubic_GPa"]:
        page.tiles([(f"{v:.1f} GPa", k) for k, v in figures["cubic_GPa"].items()])


def _plain(x: float) -> str:
    return f"{round(x, 1) + 0.0:.1f}"  # no minus zero


def _state(page: Page, figures: dict, curves: dict) -> None:
    page.section("Equation of state")
    page.tiles([
        (f"{figures['volume_A3']:.3f} Å³", "V0 per atom"),
        (f"{figures['bulk_modulus_GPa']:.1f} GPa", "B0"),
        (f"{figures['derivative']:.2f}", "dB/dp"),
        (f"{figures['residual_meV']:.2g} meV/atom", "rms of the fit"),
    ])  # fmt: skip
    page.figure(to_svg(draw.state(curves, figures), "state"), "Energies at rest.")


def _phonons(page: Page, figures: dict, curves: dict) -> None:
    size = " x ".join(map(str, figures["supercell"]))
    page.section("Phonons")
    page.figure(
        to_svg(draw.phonons(curves), "phonons"),
        f"Finite displacements in {size} cells; imaginary frequencies would be drawn "
        "below zero.",
    )


def _temperature(page: Page, figures: dict, curves: dict) -> None:
    value, error = figures["temperature_K"], figures["temperature_error_K"]
    page.section(
        "Canonical run",
        f"Temperature {value:.1f} ± {error:.1f} K (standard error); variance of the "
        f"kinetic energy {figures['variance_ratio']:.2f} of the canonical one; "
        f"{100 * figures['step_error']:.2g} % of the kinetic energy are forgiven for "
        "the time step.",
    )
    if "pressure_GPa" in figures:
        page.table(
            ("pressure", "GPa"),
            [
                ("from the virial", interval(figures["pressure_GPa"]["virial"])),
                ("-dF/dV", interval(figures["pressure_GPa"]["volume"])),
                ("difference", interval(figures["pressure_GPa"]["difference"])),
            ],
        )
    page.figure(
        to_svg(draw.temperature(curves), "temperature"),
        "Right: all samples beside the chi-square law of the canonical ensemble.",
    )


def _energy(page: Page, figures: dict, curves: dict) -> None:
    page.section(
        "Energy conservation",
        f"Drift {figures['drift_meV_atom_ps']:.2g} ± {figures['drift_error']:.1g} "
        f"meV/atom/ps (standard error); fluctuation as dt^{figures['exponent']:.2f}.",
    )
    page.figure(
        to_svg(draw.energy(curves), "energy"),
        "Right: the same start, the same time, shorter and shorter steps.",
    )


def _structure(page: Page, figures: dict, curves: dict) -> None:
    page.section("Structure", "Bands are 95 %, from blocks of successive frames.")
    page.figure(
        to_svg(draw.structure(curves), "structure"), "Radial distribution functions."
    )


_SECTIONS = {
    "errors": _errors, "uncertainty": _uncertainty, "derivatives": _derivatives,
    "elastic": _elastic, "state": _state, "phonons": _phonons,
    "temperature": _temperature, "energy": _energy, "structure": _structure,
}  # fmt: skip
