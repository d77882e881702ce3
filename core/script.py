"""Programs: what went wrong is said in words and in the exit code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from .errors import MesobridgeError


@contextlib.contextmanager
def plain_errors(prefix: str = "") -> Iterator[None]:
    """A program, as a block or a decorator of its main function.

    What mesobridge raises on purpose, or the system refuses about a file, is written to
    stderr without a traceback, and ends the program: 2 for bad input, 1 for a stage that
    failed. Other errors are defects and pass.

    Parameters
    ----------
    prefix
        Before the message.

    Examples
    --------
    ``@plain_errors()`` above ``def main():``
    """
    try:
        yield
    except MesobridgeError as exc:
        _end(f"{prefix}{exc}", exc.exit_code)
    except OSError as exc:
        _end(f"{prefix}{exc.filename or 'a file'}: {exc.strerror or exc}", 2)


def _end(text: str, code: int) -> None:
    sys.stderr.write(text + "\n")
    raise SystemExit(code) from None
