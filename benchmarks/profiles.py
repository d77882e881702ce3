"""Figures of profiles: synthetic truth, speed, and real trajectories.

``--quick`` takes fewer sets and shorter files, whose figures are not those that count.
Trajectories are made once: a slab of water in ``runs/spce_slab`` (400 ps, six minutes),
molten salt in ``runs/molten_salt`` (a quarter of an hour).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import profiles_physics  # noqa: E402
import profiles_salt  # noqa: E402
import profiles_speed  # noqa: E402
import profiles_truth  # noqa: E402
from figures import command  # noqa: E402

if __name__ == "__main__":
    command(
        (profiles_speed, profiles_physics, profiles_salt, profiles_truth),
        __doc__.splitlines()[0],
    )
