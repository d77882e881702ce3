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

#: What a melt of ions and its simulation can be, generously; beyond it stages would fail
#: or fill the memory. SI.
RANGES = {
    "system.ions": (32, 1e12, ""),
    "system.temperature": (300, 1e4, "K"),
    "system.density": (200, 5000, "kg/m3"),
    "slab.width": (0.8e-9, 1e-7, "m"),
    "slab.surface_charge": (-0.5, 0.5, "C/m2"),
    "slab.wall_epsilon": (1e-23, 1e-18, "J"),
    "slab.wall_sigma": (0.05e-9, 1e-9, "m"),
    "oracle.cutoff": (0.4e-9, 3e-9, "m"),
    "sampling.frames": (4, 100_000, ""),
    "sampling.held_out": (4, 100_000, ""),
    "sampling.spacing": (1e-15, 1e-10, "s"),
    "potential.cutoff": (0.3e-9, 1.2e-9, "m"),
    "potential.steps": (10, 10_000_000, ""),
    "potential.batch": (1, 1000, ""),
    "potential.learning_rate": (1e-7, 0.1, ""),
    "md.timestep": (1e-16, 10e-15, "s"),
    "md.friction": (1e8, 1e14, "1/s"),
    "md.melt": (0.6e-12, 1e-6, "s"),
    "md.melt_temperature": (300, 1e4, "K"),
    "md.equilibrate": (1e-14, 1e-6, "s"),
    "md.slab": (1e-13, 1e-6, "s"),
    "md.bulk": (1e-13, 1e-6, "s"),
    "md.save": (1e-15, 1e-10, "s"),
    "md.segment": (1e-14, 1e-8, "s"),
    "md.nve": (1e-13, 1e-8, "s"),
    "profiles.bin": (0.005e-9, 0.1e-9, "m"),
    "coarse.cutoff": (0.4e-9, 3e-9, "m"),
    "coarse.spacing": (0.005e-9, 0.1e-9, "m"),
    "coarse.run": (1e-13, 1e-6, "s"),
    "transport.bulk_width": (0.02e-9, 1e-7, "m"),
}


def _refuse(source: str, key: str, wanted: str, got: str, mend: str) -> ConfigError:
    return ConfigError(f"{source}: {key}", wanted=wanted, got=got, mend=mend)


def check_limits(config: Config, source: str) -> None:
    """Refuse values that do not fit together.

    Raises
    ------
    ConfigError
        Names the keys.
    """
    _check_ranges(config, source)
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


def _check_ranges(c: Config, source: str) -> None:
    values = {key: _value(c, key) for key in RANGES}
    for key, value in values.items():
        low, high, unit = RANGES[key]
        if not low <= value <= high * (1 + 1e-9):
            raise _refuse(
                source, f"{key} is out of range", f"{low:g} to {high:g} {unit}".strip(),
                f"{value:g} {unit}".strip(), "a value that a molten salt can have",
            )  # fmt: skip
    low, high, _ = RANGES["system.temperature"]
    for value in c.sampling.temperatures:
        if not low <= value <= high:
            raise _refuse(
                source, "sampling.temperatures is out of range", f"{low:g} to {high:g} K",
                f"{value:g} K", "temperatures at which the salt is molten",
            )  # fmt: skip


def _value(c: Config, key: str) -> float:
    section, name = key.split(".")
    return float(getattr(getattr(c, section), name))


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
    if thickness < 1e-9:
        raise _refuse(
            source, "slab.width leaves too thin a slab", "at least 1 nm of melt",
            f"{thickness / 1e-9:.3g} nm", "a narrower slab or more ions",
        )  # fmt: skip
    if 2 * c.transport.bulk_width >= thickness:
        raise _refuse(
            source, "transport.bulk_width fills the slab",
            f"less than half of the slab, {thickness / 2e-9:.3f} nm",
            f"{c.transport.bulk_width / 1e-9:.3f} nm", "a narrower bulk or more ions",
        )  # fmt: skip
    if c.transport.bulk_width < 2 * c.profiles.bin * (1 - 1e-9):
        raise _refuse(
            source, "transport.bulk_width holds no cells",
            f"at least two of profiles.bin, {2 * c.profiles.bin / 1e-9:.3f} nm",
            f"{c.transport.bulk_width / 1e-9:.3f} nm", "a wider bulk or narrower bins",
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
    n_frames = len(c.sampling.temperatures) * 2
    if min(c.sampling.frames, c.sampling.held_out) < n_frames:
        raise _refuse(
            source, "sampling.frames or sampling.held_out is too small",
            f"at least {n_frames}: one per temperature, bulk and slab",
            f"{c.sampling.frames} and {c.sampling.held_out}", "more frames",
        )  # fmt: skip
    if c.coarse.run < 8 * md.save * (1 - 1e-9):
        raise _refuse(
            source, "coarse.run is too short for errors", f"at least {8 * md.save:g} s",
            f"{c.coarse.run:g} s", "a longer run",
        )  # fmt: skip
    for key, length in (("md.slab", md.slab), ("md.bulk", md.bulk)):
        if length < 2 * c.profiles.block * (1 - 1e-9):
            raise _refuse(
                source, f"{key} is too short for errors",
                f"at least two blocks of profiles.block, {2 * c.profiles.block:g} s",
                f"{length:g} s", "a longer run or shorter blocks",
            )  # fmt: skip
