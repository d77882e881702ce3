"""Stages for the tests of the pipeline; what they did is told in a log beside the run."""

import os
import signal
import time
from pathlib import Path

from mesobridge.bridges.pipeline.stage import Stage
from mesobridge.core.artefact import write_json, write_text
from mesobridge.core.errors import InputError


def _log(settings, text):
    with Path(settings["log"]).open("a") as handle:
        handle.write(text + "\n")


def number(inputs, settings, out, context):
    _log(settings, "number")
    write_text(out / "number.txt", str(settings["value"]))
    return {"summary": {"number": settings["value"]}, "measured": {"at": time.time()}}


def double(inputs, settings, out, context):
    _log(settings, "double")
    (folder,) = inputs.values()
    value = 2 * int((folder / "number.txt").read_text())
    write_text(out / "number.txt", str(value))
    return {"summary": {"double": value}}


def add(inputs, settings, out, context):
    _log(settings, "add")
    total = sum(int((f / "number.txt").read_text()) for f in inputs.values())
    write_json(out / "total.json", {"total": total + settings.get("offset", 0)})
    return {"summary": {"total": total}}


def broken(inputs, settings, out, context):
    write_text(out / "half.txt", "half")
    raise RuntimeError("something in here broke")


def bad_input(inputs, settings, out, context):
    raise InputError("a trajectory without forces", wanted="forces", got="none")


def dies(inputs, settings, out, context):
    os.kill(os.getpid(), signal.SIGKILL)


def counts(inputs, settings, out, context):
    """Counts to three in three calls that fail, from what its scratch folder says."""
    path = context.scratch / "count"
    count = int(path.read_text()) + 1 if path.is_file() else 1
    path.write_text(str(count))
    if count < 3:
        raise RuntimeError("not yet")
    write_text(out / "count.txt", str(count))
    return {}


def stage(name, function, needs=(), **settings):
    return Stage(name, f"toy_stages:{function}", 1, settings, tuple(needs))


def diamond(log, value=3, offset=0):
    """One number, doubled twice, added."""
    log = str(log)
    return [
        stage("number", "number", value=value, log=log),
        stage("left", "double", ["number"], log=log),
        stage("right", "double", ["number"], log=log, side="right"),
        stage("sum", "add", ["left", "right"], offset=offset, log=log),
    ]
