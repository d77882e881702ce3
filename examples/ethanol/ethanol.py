"""Ethanol beside DFT: train, check, and count what is saved over PBE/def2-SVP.

    python examples/ethanol/ethanol.py             # on the labels of this folder
    python examples/ethanol/ethanol.py --relabel   # makes them anew first, half an hour
    python examples/ethanol/ethanol.py --folder examples/alanine_dft --time "1 ps"

``labels.safetensors`` is what `mesobridge learn` asked PySCF for (learn.toml with the
oracle of oracle.toml). ``test.safetensors`` are frames of a run of the learned potential
at 300 K, 250 fs apart, labelled afterwards. The speed-up pays for all of that but the
test, and times DFT on this machine. Under five minutes on one core; a run that was killed
goes on. Reports: ``ethanol/report.html``, ``validation/report.html``, ``speedup.html``.
"""

import argparse
import shutil
from pathlib import Path

from mesobridge.atomistic.labels import (
    Labeller,
    LabelStore,
    read_labels,
    succeeded,
    write_labels,
)
from mesobridge.atomistic.named_oracle import NamedOracle
from mesobridge.bridges import speedup, training, validation
from mesobridge.core.artefact import read_json, write_text
from mesobridge.core.script import plain_errors

HERE = Path(__file__).resolve().parent
ORACLE = NamedOracle(kind="pyscf", xc="pbe", basis="def2-svp")
LABELS, TEST = "labels.safetensors", "test.safetensors"
#: How the labels were chosen, and what that cost beside them.
SETTINGS = ("train.toml", "oracle.toml", "learning.json")


def relabelled(source: Path, out: Path, processes: int) -> None:
    """Labels of the same configurations by PySCF here, and how far they are off."""
    known = read_labels(source)
    labeller = Labeller(ORACLE, LabelStore(out / "store"), processes=processes)
    found = succeeded(labeller.label([label.atoms() for label in known], True))
    write_labels(out / source.name, found, structures=source.name)
    before = {label.key: label.forces for label in known}
    off = max(abs(x.forces - before[x.key]).max() for x in found if x.key in before)
    print(f"{len(found)} labels of {ORACLE.name}: forces within {1e3 * off:.2g} meV/A of "
          f"those in {source}")  # fmt: skip


def study(folder: Path, out: Path, time: str = "5 ps", *, short: bool = False) -> dict:
    """Train on the labels of a folder, check and count.

    Parameters
    ----------
    folder
        Has labels, those of the test and `SETTINGS`.
    out
        Gets the run folder and reports.
    time
        Of each run that checks dynamics.
    short
        A try of half a minute, that says little.

    Returns
    -------
    dict
        ``"validation"`` and ``"speedup"``, as these commands write them.
    """
    config, test = folder / "train.toml", folder / TEST
    if short:
        text = config.read_text().replace("steps = ", "steps = 100  # ")
        config = out / "short.toml"
        write_text(config, text.replace(LABELS, str(folder.resolve() / LABELS)))
    trained = training.run_training(config, out)
    potential = trained / "potential.safetensors"
    checked = validation.validate(validation.Request(
        str(potential), test, None, "300 K", "0.2 ps" if short else time, "0.5 fs",
        None, out / "validation",
    ))  # fmt: skip
    spent = read_json(folder / "learning.json")["cpu_s"]
    spent += sum(read_json(trained / "curve.json")["cpu_s"].values())
    counted = speedup.speedup(speedup.Request(
        potential, test, folder / LABELS, folder / "oracle.toml",
        training_cpu=f"{spent} s", frames=1 if short else 5,
        json=out / "speedup.json", html=out / "speedup.html",
    ))  # fmt: skip
    return {"validation": checked, "speedup": counted}


def figures(found: dict) -> dict[str, float]:
    """Those that count, of what `study` returns: meV/A, meV/atom/ps, %, CPU seconds."""
    parts, counted = found["validation"]["parts"], found["speedup"]
    errors = {r["quantity"]: r for r in parts["errors"]["figures"]["rows"]
              if r["element"] is None}  # fmt: skip
    sure = parts["uncertainty"]["figures"]["rows"][0]
    costs = counted["costs"]
    return {
        "force_rmse": errors["forces"]["rmse"]["value"],
        "energy_rmse": errors["energy"]["rmse"]["value"],
        "drift": abs(parts["energy"]["figures"]["drift_meV_atom_ps"]),
        "covered": 100 * sure["found"][sure["levels"].index(0.95)],
        "oracle": costs["oracle_s"], "model": costs["model_s"],
        "labels": costs["labels"], "labels_s": costs["labels_s"],
        "training": costs["training_s"],
        "speedup": counted["asked"]["speedup"], "steps": counted["asked"]["steps"],
    }  # fmt: skip


def told(f: dict[str, float]) -> str:
    """The same in words."""
    return "\n".join((
        f"forces off by {f['force_rmse']:.1f} meV/A, energies by {f['energy_rmse']:.2f} "
        f"meV/atom; 95 % intervals hold {f['covered']:.0f} %",
        f"NVE drift {f['drift']:.3f} meV/atom/ps",
        f"a step: DFT {f['oracle']:.2f} s, potential {1e3 * f['model']:.2f} ms; "
        f"{f['labels']} labels {f['labels_s']:.0f} s, learning {f['training']:.0f} s",
        f"speed-up over {f['steps']} steps, labels and learning paid: "
        f"{f['speedup']:.0f}",
    ))  # fmt: skip


@plain_errors()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--relabel", action="store_true", help="by PySCF, in --out")
    parser.add_argument("--short", action="store_true", help="half a minute, for a try")
    parser.add_argument("--processes", type=int, default=2, help="of --relabel")
    parser.add_argument("--out", type=Path, default=Path("runs/ethanol_dft"))
    parser.add_argument("--folder", type=Path, default=HERE, help="of the labels")
    parser.add_argument("--time", default="5 ps", help="of runs that check dynamics")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    folder = given.folder
    if given.relabel:
        folder = given.out
        for name in SETTINGS:
            shutil.copy(given.folder / name, folder)
        for name in (LABELS, TEST):
            relabelled(given.folder / name, folder, given.processes)
    found = study(folder, given.out, given.time, short=given.short)
    print(f"{told(figures(found))}\nreports in {given.out}")


if __name__ == "__main__":  # processes that label import this file again
    main()
