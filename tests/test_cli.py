"""The command line: exit codes, and messages a user can act on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mesobridge.bridges.interface_job import plan
from mesobridge.bridges.pipeline import limits
from mesobridge.bridges.pipeline.config import Config, load_config, parse_config
from mesobridge.bridges.pipeline.lock import run_lock
from mesobridge.bridges.pipeline.template import TEMPLATE
from mesobridge.core.errors import ConfigError

EXAMPLES = Path(__file__).resolve().parent.parent / "examples/nacl_interface"


def test_init_writes_the_defaults_and_never_overwrites(mesobridge):
    code, out, _ = mesobridge("init", "job.toml")
    assert code == 0
    assert "job.toml" in out
    assert load_config("job.toml") == Config()
    Path("job.toml").write_text("mine")
    code, _, err = mesobridge("init", "job.toml")
    assert code == 2
    assert "is there already" in err
    assert Path("job.toml").read_text() == "mine"


def test_the_example_is_the_template():
    assert (EXAMPLES / "config.toml").read_text() == TEMPLATE


def test_check_lists_the_stages_and_runs_nothing(mesobridge, tmp_path):
    code, out, _ = mesobridge("check", EXAMPLES / "config.toml")
    assert code == 0
    for stage in plan(Config()):
        assert stage.name in out
    assert list(tmp_path.iterdir()) == []


BAD = {
    "[run]\nnmae = 'x'": ("unknown key run.nmae", "did you mean name"),
    "[rum]\nname = 'x'": ("unknown key rum", "did you mean run"),
    "[md]\nslab = '50 nm'": ("md.slab", "wrong unit"),
    "[md]\nslab = 50": ("md.slab", "with its unit"),
    "[md]\nslab = '50'": ("md.slab", "then a unit"),
    "[slab]\nwidth = '-1 nm'": ("slab.width", "more than zero"),
    "[slab]\nwidth = '0 nm'": ("slab.width", "more than zero"),
    "[slab]\nvacuum = 1.0": ("slab.vacuum", "greater than or equal to 3"),
    "[system]\nions = 255": ("system.ions", "multiple of 2"),
    "[system]\nions = 256.5": ("system.ions", "integer"),
    "[system]\nions = 4000000000": ("system.ions", "memory"),
    "[system]\nsalt = 'KCl'": ("system.salt", "NaCl"),
    "[run]\nname = '../../x'": ("run.name", "pattern"),
    "[run]\nreplicates = 10": ("run.replicates", "50"),
    "[potential]\nlearning_rate = nan": ("potential.learning_rate", "finite"),
    "[oracle]\ncutoff = '1.2 nm'": ("oracle.cutoff", "image"),
    "[md]\nsave = '0.101 ps'": ("md.save", "multiple"),
    "[md]\nslab = '6 ps'": ("md.slab", "two blocks"),
    "[md]\ntimestep = '20 fs'": ("md.timestep", "1e-14 s"),
    "[transport]\nbulk_width = '2 nm'": ("transport.bulk_width", "half of the slab"),
    "[profiles]\nbin = '0.3 nm'": ("profiles.bin", "out of range"),
    "[slab]\nwidth = '1e200 m'": ("slab.width", "out of range"),
    "[sampling]\ntemperatures = ['100000 K']": ("sampling.temperatures", "300 to"),
    "[profiles]\nbin = '1e-20 m'": ("profiles.bin", "out of range"),
    "[coarse]\ncutoff = '0.02 nm'": ("coarse.cutoff", "out of range"),
    "[system]\ndensity = '1e-9 kg/m**3'": ("system.density", "out of range"),
    "[profiles]\nlag = '0.1 ps'": ("profiles.lag", "two saved frames"),
    "[profiles]\nlag = '5 ps'": ("profiles.lag", "half a block"),
    "[slab]\nwidth = '3.2 nm'": ("slab.width", "too thin"),
    "[sampling]\nheld_out = 4": ("sampling.held_out", "one per temperature"),
    "[coarse]\nrun = '0.5 ps'": ("coarse.run", "too short"),
    "name = ": ("is no TOML", ""),
    "\x00": ("is no TOML", ""),
}


@pytest.mark.parametrize("text", BAD)
@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_bad_configuration_is_refused_and_leaves_nothing(mesobridge, text, verb):
    Path("bad.toml").write_text(text)
    code, out, err = mesobridge(verb, "bad.toml")
    assert code == 2
    assert out == ""
    for words in BAD[text]:
        assert words in err
    assert [p.name for p in Path().iterdir()] == ["bad.toml"]


def test_a_missing_configuration(mesobridge):
    code, _, err = mesobridge("run", "nowhere.toml")
    assert code == 2
    assert "no file nowhere.toml" in err


def test_wrong_use(mesobridge):
    assert mesobridge("run")[0] == 2
    assert mesobridge("frobnicate")[0] == 2
    code, _, err = mesobridge("run", EXAMPLES / "short.toml", "--until", "nothing")
    assert code == 2
    assert "no stage nothing" in err
    assert not Path("runs").exists()


def test_status_and_report_of_nothing(mesobridge, tmp_path):
    code, out, _ = mesobridge("status", EXAMPLES / "short.toml")
    assert code == 0
    assert "0 of 15 stages done" in out
    code, _, err = mesobridge("report", EXAMPLES / "short.toml")
    assert code == 2
    assert "not complete" in err
    assert list(tmp_path.iterdir()) == []


def test_two_runs_in_one_folder(mesobridge, tmp_path):
    with run_lock(tmp_path / "runs/nacl_short"):
        code, _, err = mesobridge("run", EXAMPLES / "short.toml")
    assert code == 2
    assert "another run works in" in err


def test_doctor(mesobridge):
    code, out, _ = mesobridge("doctor")
    assert code == 0
    assert "MISSING" not in out
    assert "dolfinx" in out


def test_an_edited_value_changes_just_the_stages_that_use_it():
    """Settings of a stage, and so its key, hold only what it depends on."""

    def changed(section, **values):
        old = {s.name: s.settings for s in plan(Config())}
        new = {s.name: s.settings for s in plan(parse_config({section: values}))}
        return {name for name in old if old[name] != new[name]}

    assert changed("transport", bias=2e-3) == {"transport"}
    assert changed("profiles", lag="0.5 ps") == {"profiles"}
    assert changed("coarse", run="8 ps") == {"coarse_run"}
    assert changed("potential", channels=8) == {"train"}
    assert changed("md", slab="60 ps") == {"slab_0", "slab_1"}
    assert changed("run", workers=1) == set()
    charge = changed("slab", surface_charge="0.1 C/m**2")
    assert charge == {"sample_slab", "slab_0", "slab_1", "profiles"}


def test_memory_is_asked_before_anything_runs(monkeypatch):
    monkeypatch.setattr(limits, "available_memory", lambda: 2**20)
    with pytest.raises(ConfigError, match="more memory than there is"):
        limits.check_memory(Config(), "it")
    assert parse_config({}) == Config()  # a status needs no memory


@pytest.mark.parametrize(("sign", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_run_ends_with_its_workers(tmp_path, sign, code):
    command = [sys.executable, "-m", "mesobridge.cli", "run", EXAMPLES / "short.toml"]
    run = subprocess.Popen([*command, "--out", tmp_path], stderr=subprocess.PIPE)
    folder = tmp_path / "nacl_short"
    deadline = time.monotonic() + 60
    while not list(folder.glob("store/.half-*")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    assert children
    run.send_signal(sign)
    _, errors = run.communicate(timeout=30)
    assert run.returncode == code, errors.decode()
    time.sleep(0.5)
    for child in children:
        status = Path(f"/proc/{child}/status")
        assert not status.exists() or "Z (zombie)" in status.read_text()
    with run_lock(folder):
        pass
