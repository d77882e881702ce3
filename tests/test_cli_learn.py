"""`mesobridge learn`: a whole run on springs, going on, and bad input."""

import json

import pytest
from ase import Atoms
from ase.io import write
from spring_oracle import Springs
from typer.testing import CliRunner

from mesobridge.atomistic.potential import load_potential
from mesobridge.bridges.active_job import run_learning
from mesobridge.cli import app
from mesobridge.core.errors import InputError, MesobridgeError

CONFIG = """
seed = 3
[run]
name = "water"
[system]
structure = "water.xyz"
[model]
cutoff = "4 angstrom"
channels = 6
radial = 6
hidden = 16
[training]
steps = 200
warm_steps = 100
energy_weight = 20.0
[walk]
temperature = "300 K"
horizon = "30 fs"
replicas = 2
every = 5
[trigger]
force = 0.6
energy = 0.5
[labels]
per_round = 4
most = 48
"""
ORACLE = "spring_oracle:Springs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("learn")
    write(made / "water.xyz", Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]))
    (made / "learn.toml").write_text(CONFIG)
    return made


@pytest.fixture(scope="module")
def learned(folder):
    return run_learning(folder / "learn.toml", folder / "runs", oracle=ORACLE, quiet=True)


def test_it_learns_and_reports(learned):
    run, last = learned
    potential = load_potential(run / "potential.safetensors")
    assert potential.species == ("H", "O")
    assert potential.uncertainty is not None
    rounds = json.loads((run / "rounds.json").read_text())["rounds"]
    assert rounds[-1]["labels"] == last.labels
    page = (run / "report.html").read_text()
    for words in (
        "active learning with spring_oracle",
        "Coverage of new frames",
        "meV/A",
    ):
        assert words in page
    events = [json.loads(line) for line in (run / "run.jsonl").read_text().splitlines()]
    assert sum(e["event"] == "round" for e in events) == len(rounds)


def test_a_run_that_is_whole_asks_for_nothing_again(folder, learned):
    Springs.calls = 0
    again = run_learning(
        folder / "learn.toml", folder / "runs", oracle=ORACLE, quiet=True
    )
    assert again == learned
    assert Springs.calls == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[walk]", "[walk]\nsteps = 3"), "unknown key walk.steps"),
        (('"300 K"', "300"), "with its unit"),
        (("most = 48", "most = 8"), "above the first ones"),
        (("water.xyz", "none.xyz"), "none.xyz"),
        (("[system]", "[system]\nstarts = 2"), "system.starts"),
        (("[model]", "[oracle]\nkind = 'xtb'\n[model]"), "got:    both"),
        (('horizon = "30 fs"', 'horizon = "40 fs"'), "learning of other settings"),
        (("[model]", "[model]\ncharges = {H = 0.4}"), "model.charges"),
    ],
)
def test_bad_input(folder, learned, change, said):
    text = CONFIG.replace(*change)
    assert text != CONFIG
    path = folder / "other.toml"
    path.write_text(text)
    with pytest.raises(MesobridgeError) as told:
        run_learning(path, folder / "runs", oracle=ORACLE, quiet=True)
    assert said in str(told.value)
    assert told.value.exit_code == 2


def test_an_oracle_is_needed_and_units_are_checked(folder):
    with pytest.raises(InputError, match="neither"):
        run_learning(folder / "learn.toml", folder / "a", quiet=True)
    with pytest.raises(MesobridgeError, match="23.06"):
        run_learning(folder / "learn.toml", folder / "b", quiet=True,
                     oracle="spring_oracle:InKcal")  # fmt: skip
    assert not (folder / "b" / "water" / "rounds.json").exists()


def test_the_verb_says_where_things_are(folder, learned):
    asked = ["learn", str(folder / "learn.toml"), "--out", str(folder / "runs"),
             "--oracle", ORACLE, "--quiet"]  # fmt: skip
    found = CliRunner().invoke(app, asked)
    assert found.exit_code == 0
    assert "potential.safetensors" in found.output
