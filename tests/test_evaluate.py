"""Evaluating a published file: each sample gets the verdict that the contract gives its answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from scripted_server import Asked, Reply, ScriptedServer, answer, error

from envsim_core import score
from envsim_core.errors import UnknownName
from envsim_core.metrics import wilson
from envsim_core.sources.published import read_published
from envsim_core.stages.evaluate import evaluate, file_name, find_model

SLICE = Path(__file__).parent / "data" / "published_format_sample.json"
ROOT = Path(__file__).parent.parent
Row = dict[str, Any]


def operations(row: Row) -> list[Row]:
    """The file's own changes (text paths, before and after) as an answer would have them, by walking the states."""
    found: list[Row] = []

    def walk(before: Row, after: Row, path: list[str]) -> None:
        for key in before.keys() | after.keys():
            here = [*path, key]
            if key not in after:
                found.append({"type": "delete", "path": here})
            elif key not in before:
                found.append({"type": "add", "path": here, "value": after[key]})
            elif isinstance(before[key], dict) and isinstance(after[key], dict):
                walk(before[key], after[key], here)
            elif json.dumps(before[key]) != json.dumps(after[key]):
                found.append({"type": "modify", "path": here, "value": after[key]})

    walk(row["step_detail"]["config_before"], row["step_detail"]["config_after"], [])
    return found


def said(feedback: Any, changes: Any) -> str:
    return json.dumps({"feedback": feedback, "config_changes": changes})


def truth(row: Row) -> str:
    text: str = row["step_detail"]["observation"]["content"]
    return text


# Each way to answer, and whether it is right about (state, observation).
Way = tuple[Callable[[Row], str], Callable[[Row], tuple[bool, bool]]]
WAYS: dict[str, Way] = {
    "right": (lambda row: said(truth(row), operations(row)), lambda row: (True, True)),
    "right in a fence after prose": (
        lambda row: f"I think {{so}}:\n```json\n{said(truth(row), operations(row))}\n```\nDone.",
        lambda row: (True, True),
    ),
    "right as text paths": (
        lambda row: said(truth(row), [one | {"path": "/" + "/".join(one["path"])} for one in operations(row)]),
        lambda row: (True, True),
    ),
    "nothing changes": (lambda row: said(truth(row), []), lambda row: (not operations(row), True)),
    "one change missing": (
        lambda row: said(truth(row), operations(row)[1:]),
        lambda row: (not operations(row), True),
    ),
    "one change invented": (
        lambda row: said(truth(row), [*operations(row), {"type": "add", "path": ["zz"], "value": 1}]),
        lambda row: (False, True),
    ),
    "the wrong words": (lambda row: said("no idea", operations(row)), lambda row: (True, False)),
    "a deletion of nothing": (
        lambda row: said(truth(row), [*operations(row), {"type": "delete", "path": ["zz"]}]),
        lambda row: (False, True),
    ),
    "no answer in it": (lambda row: "I cannot tell.", lambda row: (False, False)),
    "cut off": (lambda row: said(truth(row), operations(row))[:-2], lambda row: (False, False)),
    "nothing at all": (lambda row: " \n", lambda row: (False, False)),
}


def raw_rows(path: Path = SLICE) -> list[Row]:
    rows: list[Row] = json.loads(path.read_text())
    return rows


def answering(rows: list[Row], ways: Callable[[int], str]) -> Callable[[Asked, int], Reply]:
    """A server script that answers in the order of the file."""

    def script(asked: Asked, number: int) -> Reply:
        assert json.dumps(rows[number]["step_detail"]["config_before"]) in asked.question
        return answer(WAYS[ways(number)][0](rows[number]))

    return script


def read_lines(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def slice_copy(tmp_path: Path) -> Path:
    path = tmp_path / "slice.json"
    path.write_bytes(SLICE.read_bytes())
    return path


@pytest.mark.parametrize("shift", range(len(WAYS)))
def test_every_sample_gets_the_verdict_that_its_answer_deserves(slice_copy: Path, shift: int) -> None:
    rows, names = raw_rows(), list(WAYS)

    def way(number: int) -> str:
        return names[(number + shift) % len(names)]

    with ScriptedServer(answering(rows, way)) as server:
        files = evaluate(slice_copy, "served", max_workers=1, base_url=server.base_url)
        assert len(server.asked) == len(rows)
    verdicts, published = read_lines(files.verdicts), list(read_published(slice_copy))
    assert [verdict["row"] for verdict in verdicts] == list(range(1, len(rows) + 1))
    for number, (verdict, row, source) in enumerate(zip(verdicts, rows, published, strict=True)):
        text = WAYS[way(number)][0](row)
        right = WAYS[way(number)][1](row)
        assert (verdict["config_match"], verdict["feedback_match"]) == right, (way(number), verdict)
        expected = score(source.sample.model_dump(), text).to_dict()
        assert {key: verdict[key] for key in expected} == json.loads(json.dumps(expected))
        assert verdict["tool"] == row["step_detail"]["action"]["name"]
        assert verdict["change_count"] == row["step_detail"]["config_change"]["change_count"]


def test_the_summary_counts_what_the_verdicts_say(slice_copy: Path) -> None:
    rows, names = raw_rows(), list(WAYS)
    with ScriptedServer(answering(rows, lambda number: names[number % 3 * 3])) as server:
        files = evaluate(slice_copy, "served", max_workers=1, base_url=server.base_url)
    verdicts, summary = read_lines(files.verdicts), json.loads(files.summary.read_text())
    assert summary["samples"] == len(verdicts) == summary["overall"]["all"]["samples"]
    for level, field in (("group", "group"), ("stratum", "stratum"), ("change_count", "change_count")):
        assert set(summary[level]) == {str(verdict[field]) for verdict in verdicts}
        for key, part in summary[level].items():
            mine = [verdict for verdict in verdicts if str(verdict[field]) == key]
            assert part["samples"] == len(mine)
            for metric in ("config_match", "feedback_match", "config_match_published_hosted"):
                counted = [verdict[metric] for verdict in mine if verdict[metric] is not None]
                rate = part[metric]
                assert (rate["successes"], rate["n"]) == (sum(counted), len(counted))
                assert (rate["low"], rate["high"]) == wilson(sum(counted), len(counted))


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(slice_copy: Path) -> None:
    rows = raw_rows()
    with ScriptedServer(answering(rows, lambda number: "right")) as server:
        files = evaluate(slice_copy, "org/model:v1", max_workers=1, base_url=server.base_url)
        paths = (files.completions, files.verdicts, files.summary)
        first = [path.read_bytes() for path in paths]
        assert evaluate(slice_copy, "org/model:v1", base_url=server.base_url).tally.reused == len(rows)
        assert len(server.asked) == len(rows)
    assert [path.read_bytes() for path in paths] == first
    assert files.summary == slice_copy.parent / "slice.org_model_v1.summary.json"


def test_only_the_first_samples_are_asked_and_more_of_them_later(slice_copy: Path) -> None:
    with ScriptedServer(answering(raw_rows(), lambda number: "right")) as server:
        files = evaluate(slice_copy, "served", max_samples=3, max_workers=1, base_url=server.base_url)
        assert len(read_lines(files.verdicts)) == len(server.asked) == 3
        evaluate(slice_copy, "served", max_samples=5, max_workers=1, base_url=server.base_url)
        assert len(read_lines(files.verdicts)) == len(server.asked) == 5


def test_another_server_under_the_same_name_is_asked_anew(slice_copy: Path) -> None:
    for way in ("right", "one change invented"):
        with ScriptedServer(answering(raw_rows(), lambda number, way=way: way)) as server:  # type: ignore[misc]
            files = evaluate(slice_copy, "served", max_samples=4, max_workers=1, base_url=server.base_url)
    assert [verdict["config_match"] for verdict in read_lines(files.verdicts)] == [False] * 4


def test_a_failed_request_is_a_row_outside_the_denominator(
    slice_copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = raw_rows()

    def script(asked: Asked, number: int) -> Reply:
        return error(400, "prompt too long") if number == 1 else answering(rows, lambda number: "right")(asked, number)

    with ScriptedServer(script) as server:
        files = evaluate(slice_copy, "served", max_samples=4, max_workers=1, base_url=server.base_url)
    verdicts, summary = read_lines(files.verdicts), json.loads(files.summary.read_text())
    assert [verdict["outcome"] for verdict in verdicts] == ["scored", "failed", "scored", "scored"]
    assert verdicts[1]["config_match"] is None
    assert verdicts[1]["reason"] == "HTTP 400: prompt too long"
    everything = summary["overall"]["all"]
    assert (everything["failed"], everything["config_match"]["n"], everything["config_match"]["rate"]) == (1, 3, 1.0)
    assert "1 failed: HTTP 400: prompt too long" in capsys.readouterr().out


@pytest.mark.parametrize(("model", "rate"), [("copy", None), ("spam", 0.0), ("oracle", 1.0)])
def test_baselines_are_models_too(tmp_path: Path, model: str, rate: float | None) -> None:
    tickets = [row for row in raw_rows() if row["task_info"]["env_id"] in ("TicketAPI", "MessageAPI")]
    path = tmp_path / "tickets.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in tickets))
    files = evaluate(path, model, max_workers=2)
    for verdict in read_lines(files.verdicts):
        expected = verdict["change_count"] == 0 if rate is None else rate == 1.0
        assert verdict["config_match"] is expected


def test_a_model_is_found_in_the_file_then_among_the_baselines_then_on_the_server(tmp_path: Path) -> None:
    models = tmp_path / "models.yaml"
    models.write_text("mine: {model: org/mine, base_url: 'http://localhost:1/v1'}\n")
    here = {"OPENAI_BASE_URL": "http://localhost:2/v1"}
    assert find_model("mine", None, models, here).model_dump()["base_url"] == "http://localhost:1/v1"
    assert find_model("mine", "http://localhost:3/v1", models, here).model_dump()["base_url"] == "http://localhost:3/v1"
    assert find_model("copy", None, models, here).model_dump()["baseline"] == "copy"
    assert find_model("any/other", None, models, here).model_dump()["model"] == "any/other"
    with pytest.raises(UnknownName, match=r'no model "orcale"; did you mean "oracle"\?.*OPENAI_BASE_URL'):
        find_model("orcale", None, models, {})


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "", "x" * 500, "a\nb", "C:\\x", "模型"])
def test_a_models_name_cannot_leave_the_folder(name: str) -> None:
    safe = file_name(name)
    assert Path("folder", f"stem.{safe}.summary.json").parent == Path("folder")
    assert 0 < len(safe) <= 100


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("OPENAI_")}
    return subprocess.run(
        [sys.executable, "-m", "envsim_core", "evaluate", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=clean | environment,
        timeout=60,
        check=False,
    )


def test_the_command_takes_address_and_key_from_the_environment(slice_copy: Path) -> None:
    key = "sk-of-this-test-only"
    with ScriptedServer(answering(raw_rows(), lambda number: "right")) as server:
        done = run(
            *("--input", str(slice_copy), "--model", "org/any", "--max_samples", "3", "--max_workers", "1"),
            OPENAI_BASE_URL=server.base_url,
            OPENAI_API_KEY=key,
        )
        assert done.returncode == 0, done.stderr
        assert server.asked[0].headers["authorization"] == f"Bearer {key}"
        assert server.asked[0].body["model"] == "org/any"
    assert "100.0 %" in done.stdout
    written = [path.read_text() for path in slice_copy.parent.iterdir()]
    assert not [text for text in [*written, done.stdout, done.stderr] if key in text]


def test_bad_input_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    cut = tmp_path / "cut.json"
    cut.write_bytes(SLICE.read_bytes()[:50_000])
    lacking = tmp_path / "lacking.json"
    rows = raw_rows()[:2]
    del rows[1]["step_detail"]["config_before"]
    lacking.write_text(json.dumps(rows))
    nowhere = {"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}
    for arguments, environment, message in (
        (["--input", str(tmp_path / "none.json"), "--model", "copy"], {}, "none.json: cannot be read: No such file"),
        (["--input", str(cut), "--model", "copy"], {}, "is it cut off?"),
        (["--input", str(lacking), "--model", "copy"], {}, "row 2: step_detail.config_before: is missing"),
        (["--input", str(SLICE), "--model", "orcale"], {}, 'did you mean "oracle"?'),
        (["--input", str(SLICE), "--model", "x", "--output_dir", str(tmp_path)], nowhere, "cannot be reached"),
    ):
        done = run(*arguments, **environment)
        assert done.returncode == 1, done.stdout
        assert message in done.stderr
        assert "Traceback" not in done.stderr
        assert len([line for line in done.stderr.splitlines() if line.startswith("error: ")]) == 1
