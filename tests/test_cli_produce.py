"""`mesobridge produce`: whole runs on springs, each answer, going on, and bad input."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from ase.io import read, write
from produced import learned_springs, water
from spring_oracle import Springs
from typer.testing import CliRunner

from mesobridge.atomistic.potential import load_potential
from mesobridge.atomistic.production.state import unpacked
from mesobridge.bridges import production_job
from mesobridge.bridges.production_job import run_production
from mesobridge.cli import app
from mesobridge.core.artefact import read_json
from mesobridge.core.errors import InputError, MesobridgeError, StageError
from mesobridge.core.md import stored

CONFIG = """
seed = 3
[run]
name = "water"
[system]
structure = "water.xyz"
potential = "p.safetensors"
[walk]
temperature = "300 K"
length = "40 fs"
timestep = "0.5 fs"
friction = "0.02/fs"
[answer]
kind = "correct"
budget = 0.5
stride = "5 fs"
segment = 20
[trigger]
force = 50.0
energy = 50.0
"""
ORACLE = "spring_oracle:Springs"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("produce")
    learned_springs(made / "p.safetensors")
    write(made / "water.xyz", water())
    (made / "produce.toml").write_text(CONFIG)
    return made


@pytest.fixture(scope="module")
def corrected(folder):
    return run_production(folder / "produce.toml", folder / "runs", oracle=ORACLE,
                           quiet=True)  # fmt: skip


def asked(folder, *changes):
    """A configuration with some words changed."""
    text = CONFIG
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "other.toml"
    path.write_text(text)
    return path


def test_it_runs_asks_and_reports(corrected):
    run, found = corrected
    assert found.ended
    assert found.steps == 80
    assert 1 < found.calls < 80
    assert found.energy_error < 1.0
    lines = production_job.production_lines(run, found)
    calls = [json.loads(e) for e in (run / "events.jsonl").read_text().splitlines()]
    expected = np.sqrt(np.mean([e["expected"] ** 2 for e in calls]))
    assert f"{found.calls} calls" in lines[2]
    assert f"{expected:.2f} expected" in lines[3]
    page = (run / "report.html").read_text()
    assert page.count("<svg") == 1
    words = re.sub(r"<[^>]*>", " ", page)
    assert "nan" not in words.lower().split()
    assert f"{found.calls} calls" in words


def test_a_run_that_is_whole_asks_for_nothing_again(folder, corrected):
    Springs.calls = 0
    again = run_production(folder / "produce.toml", folder / "runs", oracle=ORACLE,
                           quiet=True)  # fmt: skip
    assert again == corrected
    assert Springs.calls == 0


def test_velocities_are_of_the_first_temperature_and_heat_comes_later(folder, tmp_path):
    calm = asked(folder, ('"correct"', '"shrink"'))
    first = production_job.start_of(production_job.load_production(calm), folder)
    heat = 'heat_to = "3000 K"\nlength'
    path = asked(folder, ('"correct"', '"shrink"'), ("length", heat))
    start = production_job.start_of(production_job.load_production(path), folder)
    np.testing.assert_array_equal(start.get_velocities(), first.get_velocities())
    run, found = run_production(path, tmp_path, quiet=True)
    walker = unpacked(stored(sorted((run / "segments").iterdir())[-1]))[0].walker
    assert walker.heat > 0.2  # eV, of the 1.2 that three atoms would take in the end
    assert found.ended
    assert found.calls == 0
    assert "drift" in production_job.production_lines(run, found)[2]


def test_a_run_that_stops_names_the_frame(folder, tmp_path):
    path = asked(folder, ('"correct"', '"stop"'), ("force = 50.0", "force = 1e-4"))
    run, found = run_production(path, tmp_path, quiet=True)
    assert not found.ended
    assert found.reason == "force"
    assert "1 frames" in production_job.production_lines(run, found)[-1]
    frame = read(next((run / "frames").iterdir()))
    np.testing.assert_allclose(frame.positions, water().positions, atol=1e-7)
    assert "event-00000.extxyz" in (run / "report.html").read_text()


def test_a_run_that_fails_leaves_a_report(folder, tmp_path):
    path = asked(folder, ('"correct"', '"stop"'), ('"0.5 fs"', '"60 fs"'))
    with pytest.raises(StageError, match="stopped at"):
        run_production(path, tmp_path, quiet=True)
    assert not read_json(tmp_path / "water" / "summary.json")["ended"]
    assert "ran away" in (tmp_path / "water" / "report.html").read_text()


def test_an_oracle_that_cannot_begin_is_told_as_such(folder, tmp_path, monkeypatch):
    def label(self, frames, **options):
        raise StageError("a process for labels died before it began one")

    monkeypatch.setattr(production_job.Labeller, "label", label)
    with pytest.raises(StageError, match="died before it began"):
        run_production(folder / "produce.toml", tmp_path, oracle=ORACLE, quiet=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[walk]", "[walk]\nsteps = 3"), "unknown key walk.steps"),
        (('"300 K"', "300"), "with its unit"),
        (('"correct"', '"pray"'), "answer.kind"),
        (("budget = 0.5", "budget = -1.0"), "answer.budget"),
        (('friction = "0.02/fs"', 'heat_to = "900 K"'), "friction above zero"),
        (("water.xyz", "none.xyz"), "none.xyz"),
        (("p.safetensors", "none.safetensors"), "none.safetensors"),
        (('potential = "p.safetensors"\n', ""), "--potential"),
        (("[walk]", "[oracle]\nkind = 'xtb'\n[walk]"), "got:    both"),
        (("budget = 0.5", "budget = 0.6"), "another run"),
    ],
)
def test_bad_input(folder, corrected, change, said):
    with pytest.raises(MesobridgeError) as told:
        run_production(asked(folder, change), folder / "runs", oracle=ORACLE, quiet=True)
    assert said in str(told.value)
    assert told.value.exit_code == 2


def test_an_oracle_is_needed_and_units_are_checked(folder, tmp_path):
    with pytest.raises(InputError, match="neither"):
        run_production(folder / "produce.toml", tmp_path / "a", quiet=True)
    with pytest.raises(MesobridgeError, match="23.06"):
        run_production(folder / "produce.toml", tmp_path / "b", quiet=True,
                       oracle="spring_oracle:InKcal")  # fmt: skip


def test_what_was_not_calibrated_is_told_before_the_oracle_works(
    folder, tmp_path, monkeypatch
):
    bare = replace(load_potential(folder / "p.safetensors"), uncertainty=None)
    monkeypatch.setattr(production_job, "load_potential", lambda _: bare)
    Springs.calls = 0
    with pytest.raises(InputError, match=r"train with .uncertainty. calibrate"):
        run_production(folder / "produce.toml", tmp_path / "runs", oracle=ORACLE,
                       quiet=True)  # fmt: skip
    assert Springs.calls == 0
    assert not (tmp_path / "runs").exists()


def test_the_verb_tells_what_it_came_to(folder, corrected):
    words = ["produce", str(folder / "produce.toml"), "--out", str(folder / "runs"),
             "--oracle", ORACLE, "--quiet"]  # fmt: skip
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0
    assert "to its end" in found.output
    assert "report.html" in found.output
