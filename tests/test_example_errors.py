"""Examples on bad input: words on stderr and exit code 2, no traceback."""

import subprocess
import sys
from pathlib import Path

import pytest

from mesobridge.core.errors import InputError, StageError
from mesobridge.core.script import plain_errors

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
SCRIPTS = sorted(EXAMPLES.glob("*/*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_example_ends_plainly(script):
    assert "\n@plain_errors()\ndef main(" in script.read_text()


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("nacl_implicit/nacl.py", ["out", "--model", "absent"], "no file absent"),
        ("nacl_implicit/sample_pairs.py", ["--write", "a"], "wanted: folders seed-*"),
        ("nacl_interface/pipeline.py", ["absent.toml"], "no file absent.toml"),
        ("alanine_dipeptide/alanine.py", ["--out", "file/out"], "Not a directory"),
    ],
)
def test_bad_input(script, arguments, words, tmp_path):
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *arguments], cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("no cell", got="none"), 2, "it: no cell\n  got:    none\n"),
        (StageError("a stage failed"), 1, "it: a stage failed\n"),
        (FileNotFoundError(2, "No such file", "x.npz"), 2, "it: x.npz: No such file\n"),
    ],
)
def test_codes(error, code, text, capsys):
    @plain_errors("it: ")
    def main():
        raise error

    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == code
    assert capsys.readouterr().err == text


def test_defects_keep_their_traceback():
    with pytest.raises(ZeroDivisionError), plain_errors():
        _ = 1 / 0
