"""Each baseline has the score that it is there for, over the same HTTP path as any other model."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from envsim_core import Verdict, score_batch
from envsim_core.backends.baseline_server import baseline_endpoint
from envsim_core.backends.baselines import CannotAnswer, Oracle, answerer, copy, delete_all, noisy, spam, true_changes
from envsim_core.backends.endpoints import Endpoint
from envsim_core.config import BaselineModel
from envsim_core.errors import EnvSimError
from envsim_core.prompts import render_request
from envsim_core.records import (
    Action,
    Completion,
    Environment,
    JsonObject,
    Sample,
    content_hash,
    dump_row,
    read_rows,
    write_rows,
)
from envsim_core.sources.published import read_published
from envsim_core.stages.infer import infer_completions
from envsim_core.stages.prompts import render_prompts

SLICE = Path(__file__).parent / "data" / "published_format_sample.json"

COUNTER = '''
class Counter:
    """Counts, and keeps a log."""

    def __init__(self) -> None:
        self.total = 0
        self.log = []

    def add(self, number):
        if number < 0:
            return {"success": False, "error": "negative"}
        self.total += number
        self.log.append(number)
        return {"success": True, "total": self.total}

    def look(self):
        return {"success": True, "total": self.total}

    def burn(self):
        raise ValueError("burnt")
'''


def environment() -> Environment:
    return Environment(
        env_id="counter", domain="", summary="", class_name="Counter", code=COUNTER, code_hash=content_hash(COUNTER),
        tools=[], scenarios=[],
    )  # fmt: skip


def counted(name: str, tool: str, arguments: JsonObject, after: JsonObject, observation: str, changes: int) -> Sample:
    return Sample(
        sample_id=name, env_id="counter", task_id="t", step=1, stratum="", change_count=changes,
        code_hash=content_hash(COUNTER), action=Action(name=tool, arguments=arguments), observation=observation,
        state_before={"total": 1, "log": [1]}, state_after=after,
    )  # fmt: skip


def counter_samples() -> list[Sample]:
    before: JsonObject = {"total": 1, "log": [1]}
    return [
        counted("add", "add", {"number": 2}, {"total": 3, "log": [1, 2]}, "{'success': True, 'total': 3}", 2),
        counted("look", "look", {}, before, "{'success': True, 'total': 1}", 0),
        counted("bad", "add", {"number": -1}, before, "{'success': False, 'error': 'negative'}", 0),
    ]


def slice_samples() -> list[Sample]:
    return [row.sample for row in read_published(SLICE)]


def judge(samples: list[Sample], answers: list[JsonObject]) -> list[Verdict]:
    return score_batch([dump_row(sample) for sample in samples], [json.dumps(answer) for answer in answers])


def test_copy_is_right_exactly_where_nothing_changed() -> None:
    samples = slice_samples() + counter_samples()
    for sample, verdict in zip(samples, judge(samples, [copy(sample) for sample in samples]), strict=True):
        assert verdict.config_match is verdict.feedback_match is (sample.change_count == 0)


def test_spam_has_every_observation_right_and_every_state_wrong() -> None:
    samples = slice_samples() + counter_samples()
    for verdict in judge(samples, [spam(sample) for sample in samples]):
        assert (verdict.config_match, verdict.feedback_match, verdict.failure) == (False, True, "collateral_edit")


def test_delete_all_is_wrong_wherever_there_was_a_state() -> None:
    samples = slice_samples() + counter_samples()
    for sample, verdict in zip(samples, judge(samples, [delete_all(sample) for sample in samples]), strict=True):
        assert verdict.config_match is (sample.state_after == {})
        assert verdict.outcome == "scored"


def test_the_true_changes_are_right_everywhere() -> None:
    samples = slice_samples()
    answers = [{"feedback": sample.observation, "config_changes": true_changes(sample)} for sample in samples]
    assert {verdict.failure for verdict in judge(samples, answers)} == {"none"}


def test_noisy_is_the_same_on_every_run_and_wrong_exactly_where_it_erred() -> None:
    samples = slice_samples()
    answers = [noisy(sample, 0.3) for sample in samples]
    assert answers == [noisy(sample, 0.3) for sample in samples]
    for sample, answer, verdict in zip(samples, answers, judge(samples, answers), strict=True):
        assert verdict.config_match is (answer["config_changes"] == true_changes(sample))
        assert verdict.feedback_match is (answer["feedback"] == sample.observation)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_noisy_at_the_ends_is_always_right_or_always_wrong(rate: float) -> None:
    samples = slice_samples()
    for sample, verdict in zip(samples, judge(samples, [noisy(one, rate) for one in samples]), strict=True):
        assert verdict.config_match is (rate == 0 or sample.change_count == 0)
        assert verdict.feedback_match is (rate == 0)


@pytest.mark.parametrize(
    "value",
    [True, 0, -1, 10**400, 1e300, float("inf"), float("nan"), "", "text", [], [1], {}, {"?": "?"}, None],
)
def test_a_wrong_value_is_wrong_whatever_the_value_is(value: Any) -> None:
    for number in range(30):
        sample = counted(f"v{number}", "add", {}, {"total": value, "log": [1]}, "ok", 1)
        if true_changes(sample):
            assert not judge([sample], [noisy(sample, 1.0)])[0].config_match


def test_noisy_errs_at_its_rate_per_change() -> None:
    after: JsonObject = {"total": 1, "log": [1]} | {f"k{number}": number for number in range(4)}
    samples = [counted(f"n{number}", "add", {}, after, "ok", 4) for number in range(1500)]
    verdicts = judge(samples, [noisy(sample, 0.1) for sample in samples])
    assert abs(sum(bool(verdict.config_match) for verdict in verdicts) / 1500 - 0.9**4) < 0.05
    assert abs(sum(bool(verdict.feedback_match) for verdict in verdicts) / 1500 - 0.9) < 0.03


def test_the_oracle_executes_the_code_and_never_looks_at_the_truth() -> None:
    oracle = Oracle({environment().code_hash: environment()})
    try:
        lying = [
            sample.model_copy(update={"state_after": {"a": "lie"}, "observation": "a lie"})
            for sample in counter_samples()
        ]
        answers = [oracle.answer(sample) for sample in lying]
    finally:
        oracle.close()
    assert {verdict.failure for verdict in judge(counter_samples(), answers)} == {"none"}


def test_the_oracle_says_why_it_cannot_answer() -> None:
    burning = counted("burn", "burn", {}, {}, "", 0)
    oracle = Oracle({environment().code_hash: environment()})
    try:
        with pytest.raises(CannotAnswer, match=r"counter\.burn raised: ValueError: burnt"):
            oracle.answer(burning)
        with pytest.raises(CannotAnswer, match="not among the environments"):
            oracle.answer(burning.model_copy(update={"code_hash": "0"}))
    finally:
        oracle.close()


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Environments, benchmark and requests of the counter."""
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("environments", "benchmark", "requests")}
    write_rows(paths["environments"], [environment()])
    write_rows(paths["benchmark"], counter_samples())
    render_prompts(paths["environments"], paths["benchmark"], paths["requests"])
    return paths


def serve(files: dict[str, Path]) -> AbstractContextManager[Endpoint]:
    entry = BaselineModel(baseline="copy")
    return baseline_endpoint("copy", entry, files["environments"], files["benchmark"], files["requests"])


def post(base_url: str, body: bytes) -> tuple[int, Any]:
    request = urllib.request.Request(
        f"{base_url}/chat/completions", body, {"Content-Type": "application/json"}, method="POST"
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_server_speaks_the_protocol_and_refuses_what_it_does_not_know(files: dict[str, Path]) -> None:
    with serve(files) as endpoint:
        root = endpoint.base_url.removesuffix("/v1")
        with urllib.request.urlopen(f"{root}/health", timeout=10) as response:
            assert json.load(response) == {"status": "ok"}
        with urllib.request.urlopen(f"{root}/v1/models", timeout=10) as response:
            assert [model["id"] for model in json.load(response)["data"]] == ["copy"]
        messages = [row.model_dump() for row in render_request(environment(), counter_samples()[1]).messages]
        status, body = post(endpoint.base_url, json.dumps({"model": "copy", "messages": messages}).encode())
        assert status == 200
        assert json.loads(body["choices"][0]["message"]["content"])["config_changes"] == []
        unknown = json.dumps({"model": "copy", "messages": [{"role": "user", "content": "hello"}]}).encode()
        assert post(endpoint.base_url, unknown)[0] == 422
        assert post(endpoint.base_url, json.dumps({"model": "gpt", "messages": messages}).encode())[0] == 404
        assert post(endpoint.base_url, b"{")[0] == 400
        assert post(endpoint.base_url, b"[]")[0] == 400
        assert post(endpoint.base_url + "/elsewhere", b"{}")[0] == 404


def test_the_server_is_gone_when_the_block_ends_however_it_ends(files: dict[str, Path]) -> None:
    with pytest.raises(KeyboardInterrupt), serve(files) as endpoint:
        raise KeyboardInterrupt
    with pytest.raises(urllib.error.URLError):
        post(endpoint.base_url, b"{}")


def test_a_server_that_cannot_start_says_why(files: dict[str, Path]) -> None:
    files["benchmark"].write_text("{}\n")
    why = r'baseline "copy" could not be started: .*benchmark\.jsonl:1: sample_id'
    with pytest.raises(EnvSimError, match=why), serve(files):
        pass


SERVE_FOR_EVER = """
import sys, time
from pathlib import Path
from envsim_core.backends.baseline_server import baseline_endpoint
from envsim_core.config import BaselineModel
with baseline_endpoint("copy", BaselineModel(baseline="copy"), *map(Path, sys.argv[1:])) as endpoint:
    print(endpoint.base_url, flush=True)
    time.sleep(60)
"""


def test_the_server_ends_when_its_parent_is_killed(files: dict[str, Path]) -> None:
    paths = [str(files[name]) for name in ("environments", "benchmark", "requests")]
    parent = subprocess.Popen([sys.executable, "-c", SERVE_FOR_EVER, *paths], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    base_url = parent.stdout.readline().strip()
    assert post(base_url, b"{}")[0] == 400
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            post(base_url, b"{}")
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError("the server is still there")


@pytest.mark.parametrize("model", ["oracle", "copy", "spam", "delete_all", "noisy"])
def test_infer_asks_a_baseline_over_http_and_writes_the_same_bytes_twice(files: dict[str, Path], model: str) -> None:
    folder = files["requests"].parent
    models = folder / "models.yaml"
    models.write_text(
        "".join(f"{name}: {{baseline: {name}}}\n" for name in ("oracle", "copy", "spam", "delete_all", "noisy"))
    )
    out = folder / model / "completions.jsonl"
    arguments = (files["requests"], files["benchmark"], files["environments"], model, out, models)
    tally = infer_completions(*arguments)
    assert (tally.answered, tally.failed) == (3, 0)
    first = out.read_bytes()
    (out.parent / "store.jsonl").unlink()
    infer_completions(*arguments)
    assert out.read_bytes() == first
    assert infer_completions(*arguments).reused == 3
    rows = list(read_rows(out, Completion))
    assert [row.sample_id for row in rows] == ["add", "look", "bad"]
    verdicts = score_batch([dump_row(one) for one in counter_samples()], [row.completion for row in rows])
    expected = {"oracle": 3, "copy": 2, "spam": 0, "delete_all": 0}
    if model in expected:
        assert Counter(bool(verdict.config_match) for verdict in verdicts)[True] == expected[model]


def test_a_call_that_the_oracle_cannot_execute_is_a_row_with_the_reason(files: dict[str, Path]) -> None:
    samples = [*counter_samples(), counted("burn", "burn", {}, {}, "", 0)]
    write_rows(files["benchmark"], samples)
    render_prompts(files["environments"], files["benchmark"], files["requests"])
    models = files["requests"].parent / "models.yaml"
    models.write_text("oracle: {baseline: oracle}\n")
    out = files["requests"].parent / "completions.jsonl"
    tally = infer_completions(files["requests"], files["benchmark"], files["environments"], "oracle", out, models)
    assert (tally.answered, tally.failed) == (3, 1)
    row = list(read_rows(out, Completion))[-1]
    assert row.completion is None
    assert row.reason.startswith("HTTP 422: counter.burn raised: ValueError: burnt")


def test_every_baseline_of_the_configuration_can_answer() -> None:
    rng = random.Random(1)
    sample = rng.choice(counter_samples())
    for name in ("oracle", "copy", "spam", "delete_all", "noisy"):
        entry = BaselineModel.model_validate({"baseline": name})
        assert "feedback" in answerer(entry, {environment().code_hash: environment()})(sample)
