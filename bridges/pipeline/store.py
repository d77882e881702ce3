"""Content-addressed artefacts: a stage's result lies under the hash of all it depends on.

``store/<key>/`` holds the files of one stage and ``meta.json``, written last: without
it, or with a file whose hash differs, there is no artefact. ``work/<key>/`` holds what a
stage that was killed can take up again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from ...core.artefact import read_json, sha256, sweep, write_json
from ...core.errors import InputError
from ...core.provenance import version_of
from .stage import Stage

META = "meta.json"


def canonical(value: object) -> str:
    """JSON with sorted keys: equal values, equal text."""
    return json.dumps(value, sort_keys=True, allow_nan=False, separators=(",", ":"))


def content_hash(files: dict[str, dict], results: dict) -> str:
    """One hash of all files and results of an artefact.

    Results under ``"measured"`` (times, rates) are left out: they differ from run to run.
    """
    kept = {name: value for name, value in results.items() if name != "measured"}
    parts = [{name: entry["sha256"] for name, entry in files.items()}, kept]
    return hashlib.sha256(canonical(parts).encode()).hexdigest()


def stage_key(stage: Stage, inputs: dict[str, str]) -> str:
    """Key of a stage's artefact; `inputs` maps upstream names to content hashes."""
    parts = {
        "name": stage.name,
        "function": stage.function,
        "version": stage.version,
        "settings": dict(stage.settings),
        "inputs": inputs,
        "backends": {name: version_of(name) for name in ("mesobridge", *stage.backends)},
    }
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:32]


class Store:
    """Artefacts of one run folder."""

    def __init__(self, folder: Path):
        self.artefacts, self.work = folder / "store", folder / "work"
        self._verified: dict[str, dict] = {}

    def path(self, key: str) -> Path:
        """Folder of an artefact."""
        return self.artefacts / key

    def scratch(self, key: str) -> Path:
        """Folder for work that can be taken up again."""
        return self.work / key / "scratch"

    def sweep(self) -> None:
        """Remove what killed writers left half-written (not what can be taken up)."""
        for orphan in self.artefacts.parent.glob(".*.tmp"):
            orphan.unlink(missing_ok=True)
        for folder in (self.artefacts, self.work):
            if folder.is_dir():
                sweep(folder)
        for half in self.artefacts.glob(".half-*"):
            shutil.rmtree(half, ignore_errors=True)

    def find(self, key: str, *, repair: bool = True) -> dict | None:
        """``meta.json`` of an intact artefact, else ``None``; `repair` removes damage."""
        if repair and (self.work / key).is_dir() and (self.path(key) / META).is_file():
            shutil.rmtree(self.work / key)  # killed between the artefact and its clearing
        if key in self._verified:
            return self._verified[key]
        folder = self.path(key)
        if not folder.is_dir():
            return None
        try:
            meta = read_json(folder / META)
            intact = meta["key"] == key and _intact(folder, meta["files"])
            told = content_hash(meta["files"], meta["results"])
            intact = intact and told == meta["content"] and meta["wall_s"] >= 0
        except (InputError, KeyError, TypeError, AttributeError, ValueError):
            intact = False
        if not intact:
            if repair:
                shutil.rmtree(folder)
            return None
        self._verified[key] = meta
        return meta

    def begin(self, key: str) -> Path:
        """Empty folder in which a stage writes its files."""
        out = self.artefacts / f".half-{key}"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        self.scratch(key).mkdir(parents=True, exist_ok=True)
        return out

    def commit(self, key: str, meta: dict) -> dict:
        """Make the files that lie in the folder of `begin` the artefact `key`."""
        half = self.artefacts / f".half-{key}"
        meta = {**meta, "key": key, "files": _listing(half)}
        meta["content"] = content_hash(meta["files"], meta["results"])
        write_json(half / META, meta)
        target = self.path(key)
        shutil.rmtree(target, ignore_errors=True)
        half.replace(target)
        shutil.rmtree(self.work / key, ignore_errors=True)
        self._verified[key] = meta
        return meta


def _listing(folder: Path) -> dict[str, dict]:
    return {
        str(path.relative_to(folder)): {
            "sha256": sha256(path),
            "bytes": path.stat().st_size,
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != META
    }


def _intact(folder: Path, files: dict[str, dict]) -> bool:
    for name, entry in files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            return False
        if path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            return False
    return True
