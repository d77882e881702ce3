"""Cyclic voltammetry of an iron couple at an electrode with a Stern layer."""

import sys
from pathlib import Path

from mesobridge.continuum.cell import (
    Cell,
    Electrode,
    Ion,
    Redox,
    Reservoir,
    cyclic_voltammetry,
)
from mesobridge.continuum.domain import interval
from mesobridge.continuum.mesh import graded
from mesobridge.core.script import plain_errors


@plain_errors()
def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/redox_voltammetry")
    couple = Redox({"Fe2": 1}, {"Fe3": 1}, potential="0 V", rate="1e-5 m/s")
    cell = Cell(
        interval(graded(50e3, 0.1, growth=1.15), names=("electrode", "bulk")),  # nm
        [
            Ion("Fe2", 2, "0.72e-9 m**2/s", "1 mmol/L"),
            Ion("Fe3", 3, "0.60e-9 m**2/s", "1 mmol/L"),
            Ion("K", 1, "1.96e-9 m**2/s", "0.1 mol/L"),
            Ion("Cl", -1, "2.03e-9 m**2/s", "0.105 mol/L"),
        ],
        {
            "electrode": Electrode(stern="20 uF/cm**2", reactions=(couple,)),
            "bulk": Reservoir(),
        },
    )
    corners = ["-0.3 V", "0.3 V", "-0.3 V"]
    cycle = cyclic_voltammetry(cell, "electrode", corners, "0.1 V/s")
    cycle.plot(out / "voltammogram.png")
    cycle.series[0].last.plot(out / "state.png")
    print(f"anodic peak {cycle.current.max():.4g} A/m2; plots in {out}")


if __name__ == "__main__":
    main()
