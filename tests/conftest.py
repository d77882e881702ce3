"""What several folders of tests share: the shortened example, run once."""

import time

import pytest
from short_job import Finished, start_short


@pytest.fixture(scope="session")
def short_run(tmp_path_factory):
    out = tmp_path_factory.mktemp("short")
    begin = time.monotonic()
    process = start_short(out)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return Finished(out / "nacl_short", output, time.monotonic() - begin)
