"""Figures of the interface job: time, memory, accuracy, closure, resume.

Runs the demo from nothing in a temporary folder, runs it again, and holds what
``summary.json`` says against the targets. ``--quick`` runs the shortened job of the
tests, whose accuracy is not that of the demo.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import figure, machine, write

ROOT = Path(__file__).resolve().parent.parent
CONFIGS = {
    False: ROOT / "examples/nacl_interface/config.toml",
    True: ROOT / "examples/nacl_interface/short.toml",
}


def run(config: Path, out: Path) -> tuple[float, dict]:
    """Wall time (s) of one run and its summary."""
    begin = time.perf_counter()
    command = [
        sys.executable,
        "-m",
        "mesobridge.cli",
        "run",
        str(config),
        "--out",
        str(out),
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    wall = time.perf_counter() - begin
    (summary,) = out.glob("*/summary.json")
    return wall, json.loads(summary.read_text())


def figures(first: float, again: float, s: dict) -> list[dict]:
    """Every figure that the job's targets name."""
    p, bulk, interface = s["potential"], s["bulk"], s["interface"]
    rate = sum(s["md"].values())
    shifts = bulk["rdf_peak_difference"].values()
    moved = max(abs(shift["position"]) for shift in shifts)
    grown = max(abs(shift["height"]) for shift in shifts)
    out = [
        figure("demo wall time", first, "s", "<=", 360, "after set-up"),
        figure("demo again", again, "s", "<=", 10, "nothing changed"),
        figure("peak memory", s["peak_rss_mib"], "MiB", "<=", 2048, "all processes"),
        figure("force RMSE / force std", p["force_rmse_eV_A"] / p["force_std_eV_A"],
               "1", "<=", 0.06, "held-out runs"),
        figure("stress RMSE / stress std", p["stress_rmse_GPa"] / p["stress_std_GPa"],
               "1", "<=", 0.10, "held-out runs, bulk"),
        figure("NVE drift", p["nve_drift_meV_atom_ps"], "meV/atom/ps", "<=", 0.1),
        figure("ML-MD of the slab", rate, "ps/min", ">=", 20, "two replicas together"),
        figure("first RDF peak, position", moved, "1", "<=", 0.02, "ML against oracle"),
        figure("first RDF peak, height", grown, "1", "<=", 0.02, "ML against oracle"),
        figure("closure inside 95 % band", interface["closure_inside"], "1", ">=", 0.95,
               f"largest deviation {interface['closure_max_rel']:.3f} of c_bulk"),
    ]  # fmt: skip
    for name in ("Na", "Cl"):
        ratio = bulk[f"D_{name}"]["value"] / bulk[f"oracle_D_{name}"]["value"]
        out.append(figure(f"D bulk {name}: |ML / oracle - 1|", abs(ratio - 1), "1", "<=",
                          0.15))  # fmt: skip
        exact = interface["resistance_exact_ohm_m2"][name]
        solved = interface["resistance_ohm_m2"][name]["value"]
        out.append(figure(f"resistance {name}: |solver / integral - 1|",
                          abs(solved / exact - 1), "1", "<=", 1e-4))  # fmt: skip
    return out


def main() -> None:
    """Run, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the shortened job")
    parser.add_argument("--json", type=Path, required=True, help="where to write")
    args = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        first, summary = run(CONFIGS[args.quick], out)
        again, _ = run(CONFIGS[args.quick], out)
    write(args.json, before, figures(first, again, summary))


if __name__ == "__main__":
    main()
