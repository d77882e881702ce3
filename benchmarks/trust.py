"""Figures of trust: coverage, labels that learning saves, watched production, speed-up.

``--quick`` takes fewer and shorter runs, whose figures are not those that count.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import trust_coverage  # noqa: E402
import trust_learning  # noqa: E402
import trust_production  # noqa: E402
import trust_speedup  # noqa: E402
from figures import command  # noqa: E402

PARTS = (trust_coverage, trust_learning, trust_production, trust_speedup)

if __name__ == "__main__":
    command(PARTS, __doc__.splitlines()[0])
