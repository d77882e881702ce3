"""What several folders of tests share: the command, the shortened example, run once."""

import os
import sys
import time

# Before torch and numpy are loaded: threads that wait for each other on a busy machine
# took five times as long as one.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import h5py  # noqa: E402, F401 - before dolfinx, whose HDF5 is another one
import pytest  # noqa: E402
from short_job import Finished, start_short  # noqa: E402

from mesobridge import cli  # noqa: E402


@pytest.fixture(scope="session")
def short_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("short")
    begin = time.monotonic()
    process = start_short(out)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return Finished(out / "nacl_short", output, time.monotonic() - begin)


@pytest.fixture
def mesobridge(monkeypatch, capsys, tmp_path):
    """Call the command in this process: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["mesobridge", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return caught.value.code, out, err

    return call
