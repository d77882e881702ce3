"""Figures of coarse graining: beside VOTCA, maps, alanine, replicas, water, ions.

``--quick`` takes fewer frames and rounds, whose figures are not those that count.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import coarse_alanine  # noqa: E402
import coarse_ions  # noqa: E402
import coarse_langevin  # noqa: E402
import coarse_maps  # noqa: E402
import coarse_matching  # noqa: E402
import coarse_neural  # noqa: E402
import coarse_structure  # noqa: E402
from figures import command  # noqa: E402

PARTS = (
    coarse_matching, coarse_maps, coarse_alanine, coarse_langevin, coarse_neural,
    coarse_structure, coarse_ions,
)  # fmt: skip

if __name__ == "__main__":
    command(PARTS, __doc__.splitlines()[0])
