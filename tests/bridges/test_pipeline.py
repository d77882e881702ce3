"""The engine: what is there is not run again, what is damaged is, nothing is lost."""

import json
import os

import pytest
from toy_stages import diamond, stage

from mesobridge.bridges.pipeline.lock import run_lock
from mesobridge.bridges.pipeline.progress import Display
from mesobridge.bridges.pipeline.runner import Runner, order
from mesobridge.bridges.pipeline.store import META, content_hash, stage_key
from mesobridge.bridges.pipeline.summary import summarise
from mesobridge.core.errors import BusyError, ConfigError, InputError, StageError


def run(stages, folder, workers=0, again=frozenset()):
    folder.mkdir(exist_ok=True)
    with Display(folder / "run.jsonl", quiet=True) as display:
        return Runner(stages, folder, workers, display, again).run()


def total(outcome, folder):
    path = folder / "store" / outcome.metas["sum"]["key"] / "total.json"
    return json.loads(path.read_text())["total"]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_plan_runs_once(tmp_path, workers):
    log, folder = tmp_path / "log", tmp_path / "run"
    first = run(diamond(log), folder, workers)
    assert total(first, folder) == 12
    assert first.ran == {"number", "left", "right", "sum"}
    assert first.peak_rss_mib > 1
    lines = log.read_text().splitlines()
    assert sorted(lines) == ["add", "double", "double", "number"]
    again = run(diamond(log), folder, workers)
    assert again.ran == frozenset()
    assert log.read_text().splitlines() == lines
    summary = summarise(again)
    assert summary["stages"]["sum"]["cached"] is True
    assert (summary["number"], summary["total"]) == (3, 12)


def test_an_edit_reruns_just_what_depends_on_it(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "run"
    run(diamond(log), folder)
    assert run(diamond(log, offset=5), folder).ran == {"sum"}
    assert run(diamond(log, value=4), folder).ran == {"number", "left", "right", "sum"}
    assert run(diamond(log), folder).ran == frozenset()  # the first results are kept


def test_an_equal_result_stops_the_rerun(tmp_path):
    """A stage that runs again and finds the same leaves what follows as it is."""
    log, folder = tmp_path / "log", tmp_path / "run"
    run(diamond(log), folder)
    assert run(diamond(log), folder, again=frozenset({"number"})).ran == {"number"}


@pytest.mark.parametrize(
    "damage", ["truncate", "flip", "no meta", "bad meta", "link", "lies", "empty"]
)
def test_a_damaged_artefact_is_made_again(tmp_path, damage):
    log, folder = tmp_path / "log", tmp_path / "run"
    outcome = run(diamond(log), folder)
    artefact = folder / "store" / outcome.metas["left"]["key"]
    path = artefact / "number.txt"
    if damage == "truncate":
        path.write_text("")
    elif damage == "flip":
        path.write_text("7")
    elif damage == "no meta":
        (artefact / META).unlink()
    elif damage in ("lies", "empty"):
        meta = json.loads((artefact / META).read_text())
        if damage == "lies":
            meta["results"]["summary"]["double"] = 999
        else:
            meta["files"] = {}
        (artefact / META).write_text(json.dumps(meta))
    elif damage == "bad meta":
        (artefact / META).write_text("{")
    else:
        (tmp_path / "elsewhere").write_text("6")
        path.unlink()
        path.symlink_to(tmp_path / "elsewhere")
    after = run(diamond(log), folder)
    assert after.ran == {"left"}
    assert total(after, folder) == 12


def test_leftovers_of_killed_writers_are_swept(tmp_path):
    folder = tmp_path / "run"
    outcome = run(diamond(tmp_path / "log"), folder)
    half = folder / "store" / ".half-abc"
    half.mkdir()
    (half / "data.nc").write_text("half")
    orphan = folder / "store" / outcome.metas["sum"]["key"] / ".total.json.x.tmp"
    orphan.write_text("half")
    run(diamond(tmp_path / "log"), folder)
    assert not half.exists()
    assert not orphan.exists()


def test_a_failed_stage_keeps_what_is_finished(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "run"
    plan = [*diamond(log), stage("after", "broken", ["sum"])]
    with pytest.raises(StageError, match="stage after failed") as caught:
        run(plan, folder)
    assert caught.value.exit_code == 1
    assert "something in here broke" in str(caught.value)
    assert "run.jsonl" in str(caught.value)
    assert run(diamond(log), folder).ran == frozenset()
    traced = [json.loads(x) for x in (folder / "run.jsonl").read_text().splitlines()]
    assert any("RuntimeError" in entry.get("traceback", "") for entry in traced)


@pytest.mark.parametrize("workers", [0, 1])
def test_bad_input_found_by_a_stage_stays_bad_input(tmp_path, workers):
    plan = [stage("reader", "bad_input")]
    with pytest.raises(InputError, match="stage reader: a trajectory without") as caught:
        run(plan, tmp_path / "run", workers)
    assert caught.value.exit_code == 2
    assert caught.value.wanted == "forces"


def test_a_worker_that_dies_is_named(tmp_path):
    with pytest.raises(StageError, match="stage victim: its process died"):
        run([stage("victim", "dies")], tmp_path / "run", workers=1)


def test_scratch_survives_failures_and_goes_after_success(tmp_path):
    folder = tmp_path / "run"
    for _ in range(2):
        with pytest.raises(StageError):
            run([stage("counter", "counts")], folder)
    outcome = run([stage("counter", "counts")], folder)
    key = outcome.metas["counter"]["key"]
    assert (folder / "store" / key / "count.txt").read_text() == "3"
    assert not (folder / "work" / key).exists()


def test_one_run_per_folder(tmp_path):
    busy = pytest.raises(BusyError, match=str(os.getpid()))
    with run_lock(tmp_path), busy, run_lock(tmp_path):
        pass
    with run_lock(tmp_path):
        pass


def test_order_and_its_refusals():
    plan = [stage("b", "double", ["a"]), stage("a", "number")]
    assert [s.name for s in order(plan)] == ["a", "b"]
    with pytest.raises(ConfigError, match="not planned"):
        order([stage("b", "double", ["a"])])
    with pytest.raises(ConfigError, match="need each other"):
        order([stage("a", "double", ["b"]), stage("b", "double", ["a"])])


def test_keys_depend_on_everything_that_matters():
    one = stage("a", "number", value=1)
    keys = {
        stage_key(one, {}),
        stage_key(stage("a", "number", value=2), {}),
        stage_key(stage("b", "number", value=1), {}),
        stage_key(stage("a", "double", value=1), {}),
        stage_key(one, {"x": "1"}),
        stage_key(one, {"x": "2"}),
    }
    assert len(keys) == 6
    assert stage_key(one, {}) == stage_key(stage("a", "number", value=1), {})


def test_times_do_not_change_what_a_result_is():
    files = {"a": {"sha256": "1", "bytes": 1}}
    base = content_hash(files, {"summary": {"x": 1}, "measured": {"wall": 1.0}})
    assert base == content_hash(files, {"summary": {"x": 1}, "measured": {"wall": 2.0}})
    assert base != content_hash(files, {"summary": {"x": 2}, "measured": {"wall": 1.0}})
