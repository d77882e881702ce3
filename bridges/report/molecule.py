"""The page of a molecule: its free energies in atoms and in beads, and the verdict."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ...core.page import Page
from ...core.style import BLACK, BLUE, ORANGE, band, finish, panels, to_svg

LABELS = {
    "phi-psi": "φ, ψ", "phi": "φ", "psi": "ψ", "angle": "angle at CA",
    "ends": "end to end",
}  # fmt: skip
GATED = {"refined": "beads, refined", "matched": "beads, forces alone",
         "replica": "atoms, training replica"}  # fmt: skip
#: Free energies that maps show, and differences, kJ/mol.
SHOWN, APART = 30.0, 6.0
TICKS = [-180, -90, 0, 90, 180]
#: kJ/mol/nm in a kcal/mol/A.
KCAL_A = 41.84


def molecule_page(
    summary: dict, curves: dict[str, np.ndarray], metas: dict[str, dict]
) -> str:
    """HTML of a finished job.

    Parameters
    ----------
    summary
        What the stages told.
    curves
        Free energies, kJ/mol, of ``atoms``, ``refined`` and ``matched``, and edges.
    metas
        ``meta.json`` of each stage.
    """
    passed = summary["passed"]
    page = Page(
        "A molecule in atoms and in beads",
        "Atomistic runs with a bias on φ and ψ, the noise-optimal force map, a potential "
        "of mean force matched and refined, and its run. The model is made from one "
        "replica and judged by the other. "
        + ("It passes the gate." if passed else "It FAILS the gate: do not rely on it."),
    )
    _tiles(page, summary)
    page.section("Free energy of φ and ψ")
    page.figure(
        to_svg(_maps(curves), "surfaces"),
        "Left: both atomistic replicas, the bias taken off by weights. Middle: the "
        "refined beads. Right: beads minus atoms where both were seen; white is none. "
        "Zero is the minimum of each map.",
    )
    page.figure(
        to_svg(_lines(curves), "angles"),
        "Bands are 95 %, by bootstrap of blocks (atoms) and of replicas (beads); where "
        "a replicate did not visit a bin there is none.",
    )
    _gate(page, summary)
    page.figure(
        to_svg(_shapes(curves), "shapes"), "Other distributions of the beads; bands 95 %."
    )
    _forces(page, summary)
    _times(page, metas)
    return page.render()


def _tiles(page: Page, summary: dict) -> None:
    first = summary["gate"]["refined"][0]
    ratio = first["found"]["mse"] / first["noise"]["mse"]
    atoms, beads = (summary["phi > 0"][k] for k in ("atoms", "beads"))
    page.tiles([
        ("passed" if summary["passed"] else "FAILED", "gate"),
        (f"{ratio:.2f}", "free energy error of φ, ψ over the noise of the data"),
        (f"{atoms[0]:.4f} ± {atoms[1]:.4f}", "P(φ > 0), atoms, 95 %"),
        (f"{beads[0]:.4f} ± {beads[1]:.4f}", "P(φ > 0), beads, 95 % of their run"),
    ])  # fmt: skip


def _maps(curves: dict[str, np.ndarray]) -> Figure:
    figure, axes = panels(3, width=10.4, height=3.5)
    edges = [np.degrees(curves[f"edges.phi-psi.{k}"]) for k in (0, 1)]
    atoms, beads = (_seen(curves[f"{k}.phi-psi"]) for k in ("atoms", "refined"))
    for ax, title, values, colours, low, high in (
        (axes[0], "Atoms", atoms, "viridis", 0.0, SHOWN),
        (axes[1], "Beads", beads, "viridis", 0.0, SHOWN),
        (axes[2], "Beads − atoms", beads - atoms, "PuOr", -APART, APART),
    ):
        mesh = ax.pcolormesh(
            *edges, values.T, cmap=colours, vmin=low, vmax=high, rasterized=True
        )
        label = "difference (kJ/mol)" if low else "F (kJ/mol)"
        ends = "both" if low else "max"
        figure.colorbar(mesh, ax=ax, label=label, extend=ends, shrink=0.85)
        ax.set_aspect("equal")
        ax.set_xticks(TICKS)
        ax.set_yticks(TICKS)
        finish(ax, title, "φ (degrees)", "ψ (degrees)")
    return figure


def _seen(free: np.ndarray) -> np.ndarray:
    """NaN, which is not drawn, where nothing was."""
    return np.where(np.isfinite(free), free, np.nan)


def _lines(curves: dict[str, np.ndarray]) -> Figure:
    figure, axes = panels(2)
    for ax, name in zip(axes, ("phi", "psi"), strict=True):
        _curves(ax, curves, name, 180 / np.pi, matched=True)
        ax.set_xticks(TICKS)
        finish(ax, f"Free energy of {LABELS[name]}", f"{LABELS[name]} (degrees)",
               "F (kJ/mol)", legend=ax is axes[0])  # fmt: skip
    return figure


def _shapes(curves: dict[str, np.ndarray]) -> Figure:
    figure, axes = panels(2, height=2.9)
    for ax, name, scale, label in (
        (axes[0], "angle", 180 / np.pi, "angle N-CA-C (degrees)"),
        (axes[1], "ends", 1.0, "distance of the end beads (nm)"),
    ):
        _curves(ax, curves, name, scale, matched=False)
        finish(ax, LABELS[name], label, "F (kJ/mol)", legend=ax is axes[0])
    return figure


def _curves(ax, curves, name: str, scale: float, *, matched: bool) -> None:
    edges = curves[f"edges.{name}.0"] * scale
    middle = 0.5 * (edges[1:] + edges[:-1])
    looks = [("atoms", "atoms", BLACK, "-"), ("refined", "beads", ORANGE, "--")]
    if matched:
        looks.append(("matched", "beads, forces alone", BLUE, ":"))
    for key, label, shade, dash in looks:
        free = _seen(curves[f"{key}.{name}"])
        half = curves[f"{key}.{name}.half"]
        band(ax, middle, free, free - half, free + half, shade, label, ls=dash)
    ax.set_ylim(-1, None)


def _gate(page: Page, summary: dict) -> None:
    page.section(
        "The gate",
        "Differences of the beads from the atomistic replica that they were not made "
        "from, beside what random halves of the atomistic data differ by: the mean "
        "squared difference of free energies, at most 1.5 times the noise, and the "
        "Jensen-Shannon divergence, at most the noise, or what 19 of 20 such halves stay "
        "below where that is more: the limits here. The training replica itself is "
        "judged as well: a model with its populations has their statistical error.",
    )
    rows = []
    for name, label in GATED.items():
        for v in summary["gate"][name]:
            rows.append((
                "passed" if v["ok"] else "!failed", label, LABELS[v["name"]],
                *(f"{v[k]['mse']:.3f}" for k in ("found", "noise", "limit")),
                *(f"{v[k]['js']:.5f}" for k in ("found", "noise", "limit")),
            ))  # fmt: skip
    page.table(
        ("", "model", "of", "MSE ((kcal/mol)²)", "noise", "limit", "JS (nats)", "noise",
         "limit"), rows,
    )  # fmt: skip


def _forces(page: Page, summary: dict) -> None:
    matching = summary["matching"]
    basic, best = (matching["force_map"][k]["residual"] for k in ("basic", "optimal"))
    page.section(
        "Forces",
        "Root mean square of bead forces, and what the potential leaves of them in "
        "blocks that were held out: the optimal map has "
        f"{(basic / best) ** 2:.1f} times less "
        "noise variance than the basic one. Forces lack the bias, which is a function of "
        "the beads: they need no weights.",
    )
    page.table(
        ("map", "rms (kcal/mol/Å)", "rms, other replica", "left by the potential"),
        [
            (name, *(f"{row[k] / KCAL_A:.2f}" for k in ("rms", "held_out", "residual")))
            for name, row in matching["force_map"].items()
        ],
    )
    page.table(
        ("check of forces", "temperature of the virial (K)", "part of bias taken off"),
        [
            (name, f"{c['virial_K']:.0f} ± {c['virial_error_K']:.0f}",
             f"{c['unbiased']:.3f} ± {c['unbiased_error']:.3f}")
            for name, c in matching["checks"].items()
        ],
    )  # fmt: skip
    told = summary["refinement"]
    page.section(
        "Refinement",
        f"{told['independent']:.0f} frames' worth of independent configurations. Forces "
        "and configurations differ by "
        f"{told['rounds'][0]['doubt']:.1f} times what their errors allow (Birge's ratio "
        "of the variances), so that the information of forces counts that much less: "
        "terms that are sums cannot describe both.",
    )
    page.table(
        ("round", "samples left after it"),
        [(str(k + 1), f"{r['left']:.2f}") for k, r in enumerate(told["rounds"])],
    )


def _times(page: Page, metas: dict[str, dict]) -> None:
    page.section("Time and provenance")
    page.table(
        ("stage", "wall (s)", "CPU (s)"),
        [(k, f"{m['wall_s']:.1f}", f"{m['cpu_s']:.1f}") for k, m in metas.items()],
    )
    first = next(iter(metas.values()))
    page.listing(
        "Provenance", "\n".join(f"{k}: {v}" for k, v in first["provenance"].items())
    )
