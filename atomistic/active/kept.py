"""What active learning keeps in files, round by round."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...core.artefact import read_json, told, write_json
from ...core.errors import InputError
from .settings import Round
from .walkers import Walker


def packed(walkers: dict[int, Walker], frames: list[np.ndarray]) -> dict:
    """Walkers and frames as arrays."""
    return {
        "number": np.array(list(walkers)),
        "x": np.array([w.x for w in walkers.values()]),
        "v": np.array([w.v for w in walkers.values()]),
        "age": np.array([w.age for w in walkers.values()]),
        "frames": np.array(frames),
    }


def unpacked(kept: dict) -> tuple[dict[int, Walker], list[np.ndarray]]:
    """What was packed."""
    rows = zip(kept["number"].tolist(), kept["x"], kept["v"], kept["age"].tolist(),
               strict=True)  # fmt: skip
    return {r: Walker(x, v, age) for r, x, v, age in rows}, list(kept["frames"])


def read_round(path: Path) -> Round:
    """A round that ended before."""
    held = read_json(path)
    surprise = held.pop("surprise")
    triggers = tuple(held.pop("triggers"))
    return Round(
        **held, surprise=tuple(surprise) if surprise else None, triggers=triggers
    )


def _other(held: dict, key: dict, free: Sequence[str]) -> list[str]:
    """Names of what differs."""
    found: list[str] = []
    for name in sorted({*held, *key} - {*free}):
        old, new = held.get(name), key.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            found += [f"{name}.{part}" for part in _other(old, new, free)]
        elif old != new:
            short = not isinstance(new, list | dict) and len(f"{old}{new}") < 60
            found.append(f"{name} ({new}, was {old})" if short else name)
    return found


def claim(path: Path, other: str, key: dict, free: Sequence[str] = ()) -> None:
    """Make a folder that of one run, by a file that says what it began with.

    Parameters
    ----------
    path
        Of the file.
    other
        What to call a run that began with something else.
    key
        Of values that JSON can hold.
    free
        Names of values that may change.

    Raises
    ------
    InputError
        When the folder is that of another run, or cannot be written.
    """
    key = json.loads(json.dumps(key))
    if path.is_file():
        wrong = _other(read_json(path), key, free)
        if wrong:
            raise InputError(
                f"{path.parent}: {other}", wanted="what it began with",
                got=f"another {', '.join(wrong)}",
                mend="another folder ([run] name, or --out); labels that are copied "
                "there are not made again",
            )  # fmt: skip
        return
    with told(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, key)


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays, for the key of `claim`."""
    found = hashlib.sha256()
    for a in map(np.ascontiguousarray, arrays):
        found.update(f"{a.dtype.str} {a.shape}\n".encode() + a.tobytes())
    return found.hexdigest()
