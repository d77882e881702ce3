"""A conical, charged nanopore lets more current through in one direction."""

import sys
from pathlib import Path

from mesobridge.continuum.cell import Cell, Ion, Reservoir, Symmetry, Wall
from mesobridge.continuum.shapes import pore
from mesobridge.core.script import plain_errors


@plain_errors()
def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/rectifying_nanopore")
    shape = pore(15, 200, tip=3, debye=3.0, first=0.6, growth=1.5, reservoir=60)  # nm
    cell = Cell(
        shape,
        [
            Ion("K", 1, "1.96e-9 m**2/s", "10 mmol/L"),
            Ion("Cl", -1, "2.03e-9 m**2/s", "10 mmol/L"),
        ],
        {
            "wall": Wall(charge="-30 mC/m**2"),
            "membrane": Wall(),
            "axis": Symmetry(),
            "left": Reservoir(),
            "right": Reservoir(),
        },
    )
    state, current = None, {}
    for volts in (0.0, 0.25, 0.5, 0.0, -0.25, -0.5):
        state = cell.steady({"right": {"potential": volts}}, start=state)
        current[volts] = state.current["right"]
        print(f"{volts:+.2f} V {1e12 * current[volts]:+9.2f} pA")
    state.plot(out / "state.png")
    ratio = abs(current[-0.5] / current[0.5])
    print(f"rectification at 0.5 V: {max(ratio, 1 / ratio):.2f}; plot in {out}")


if __name__ == "__main__":
    main()
