"""What a reader of profiles must know before believing them: told in words, once."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import xarray as xr

from .schema import QUALITY_FLAGS

#: Friction of a Langevin thermostat (1/s) above which it slows diffusion.
HIGH_FRICTION = 0.2e12


class Caution(UserWarning):
    """A reason to doubt profiles; `cautions` of the data set tells it too."""


def cautions(profiles: xr.Dataset) -> list[str]:
    """Reasons to doubt profiles, from their attributes and flags.

    Parameters
    ----------
    profiles
        ``interface-profiles/1`` or ``density-profiles/1``.

    Returns
    -------
    list of str
        Heavy hydrogens and strong friction where there is diffusion, species whose
        D_perp has no plateau over lags, a run that is not steady.
    """
    attrs, found = profiles.attrs, []
    if "D_perp" in profiles:
        if attrs.get("hmr") == 1:
            found.append(
                "heavy hydrogens (HMR) change rotation, and with it the diffusion of "
                "molecules: take density and potential, not D"
            )
        if attrs.get("friction", 0.0) > HIGH_FRICTION:
            found.append(
                f"friction of {attrs['friction'] * 1e-12:g}/ps slows diffusion: "
                f"{HIGH_FRICTION * 1e-12:g}/ps or less does not"
            )
        lost = profiles["quality_flag"].values & QUALITY_FLAGS["no_plateau"] > 0
        for name, part in zip(profiles["species"].values, lost.mean(axis=1), strict=True):
            if part > 0:
                found.append(
                    f"D_perp of {name} has no plateau over lags in {part:.0%} of cells"
                )
    if attrs.get("steady") == 0:
        found.append(str(attrs.get("steady_verdict", "NOT steady")))
    return found


def caution(profiles: xr.Dataset, stacklevel: int = 2) -> None:
    """Warn of what `cautions` finds."""
    for text in cautions(profiles):
        warnings.warn(text, Caution, stacklevel=stacklevel + 1)


@contextmanager
def told_elsewhere() -> Iterator[None]:
    """Keep `caution` silent where a report or a summary tells the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Caution)
        yield
