"""Ions in an implicit solvent: ln gamma of NaCl beside experiment."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from figures import figure

from mesobridge.bridges.report.salt import MOLAR, comparison
from mesobridge.bridges.salt import salt_activity
from mesobridge.coarse.model import load_model

EXAMPLE = Path(__file__).resolve().parent.parent / "examples/nacl_implicit"
#: Up to where ln gamma is compared, mol/kg.
HIGHEST = 0.51


def figures(*, quick: bool) -> list[dict]:
    """Largest deviation from experiment up to half a mole."""
    sys.path.insert(0, str(EXAMPLE))
    from nacl import EXPERIMENT, VOLUME

    model = load_model(EXAMPLE / "ions.safetensors")
    molar = (0.1, 0.35, 0.65) if quick else (0.05, 0.1, 0.2, 0.35, 0.65)
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        found = salt_activity(
            model, np.array(molar) * MOLAR, folder, salt="NaCl",
            n_pairs=16 if quick else 32, length=5e-11 if quick else 5e-10,
        )  # fmt: skip
    spent = time.perf_counter() - begun
    rows = [r for r in comparison(found, VOLUME, EXPERIMENT) if r["molality"] < HIGHEST]
    told = "; ".join(
        f"{r['molality']:g}: {r['ln_gamma']:.3f} +- {r['half']:.3f} "
        f"({r['experiment']:.3f}, {r['permittivity']:+.3f} by eps_r of the model's water)"
        for r in rows
    )
    worst = max(abs(r["ln_gamma"] - r["experiment"]) for r in rows)
    return [
        figure("ln gamma(NaCl) off experiment up to 0.5 mol/kg", worst, "1", "<=", 0.05,
               f"mol/kg: model +- 95 % (experiment); {told}; {spent:.0f} s, one process"),
    ]  # fmt: skip
