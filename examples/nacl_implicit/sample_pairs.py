"""Umbrella windows of Na-Cl, Na-Na and Cl-Cl in SPC/E water; hours on one thread.

Can be killed and started again at any moment. What it found lies beside this file as
``ion_pairs.nc``, so that the example itself need not wait for it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from mesobridge.atomistic.ion_pairs import IonPair, windows
from mesobridge.core.progress import shown

#: First window of each pair, nm: where w is about 10 kT.
FIRST = {("NA", "CL"): 0.24, ("NA", "NA"): 0.30, ("CL", "CL"): 0.40}
LAST, SPACING = 0.81, 0.03  # nm


def pair_of(ions: tuple[str, str], seed: int = 1) -> IonPair:
    """Windows from contact to where Coulomb's law in a dielectric takes over."""
    count = round((LAST - FIRST[ions]) / SPACING) + 1
    centres = np.linspace(LAST - SPACING * (count - 1), LAST, count).round(6)
    return IonPair(ions, tuple(centres.tolist()), seed=seed)


def main() -> None:
    """Run the windows in turns, two segments of Na-Cl for each of the others."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/ion_pairs"))
    parser.add_argument("--segments", type=int, default=40, help="of each Na-Cl window")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    counts = {ions: options.segments // (3 - len(set(ions))) for ions in FIRST}
    pairs = {ions: pair_of(ions, options.seed) for ions in FIRST}
    total = sum(n * len(pairs[ions].centres) for ions, n in counts.items())
    runs = {
        ions: windows(pairs[ions], options.out / "-".join(ions), n)
        for ions, n in counts.items()
    }
    with shown("ion pairs", True) as tell:
        done = 0
        while runs:
            for ions in list(runs):
                for _ in range(len(set(ions))):
                    if next(runs[ions], None) is None:
                        del runs[ions]
                        break
                    done += 1
                    tell(done, total, "-".join(ions))


if __name__ == "__main__":
    main()
