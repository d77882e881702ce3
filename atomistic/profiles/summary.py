"""Profiles in a few lines: the middle, with 95 % intervals, and what to doubt."""

from __future__ import annotations

import html
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ...core.cautions import cautions
from ...core.schema import QUALITY_FLAGS, validate
from ...core.stats import half_width95
from ...core.units import NM, PS

_COLUMNS = {
    "number_density": ("density / nm-3", NM**-3),
    "D_par": ("D_par / 1e-9 m2/s", 1e-9),
    "D_perp": ("D_perp / 1e-9 m2/s", 1e-9),
    "D_bulk": ("D_bulk / 1e-9 m2/s", 1e-9),
}


@dataclass(frozen=True)
class Summary:
    """Table and remarks; shown as text, and as HTML in notebooks.

    Attributes
    ----------
    head, rows
        Of the table: a row for each species.
    remarks
        Units of the bootstrap, flags, reasons to doubt.
    """

    head: list[str]
    rows: list[list[str]]
    remarks: list[str]

    def __str__(self) -> str:
        table = [self.head, *self.rows]
        width = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, width, strict=True)).rstrip()
            for row in table
        ]
        return "\n".join([*lines, *self.remarks])

    def _repr_html_(self) -> str:
        def row(cells: list[str], tag: str) -> str:
            inside = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
            return f"<tr>{inside}</tr>"

        body = row(self.head, "th") + "".join(row(cells, "td") for cells in self.rows)
        remarks = "".join(f"<li>{html.escape(text)}</li>" for text in self.remarks)
        return f"<table>{body}</table><ul>{remarks}</ul>"


def summary(profiles: xr.Dataset) -> Summary:
    """Means over the middle of profiles, and reasons to doubt them.

    The middle is the middle fifth of a planar cell, the inner half of a shell; cells that
    nobody visits count for densities alone. D_perp comes with what lag and cell width
    leave unsure.

    Parameters
    ----------
    profiles
        ``interface-profiles/1`` or ``density-profiles/1``.

    Raises
    ------
    SchemaError
        When the data set breaks its contract.
    """
    ds = validate(profiles, profiles.attrs["schema"])
    shown = {key: how for key, how in _COLUMNS.items() if key in ds}
    rows = [
        [str(name), *(_middle(ds, key, s, scale) for key, (_, scale) in shown.items())]
        for s, name in enumerate(ds["species"].values)
    ]
    flags = ds["quality_flag"].values
    counts = {name: int((flags & bit > 0).sum()) for name, bit in QUALITY_FLAGS.items()}
    told = ", ".join(f"{n} {name}" for name, n in counts.items() if n) or "none"
    units = ds.attrs.get("units", f"{ds.attrs['n_units']} time blocks")
    remarks = [
        f"middle of the cell, +- 95 %; units of {ds.attrs['block_length'] / PS:.4g} ps: "
        + units,
        f"flagged cells of {flags.size}: {told}",
        *(f"caution: {text}" for text in cautions(ds)),
    ]
    return Summary(["species", *(head for head, _ in shown.values())], rows, remarks)


def _middle(ds: xr.Dataset, key: str, s: int, scale: float) -> str:
    """Mean over the middle with its interval."""
    values = ds[key].values[:, s] / scale
    if key != "D_bulk":
        where = np.linspace(0, 1, values.shape[1])
        planar = ds.attrs.get("geometry", "planar") == "planar"
        inside = np.abs(where - 0.5) <= 0.1 if planar else where <= 0.5
        if key != "number_density":
            seen = ds["quality_flag"].values[s] & QUALITY_FLAGS["unvisited"] == 0
            edge = np.append(seen, seen[-1]) if key == "D_perp" else seen
            inside &= edge
        if not inside.any():
            return "-"
        values = values[:, inside].mean(axis=1)
    text = f"{values[0]:.4g} +- {half_width95(values, ds.attrs['n_units']):.2g}"
    if key == "D_perp" and "D_sys" in ds:
        text += f" ({ds['D_sys'].values[s, inside].mean() / scale:.2g} sys.)"
    return text
