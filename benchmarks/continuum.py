"""Figures of the continuum: robustness, speed and scale.

``--quick`` takes fewer problems and smaller ones, whose figures are not those that count.
Accuracy is in the tests (``tests/continuum/test_validation_*``).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import continuum_robustness  # noqa: E402
import continuum_scale  # noqa: E402
import continuum_speed  # noqa: E402
from figures import machine, write  # noqa: E402


def main() -> None:
    """Measure one after the other and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer, smaller problems")
    parser.add_argument("--json", type=Path, required=True, help="where to write")
    args = parser.parse_args()
    before, found = machine(), []
    for part in (continuum_speed, continuum_robustness, continuum_scale):
        found += part.figures(quick=args.quick)
    write(args.json, before, found)


if __name__ == "__main__":
    main()
