"""Force errors beside MACE 64x0e for the same CPU time of training.

Each training is one of its own, with a schedule of its own length; both codes run side by
side, one thread each: two hours and a half in all.

    python benchmarks/potential_race.py "water PBE0+TS" 5   # ours alone, as JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import torch
from figures import figure
from potential_accuracy import CASES, DATA, learned
from potential_cost import peers_python

HERE = Path(__file__).resolve().parent
#: CPU-minutes of training.
BUDGETS = {"water PBE0+TS": (5, 10, 20, 40), "acetylacetone 300 K": (5, 20, 40)}


def ours(case: str, minutes: float) -> dict:
    """Force (meV/A) and energy (meV/atom) errors."""
    table = learned(CASES[case], minutes)
    names = {"force": "forces", "energy": "energy"}
    return {what: table[name]["rmse"]["value"] for what, name in names.items()}


def side_by_side(python: Path, case: str, minutes: float) -> tuple[dict, dict]:
    """Errors of ours and of MACE."""
    paths = os.pathsep.join([str(HERE), str(HERE.parent / ".dev")])
    runs = [
        subprocess.Popen(  # noqa: S603
            [program, str(script), case, str(minutes)], stdout=subprocess.PIPE,
            text=True, env={**os.environ, "OMP_NUM_THREADS": "1"} | more,
        )
        for program, script, more in (
            (sys.executable, Path(__file__), {}),
            (str(python), HERE / "peers" / "mace_training.py", {"PYTHONPATH": paths}),
        )
    ]  # fmt: skip
    told = [run.communicate()[0] for run in runs]
    for run in runs:
        if run.returncode:
            raise subprocess.CalledProcessError(run.returncode, run.args)
    first, second = (json.loads(text.splitlines()[-1]) for text in told)
    return first, second


def figures(*, quick: bool) -> list[dict]:
    """Ratios of force errors; nothing where data or MACE are not there."""
    python = peers_python()
    if python is None or not DATA.is_dir():
        return []
    found = []
    for case, budgets in BUDGETS.items():
        for minutes in (0.2,) if quick else budgets:
            own, mace = side_by_side(python, case, minutes)
            note = "ours {force:.1f} meV/A, {energy:.2f} meV/atom; ".format(**own)
            note += "MACE {force:.1f}, {energy:.2f}, {steps} steps".format(**mace)
            found.append(
                figure(f"{case}, {minutes:g} CPU-minutes: force RMSE / MACE",
                       own["force"] / mace["force"], "1", "<=", 1, note)
            )  # fmt: skip
            sys.stderr.write(f"{case}, {minutes:g} CPU-minutes: {note}\n")
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(ours(sys.argv[1], float(sys.argv[2]))) + "\n")
