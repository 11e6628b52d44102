"""Source bfcl: every multi-turn task of the real package replays as the package's own harness executes it."""

from __future__ import annotations

import importlib.util
import json
import random
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import mpmath
import pytest
from bfcl_eval.eval_checker.multi_turn_eval.multi_turn_utils import execute_multi_turn_func_call

from envsim_core import diff
from envsim_core.config import Collect, Config
from envsim_core.errors import UnknownName
from envsim_core.executor import Executor
from envsim_core.records import Action, Environment, Transition, read_rows
from envsim_core.sources import MissingPackage, _bfcl_mpmath, bfcl
from envsim_core.sources._bfcl_state import Generator, JsonState
from envsim_core.stages.collect import collect_environments, collect_transitions

TASKS = {task.task_id: task for category in bfcl.CATEGORIES for task in bfcl.read_tasks(bfcl.package(), category)}
DRAWS = {  # the tools that draw from a generator, by reading the package
    "book_flight", "purchase_insurance", "authenticate_travel", "register_credit_card", "send_message",
    "fund_account", "withdraw_funds", "get_outside_temperature_from_google", "get_current_speed", "add_contact",
}  # fmt: skip


@pytest.fixture(scope="module")
def replayed(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Environment], list[Transition]]:
    """All tasks, replayed."""
    folder = tmp_path_factory.mktemp("bfcl")
    collect = {"source": "bfcl", "policy": "replay", "scenarios_per_environment": None, "shards": 1}
    config = Config.model_validate({"collect": collect})
    collect_environments(folder / "environments.jsonl", config)
    collect_transitions(folder / "environments.jsonl", 0, folder / "shards/0.jsonl", config)
    rows = list(read_rows(folder / "shards/0.jsonl", Transition))
    return list(read_rows(folder / "environments.jsonl", Environment)), rows


@pytest.mark.timeout(600)
def test_every_call_of_every_task_gives_what_the_packages_own_harness_gives(
    replayed: tuple[list[Environment], list[Transition]],
) -> None:
    _, rows = replayed
    assert Counter(row.status for row in rows) == {"ok": sum(len(task.calls) for task in TASKS.values())}
    by_task: dict[str, dict[str, list[Transition]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        by_task[row.task_id.rpartition(".")[0]][row.action.name].append(row)
    assert len(TASKS) == 800 and by_task.keys() == TASKS.keys()
    for task in TASKS.values():
        expected, _ = execute_multi_turn_func_call(
            task.calls, task.configs, task.classes, "m", task.task_id, long_context=task.category == bfcl.LONG
        )
        waiting = {name: iter(found) for name, found in by_task[task.task_id].items()}
        for call, text in zip(task.calls, expected, strict=True):
            assert next(waiting[call.partition("(")[0].strip()]).observation == text, (task.task_id, call)


@pytest.mark.timeout(600)
def test_what_drew_from_a_generator_is_marked_and_nothing_else_is(
    replayed: tuple[list[Environment], list[Transition]],
) -> None:
    _, rows = replayed
    marked = Counter(row.action.name for row in rows if row.hidden)
    assert set(marked) <= DRAWS and marked["book_flight"] > 100
    assert all(row.hidden == [["_random"]] for row in rows if row.hidden)
    for row in rows:
        assert row.state_after is not None
        if row.action.name in DRAWS and not row.hidden:  # it was turned down before it drew
            assert row.state_before.get("_random") == row.state_after.get("_random")


def test_a_state_is_json_from_which_the_same_call_gives_the_same(
    replayed: tuple[list[Environment], list[Transition]],
) -> None:
    environments, rows = replayed
    codes = {environment.env_id: environment for environment in environments}
    drawn = random.Random(1).sample([row for row in rows if row.hidden], 12)
    for row in [*drawn, *random.Random(2).sample(rows, 12)]:
        environment = codes[row.env_id]
        with Executor(environment.runnable, environment.class_name) as executor:
            again = executor.run(json.loads(json.dumps(row.state_before)), row.action)
        assert (again.observation, again.state_after) == (row.observation, row.state_after)


def test_what_no_method_reads_is_no_part_of_the_state() -> None:
    settings = Collect(source="bfcl", environments=["bfcl-GorillaFileSystem"], scenarios_per_environment=1)
    (environment,) = bfcl.load_environments(settings, 1)
    text = json.dumps(environment.scenarios[0].init_config)
    assert "_last_modified" not in text and "_api_description" not in text
    assert environment.scenarios[0].init_config["_current_dir"] == {"$ref": ["root"]}
    with Executor(environment.runnable, environment.class_name) as executor:
        first = executor.reset(environment.scenarios[0].init_config).state_after
        assert first is not None
        outcome = executor.run(first, Action(name="cd", arguments={"folder": "document"}))
        assert outcome.state_after is not None
        assert [change.path for change in diff(first, outcome.state_after)] == [["_current_dir", "$ref"]]


def test_positional_arguments_get_their_names_and_schemas_are_json_schema() -> None:
    settings = Collect(source="bfcl", environments=["bfcl-GorillaFileSystem"], scenarios_per_environment=1)
    (environment,) = bfcl.load_environments(settings, 1)
    assert Action(name="sort", arguments={"file_name": "final_report.pdf"}) in environment.scenarios[0].calls
    assert all(tool.parameters["type"] == "object" for tool in environment.tools)
    assert "Gorilla file system" not in environment.tools[0].description


class Thing:
    """Holds one of everything that JSON lacks."""

    def __init__(self) -> None:
        self.keys: dict[Any, Any] = {1: "one", 2: {"deep": (1, 2)}}
        self.mixed: dict[Any, Any] = {"a": 1, 2: "b", "$set": 3}
        self.taken = {3, 1, 2}
        self.rng = Generator(7)
        self.rng.randint(0, 10**9)
        self.rng.uniform(0, 1)
        self.parent: Any = None
        self.child = [self, {"again": self.keys}]


def test_a_state_survives_its_way_through_json() -> None:
    codec = JsonState({"Thing": Thing}, [])
    holder = type("Holder", (), {})()
    holder.thing = Thing()
    holder.same = holder.thing
    written = codec.write(holder)
    back = type("Holder", (), {})()
    codec.read(back, json.loads(json.dumps(written)))
    assert codec.write(back) == written
    assert back.same is back.thing and back.thing.child[0] is back.thing
    assert back.thing.child[1]["again"] is back.thing.keys
    assert back.thing.keys == {1: "one", 2: {"deep": (1, 2)}} and back.thing.mixed == {"a": 1, 2: "b", "$set": 3}
    assert back.thing.rng.random() == holder.thing.rng.random()


def test_the_generator_draws_what_pythons_own_draws() -> None:
    ours, theirs = Generator(200191), random.Random(200191)
    for low, high in ((10000, 99999), (0, 10**12), (0, 0)):
        assert [ours.randint(low, high) for _ in range(50)] == [theirs.randint(low, high) for _ in range(50)]
    assert ours.uniform(-10.0, 40.0) == theirs.uniform(-10.0, 40.0)
    again = Generator(200191)
    again.skip(ours.words)
    assert again.getstate()[1] == ours.getstate()[1]


def test_what_cannot_be_told_is_refused() -> None:
    holder = type("Holder", (), {})()
    holder.file = Path("x")
    with pytest.raises(TypeError, match="cannot be told as JSON"):
        JsonState({}, []).write(holder)


def test_the_logarithm_is_mpmaths_to_the_last_digit() -> None:
    rng = random.Random(5)
    for _ in range(1500):
        digits = rng.choice([1, 2, 5, 10, 15, 20, 50])
        value = rng.choice([rng.randint(2, 1000), rng.uniform(0.001, 1e6), 10.0 ** rng.randint(-9, 9)])
        base = rng.choice([2, 10, rng.uniform(1.01, 50)])
        mpmath.mp.dps = _bfcl_mpmath.mpmath.mp.dps = digits
        assert repr(_bfcl_mpmath.log(value) / _bfcl_mpmath.log(base)) == repr(mpmath.log(value) / mpmath.log(base))


def test_without_the_package_the_error_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackage, match="pip install --no-deps bfcl-eval"):
        bfcl.source_files(Collect(source="bfcl"))


def test_an_unknown_class_offers_the_nearest() -> None:
    with pytest.raises(UnknownName, match='did you mean "bfcl-TicketAPI"'):
        bfcl.load_environments(Collect(source="bfcl", environments=["bfcl-TicketApi"]), 1)
