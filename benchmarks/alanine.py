"""Alanine dipeptide as five beads C N CA C N: its bonds, angles of interest, and data.

Data: cgnet (Wang et al. 2019, doi:10.1021/acscentsci.8b00913), 10 ps apart.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILE = DATA / "ala2_cgnet_5beads_5000frames.npz"
NAMES, BONDS = ("C", "N", "CA", "C", "N"), ((0, 1), (1, 2), (2, 3), (3, 4))
PHI, PSI = (0, 1, 2, 3), (1, 2, 3, 4)
MASSES = (12.011, 14.007, 12.011, 12.011, 14.007)  # Da
#: kJ/mol/nm of a kcal/mol/A.
KCAL_MOL_ANGSTROM = 41.84


def frames() -> tuple[np.ndarray, np.ndarray]:
    """Positions (F, 5, 3), nm, and forces, kJ/mol/nm."""
    with np.load(FILE) as data:
        x, forces = (data[k].astype(float) for k in ("coordinates", "forces"))
    return 0.1 * x, KCAL_MOL_ANGSTROM * forces
