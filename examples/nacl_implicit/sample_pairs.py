"""Umbrella windows of Na-Cl, Na-Na and Cl-Cl in SPC/E water; hours on one thread.

Can be killed and started again at any moment; ``--write`` makes the model of what there
is. What it gave lies beside this file as ``ions.safetensors``, so that the example itself
need not wait for it.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from pathlib import Path

import numpy as np

from mesobridge.atomistic.ion_pairs import IonPair, read_box, read_windows, windows
from mesobridge.coarse.ion_pmf import PairWindows, implicit_ions
from mesobridge.coarse.model import CGModel
from mesobridge.core.errors import InputError
from mesobridge.core.progress import shown
from mesobridge.core.script import plain_errors

#: First window of each pair, nm: where w is about 10 kT.
FIRST = {("NA", "NA"): 0.30, ("CL", "CL"): 0.40, ("NA", "CL"): 0.24}
LAST, SPACING = 0.81, 0.03  # nm
#: Windows of Na-Cl from here on carry nearly all of the noise of ln gamma, by
#: d ln gamma / d w_ij(r) ~ rho g_ij(r) 2 pi r^2: others get a share of their segments.
FROM, SHARE = 0.41, 0.15
#: Distances that depend on each other need not all be weighed.
THIN = 3
#: Of SPC/E at 298 K: Reddy & Berkowitz, Chem. Phys. Lett. 155 (1989) 173.
PERMITTIVITY = 70.7


def pair_of(ions: tuple[str, str], seed: int) -> IonPair:
    """Windows from contact to where Coulomb's law in a dielectric takes over."""
    count = round((LAST - FIRST[ions]) / SPACING) + 1
    centres = np.linspace(LAST - SPACING * (count - 1), LAST, count).round(6)
    return IonPair(ions, tuple(centres.tolist()), seed=seed)


def model_of(out: Path, seeds: list[int], replicates: int) -> CGModel:
    """Ions in an implicit solvent, from the windows that there are of all seeds."""
    runs, times = [], {}
    for ions in FIRST:
        pairs = [pair_of(ions, seed) for seed in seeds]
        folders = [folder_of(out, ions, seed) for seed in seeds]
        boxes = [read_box(*where) for where in zip(pairs, folders, strict=True)]
        found = [read_windows(*where) for where in zip(pairs, folders, strict=True)]
        distances = [np.concatenate(parts)[::THIN] for parts in zip(*found, strict=True)]
        name, edge = (
            "-".join(i.capitalize() for i in ions),
            np.mean([b.edge for b in boxes]),
        )
        runs.append(PairWindows(name, boxes[0].charges, pairs[0].centres,
                                pairs[0].stiffness, distances, float(edge)))  # fmt: skip
        mean = float(np.mean([len(d) for d in distances]))
        times[name] = round(THIN * mean * pairs[0].sample)
    model = implicit_ions(runs, pairs[0].temperature, PERMITTIVITY, replicates=replicates)
    source = {
        "source": "umbrella sampling of two ions in water",
        "force_field": list(pairs[0].force_field), "waters": pairs[0].waters,
        "seeds": seeds, "windows": {run.pair: len(run.centres) for run in runs},
        "ps_per_window": times,
    }  # fmt: skip
    return dataclasses.replace(model, validity={**model.validity, **source})


def folder_of(out: Path, ions: tuple[str, str], seed: int) -> Path:
    """Where segments of a pair lie."""
    return out / f"seed-{seed}" / "-".join(ions)


def segments_of(pair: IonPair, most: int) -> list[int]:
    """How many each window gets: `most` where ln gamma hears its noise."""
    few = max(1, round(SHARE * most))
    unlike = len(set(pair.ions)) == 2
    return [most if unlike and c > FROM else few for c in pair.centres]


@plain_errors()
def main() -> None:
    """Run the windows of one pair after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/ion_pairs"))
    parser.add_argument("--segments", type=int, default=40,
                        help=f"of each Na-Cl window beyond {FROM} nm")  # fmt: skip
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="model of what there is; no runs")
    options = parser.parse_args()
    if options.write:
        there = sorted(int(p.name[5:]) for p in options.out.glob("seed-*"))
        if not there:
            raise InputError(f"windows in {options.out}", wanted="folders seed-*",
                             got="none", mend="run without --write first")  # fmt: skip
        model_of(options.out, there, 50).save(options.write)
        return
    pairs = {ions: pair_of(ions, options.seed) for ions in FIRST}
    if options.segments < 1:
        raise InputError("--segments", wanted="one or more", got=str(options.segments))
    counts = {ions: segments_of(pairs[ions], options.segments) for ions in FIRST}
    total = sum(map(sum, counts.values()))
    runs = [
        windows(pairs[ions], folder_of(options.out, ions, options.seed), counts[ions])
        for ions in FIRST
    ]
    with shown("ion pairs", True) as tell:
        for done, _ in enumerate(itertools.chain(*runs), 1):
            tell(done, total, "windows")


if __name__ == "__main__":
    main()
