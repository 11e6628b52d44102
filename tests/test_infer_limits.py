"""Requests, tokens and money: a model is asked no faster and costs no more than its entry says."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from asking import ask, echo, endpoint
from scripted_server import Asked, Reply, ScriptedServer, answer, error

from envsim_core.backends.endpoints import remote_endpoint
from envsim_core.backends.limits import Budget, Pace, SpendingLimitReached, cost
from envsim_core.backends.store import CompletionStore
from envsim_core.config import Price, RemoteModel
from envsim_core.errors import BadConfig, EnvSimError
from envsim_core.records import Message, Usage

# the scripted server counts 7 and 3 tokens: an answer costs 10 millionths of a dollar
PRICE = Price(prompt=1.0, completion=1.0)
ANSWER = 10e-6


def test_no_minute_holds_more_requests_than_it_may() -> None:
    pace, now, sent = Pace(30, None), 1000.0, []
    for number in range(100):
        sent.append(now + pace.turn(0.0, now))
        now += 0.1 if number < 60 else 1.5
    assert all(sum(start <= one < start + 59.9 for one in sent) <= 30 for start in sent)
    assert sent[30] - sent[0] == pytest.approx(60.0)
    assert pace.turn(0.0, sent[-1] + 3.0) == 0.0


def test_tokens_are_paced_by_estimate_and_corrected_by_count() -> None:
    pace = Pace(None, 6000)  # 100 a second
    question = [Message(role="user", content="x" * 400)]
    assert pace.estimate(question) == 100.0
    assert [pace.turn(100.0, 50.0) for _ in range(3)] == pytest.approx([0.0, 1.0, 2.0])
    pace.correct(100.0, Usage(prompt_tokens=120, completion_tokens=480))
    assert pace.turn(100.0, 50.0) == pytest.approx(8.0)
    assert pace.estimate(question) == 580.0
    pace.correct(100.0, Usage())
    assert pace.turn(100.0, 50.0) == pytest.approx(9.0)


def test_without_limits_nothing_waits_and_after_a_pause_turns_are_spread_again() -> None:
    assert [Pace(None, None).turn(1e9, 5.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    pace = Pace(60, None)
    pace.hold(20.0)
    assert [pace.turn(0.0, 10.0) for _ in range(3)] == pytest.approx([10.0, 11.0, 12.0])


def test_requests_leave_at_the_pace_of_the_entry_retries_included(tmp_path: Path) -> None:
    came: list[float] = []

    def script(asked: Asked, number: int) -> Reply:
        came.append(time.monotonic())
        return error(500, "boom") if number == 2 else echo(asked, number)

    started = time.monotonic()
    with ScriptedServer(script) as server:
        tally, _ = ask(tmp_path, endpoint(server.base_url, concurrency=4, requests_per_minute=600), count=8)
    assert (tally.answered, len(came)) == (8, 9)
    assert came[-1] - started >= 0.1 * 8


def test_tokens_and_money_of_every_run_are_summed_in_the_store_and_shown(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer(echo) as server:
        to = endpoint(server.base_url, price=Price(prompt=2.0, completion=10.0))
        tally, _ = ask(tmp_path, to, count=3)
        assert tally.money == pytest.approx(3 * 44e-6)
        tally, _ = ask(tmp_path, to, count=5)
    assert (tally.reused, tally.prompt_tokens, tally.completion_tokens) == (3, 14, 6)
    assert tally.money == pytest.approx(5 * 44e-6)
    with CompletionStore(tmp_path / "store.jsonl") as store:
        assert store.paid == Usage(prompt_tokens=35, completion_tokens=15)
    assert "20 tokens, $0.0002" in capfd.readouterr().err
    with ScriptedServer(echo) as server:
        assert ask(tmp_path, endpoint(server.base_url), count=5)[0].money is None


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_spending_limit_stops_the_run_and_once_raised_it_goes_on(tmp_path: Path, concurrency: int) -> None:
    with ScriptedServer(echo) as server:
        to = endpoint(server.base_url, concurrency=concurrency, price=PRICE, spending_limit=7.5 * ANSWER)
        for _ in range(2):  # the second one finds nothing that it may ask for
            with pytest.raises(
                SpendingLimitReached, match=r"7 of 20 requests are done and kept\. Raise spending_limit"
            ):
                ask(tmp_path, to, count=20)
            assert len(server.asked) == 7
            assert not (tmp_path / "completions.jsonl").exists()
        to = endpoint(server.base_url, concurrency=concurrency, price=PRICE, spending_limit=20.5 * ANSWER)
        tally, rows = ask(tmp_path, to, count=20)
        assert (tally.reused, tally.answered, len(server.asked)) == (7, 13, 20)
        ask(tmp_path / "whole", endpoint(server.base_url), count=20)
    assert all(row.completion for row in rows)
    assert (tmp_path / "completions.jsonl").read_bytes() == (tmp_path / "whole/completions.jsonl").read_bytes()


def test_what_the_limit_left_out_are_rows_if_asked_for(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:
        to = endpoint(server.base_url, price=PRICE, spending_limit=3.5 * ANSWER)
        tally, rows = ask(tmp_path, to, count=5, fail_fast=False)
    assert (tally.answered, tally.failed) == (3, 2)
    assert [row.reason for row in rows[3:]] == ["not asked: the spending limit of $3.5e-05 is reached"] * 2


def test_a_limit_that_is_enough_is_no_error(tmp_path: Path) -> None:
    with ScriptedServer(echo) as server:
        tally, _ = ask(tmp_path, endpoint(server.base_url, price=PRICE, spending_limit=5 * ANSWER + 1e-9))
    assert (tally.answered, tally.failed) == (5, 0)


def test_failed_requests_cost_nothing_and_give_their_share_of_the_limit_back(tmp_path: Path) -> None:
    def script(asked: Asked, number: int) -> Reply:
        return error(400, "too long") if asked.question == "question 1" else echo(asked, number)

    with ScriptedServer(script) as server:
        tally, _ = ask(
            tmp_path, endpoint(server.base_url, concurrency=4, price=PRICE, spending_limit=4 * ANSWER + 1e-9)
        )
    assert (tally.answered, tally.failed) == (4, 1)


def test_a_server_that_counts_no_tokens_cannot_have_a_limit(tmp_path: Path) -> None:
    reply = Reply('{"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}')
    with ScriptedServer(lambda asked, number: reply) as server:
        with pytest.raises(EnvSimError, match="answers without counting tokens"):
            ask(tmp_path, endpoint(server.base_url, concurrency=8, price=PRICE, spending_limit=1.0))
        assert len(server.asked) == 1
        assert ask(tmp_path, endpoint(server.base_url, price=PRICE))[0].reused == 1
    with ScriptedServer(lambda asked, number: answer(None, "content_filter")) as server:
        tally, _ = ask(tmp_path / "filtered", endpoint(server.base_url, price=PRICE, spending_limit=1.0))
    assert tally.answered == 5


def test_a_price_is_per_million_tokens_and_a_limit_needs_one() -> None:
    assert cost(Price(prompt=0.25, completion=2.0), Usage(prompt_tokens=2_000_000, completion_tokens=500_000)) == 1.5
    assert Budget(None, None, Usage(), Usage()).money is None
    entry = RemoteModel(model="m", base_url="http://127.0.0.1:1/v1", spending_limit=5.0)
    with pytest.raises(BadConfig, match="has a spending_limit and no price"):
        remote_endpoint("m", entry, retries=1, environment={})
    entry = entry.model_copy(update={"price": PRICE, "requests_per_minute": 9, "tokens_per_minute": 99})
    made = remote_endpoint("m", entry, retries=1, environment={})
    assert (made.price, made.spending_limit) == (PRICE, 5.0)
    assert (made.requests_per_minute, made.tokens_per_minute) == (9, 99)
    # what is asked is the same, so a changed price or limit asks nothing again
    assert set(made.identity) == {"model", "sampling", "base_url"}
