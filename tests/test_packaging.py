"""What is installed is what is in the tree; layers hold; examples in docstrings run."""

import ast
import doctest
import importlib
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mesobridge

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PARTS = ("core", "atomistic", "coarse", "continuum", "bridges", "cli")


def modules():
    for part in PARTS:
        for path in sorted((ROOT / part).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield "mesobridge." + name.removesuffix(".__init__")


def test_every_package_is_listed():
    found = {"mesobridge"} | {
        "mesobridge." + ".".join(path.parent.relative_to(ROOT).parts)
        for part in PARTS
        for path in (ROOT / part).rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def test_version_is_told_once():
    assert mesobridge.__version__ == PROJECT["project"]["version"]
    assert mesobridge.__version__ in (ROOT / "CHANGELOG.md").read_text()
    assert mesobridge.__version__ in (ROOT / "CITATION.cff").read_text()


def test_layers():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", list(modules()))
def test_docstrings_run(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} does not say what it is"
    assert doctest.testmod(module).failed == 0


def test_files_and_functions_stay_small():
    for part in PARTS:
        for path in (ROOT / part).rglob("*.py"):
            text = path.read_text()
            assert len(text.splitlines()) <= 380, path
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.FunctionDef):
                    body = node.body[1:] if ast.get_docstring(node) else node.body
                    length = node.end_lineno - body[0].lineno + 1 if body else 0
                    assert length <= 60, f"{path}: {node.name} has {length} lines"


def test_the_command_line_starts_without_heavy_libraries():
    code = (
        "import sys, mesobridge.cli; "
        "print([m for m in ('torch', 'openmm', 'dolfinx', 'xarray') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.fixture
def bare_tree(tmp_path):
    """A copy of what the set-up reads, and a PATH without pip, apt or dolfinx."""
    tree, tools = tmp_path / "tree", tmp_path / "bin"
    (tree / "tools").mkdir(parents=True)
    tools.mkdir()
    shutil.copy(ROOT / "tools/setup.sh", tree / "tools/setup.sh")
    shutil.copy(ROOT / "pyproject.toml", tree)
    shutil.copytree(ROOT / "constraints", tree / "constraints")
    for name in ("sh", "cat", "cksum", "dirname", "id", "printf"):
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    return tree, tools


def setup(tree, tools, **environment):
    return subprocess.run(
        [shutil.which("sh"), "tools/setup.sh"], cwd=tree, capture_output=True, text=True,
        env={"PATH": str(tools), **environment}, check=False,
    )  # fmt: skip


def test_setup_without_dolfinx_says_what_to_do(bare_tree):
    tree, tools = bare_tree
    script = tree / "tools/setup.sh"
    # Not even the system's own Python here.
    script.write_text(script.read_text().replace("/usr/bin/python3 ", ""))
    done = setup(tree, tools)
    assert done.returncode == 2
    for word in ("apt-get install", "conda-forge", "Docker", "PYTHON="):
        assert word in done.stderr
    assert not (tree / ".venv").exists()


def test_setup_trusts_only_a_finished_environment(bare_tree):
    """The stamp is written last and names what it was made from."""
    tree, tools = bare_tree
    (tree / ".venv/bin").mkdir(parents=True)
    python = tree / ".venv/bin/python"
    python.write_text("#!/bin/sh\n")
    python.chmod(0o755)
    script = tree / "tools/setup.sh"
    script.write_text(script.read_text().replace("/usr/bin/python3 ", ""))
    assert setup(tree, tools).returncode == 2  # no stamp: half-built, not used
    texts = [f"{tree.resolve()}\n".encode(), (tree / "pyproject.toml").read_bytes(),
             script.read_bytes()]  # fmt: skip
    texts += [p.read_bytes() for p in sorted((tree / "constraints").glob("*.txt"))]
    stamp = subprocess.run(
        ["cksum"], input=b"".join(texts), capture_output=True, check=True
    ).stdout
    (tree / ".venv/.ready").write_bytes(stamp)
    assert setup(tree, tools).returncode == 0
    (tree / "pyproject.toml").write_text("changed")
    assert setup(tree, tools).returncode == 2


def test_no_path_of_a_machine_is_committed():
    words = ("/work/" + "main", "pypi" + "-more")
    done = subprocess.run(
        ["git", "-C", str(ROOT), "grep", "-l", *[a for w in words for a in ("-e", w)]],
        capture_output=True, text=True, check=False, env=os.environ,
    )  # fmt: skip
    assert done.stdout == ""
