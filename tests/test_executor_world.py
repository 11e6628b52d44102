"""The frozen world: clock, ids, random numbers and hash order of a call come from its world's seed alone."""

from __future__ import annotations

import json
import uuid
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from envsim_core import apply
from envsim_core.backends.baselines import Oracle
from envsim_core.config import Collect, Config, Stratify
from envsim_core.executor import Executor, Outcome
from envsim_core.executor.freeze import DEFAULT_NOW, PID, World
from envsim_core.policies import Setting
from envsim_core.prompts import render_messages
from envsim_core.records import Action, Environment, Sample, Scenario, Tool, content_hash, read_rows, write_rows
from envsim_core.stages.collect import explore_environment
from envsim_core.stages.stratify import stratify_transitions

CODE = '''
import calendar, copy, locale, os, pickle, random, secrets, socket, tempfile, time, uuid
import datetime as dt
from datetime import date, datetime, timedelta, timezone
from random import Random, randint
from time import time as now
from uuid import uuid4

LOADED = datetime.now()


class Moment(datetime):
    """A subclass of an environment's own."""


class Clock:
    def clock(self):
        return {
            "now": datetime.now().isoformat(), "utcnow": datetime.utcnow().isoformat(),
            "today": [date.today().isoformat(), datetime.today().isoformat()],
            "zone": datetime.now(timezone(timedelta(hours=2))).isoformat(), "module": dt.datetime.now().isoformat(),
            "loaded": LOADED.isoformat(), "time": [time.time(), time.time_ns(), now()],
            "monotonic": [time.monotonic(), time.perf_counter(), time.process_time()],
            "local": list(time.localtime()) == list(time.gmtime()), "text": [time.ctime(), time.asctime()],
            "strftime": time.strftime("%Y-%m-%d %H:%M:%S %Z"), "clock": time.clock_gettime(time.CLOCK_REALTIME),
            "zones": [time.tzname, time.timezone], "mine": Moment.now().isoformat(),
        }

    def types(self):
        value = Moment.now()
        here = datetime.now()
        return {
            "types": [type(here).__name__, type(here) is datetime, type(value).__name__, isinstance(here, date)],
            "pickled": pickle.loads(pickle.dumps(here)) == here == copy.deepcopy(here),
            "repr": repr(here), "difference": repr(here - LOADED), "strptime": str(datetime.strptime("2024", "%Y")),
            "min": isinstance(datetime.min, datetime), "calendar": calendar.timegm(time.gmtime()),
        }

    def wrong_zone(self):
        return datetime.now(7)

    def sleep(self, seconds):
        before = time.time(), time.monotonic(), datetime.now()
        time.sleep(seconds)
        return [time.time() - before[0], time.monotonic() - before[1], str(datetime.now() - before[2])]

    def ids(self):
        return [str(uuid4()), str(uuid.uuid4())]

    def draws(self):
        return {
            "uuid": [str(uuid.uuid1()), str(uuid4()), hex(uuid.getnode())], "urandom": os.urandom(4).hex(),
            "secrets": [secrets.token_hex(4), secrets.choice("abcdef"), secrets.randbelow(1000)],
            "random": [random.random(), randint(1, 10**6), random.sample(range(100), 3), random.gauss(0, 1)],
            "generators": [Random().random(), random.Random().random(), random.SystemRandom().random()],
            "seeded": Random(7).random(), "name": next(tempfile._get_candidate_names()),
        }

    def random(self):
        return random.random()

    def process(self):
        return {"pid": [os.getpid(), os.getppid()], "user": os.getuid(), "host": [socket.gethostname(), os.uname()[1]],
                "cpus": os.cpu_count(), "folder": os.getcwd(), "locale": locale.getlocale(), "env": dict(os.environ)}

    def names(self):
        return " ".join({f"name-{number}" for number in range(8)})

    def collections(self):
        return {"set": {"b", None, "a", 3, (1, 2)}, "frozen": frozenset({2, 1}), "empty": [set(), frozenset()],
                "one": (1,), "text": ["it's"], "none": (), "float": [1.0, float("nan")]}

    def nothing(self):
        pass
'''
STATE: dict[str, Any] = {"a": 1}


def ask(tool: str, world: World | None = None, state: dict[str, Any] = STATE, **arguments: Any) -> Outcome:
    with Executor(CODE, "Clock", world=world) as executor:
        return executor.run(state, Action(name=tool, arguments=arguments))


def told(tool: str, world: World | None = None, state: dict[str, Any] = STATE, **arguments: Any) -> Any:
    outcome = ask(tool, world, state, **arguments)
    assert outcome.status == "ok", outcome
    assert outcome.observation is not None
    return eval(outcome.observation, {"nan": float("nan")})


def test_every_clock_shows_the_worlds_now() -> None:
    seen = told("clock")
    instant = datetime.fromisoformat(DEFAULT_NOW).timestamp()
    plain = "2025-06-02T09:00:00"
    assert {seen[name] for name in ("now", "utcnow", "module", "loaded", "mine")} == {plain}
    assert seen["today"] == ["2025-06-02", plain]
    assert seen["zone"] == "2025-06-02T11:00:00+02:00"
    assert seen["time"] == [instant, int(instant) * 10**9, instant]
    assert seen["monotonic"] == [1000.0, 1000.0, 0.0]
    assert seen["text"] == ["Mon Jun  2 09:00:00 2025"] * 2
    assert (seen["strftime"], seen["local"], seen["clock"]) == ("2025-06-02 09:00:00 UTC", True, instant)
    assert seen["zones"] == [("UTC", "UTC"), 0]


def test_the_clock_is_the_one_that_was_asked_for() -> None:
    seen = told("clock", World(now="1999-12-31T23:59:59.250000+01:00"))
    assert seen["now"] == "1999-12-31T22:59:59.250000"
    assert seen["time"][1] == 946681199250000000


def test_a_frozen_datetime_is_an_ordinary_datetime() -> None:
    seen = told("types")
    assert seen["types"] == ["datetime", True, "Moment", True]
    assert (seen["pickled"], seen["min"]) == (True, True)
    assert seen["repr"] == "datetime.datetime(2025, 6, 2, 9, 0)"
    assert seen["difference"] == "datetime.timedelta(0)"
    assert seen["strptime"] == "2024-01-01 00:00:00"
    assert "tzinfo argument must be None" in ask("wrong_zone").reason


def test_sleep_returns_at_once_and_moves_the_clock() -> None:
    assert told("sleep", seconds=3600) == [3600.0, 3600.0, "1:00:00"]
    assert "sleep length must be non-negative" in ask("sleep", seconds=-1).reason


def test_draws_are_the_same_in_every_worker_and_differ_by_seed_state_and_action() -> None:
    first = told("draws")
    assert told("draws") == first
    others = [told("draws", World(seed="another")), told("draws", state={"a": 2})]
    for other in others:
        for name in ("urandom", "random", "generators", "secrets"):
            assert other[name] != first[name]
        assert other["seeded"] == first["seeded"]
        assert other["uuid"][2] == first["uuid"][2]
    assert len(set(first["generators"])) == 3
    with Executor(CODE, "Clock") as executor:
        outcomes = [executor.run(STATE, Action(name="draws", arguments={})) for _ in range(2)]
    assert str(outcomes[0].observation) == str(outcomes[1].observation) == str(first)


def test_draws_depend_on_nothing_else() -> None:
    first = told("draws")
    assert told("draws", World(now="2001-01-01T00:00:00Z", hash_seed=7)) | {"uuid": []} == first | {"uuid": []}
    with Executor(CODE + "\nEXTRA = 1\n", "Clock") as executor:
        assert executor.run(STATE, Action(name="ids", arguments={})).observation == str(told("ids"))


def test_the_next_ids_are_known_beforehand() -> None:
    world = World(seed="7")
    call = world.for_call(STATE, "ids", {})
    assert told("ids", world) == call.next_ids(2)
    assert [uuid.UUID(text).version for text in call.next_ids(5)] == [4] * 5
    assert told("random", world) == world.for_call(STATE, "random", {}).next_random(1)[0]
    with pytest.raises(ValueError, match="use for_call"):
        world.next_ids(1)


def test_the_key_order_of_a_state_does_not_change_its_draws() -> None:
    assert told("ids", state={"a": 1, "b": 2}) == told("ids", state={"b": 2, "a": 1})


def test_the_process_looks_the_same_on_every_machine() -> None:
    seen = told("process")
    assert (seen["pid"], seen["user"], seen["cpus"], seen["folder"]) == ([PID, 1], 1000, 1, "/")
    assert (seen["host"], seen["env"]) == (["localhost", "localhost"], {})


def test_hash_order_is_the_worlds() -> None:
    orders = {str(ask("names", World(hash_seed=seed)).observation) for seed in range(4)}
    assert len(orders) > 1, "an order that is only seen inside a text shows the hash seed, so that an audit can find it"
    assert ask("names", World(hash_seed=2)) == ask("names", World(hash_seed=2))


def test_sets_are_told_in_one_order_under_every_hash_seed() -> None:
    texts = {ask("collections", World(hash_seed=seed)).observation for seed in range(4)}
    assert texts == {
        "{'set': {'a', 'b', (1, 2), 3, None}, 'frozen': frozenset({1, 2}), 'empty': [set(), frozenset()], "
        "'one': (1,), 'text': [\"it's\"], 'none': (), 'float': [1.0, nan]}"
    }


def test_a_world_needs_an_instant_and_a_hash_seed_that_python_takes() -> None:
    with pytest.raises(ValueError, match="needs its zone"):
        World(now="2025-01-01T00:00:00")
    with pytest.raises(ValueError, match="PYTHONHASHSEED"):
        World(hash_seed=-1)


TICKETS = """
from datetime import datetime
from uuid import uuid4


class Tickets:
    def __init__(self):
        self.tickets = {}

    def open_ticket(self):
        key = str(uuid4())
        self.tickets[key] = {"opened": datetime.now().isoformat()}
        return {"success": True, "ticket": key}
"""


def test_what_the_clock_and_ids_bring_about_can_be_known_and_is_told_in_the_prompt(tmp_path: Path) -> None:
    tool = Tool(name="open_ticket", description="Open one.", parameters={"type": "object", "properties": {}})
    environment = Environment(
        env_id="tickets", domain="d", summary="s", class_name="Tickets", code=TICKETS, code_hash=content_hash(TICKETS),
        tools=[tool], scenarios=[Scenario(task_id="tickets-0", init_config={"tickets": {}})],
    )  # fmt: skip
    environments, transitions, benchmark = (tmp_path / name for name in ("environments", "transitions", "benchmark"))
    settings = Collect(trajectories=1, steps=3)
    for clock in ("frozen", "in_prompt"):
        config = Config(collect=settings, stratify=Stratify.model_validate({"clock": clock}))
        write_rows(environments, [environment])
        write_rows(transitions, explore_environment(environment, config, Setting(settings, "", Path())))
        stratify_transitions(environments, transitions, benchmark, tmp_path / "composition", config)
        samples = list(read_rows(benchmark, Sample))
        assert len(samples) == 3
        oracle = Oracle({environment.code_hash: environment})
        for sample in samples:
            answer = oracle.answer(sample)
            assert apply(sample.state_before, answer["config_changes"]) == sample.state_after
            assert answer["feedback"] == sample.observation
            (new,) = set(sample.state_after["tickets"]) - set(sample.state_before["tickets"])
            asked = render_messages(environment, sample)[1].content
            assert (new in asked, DEFAULT_NOW in asked) == (clock == "in_prompt",) * 2
        oracle.close()


def test_a_call_that_is_sent_ahead_gives_what_it_gives_alone() -> None:
    calls: list[tuple[dict[str, Any], Action]] = []
    for number in range(20):
        state = {"a": number, "text": "x" * (20_000 * (number % 7))}
        calls.append((state, Action(name=("ids", "random", "nothing", "missing")[number % 4], arguments={})))
    calls.insert(3, ({"bad": {1, 2}}, calls[0][1]))  # cannot be sent at all
    with Executor(CODE, "Clock") as executor:
        alone = [executor.run(*call) for call in calls]
        assert list(executor.run_many(calls)) == alone
    assert json.dumps([outcome.status for outcome in alone]).count("unserialisable") == 1
