"""What users write on the command line, and the universe it is about."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...core.artefact import check_writable
from ...core.errors import InputError
from .particles import Species


def check_files(out: Path, plot: Path | None, *read: Path | None) -> None:
    """Refuse files that cannot be written or drawn, before work that would be lost.

    No file that is `read` is written over.

    Raises
    ------
    InputError
    """
    from matplotlib.figure import Figure

    for path in (out, plot):
        if path is not None and not path.absolute().parent.is_dir():
            raise InputError(
                f"{path} cannot be written",
                wanted="a folder that is there",
                got=str(path.parent),
            )
    kept = {path.resolve(): path for path in read if path is not None}
    for path in filter(None, (out, plot)):
        if path.resolve() in kept:
            raise InputError(
                f"{path} would be written over",
                wanted="names of their own for --out and --plot", got=str(path),
            )  # fmt: skip
        check_writable(path)
        kept[path.resolve()] = path
    kinds = Figure().canvas.get_supported_filetypes()
    if plot is not None and plot.suffix[1:] not in kinds:
        raise InputError(
            f"{plot} cannot be drawn", wanted=", ".join(sorted(kinds)), got=plot.suffix
        )


def universe_of(trajectory: Path, topology: Path | None) -> Any:
    """The universe of MDAnalysis; without a topology the trajectory has all.

    Raises
    ------
    InputError
        When a file is not there or cannot be read.
    """
    import MDAnalysis

    files = [one for one in (topology, trajectory) if one is not None]
    for one in files:
        if not one.is_file():
            raise InputError(f"{one} is not there", wanted="a file", got="none")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MDAnalysis.Universe(*map(str, files))
    except Exception as exc:  # MDAnalysis raises many kinds
        raise InputError(
            f"{' with '.join(map(str, files))} cannot be read",
            wanted="a topology and a trajectory that MDAnalysis reads",
            got=str(exc).splitlines()[0] if str(exc) else type(exc).__name__,
        ) from exc


def species_of(texts: Sequence[str]) -> dict[str, Species]:
    """Species from ``NAME=SELECTION`` or ``NAME=residues:SELECTION``.

    Raises
    ------
    InputError
        When one is written otherwise, or twice.
    """
    found: dict[str, Species] = {}
    for name, text in _pairs(texts, "species"):
        if name in found:
            raise InputError("species of profiles", wanted="each once", got=name)
        head, _, rest = text.partition(":")
        residues = head == "residues" and rest
        found[name] = Species(rest, "residues") if residues else Species(text)
    return found


def charges_of(texts: Sequence[str]) -> dict[str, float]:
    """Charges of atoms, e, from ``SELECTION=CHARGE``.

    Raises
    ------
    InputError
        When one is written otherwise.
    """
    return {name: _number(text, name) for name, text in _pairs(texts, "charges")}


def _pairs(texts: Sequence[str], what: str) -> Iterator[tuple[str, str]]:
    for text in texts:
        # Selections may hold an equals sign; names and numbers do not.
        first, _, last = (
            text.rpartition("=") if what == "charges" else text.partition("=")
        )
        if not first or not last:
            wanted = "SELECTION=CHARGE" if what == "charges" else "NAME=SELECTION"
            raise InputError(f"{what} of profiles", wanted=wanted, got=repr(text))
        yield first.strip(), last.strip()


def _number(text: str, name: str) -> float:
    try:
        return float(text)
    except ValueError as exc:
        raise InputError(
            f"charge of {name}", wanted="a number, in e", got=repr(text)
        ) from exc
