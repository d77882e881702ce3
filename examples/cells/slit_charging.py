"""Double layers charge in a slit pore between two conducting walls."""

import sys
from pathlib import Path

from mesobridge.continuum.cell import (
    Cell,
    Electrode,
    Ion,
    Reservoir,
    Symmetry,
    Wall,
    voltage_step,
)
from mesobridge.continuum.shapes import slit
from mesobridge.core.script import plain_errors


@plain_errors()
def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/slit_charging")
    cell = Cell(
        slit(50, 6, debye=1.0, first=0.25, growth=1.5, reservoir=(15, 26)),  # nm
        [
            Ion("K", 1, "1.96e-9 m**2/s", "0.1 mol/L", diameter="0.66 nm"),
            Ion("Cl", -1, "2.03e-9 m**2/s", "0.1 mol/L", diameter="0.66 nm"),
        ],
        {
            "wall": Electrode(),
            "membrane": Wall(),
            "left": Reservoir(),
            "right": Reservoir(),
            "top": Symmetry(),
            "symmetry": Symmetry(),
        },
        sterics="bikerman",
    )
    step = voltage_step(cell, "wall", "0.2 V", "1 us", at=[2e-8], tolerance=1e-2)
    step.plot(out / "charging.png")
    step.states[1].plot(out / "after_20_ns.png")
    step.last.save_xdmf(out / "charged.xdmf")
    print(f"charge of a wall {step.charge['wall'][-1]:.3g} C/m; plots in {out}")


if __name__ == "__main__":
    main()
