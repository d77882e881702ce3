"""NaCl in implicit water: w_ij(r) -> osmotic coefficients -> ln gamma(c) -> a solver.

    python nacl.py [OUT] [--short] [--processes N]

The potentials of two ions in SPC/E water lie beside this file; ``sample_pairs.py`` makes
them anew. Writes ``pair_pmf.nc``, ``activity.nc``, ``summary.json`` and ``report.html``.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mesobridge.bridges.report.salt import MOLAR, comparison, salt_page
from mesobridge.bridges.salt import salt_activity
from mesobridge.coarse.model import load_model
from mesobridge.core.artefact import write_dataset, write_json, write_text
from mesobridge.core.script import plain_errors
from mesobridge.core.stats import estimate

HERE = Path(__file__).resolve().parent
#: Molal activity coefficients of NaCl at 25 C.
EXPERIMENT = {0.05: 0.822, 0.1: 0.778, 0.2: 0.735, 0.3: 0.710, 0.5: 0.681, 0.7: 0.667,
              1.0: 0.657}  # fmt: skip
SOURCE = "Robinson & Stokes, Electrolyte Solutions, 1959"
#: Partial molar volume of NaCl in water at about 0.5 mol/L, L/mol.
VOLUME = 0.0177


@plain_errors()
def main() -> None:
    """Run the salt, compare, report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, nargs="?", default=Path("runs/nacl_implicit"))
    parser.add_argument("--short", action="store_true", help="half a minute")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--model", type=Path, default=HERE / "ions.safetensors")
    options = parser.parse_args()
    model = load_model(options.model)
    molar = (0.1, 0.4, 1.05) if options.short else (0.05, 0.1, 0.2, 0.35, 0.6, 1.05)
    found = salt_activity(
        model, np.array(molar) * MOLAR, options.out / "runs", salt="NaCl",
        n_pairs=16 if options.short else 32, length=6e-11 if options.short else 5e-10,
        processes=options.processes, show=True,
    )  # fmt: skip
    rows = comparison(found, VOLUME, EXPERIMENT)
    write_dataset(model.pair_pmf(), options.out / "pair_pmf.nc", "pair-pmf/1")
    write_dataset(found.activity, options.out / "activity.nc", "activity/1")
    units = int(found.activity.attrs["n_units"])
    osmotic = {f"{c:g}": estimate(phi, units)
               for c, phi in zip(molar, found.osmotic.T, strict=True)}  # fmt: skip
    write_json(options.out / "summary.json", {"osmotic": osmotic, "ln_gamma": rows})
    page = salt_page(model, found, VOLUME, EXPERIMENT, SOURCE)
    write_text(options.out / "report.html", page.render())
    for r in rows:
        print(f"{r['molality']:5g} mol/kg  ln gamma {r['ln_gamma']:.3f} +- "
              f"{r['half']:.3f}  experiment {r['experiment']:.3f}")  # fmt: skip
    print(f"report: {options.out / 'report.html'}")


if __name__ == "__main__":
    main()
