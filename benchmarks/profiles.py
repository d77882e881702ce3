"""Figures of profiles: synthetic truth, speed, and real trajectories.

``--quick`` takes fewer sets and shorter files, whose figures are not those that count.
Trajectories are made once: a slab of water in ``runs/spce_slab`` (400 ps, six minutes),
molten salt in ``runs/molten_salt`` (a quarter of an hour).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import profiles_physics  # noqa: E402
import profiles_salt  # noqa: E402
import profiles_speed  # noqa: E402
import profiles_truth  # noqa: E402
from figures import machine, write  # noqa: E402


def main() -> None:
    """Measure one after the other and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer, shorter problems")
    parser.add_argument("--json", type=Path, required=True, help="where to write")
    args = parser.parse_args()
    before, found = machine(), []
    for part in (profiles_speed, profiles_physics, profiles_salt, profiles_truth):
        found += part.figures(quick=args.quick)
    write(args.json, before, found)


if __name__ == "__main__":
    main()
