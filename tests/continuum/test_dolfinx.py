import importlib
import sys

import pytest

from mesobridge.core.errors import InputError


def test_a_missing_dolfinx_says_how_to_get_it(monkeypatch):
    for name in ("dolfinx", "dolfinx.fem", "dolfinx.mesh"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "mesobridge.continuum._dolfinx", raising=False)
    with pytest.raises(InputError, match="apt-get install") as caught:
        importlib.import_module("mesobridge.continuum._dolfinx")
    assert caught.value.exit_code == 2
