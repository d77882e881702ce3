"""Errors a user can act on: each says what, wanted, got and how to mend."""

from __future__ import annotations


class MesobridgeError(Exception):
    """Base of every error that mesobridge raises on purpose.

    Parameters
    ----------
    what
        What went wrong, and where (field, file, stage).
    wanted, got
        What was expected, and what was found instead.
    mend
        What the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, *, wanted: str = "", got: str = "", mend: str = ""):
        self.what, self.wanted, self.got, self.mend = what, wanted, got, mend
        lines = [what]
        for label, text in (("wanted", wanted), ("got", got), ("mend", mend)):
            if text:
                lines.append(f"  {label + ':':<8}{text}")
        super().__init__("\n".join(lines))

    def __reduce__(self):
        # Keyword-only fields would be lost when a worker process sends the error back.
        return _rebuild, (type(self), self.what, self.wanted, self.got, self.mend)


def _rebuild(kind, what, wanted, got, mend):
    return kind(what, wanted=wanted, got=got, mend=mend)


class InputError(MesobridgeError):
    """Something the user gave cannot be used (exit code 2)."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration file breaks its contract."""


class UnitError(InputError):
    """A quantity has the wrong dimension or no unit."""


class SchemaError(InputError):
    """A data set or model file breaks its contract."""


class BusyError(InputError):
    """Another process works on the same run folder."""


class StageError(MesobridgeError):
    """A pipeline stage failed (exit code 1)."""
