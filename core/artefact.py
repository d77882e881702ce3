"""Files written whole, checked when read, and never executed.

A file appears under its name only when it is complete: it is written beside, flushed to
the disk and renamed. Model weights are safetensors; nothing here unpickles.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

try:
    import h5py
except ValueError as exc:  # DOLFINx was imported first and brought another HDF5
    raise ImportError(
        "h5py finds another HDF5 library in this process: "
        "import mesobridge.core.artefact (or h5py) before dolfinx"
    ) from exc

from .errors import InputError, SchemaError
from .schema import MODEL_KEYS, validate

#: A hand-over that declares more than this is refused before it is read.
MAX_BYTES = 4 * 1024**3


@contextlib.contextmanager
def replacing(path: Path | str) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends without an error.

    Raises
    ------
    InputError
        When no file can be put at `path`.
    """
    temporary = _beside(path)
    try:
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o644)
        with told(path):
            os.replace(temporary, path)
        _sync_folder(Path(path).parent)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: Path | str) -> None:
    """Refuse a path that no file can be put at, before work that would be lost.

    Raises
    ------
    InputError
    """
    _beside(path).unlink()


def _beside(path: Path | str) -> Path:
    """An empty file in the folder of a path, which is made."""
    with told(path):
        path = Path(path)
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.name}.", suffix=".tmp", dir=path.parent
        )
        os.close(handle)
    return Path(name)


@contextlib.contextmanager
def told(path: object) -> Iterator[None]:
    """A block that writes at a path: what the system refuses becomes an InputError."""
    try:
        yield
    except (OSError, TypeError) as exc:
        raise InputError(
            f"{path} cannot be written",
            wanted="the path of a file, in a folder that can be written to",
            got=str(exc),
        ) from exc


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(folder: Path) -> int:
    """Remove the temporary files that killed writers left in `folder`; how many."""
    orphans = [p for p in Path(folder).rglob(".*.tmp") if p.is_file()]
    for orphan in orphans:
        orphan.unlink(missing_ok=True)
    return len(orphans)


def sha256(path: Path | str) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def write_text(path: Path | str, text: str) -> None:
    """Write text whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, value: object) -> None:
    """Write JSON whole; NaN and infinity are refused (they are no JSON)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False, sort_keys=True) + "\n")


def read_json(path: Path | str) -> dict:
    """Read a JSON object.

    Raises
    ------
    InputError
        When the file is missing or is not a JSON object.
    """
    path = existing(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as exc:
        raise InputError(f"{path} cannot be read", wanted="JSON", got=str(exc)) from exc
    if not isinstance(value, dict):
        raise InputError(
            f"{path} cannot be read", wanted="a JSON object", got=type(value).__name__
        )
    return value


def existing(path: Path | str) -> Path:
    """`path`, when a file is there."""
    path = Path(path)
    if not path.is_file():
        raise InputError(
            f"no file {path}",
            wanted="an existing file",
            got="a folder" if path.is_dir() else "nothing there",
            mend="check the path; run the stage that writes it",
        )
    return path


def write_dataset(ds: xr.Dataset, path: Path | str, schema: str) -> None:
    """Validate a data set and write it as NetCDF4.

    Raises
    ------
    SchemaError
        When `ds` breaks the contract; nothing is written.
    """
    validate(ds, schema)
    with replacing(path) as temporary:
        ds.to_netcdf(temporary, engine="h5netcdf")


def read_dataset(path: Path | str, schema: str) -> xr.Dataset:
    """Read a NetCDF4 data set into memory and validate it.

    Raises
    ------
    InputError
        When the file is missing.
    SchemaError
        When it is unreadable, declares more than `MAX_BYTES`, refers to other files, or
        breaks the contract.
    """
    path = existing(path)
    mend = "write it again with the stage or program that made it"
    try:
        _refuse_external(path)
        with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as lazy:
            if lazy.nbytes > MAX_BYTES:
                raise SchemaError(
                    f"{path} is too large",
                    wanted=f"<= {MAX_BYTES} bytes",
                    got=f"{lazy.nbytes} bytes declared",
                )
            ds = lazy.load()
    except (OSError, ValueError, KeyError, RuntimeError, TypeError) as exc:
        got = (str(exc) or type(exc).__name__).splitlines()[0]
        raise SchemaError(
            f"{path} cannot be read", wanted=f"NetCDF4 ({schema})", got=got, mend=mend
        ) from exc
    if "schema" not in ds.attrs:
        raise SchemaError(
            f"{path} names no contract",
            wanted=f"attribute schema = {schema}",
            got=str(sorted(ds.attrs)),
            mend=mend,
        )
    return validate(ds, schema)


def _refuse_external(path: Path) -> None:
    """HDF5 can point at other files; a hand-over must not."""
    with h5py.File(path, "r") as handle:
        for name in handle:
            link = handle.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise SchemaError(
                    f"{path} points outside itself",
                    wanted="data inside the file",
                    got=f"{name}: {type(link).__name__}",
                )
            item = handle[name]
            if isinstance(item, h5py.Dataset) and item.external:
                raise SchemaError(
                    f"{path} points outside itself",
                    wanted="data inside the file",
                    got=f"{name}: external storage",
                )


def write_model(
    path: Path | str,
    schema: str,
    header: Mapping[str, object],
    tensors: Mapping[str, np.ndarray],
) -> None:
    """Write a model file: safetensors with a JSON header under the key ``mesobridge``.

    The header's ``sha256`` tells when it or tensors were altered.

    Raises
    ------
    SchemaError
        When the header lacks a key of the contract or a tensor is not finite.
    """
    from safetensors.numpy import save_file

    header = {"schema": schema, **header}
    _check_model(str(path), schema, header, tensors)
    arrays = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    with replacing(path) as temporary:
        header["sha256"] = _model_digest(header, arrays)
        text = json.dumps(header, allow_nan=False, sort_keys=True)
        save_file(arrays, temporary, metadata={"mesobridge": text})


def read_model(path: Path | str, schema: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Header and tensors of a model file.

    Raises
    ------
    SchemaError
        When the file is unreadable, was altered, or breaks the contract.
    """
    from safetensors import SafetensorError, safe_open

    path = existing(path)
    try:
        with safe_open(path, framework="numpy") as handle:
            found = handle.metadata() or {}
            if "mesobridge" not in found:
                raise ValueError("safetensors of another kind, without our header")
            header = json.loads(found["mesobridge"])
            tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, ValueError, RecursionError) as exc:
        raise SchemaError(
            f"{path} cannot be read",
            wanted=f"safetensors ({schema})",
            got=str(exc),
            mend="save the model again",
        ) from exc
    _check_model(str(path), schema, header, tensors)
    written, digest = header.pop("sha256", None), _model_digest(header, tensors)
    if written not in (None, digest):  # older files have none
        raise SchemaError(
            f"{path} was altered after it was written", wanted=str(written), got=digest,
            mend="copy it again, or train again",
        )  # fmt: skip
    return header, tensors


def _model_digest(header: Mapping, tensors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of the header and of all tensors with their names and shapes."""
    text = json.dumps(header, allow_nan=False, sort_keys=True)
    found = hashlib.sha256(text.encode())
    for key in sorted(tensors):
        value = tensors[key]
        found.update(f"{key} {value.dtype.str} {value.shape}".encode())
        found.update(value.tobytes())
    return found.hexdigest()


def _check_model(path: str, schema: str, header: Mapping, tensors: Mapping) -> None:
    if header.get("schema") != schema:
        raise SchemaError(
            f"{path}: another contract", wanted=schema, got=repr(header.get("schema"))
        )
    missing = [key for key in MODEL_KEYS[schema] if key not in header]
    if missing:
        raise SchemaError(
            f"{path}: header of {schema}",
            wanted=", ".join(MODEL_KEYS[schema]),
            got=f"without {', '.join(missing)}",
        )
    for key, value in tensors.items():
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise SchemaError(
                f"{path}: tensor {key} is not finite",
                wanted="finite numbers",
                got="NaN or infinity",
                mend="train again",
            )
