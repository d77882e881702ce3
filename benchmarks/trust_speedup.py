"""What a learned potential saves over DFT, labels and learning paid: PBE/def2-SVP.

Ethanol, and alanine dipeptide on top of GFN2-xTB, as ``examples/ethanol/ethanol.py``
trains, checks and counts them. A step of DFT is timed here, on one core, from the
density of the last one.
"""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from types import ModuleType

from figures import figure

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
#: Name, folder, and length of each run that checks dynamics.
CASES = (("ethanol", "ethanol", "5 ps"), ("alanine dipeptide", "alanine_dft", "1 ps"))


def example() -> ModuleType:
    """The script of the example."""
    spec = importlib.util.spec_from_file_location("e", EXAMPLES / "ethanol/ethanol.py")
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
    spec.loader.exec_module(module)  # type: ignore[union-attr]
    return module


def figures(*, quick: bool) -> list[dict]:
    """All of them; none where PySCF or tblite is not."""
    if not all(importlib.util.find_spec(name) for name in ("pyscf", "tblite")):
        return []
    script, rows = example(), []
    for name, folder, time in CASES:
        with tempfile.TemporaryDirectory() as out:
            found = script.study(EXAMPLES / folder, Path(out), time, short=quick)
        f, (low, high) = script.figures(found), found["speedup"]["asked"]["ci95"]
        rows += [
            figure(f"{name}, speed-up over {f['steps']} steps", f["speedup"], "1", ">=",
                   300, f"{low:.0f} to {high:.0f}; CPU-s: a step of DFT "
                   f"{f['oracle']:.2f}, of the potential {f['model']:.5f}; {f['labels']} "
                   f"labels {f['labels_s']:.0f}, learning {f['training']:.0f}"),
            figure(f"{name}, labels", f["labels"], "1", "<=", 200),
            figure(f"{name}, force error", f["force_rmse"], "meV/A", "<=", 50,
                   f"energy {f['energy_rmse']:.2f} meV/atom; 95 % intervals hold "
                   f"{f['covered']:.0f} %"),
            figure(f"{name}, drift of the energy", f["drift"], "meV/atom/ps", "<=", 0.1,
                   f"NVE of {time}"),
        ]  # fmt: skip
    return rows
