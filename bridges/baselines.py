"""Labels of a baseline: made once, kept in the run folder, subtracted from the data."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import xarray as xr

from ..atomistic.calculators import from_module
from ..atomistic.oracle import Oracle, label
from ..atomistic.potential import NamedBaseline
from ..atomistic.potential.baseline import agrees, subtracted
from ..atomistic.potential.data import digest
from ..core.artefact import read_dataset, write_dataset
from ..core.errors import InputError, MesobridgeError
from ..core.units import EV
from .pipeline.progress import Display

#: Folder of the labels, frames that are labelled at a time, seconds between two stores.
LABELS, AT_ONCE, STORE_EVERY = "baseline", 8, 10.0
#: What the display calls it.
STAGE = "baseline"


@dataclass(frozen=True)
class Chosen:
    """A baseline that was chosen.

    Attributes
    ----------
    calculator, source
        What it is, and its name.
    named
        What a file can say of it; ``None`` for ``module:factory``.
    """

    calculator: Oracle
    source: str
    named: NamedBaseline | None


def choose(section: NamedBaseline | None, folder: Path, given: str | None):
    """The baseline of a configuration in `folder`, or of the command line, or none.

    Raises
    ------
    InputError
        When there are two, or it cannot be made.
    """
    if section is not None and given is not None:
        raise InputError("two baselines", wanted="[baseline] or --baseline", got="both",
                         mend="leave one of them out")  # fmt: skip
    if given is not None:
        return Chosen(from_module(given), given, None)
    if section is None:
        return None
    named = section.located(folder)
    return Chosen(named(), named.name, named)


def without(
    sets: Sequence[xr.Dataset], chosen: Chosen, folder: Path, display: Display | None
) -> list[xr.Dataset]:
    """What is left of labelled frames; labels of the baseline that are there are used.

    Parameters
    ----------
    sets
        `frames/1` with energies.
    chosen
        The baseline.
    folder
        Of the run.
    display
        Where it shows how far it is.

    Raises
    ------
    InputError
        When the baseline cannot label these frames, or labels that are there are not its.
    """
    begun = time.monotonic()
    if display is not None:
        display.begin(STAGE)
    kept = [_begun(ds, chosen, folder) for ds in sets]
    missing = sum(
        ds.sizes["frame"] - known.sizes["frame"]
        for ds, known in zip(sets, kept, strict=True)
    )
    done = 0

    def told(frames: int) -> None:
        nonlocal done
        done += frames
        if display is not None:
            display.show(STAGE, done, missing, f"{chosen.source}, {missing} frames")

    left = [
        subtracted(ds, _labelled(ds, known, chosen, folder, told), chosen.named)
        for ds, known in zip(sets, kept, strict=True)
    ]
    if display is not None:
        display.end(STAGE, time.monotonic() - begun)
    return left


def labelled(sets: Sequence[xr.Dataset], chosen: Chosen, folder: Path) -> bool:
    """Whether labels of all sets are there, be it of some of their frames."""
    return all(_path(ds, chosen, folder).is_file() for ds in sets)


def _path(ds: xr.Dataset, chosen: Chosen, folder: Path) -> Path:
    """File of the labels of a data set."""
    what = dict(chosen.named.values()) if chosen.named else {"source": chosen.source}
    what.pop("path", None)  # the hash tells
    text = json.dumps([digest([ds]), what], sort_keys=True)
    return folder / LABELS / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.nc"


def forget(folder: Path) -> None:
    """Remove the labels in a run folder."""
    shutil.rmtree(folder / LABELS, ignore_errors=True)


def _begun(ds: xr.Dataset, chosen: Chosen, folder: Path) -> xr.Dataset:
    """What is labelled already; the first frame at least, which can be subtracted.

    It is labelled anew where labels are kept: they must be of the same calculator.
    """
    charge = float(ds.attrs.get("charge_number", 0.0))
    named = chosen.named
    if named is not None and named.kind == "xtb" and named.charge != charge:
        raise InputError(
            f"{chosen.source} for another charge than that of {_formula(ds)}",
            wanted=f"{charge:g} e", got=f"baseline.charge = {named.charge}",
            mend="give the charge of the frames; train one potential for each",
        )  # fmt: skip
    first = ds.isel(frame=[0])
    found = _label(first, chosen)
    subtracted(first, found, None)
    path = _path(ds, chosen, folder)
    if not path.is_file():
        write_dataset(found, path, "frames/1")
        return found
    known = read_dataset(path, "frames/1")
    now, before = (float(x["energy"].values[0]) / EV for x in (found, known))
    if not agrees(now, before):
        raise InputError(
            f"{chosen.source} is not what the labels in the run folder were made with",
            wanted=f"{before:.4f} eV for the first frame", got=f"{now:.4f} eV",
            mend="choose another [run] name or --out, or --fresh to label anew",
        )  # fmt: skip
    return known


def _labelled(
    ds: xr.Dataset,
    known: xr.Dataset,
    chosen: Chosen,
    folder: Path,
    told: Callable[[int], None],
) -> xr.Dataset:
    """All frames labelled, stored now and then."""
    parts, done, n = [known], known.sizes["frame"], ds.sizes["frame"]
    stored = time.monotonic()
    while done < n:
        parts.append(_label(ds.isel(frame=slice(done, done + AT_ONCE)), chosen))
        more = parts[-1].sizes["frame"]
        done += more
        if done == n or time.monotonic() - stored > STORE_EVERY:
            parts = [xr.concat(parts, "frame", data_vars="minimal", coords="minimal",
                               compat="override", combine_attrs="override")]  # fmt: skip
            write_dataset(parts[0], _path(ds, chosen, folder), "frames/1")
            stored = time.monotonic()
        told(more)
    return parts[0]


def _label(ds: xr.Dataset, chosen: Chosen) -> xr.Dataset:
    try:
        return label(ds, chosen.calculator, source=chosen.source, stress="stress" in ds)
    except MesobridgeError:
        raise
    except Exception as exc:  # calculators raise many kinds
        raise InputError(
            f"{chosen.source} cannot label {_formula(ds)}", wanted="energies and forces",
            got=f"{type(exc).__name__}: {exc}".splitlines()[0],
            mend="leave such frames out, or take a baseline that knows them",
        ) from exc  # fmt: skip


def _formula(ds: xr.Dataset) -> str:
    from ase.formula import Formula

    formula = Formula.from_list(list(map(str, ds["species"].values))).format("hill")
    return f"frames of {formula}"
