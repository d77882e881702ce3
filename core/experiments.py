"""Contracts of what is measured of a cell: against time, frequency and potential.

Currents and charges are totals; the attribute `per` says of what: of the whole (``""``),
of a metre (``"m-1"``) or a square metre (``"m-2"``) of it.
"""

from __future__ import annotations

from .contract import Schema, Var

_BORDER = ("temperature", "per", "border")

EXPERIMENTS = (
    Schema(
        "transport-series/1",
        {
            "time": Var(("time",), "s", sign="increasing"),
            "border": Var(("border",), kind="str"),
            "current": Var(
                ("border", "time"),
                "A",
                doc="into the cell; attribute `per` says of what",
            ),
            "charge": Var(("border", "time"), "coulomb"),
            "potential": Var(("time",), "V", optional=True),
        },
        attrs=("temperature", "per"),
    ),
    Schema(
        "voltammogram/1",
        {
            "time": Var(("time",), "s", sign="increasing"),
            "potential": Var(("time",), "V", doc="of the electrode `border`"),
            "current": Var(
                ("time",), "A", doc="into the cell there; attribute `per` says of what"
            ),
            "sweep": Var(("time",), kind="int", doc="number of the sweep, from 0"),
        },
        attrs=_BORDER,
    ),
    Schema(
        "impedance-spectrum/1",
        {
            "frequency": Var(("frequency",), "Hz", sign="positive"),
            "impedance_real": Var(
                ("frequency",), "ohm", doc="V per A, or per A per m or per m2"
            ),
            "impedance_imaginary": Var(
                ("frequency",), "ohm", doc="negative where capacitances answer"
            ),
        },
        attrs=_BORDER,
    ),
    Schema(
        "capacitance-curve/1",
        {
            "potential": Var(("point",), "V", doc="of the electrode `border`"),
            "charge": Var(("point",), "coulomb", doc="attribute `per` says of what"),
            "capacitance": Var(("point",), "F", doc="its derivative by the potential"),
        },
        attrs=_BORDER,
    ),
)
