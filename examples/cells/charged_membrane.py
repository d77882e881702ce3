"""A cation-exchange membrane: its potential at rest and its limiting current."""

import sys
from pathlib import Path

from mesobridge.continuum.cell import Cell, Ion, Region, Reservoir, open_circuit
from mesobridge.continuum.domain import interval
from mesobridge.continuum.mesh import layered
from mesobridge.core.script import plain_errors


@plain_errors()
def main() -> None:
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/charged_membrane")
    membrane = Region(
        ("1 um", "3 um"),
        diffusivity={"Na": "2e-10 m**2/s", "Cl": "3e-10 m**2/s"},
        fixed_charge="-1e8 C/m**3",  # about 1 mol/L of groups
    )
    cell = Cell(
        interval(layered([1000, 2000, 1000], 0.05, growth=1.2), names=("dilute", "rich")),
        [
            Ion("Na", 1, "1.33e-9 m**2/s", "10 mmol/L"),
            Ion("Cl", -1, "2.03e-9 m**2/s", "10 mmol/L"),
        ],
        {
            "dilute": Reservoir(),
            "rich": Reservoir(concentration={"Na": "0.1 mol/L", "Cl": "0.1 mol/L"}),
        },
        regions={"membrane": membrane},
    )
    volts, state = open_circuit(cell, "rich")
    state.plot(out / "open_circuit.png")
    for drop in (0.05, 0.1, 0.2, 0.4):  # sodium is drawn out of the dilute solution
        state = cell.steady({"rich": {"potential": volts - drop}}, start=state)
        print(f"{-drop:+.2f} V from rest: {state.current['dilute']:9.1f} A/m2")
    state.plot(out / "limiting_current.png")
    print(f"membrane potential {1e3 * volts:.2f} mV; plots in {out}")


if __name__ == "__main__":
    main()
