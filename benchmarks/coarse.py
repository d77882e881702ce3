"""Figures of coarse graining: force matching beside VOTCA, maps, alanine, replicas.

``--quick`` takes fewer frames and rounds, whose figures are not those that count.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import coarse_alanine  # noqa: E402
import coarse_langevin  # noqa: E402
import coarse_maps  # noqa: E402
import coarse_matching  # noqa: E402
from figures import machine, write  # noqa: E402

PARTS = (coarse_matching, coarse_maps, coarse_alanine, coarse_langevin)


def main() -> None:
    """Measure one after the other and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer frames and rounds")
    parser.add_argument("--json", type=Path, required=True, help="where to write")
    args = parser.parse_args()
    before, found = machine(), []
    for part in PARTS:
        found += part.figures(quick=args.quick)
    write(args.json, before, found)


if __name__ == "__main__":
    main()
