"""Alanine dipeptide: from an atomistic run to beads, and free energies side by side.

``python examples/alanine_dipeptide/alanine.py`` takes under five minutes on two cores and
writes ``report.html``. It can be killed and started again at any moment.
"""

import argparse
from pathlib import Path

from mesobridge.bridges.molecule_job import MoleculeJob, run_molecule
from mesobridge.core.script import plain_errors

HERE = Path(__file__).resolve().parent
PHI, PSI = (0, 1, 2, 3), (1, 2, 3, 4)  # of the beads C N CA C N
#: Frames are few, so that all stages can be tried in seconds.
SHORT = {
    "length": 25_000, "settle": 1000, "segment": 2500, "stride": 25, "points": 11,
    "block": 100, "copies": 400, "refining": 25, "running": 25, "bins": 12,
}  # fmt: skip


def job(short: bool, seed: int) -> MoleculeJob:
    """The two atomistic replicas start in the basins at phi < 0 and at phi > 0."""
    return MoleculeJob(
        pdb=(HERE / "alanine.pdb").read_text(),
        bonds=((0, 1), (1, 2), (2, 3), (3, 4)),
        dihedrals=(PHI, PSI),
        starts=((-1.4, 2.6), (1.0, 0.7)),
        seed=seed,
        **(SHORT if short else {}),
    )


def told(summary: dict) -> str:
    """The verdict in words."""
    lines = [f"{'':10}{'found, limit: (kcal/mol)^2':>28}{'nats':>16}"]
    for v in summary["gate"]["refined"]:
        mark = "passed" if v["ok"] else "FAILED"
        mse, js = ((v["found"][k], v["limit"][k]) for k in ("mse", "js"))
        lines.append(f"{v['name']:10}{mse[0]:19.4f}{mse[1]:9.4f}"
                     f"{js[0]:9.4f}{js[1]:9.4f}   {mark}")  # fmt: skip
    atoms, beads = (summary["phi > 0"][k] for k in ("atoms", "beads"))
    lines.append(f"P(phi > 0)      atoms {atoms[0]:.4f} +- {atoms[1]:.4f}, "
                 f"beads {beads[0]:.4f} +- {beads[1]:.4f}")  # fmt: skip
    verdict = "passes" if summary["passed"] else "FAILS"
    return "\n".join([*lines, f"The model {verdict} the gate."])


@plain_errors()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="a few seconds, for a try")
    parser.add_argument("--out", type=Path, default=Path("runs/alanine_dipeptide"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    summary = run_molecule(job(options.short, options.seed), options.out)
    print(told(summary))
    print(f"{options.out / 'report.html'}, {options.out / 'model.safetensors'}, "
          f"{summary['wall_s']:.0f} s")  # fmt: skip


if __name__ == "__main__":  # worker processes import this file again
    main()
