"""Resuming: what was answered once is never asked again, whatever ended the run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from asking import DEAD, ask, echo, endpoint, request
from scripted_server import Asked, Reply, ScriptedServer, answer

from envsim_core.backends.endpoints import NothingAnswered
from envsim_core.backends.openai_chat import complete
from envsim_core.backends.store import CompletionStore
from envsim_core.errors import BadFile, EnvSimError
from envsim_core.records import Completion, read_rows


def test_a_second_run_asks_nothing_and_writes_the_same_bytes(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:
        ask(tmp_path, endpoint(server.base_url, concurrency=3))
        first = (tmp_path / "completions.jsonl").read_bytes()
        (tmp_path / "completions.jsonl").unlink()
        tally, _ = ask(tmp_path, endpoint(server.base_url))
        assert (tally.reused, tally.answered, len(server.asked)) == (5, 0, 5)
    assert (tmp_path / "completions.jsonl").read_bytes() == first


def test_another_model_sampling_or_prompt_asks_again(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:
        ask(tmp_path, endpoint(server.base_url))
        ask(tmp_path, endpoint(server.base_url, identity={"model": "served-m", "temperature": 1}))
        assert len(server.asked) == 10
        again = [request(0, "a changed prompt"), request(1)]
        complete(endpoint(server.base_url), lambda: again, tmp_path / "store.jsonl", tmp_path / "completions.jsonl")
        assert [asked.question for asked in server.asked[10:]] == ["a changed prompt"]


def test_samples_that_share_a_prompt_are_asked_once_each(tmp_path: Path) -> None:
    requests = [request(0, "same"), request(1, "same"), request(2, "same")]
    with ScriptedServer(lambda asked, number: answer(f"number {number}")) as server:
        out = tmp_path / "completions.jsonl"
        for _ in range(2):
            complete(endpoint(server.base_url), lambda: requests, tmp_path / "store.jsonl", out)
        assert len(server.asked) == 3
    rows = list(read_rows(out, Completion))
    assert [(row.sample_id, row.completion) for row in rows] == [(f"s{n}", f"number {n}") for n in range(3)]


def test_without_resume_everything_is_asked_again(tmp_path: Path) -> None:
    with ScriptedServer(lambda asked, number: answer(f"number {number}")) as server:
        ask(tmp_path, endpoint(server.base_url), count=2)
        _, rows = ask(tmp_path, endpoint(server.base_url), count=2, resume=False)
        assert [row.completion for row in rows] == ["number 2", "number 3"]
        _, rows = ask(tmp_path, endpoint(server.base_url), count=2)
        assert [row.completion for row in rows] == ["number 2", "number 3"]


def test_a_server_that_dies_leaves_rows_and_the_next_run_goes_on(tmp_path: Path) -> None:
    server = ScriptedServer(lambda asked, number: echo(asked, number))
    with server:
        to = endpoint(server.base_url, retries=0)
        ask(tmp_path, to, count=4)
    with ScriptedServer(lambda asked, number: echo(asked, number) if number < 3 else Reply(None)) as dying:
        tally, rows = ask(tmp_path, endpoint(dying.base_url, retries=0), count=20)
    assert (tally.reused, tally.answered, tally.failed) == (4, 3, 13)
    assert sum(row.completion is None for row in rows) == 13
    with ScriptedServer(echo) as again:
        tally, rows = ask(tmp_path, endpoint(again.base_url), count=20)
    assert (tally.reused, tally.answered) == (7, 13)
    assert all(row.completion for row in rows)


def test_answers_are_kept_when_the_server_is_gone_on_the_next_run(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:
        ask(tmp_path, endpoint(server.base_url), count=3)
    with pytest.raises(NothingAnswered, match="3 of 6 answers are kept"):
        ask(tmp_path, endpoint(DEAD), count=6)
    with ScriptedServer(echo) as server:
        tally, _ = ask(tmp_path, endpoint(server.base_url), count=6)
    assert (tally.reused, tally.answered) == (3, 3)


def test_a_torn_last_line_of_the_store_is_dropped(tmp_path: Path) -> None:
    store = tmp_path / "store.jsonl"
    with ScriptedServer(echo) as server:
        ask(tmp_path, endpoint(server.base_url))
        first = (tmp_path / "completions.jsonl").read_bytes()
        whole = store.read_bytes()
        store.write_bytes(whole[:-20])
        tally, _ = ask(tmp_path, endpoint(server.base_url))
        assert (tally.reused, tally.answered) == (4, 1)
    assert (tmp_path / "completions.jsonl").read_bytes() == first
    assert store.read_bytes() == whole


def test_a_damaged_line_inside_the_store_is_named(tmp_path: Path) -> None:
    (tmp_path / "store.jsonl").write_text("{}\n")
    with pytest.raises(BadFile, match=r"store\.jsonl:1: is not a stored answer"):
        ask(tmp_path, endpoint(DEAD))


def test_a_second_run_on_the_same_store_is_refused_while_the_first_one_lasts(tmp_path: Path) -> None:
    with CompletionStore(tmp_path / "store.jsonl"), pytest.raises(EnvSimError, match="another run"):
        ask(tmp_path, endpoint(DEAD))


ASK_IN_ANOTHER_PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from asking import ask, endpoint
ask(Path(sys.argv[1]), endpoint(sys.argv[2], concurrency=2), count=30)
"""


def run_until(command: list[str], enough: Callable[[], bool]) -> None:
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not enough() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def test_kill_9_at_any_moment_loses_no_answer_and_changes_no_byte(tmp_path: Path) -> None:
    def slow(asked: Asked, number: int) -> Reply:
        time.sleep(0.03)
        return echo(asked, number)

    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    whole.mkdir()
    program = ASK_IN_ANOTHER_PROCESS.format(tests=str(Path(__file__).parent))
    with ScriptedServer(slow) as server:
        for stop in (5, 12, 20):
            run_until(
                [sys.executable, "-c", program, str(killed), server.base_url],
                lambda stop=stop: len(server.asked) >= stop,  # type: ignore[misc]
            )
        before = len(server.asked)
        tally, _ = ask(killed, endpoint(server.base_url), count=30)
        assert 0 < tally.reused < 30
        assert len(server.asked) - before == 30 - tally.reused
        assert len(server.asked) <= 30 + 3 * 2  # only what was in flight at a kill was asked twice
        ask(whole, endpoint(server.base_url), count=30)
    assert (killed / "completions.jsonl").read_bytes() == (whole / "completions.jsonl").read_bytes()
