"""Stage: the report, from what every other stage left."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import xarray as xr

from ...core.artefact import read_dataset, read_json, write_text
from ...core.cautions import cautions
from ...core.page import Page, with_interval
from ...core.style import to_svg
from ..pipeline.summary import merge_results
from ..report import figures

#: Bulk self-diffusion of the ions at 1200 K, 1e-9 m2/s, and where it comes from.
LITERATURE_D = {
    "Na": "13.0 (22Na tracer, experiment: Ejima et al. 1974)",
    "Cl": "no measurement known to us",
}


def report(inputs: dict[str, Path], settings: dict, out: Path, context) -> dict:
    """Write ``report.html``: one self-contained page with figures and numbers."""
    metas = {name: read_json(folder / "meta.json") for name, folder in inputs.items()}
    summary: dict = {}
    for meta in metas.values():
        merge_results(summary, meta["results"])
    page = Page(
        f"{settings['name']}: from forces to the resistance of an interface",
        "Molten NaCl between charged walls. An oracle's forces train a potential; its MD "
        "gives bulk and interface; force matching gives beads; Nernst-Planck gives the "
        "resistance. Every number here was computed by this run.",
    )
    _headline(page, summary)
    sections = (_learning, _bulk, _interface, _beads, _transport, _numbers)
    for index, section in enumerate(sections):
        section(page, inputs, summary)
        context.progress(index + 1, len(sections) + 1, "figures")
    _provenance(page, metas)
    write_text(out / "report.html", page.render())
    return {}


def _headline(page: Page, summary: dict) -> None:
    potential, bulk = summary["potential"], summary["bulk"]
    ratio = potential["force_rmse_eV_A"] / potential["force_std_eV_A"]
    interface = summary["interface"]
    tiles = [(f"{100 * ratio:.1f} %", "held-out force RMSE over force std")]
    for name, item in interface["resistance_ohm_m2"].items():
        text = with_interval(item, 1e-12)
        tiles.append((f"{text} pΩ m²", f"resistance of the interface, {name}"))
    for key in ("D_Na", "D_Cl"):
        tiles.append((f"{with_interval(bulk[key], 1e-9, 1)} nm²/ns", f"bulk {key}"))
    if not interface["stationary"]:
        tiles.insert(0, ("not steady", "the slab failed a check: see The interface"))
    page.tiles(tiles)


def _learning(page: Page, inputs: dict[str, Path], summary: dict) -> None:
    p = summary["potential"]
    settings = read_json(inputs["validate"] / "meta.json")["settings"]
    ions, learned = settings["ions"], "what formal-charge Coulomb leaves of "
    if settings["electrostatics"] == "predicted":
        learned = "charges of ions, their Coulomb energy and the rest of "
    page.section(
        "The potential",
        f"A Cartesian atomic-cluster-expansion potential learns {learned}"
        "the oracle's forces. Held-out frames come from other runs.",
        f"A step of {ions} ions takes {p['ms_per_step']:.1f} ms with the potential and "
        f"{p['oracle_ms_per_step']:.1f} ms with this oracle (one thread each, in turns). "
        "This oracle is a cheap classical model, so nothing is gained here in speed: the "
        "speed-up over DFT is measured elsewhere. To use DFT, pass its ASE calculator to "
        "`mesobridge.atomistic.oracle.label`.",
    )
    with np.load(inputs["validate"] / "parity.npz", allow_pickle=False) as data:
        parity = dict(data)
    curve = read_json(inputs["train"] / "curve.json")["curve"]
    page.figure(
        to_svg(figures.learning(curve, parity, p), "learning"),
        "Left: each held-out force component, Coulomb included. Right: error on held-out "
        "frames while training.",
    )


def _bulk(page: Page, inputs: dict[str, Path], summary: dict) -> None:
    page.section(
        "Bulk melt",
        "The same box, temperature and thermostat with the oracle and with the learned "
        "potential. Diffusion coefficients are those of the box, without the Yeh-Hummer "
        "correction.",
    )
    curves = read_json(inputs["bulk_analysis"] / "rdf.json")
    page.figure(
        to_svg(figures.rdfs(curves, "Bulk"), "rdf"),
        "Radial distribution functions with 95 % bands from time blocks.",
    )


def _interface(page: Page, inputs: dict[str, Path], summary: dict) -> None:
    profiles = read_dataset(inputs["profiles"] / "profiles.nc", "interface-profiles/1")
    frames = read_dataset(inputs["slab_0"] / "slab.nc", "frames/1")
    faces = profiles["z_face"].values
    doubts = [f"Caution: {text}." for text in cautions(profiles)]
    page.section("The interface", _charge_text(profiles), _verdict(inputs), *doubts)
    page.figure(
        to_svg(figures.snapshot(frames, (faces[0], faces[-1])), "slab"),
        "Ions of the last frame, seen along y; black lines are the walls.",
    )
    page.figure(
        to_svg(figures.densities(profiles), "densities"),
        "Bands: 95 %, joint block bootstrap. The gauge of phi is zero in the middle.",
    )
    page.figure(
        to_svg(figures.mobility(profiles), "mobility"),
        "W and D where ions go. D perpendicular: Fokker-Planck maximum likelihood; D "
        "parallel: slab mean-square displacement of the ions that stay.",
    )


def _charge_text(profiles: xr.Dataset) -> str:
    left = profiles.attrs["surface_charge_left"]
    right = profiles.attrs["surface_charge_right"]
    return (
        f"ML-MD of the slab between 9-3 Lennard-Jones walls that carry {left:+.3f} "
        f"(left) and {right:+.3f} C/m2 (right). All charges are explicit, so the "
        "continuum uses the permittivity of vacuum."
    )


def _verdict(inputs: dict[str, Path]) -> str:
    found = read_json(inputs["profiles"] / "stationarity.json")
    return f"Stationarity: {found['verdict']}"


def _beads(page: Page, inputs: dict[str, Path], summary: dict) -> None:
    page.section(
        "Coarse-grained beads",
        "One bead per ion. Streaming force matching of the ML-MD's forces after "
        "formal-charge Coulomb gives pair potentials; a run with them is compared with "
        "the ML-MD.",
    )
    pmf = read_dataset(inputs["force_matching"] / "pair_pmf.nc", "pair-pmf/1")
    page.figure(
        to_svg(figures.pair_potentials(pmf), "beads"),
        "Short-range part of the pair potential of mean force with 95 % bands.",
    )
    curves = read_json(inputs["coarse_run"] / "rdf.json")
    rmse = summary["cg"]["rdf_rmse"]
    page.figure(
        to_svg(figures.rdfs(curves, "Beads"), "cg-rdf"),
        f"Beads beside ML-MD; rms difference of g(r): {rmse:.3f}.",
    )


def _transport(page: Page, inputs: dict[str, Path], summary: dict) -> None:
    solution = read_dataset(inputs["transport"] / "solution.nc", "transport-solution/1")
    with xr.open_dataset(inputs["transport"] / "reference.nc", engine="h5netcdf") as lazy:
        reference = lazy.load()
    found = summary["interface"]
    page.section(
        "Nernst-Planck-Poisson at the interface",
        "The solver gets mu_ex = W - z e phi and D from the profiles. At the MD's own "
        "state it must return the MD's concentrations: phi is recomputed from the "
        "ions, never copied. A mean field alone cannot overscreen; mu_ex carries what "
        "the ions do to each other.",
        f"Closure (a round trip on the data that W comes from): largest |c_PNP - c_MD| / "
        f"c_bulk = {found['closure_max_rel']:.3f}; "
        f"{100 * found['closure_inside']:.0f} % of the cells inside the 95 % band.",
    )
    page.figure(
        to_svg(figures.transport(solution, reference), "closure"),
        "Lines: solver. Bands: MD.",
    )
    page.figure(
        to_svg(figures.resistance(solution, found["resistance_ohm_m2"]), "resistance"),
        "From the bulk plane to the first maximum of that species' density. Small-bias "
        "solve, its linear-response integral, and the same path filled with bulk melt.",
    )


def _numbers(page: Page, inputs: dict[str, Path], summary: dict) -> None:
    p, bulk, interface = summary["potential"], summary["bulk"], summary["interface"]
    settings = read_json(inputs["profiles"] / "meta.json")["settings"]
    near_1200 = abs(settings["temperature"] - 1200) < 25
    page.section(
        "Numbers",
        "Brackets are statistical 95 % confidence intervals. The systematic part of R is "
        "half of its change when D perpendicular moves by its spread over lag and cells.",
    )
    goals = [
        _row("force RMSE / std", p["force_rmse_eV_A"] / p["force_std_eV_A"], "<=", 0.06),
        _row("stress RMSE / std", p["stress_rmse_GPa"] / p["stress_std_GPa"], "<=", 0.10),
        _row("NVE drift (meV/atom/ps)", p["nve_drift_meV_atom_ps"], "<=", 0.1),
    ]
    for pair, shift in bulk["rdf_peak_difference"].items():
        for what, value in shift.items():
            name = f"first RDF peak {pair}, {what}: ML / oracle - 1"
            goals.append(_row(name, value, "<=", 0.02))
    page.table(("quantity", "this run", "target"), goals)
    rows: list[tuple[str, ...]] = []
    for name in ("Na", "Cl"):
        rows.append(
            (
                f"D bulk {name} (1e-9 m2/s)",
                with_interval(bulk[f"D_{name}"], 1e-9),
                with_interval(bulk[f"oracle_D_{name}"], 1e-9),
                LITERATURE_D[name] if near_1200 else "at another temperature",
            )
        )
    spread = interface["resistance_systematic_ohm_m2"]
    for name, item in interface["resistance_ohm_m2"].items():
        exact = interface["resistance_exact_ohm_m2"][name]
        path = interface["resistance_bulk_ohm_m2"][name]
        rows.append(
            (
                f"R interface {name} (1e-12 ohm m2)",
                f"{with_interval(item, 1e-12)} ± {spread[name] / 1e-12:.2f} systematic",
                f"{exact / 1e-12:.3f} (linear-response integral)",
                f"{path / 1e-12:.3f} (same path, bulk)",
            )
        )
    page.table(("quantity", "this run", "reference", "literature / comparison"), rows)


def _row(name: str, value: float, op: str, target: float) -> tuple[str, str, str]:
    mark = "" if abs(value) <= target else "!"
    return name, f"{mark}{value:.4g}", f"{op} {target:g}"


def _provenance(page: Page, metas: dict[str, dict]) -> None:
    page.section("Time and provenance")
    page.table(
        ("stage", "wall time (s)", "key"),
        [(name, f"{m['wall_s']:.1f}", m["key"][:12]) for name, m in metas.items()],
    )
    made: dict[str, list[str]] = {}
    for name, meta in metas.items():
        made.setdefault(json.dumps(meta["provenance"], indent=2), []).append(name)
    for text, names in made.items():
        page.listing(f"Software and hardware of {', '.join(names)}", text)
    page.listing(
        "Settings of every stage",
        json.dumps({name: m.get("settings", {}) for name, m in metas.items()}, indent=2),
    )
