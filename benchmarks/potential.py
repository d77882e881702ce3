"""Figures of the potential: accuracy, silicon, charges, cost beside other codes.

``--quick`` trains for seconds, whose figures are not those that count. MACE and TensorNet
go into a virtual environment of their own, ``.dev/potential``.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import potential_accuracy  # noqa: E402
import potential_charges  # noqa: E402
import potential_cost  # noqa: E402
import potential_gpu  # noqa: E402
import potential_race  # noqa: E402
import potential_silicon  # noqa: E402
from figures import command  # noqa: E402

PARTS = (
    potential_cost, potential_charges, potential_silicon, potential_accuracy,
    potential_race, potential_gpu,
)  # fmt: skip

if __name__ == "__main__":
    command(PARTS, __doc__.splitlines()[0])
