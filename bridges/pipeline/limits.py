"""What one key of the configuration means for another, and for this machine."""

from __future__ import annotations

import math
from pathlib import Path

from ...core.errors import ConfigError
from ...core.units import DALTON
from .config import Config

#: Measured: neighbour rows, basis and their gradients of the potential, per ion.
BYTES_PER_ION = 400_000
PAIR_MASS = 58.44 * DALTON


def _refuse(source: str, key: str, wanted: str, got: str, mend: str) -> ConfigError:
    return ConfigError(f"{source}: {key}", wanted=wanted, got=got, mend=mend)


def check_limits(config: Config, source: str) -> None:
    """Refuse values that do not fit together.

    Raises
    ------
    ConfigError
        Names the keys.
    """
    _check_lengths(config, source)
    _check_times(config, source)


def available_memory() -> float:
    """Bytes that this machine can give."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:  # not Linux: nobody knows
        return math.inf
    for line in lines:
        if line.startswith("MemAvailable:"):
            return float(line.split()[1]) * 1024
    return math.inf


def check_memory(c: Config, source: str) -> None:
    """Refuse a run that needs more memory than this machine can give now.

    Raises
    ------
    ConfigError
        Names what it would need.
    """
    md = c.md
    frames = max(md.slab, md.bulk) / md.save
    trajectory = frames * c.system.ions * 3 * 16
    wanted = c.run.workers * (c.system.ions * BYTES_PER_ION + trajectory)
    room = available_memory()
    if wanted > 0.8 * room:
        raise _refuse(
            source, "system.ions asks for more memory than there is",
            f"at most {0.8 * room / 2**30:.1f} GiB", f"about {wanted / 2**30:.1f} GiB",
            "fewer ions, shorter runs, or fewer workers",
        )  # fmt: skip


def _check_lengths(c: Config, source: str) -> None:
    edge = (c.system.ions / 2 * PAIR_MASS / c.system.density) ** (1 / 3)
    smallest = min(edge, c.slab.width)
    cutoffs = {
        "oracle.cutoff": c.oracle.cutoff,
        "potential.cutoff": c.potential.cutoff,
        "coarse.cutoff": c.coarse.cutoff,
    }
    for key, cutoff in cutoffs.items():
        if cutoff >= smallest / 2:
            raise _refuse(
                source, f"{key} reaches the ion's own image",
                f"less than half of the smallest box length, {smallest / 2e-9:.3f} nm",
                f"{cutoff / 1e-9:.3f} nm", "a shorter cut-off, more ions or a wider slab",
            )  # fmt: skip
    thickness = c.system.ions / 2 * PAIR_MASS / c.system.density / c.slab.width**2
    if 2 * c.transport.bulk_width >= thickness:
        raise _refuse(
            source, "transport.bulk_width fills the slab",
            f"less than half of the slab, {thickness / 2e-9:.3f} nm",
            f"{c.transport.bulk_width / 1e-9:.3f} nm", "a narrower bulk or more ions",
        )  # fmt: skip
    if c.profiles.bin > thickness / 20:
        raise _refuse(
            source, "profiles.bin is too wide",
            f"at most {thickness / 20e-9:.3f} nm (a twentieth of the slab)",
            f"{c.profiles.bin / 1e-9:.3f} nm", "narrower bins",
        )  # fmt: skip


def _check_times(c: Config, source: str) -> None:
    md = c.md
    for key, part, key_whole, whole in (
        ("md.timestep", md.timestep, "md.save", md.save),
        ("md.timestep", md.timestep, "sampling.spacing", c.sampling.spacing),
        ("md.save", md.save, "md.segment", md.segment),
        ("md.save", md.save, "profiles.lag", c.profiles.lag),
        ("profiles.lag", c.profiles.lag, "profiles.block", c.profiles.block),
    ):
        ratio = whole / part
        if ratio < 1 - 1e-9 or abs(ratio - round(ratio)) > 1e-6 * ratio:
            raise _refuse(
                source, f"{key_whole} is no multiple of {key}",
                f"a multiple of {part:g} s", f"{whole:g} s", "choose times that fit",
            )  # fmt: skip
    lag, block = c.profiles.lag, c.profiles.block
    if lag < 2 * md.save * (1 - 1e-9) or 2 * lag > block * (1 + 1e-9):
        raise _refuse(
            source, "profiles.lag does not fit between md.save and profiles.block",
            f"between {2 * md.save:g} s (two saved frames) and {block / 2:g} s (half a "
            "block)", f"{lag:g} s", "another lag, or frames that are saved more often",
        )  # fmt: skip
    for key, length in (("md.slab", md.slab), ("md.bulk", md.bulk)):
        if length < 2 * c.profiles.block * (1 - 1e-9):
            raise _refuse(
                source, f"{key} is too short for errors",
                f"at least two blocks of profiles.block, {2 * c.profiles.block:g} s",
                f"{length:g} s", "a longer run or shorter blocks",
            )  # fmt: skip
    if md.timestep > 10e-15:
        raise _refuse(source, "md.timestep is too long for ions", "at most 10 fs",
                      f"{md.timestep / 1e-15:g} fs", "5 fs is well tested")  # fmt: skip
