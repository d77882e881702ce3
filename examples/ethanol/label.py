"""Label structures of molecules with PBE/def2-SVP, density fitted, by PySCF.

    python examples/ethanol/label.py ../shared/data/ethanol_train.xyz --first 20

Labels are kept one by one: a run that was killed goes on with the same command, and
several may share a store. At the end they are one file, FILE.labels.safetensors, which
`mesobridge.atomistic.labels.read_labels` reads. Consecutive structures that lie close
together start warm.
"""

import argparse
from pathlib import Path

import numpy as np
from ase.calculators.calculator import PropertyNotImplementedError

from mesobridge.atomistic.labels import Failed, Labeller, LabelStore, write_labels
from mesobridge.atomistic.named_oracle import NamedOracle
from mesobridge.atomistic.potential.reading import read_structures
from mesobridge.core.script import plain_errors

ORACLE = NamedOracle(kind="pyscf", xc="pbe", basis="def2-svp")


def beside_the_file(frames, labels):
    """Differences from the labels that the structures came with, if any."""
    try:
        energies = np.array([atoms.get_potential_energy() for atoms in frames])
        forces = np.concatenate([atoms.get_forces() for atoms in frames])
    except (RuntimeError, PropertyNotImplementedError):
        return
    off = 1e3 * (np.array([label.energy for label in labels]) - energies)
    apart = 1e3 * (np.concatenate([label.forces for label in labels]) - forces)
    rms = np.sqrt((apart**2).mean())
    print(f"beside the file's labels: energy {off.mean():+.2f} meV (spread "
          f"{off.std():.2f}), forces {rms:.2f} meV/A rms")  # fmt: skip


@plain_errors()
def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path, help="extxyz, npz with Z and positions, ...")
    parser.add_argument("--first", type=int, help="how many structures; all without")
    parser.add_argument("--store", type=Path, default=Path("runs/labels"))
    parser.add_argument("--out", type=Path, help="in place of FILE.labels.safetensors")
    parser.add_argument("--source", default="", help="where the structures are from")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--timeout", type=float, help="seconds for one label")
    parser.add_argument("--again", action="store_true", help="try failures once more")
    given = parser.parse_args()

    frames = read_structures(given.file)[: given.first]
    labeller = Labeller(
        ORACLE, LabelStore(given.store), processes=given.processes, timeout=given.timeout
    )
    pairs = list(
        zip(frames, labeller.label(frames, True, again=given.again), strict=True)
    )
    for i, (_, failed) in enumerate(pairs):
        if isinstance(failed, Failed):
            print(f"structure {i}: {failed.reason}")
    good = [(atoms, label) for atoms, label in pairs if not isinstance(label, Failed)]
    if good:
        frames, labels = zip(*good, strict=True)
        out = given.out or given.file.with_suffix(".labels.safetensors")
        write_labels(out, labels, structures=given.source or given.file.name)
        seconds = np.array([label.cpu_s for label in labels])
        print(f"{len(labels)} labels of {ORACLE.name} in {out}; CPU seconds each: "
              f"median {np.median(seconds):.1f}, all {seconds.sum():.0f}")  # fmt: skip
        beside_the_file(frames, labels)


if __name__ == "__main__":
    main()
