"""What a potential was trained on, for its report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from ...core.page import Page
from ...core.units import ANGSTROM, EV

#: Rows of the table of data that are shown at once.
ROWS = 12
#: Forces of odd frames over the root mean square of usual ones, which this part is.
OUTLIER, USUAL = 20, 0.99


def data_section(page: Page, data) -> None:
    """Units, odd frames, and a table of kinds of frames.

    Parameters
    ----------
    page
        Where it goes.
    data
        `Labelled` of `bridges.training`.
    """
    texts = []
    if data.units is not None:
        u = data.units
        texts.append(
            f"Units: energies go along with the forces with a slope of {u.slope:.2f} ± "
            f"{u.error:.2f} (a linear potential fitted to the forces of {u.frames} "
            f"frames, {100 * u.explained:.0f} % of their square explained); 1 when both "
            "are in one set of units."
        )
    texts += _outliers([*data.training, *data.validation])
    page.section("Data", *texts)
    rows = []
    for what, sets in (("training", data.training), ("held out", data.validation)):
        for ds in sets:
            for group in dict.fromkeys(ds["group"].values):
                rows.append((what, *_summary(ds.isel(frame=ds["group"].values == group))))
    head = ("use", "group", "composition", "frames", "periodic", "stress",
            "force rms (eV/Å)", "largest force", "energy std (meV/atom)")  # fmt: skip
    if len(rows) <= ROWS:
        page.table(head, rows)
    else:
        page.folded_table(f"{len(rows)} kinds of frames", head, rows)


def _outliers(sets: Sequence[xr.Dataset]) -> list[str]:
    """A sentence on frames whose forces are far beyond those of the others."""
    size = [np.linalg.norm(_forces(ds), axis=2) for ds in sets]
    every = np.concatenate([f.ravel() for f in size])
    usual = every[every <= np.quantile(every, USUAL)]
    limit = OUTLIER * np.sqrt((usual**2).mean())
    found = [
        (float(f.max()), _composition(ds))
        for ds, of in zip(sets, size, strict=True)
        for f in of if f.max() > limit > 0
    ]  # fmt: skip
    if not found:
        return []
    largest, where = max(found)
    return [
        f"{len(found)} frame(s) have forces above {limit:.3g} eV/Å, {OUTLIER} times the "
        f"usual ones, up to {largest:.4g} eV/Å ({where}). They weigh much in the "
        "training: look at them, and leave out what did not converge."
    ]


def _summary(ds: xr.Dataset) -> tuple[str, ...]:
    forces = _forces(ds)
    energy = ds["energy"].values / EV / ds.sizes["atom"]
    return (
        str(ds["group"].values[0]),
        _composition(ds),
        str(ds.sizes["frame"]),
        ds.attrs.get("pbc", "TTT"),
        "yes" if "stress" in ds else "no",
        f"{np.sqrt((forces**2).mean()):.3f}",
        f"{np.linalg.norm(forces, axis=2).max():.3g}",
        f"{1e3 * energy.std():.2f}",
    )


def _forces(ds: xr.Dataset) -> np.ndarray:
    """Shape (F, N, 3), eV/A."""
    return ds["forces"].values / (EV / ANGSTROM)


def _composition(ds: xr.Dataset) -> str:
    kinds, numbers = np.unique(ds["species"].values, return_counts=True)
    charge = ds.attrs.get("charge_number", 0)
    text = " ".join(f"{k}{n}" for k, n in zip(kinds, numbers, strict=True))
    return text + (f" ({charge:+g} e)" if charge else "")
