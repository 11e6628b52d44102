"""Audit: what depends on the clock, on chance, on hash order or on hidden state is found, named and not drawn."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from envsim_core.config import Audit, Config, Limits, Quotas, Stratify
from envsim_core.executor import Executor
from envsim_core.executor.freeze import World
from envsim_core.records import (
    Action,
    Audited,
    Environment,
    Sample,
    Transition,
    content_hash,
    read_rows,
    write_rows,
)
from envsim_core.replays import Call, Finding, replay
from envsim_core.stages.audit import audit_benchmark, audit_transitions
from envsim_core.stages.stratify import import_benchmark, stratify_transitions
from envsim_core.strata import STRATA
from envsim_core.volatility import differences, float_texts

PUBLISHED = Path(__file__).parent / "data/published_format_sample.json"
CODE = """
import itertools
import random
import secrets
import time
import uuid
from datetime import datetime

COUNTER = 0
IDS = itertools.count(1)


def numbers():
    number = 10
    while True:
        number += 1
        yield number


NUMBERS = numbers()


def counted():
    calls = 0

    def count():
        nonlocal calls
        calls += 1
        return calls

    return count


COUNT = counted()


class Shop:
    made = 0

    def __init__(self):
        self.value, self.rows, self.names = 0, {}, []
        self._generator = random.Random(5)

    def now(self):
        self.value = datetime.now().isoformat()

    def stamp(self):
        self.rows["r"] = {"made": time.time(), "name": "x"}

    def overdue(self):
        self.value = datetime.now().year > 2030

    def identify(self):
        self.rows[str(uuid.uuid4())] = {"name": "x"}

    def token(self):
        self.value = f"order-{secrets.token_hex(4)}"

    def draw(self):
        self.value = random.random()

    def choose(self):
        self.value = random.choice(["red", "green", "blue", "white", "black"])

    def order(self):
        self.names = list({"alpha", "beta", "gamma", "delta"})

    def both(self):
        self.value = f"{datetime.now():%Y-%m-%d} {uuid.uuid4()}"

    def count(self):
        global COUNTER
        COUNTER += 1
        self.value = COUNTER

    def number(self):
        self.value = next(IDS)

    def generate(self):
        self.value = next(NUMBERS)

    def close_over(self):
        self.value = COUNT()

    def make(self):
        Shop.made += 1
        self.value = Shop.made

    def default(self, known=[]):
        known.append(1)
        self.value = len(known)

    def seeded(self):
        self.value = self._generator.random()

    def tell_time(self):
        return {"success": True, "time": datetime.now().isoformat()}

    def fail(self):
        raise ValueError("no")

    def pure(self, amount):
        start = time.time()
        self.value = amount
        self.rows["r"] = {"amount": amount, "took": time.time() - start, "names": sorted({"b", "a"})}
        return {"success": True, "total": amount * 2}
"""
ENVIRONMENT = Environment(
    env_id="shop", domain="d", summary="", class_name="Shop", code=CODE, code_hash=content_hash(CODE), tools=[],
    scenarios=[],
)  # fmt: skip
STATE = {"value": 1, "rows": {}, "names": ["a"]}


@pytest.fixture(scope="module")
def findings() -> dict[str, Finding]:
    names = re.findall(r"^    def (\w+)\(self", CODE, re.MULTILINE)
    tools = [name for name in names if name != "__init__"]
    calls = [Call(STATE, Action(name=name, arguments={"amount": 3} if name == "pure" else {})) for name in tools]
    return dict(zip(tools, replay(ENVIRONMENT, calls, World("seed"), Limits()), strict=True))


def found(finding: Finding) -> list[tuple[list[str | int], list[str]]]:
    return [(item.path, item.kinds) for item in finding.volatile()]


@pytest.mark.parametrize(
    ("tool", "path", "kinds"),
    [
        ("now", ["value"], ["time"]),
        ("stamp", ["rows", "r", "made"], ["time"]),
        ("overdue", ["value"], ["time"]),
        ("token", ["value"], ["id"]),
        ("draw", ["value"], ["random"]),
        ("choose", ["value"], ["random"]),
        ("order", ["names"], ["order"]),
        ("both", ["value"], ["id", "time"]),
        ("count", ["value"], ["hidden"]),
        ("number", ["value"], ["hidden"]),
        ("generate", ["value"], ["hidden"]),
        ("close_over", ["value"], ["hidden"]),
        ("make", ["value"], ["hidden"]),
        ("default", ["value"], ["hidden"]),
    ],
)
def test_what_nobody_can_predict_is_found_with_its_path_and_kind(
    findings: dict[str, Finding], tool: str, path: list[str | int], kinds: list[str]
) -> None:
    assert found(findings[tool]) == [(path, kinds)]


def test_a_key_that_is_an_identifier_is_one_volatile_path(findings: dict[str, Finding]) -> None:
    after = findings["identify"].outcome.state_after
    assert after is not None
    assert found(findings["identify"]) == [(["rows", *after["rows"]], ["id"])]


@pytest.mark.parametrize(
    ("tool", "place"),
    [
        ("count", "module variable COUNTER"),
        ("number", "module variable IDS"),
        ("generate", "module variable NUMBERS"),
        ("close_over", "module variable COUNT"),
        ("make", "class attribute Shop.made"),
        ("default", "class attribute Shop.default"),
        ("seeded", "attribute _generator"),
    ],
)
def test_hidden_state_is_named(findings: dict[str, Finding], tool: str, place: str) -> None:
    assert findings[tool].hidden == [place]


def test_an_observation_that_tells_the_time_is_found(findings: dict[str, Finding]) -> None:
    assert findings["tell_time"].observation == {"time"}
    assert found(findings["tell_time"]) == []


def test_a_pure_tool_has_nothing(findings: dict[str, Finding]) -> None:
    finding = findings["pure"]
    assert (found(finding), finding.observation, finding.hidden, finding.unexamined) == ([], set(), [], "")


def test_a_call_that_raises_is_told_as_such(findings: dict[str, Finding]) -> None:
    assert findings["fail"].outcome.status == "raised"
    assert found(findings["fail"]) == []


def test_environments_whose_probe_fails_say_so() -> None:
    code = "class Shadow:\n    def get(self):\n        return 1\n\ndef vars(x):\n    raise ValueError('mine')\n"
    shadow = ENVIRONMENT.model_copy(update={"code": code, "class_name": "Shadow"})
    (finding,) = replay(shadow, [Call({}, Action(name="get", arguments={}))], World(), Limits())
    assert finding.outcome.status == "ok"
    assert "mine" in finding.unexamined


def test_differences_follow_the_contract_s_equality() -> None:
    nan = float("nan")
    assert differences({"a": 1, "b": nan, "c": [1, {"d": 2.0}]}, {"c": [1.0, {"d": 2}], "b": nan, "a": 1.0}) == []
    assert [path for path, _, _ in differences({"a": True, "b": [1, 2, 3]}, {"a": 1, "b": [1, 5, 3]})] == [
        ["a"],
        ["b", 1],
    ]
    assert [path for path, _, _ in differences({"b": [1, 2]}, {"b": [2, 1]})] == [["b"]]
    assert float_texts({"a": "1.50", "b": ["2e3", "3", "v1.2.3", 1.5]}) == 2


def transitions(folder: Path) -> tuple[Path, Path]:
    """Files with the environment and one transition per tool and amount, executed."""
    world = World("seed")
    calls = [Action(name=name, arguments={}) for name in ("now", "draw", "count", "tell_time", "seeded", "token")]
    calls += [Action(name="pure", arguments={"amount": amount}) for amount in range(2, 8)]
    rows = []
    with Executor(CODE, "Shop", world=world) as executor:
        for number, action in enumerate(calls):
            outcome = executor.run(STATE, action)
            rows.append(
                Transition(
                    transition_id=f"t{number}",
                    env_id="shop",
                    code_hash=ENVIRONMENT.code_hash,
                    task_id="task",
                    step=number,
                    action=action,
                    status=outcome.status,
                    observation=outcome.observation,
                    state_before=STATE,
                    state_after=outcome.state_after,
                    world={"seed": "seed", "now": world.now},  # type: ignore[arg-type]
                    hidden=[["generator"]] if action.arguments.get("amount") == 7 else [],
                )
            )
    write_rows(folder / "environments.jsonl", [ENVIRONMENT])
    write_rows(folder / "transitions.jsonl", rows)
    return folder / "environments.jsonl", folder / "transitions.jsonl"


def config(**fields: Any) -> Config:
    quotas = Quotas(**dict.fromkeys(STRATA, 20))
    return Config(seed=1, audit=Audit(reserve=None), stratify=Stratify(**{"quotas": quotas, **fields}))


def build(folder: Path, settings: Config, threads: int = 1) -> tuple[list[Sample], dict[str, Any], dict[str, Any]]:
    environments, recorded = transitions(folder)
    figures = audit_transitions(environments, recorded, folder / "audit", settings, threads)
    composition = stratify_transitions(
        environments,
        recorded,
        folder / "benchmark.jsonl",
        folder / "composition.json",
        settings,
        folder / "audit/audited.jsonl",
    )
    return list(read_rows(folder / "benchmark.jsonl", Sample)), composition, figures


def test_what_is_volatile_or_hidden_is_left_out_and_counted(tmp_path: Path) -> None:
    samples, composition, figures = build(tmp_path, config())
    assert {sample.action.name for sample in samples} == {"pure"}
    assert len(samples) == 5
    assert all(sample.volatile == [] for sample in samples)
    left_out = composition["left_out"]
    assert (left_out["volatile"], left_out["hidden"]) == (5, 2)  # the generator of the source, and `seeded`
    assert figures["volatile"] == {"rows": 4, "paths": 4, "kinds": {"hidden": 1, "id": 1, "random": 1, "time": 1}}
    assert figures["all"]["config_match_ceiling"] == round(7 / 12, 6)


def test_what_is_volatile_can_be_kept_and_marked(tmp_path: Path) -> None:
    samples, _, _ = build(tmp_path, config(volatile="mark"))
    marked = {sample.action.name: sample.volatile for sample in samples if sample.action.name != "pure"}
    assert marked == {
        "now": [["value"]],
        "draw": [["value"]],
        "count": [["value"]],
        "token": [["value"]],
        "tell_time": [],
        "seeded": [],
    }
    assert [s.volatile for s in samples if s.action.arguments.get("amount") == 7] == [[["generator"]]]


def test_the_report_does_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    for name, threads in (("one", 1), ("three", 3)):
        build(tmp_path / name, config(), threads)
    for name in ("audited.jsonl", "audited.parquet", "report.json", "report.md"):
        assert (tmp_path / "one/audit" / name).read_bytes() == (tmp_path / "three/audit" / name).read_bytes()


def test_only_a_reserve_is_replayed_unless_all_is_asked_for(tmp_path: Path) -> None:
    environments, recorded = transitions(tmp_path)
    settings = Config(seed=1, audit=Audit(reserve=1.5), stratify=Stratify(quotas=Quotas(**dict.fromkeys(STRATA, 2))))
    figures = audit_transitions(environments, recorded, tmp_path / "audit", settings)
    per_stratum = [row.stratum for row in read_rows(tmp_path / "audit/audited.jsonl", Audited)]
    assert figures["rows"] == len(per_stratum)
    assert max(per_stratum.count(name) for name in STRATA) == 3


def test_a_published_file_is_audited_and_what_cannot_be_executed_has_its_reason(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("environments.jsonl", "benchmark.jsonl", "composition.json")]
    import_benchmark(PUBLISHED, paths[0], paths[1], paths[2])
    figures = audit_benchmark(paths[0], paths[1], tmp_path / "audit", Config(), threads=2)
    rows = list(read_rows(tmp_path / "audit/audited.jsonl", Audited))
    assert [row.name for row in rows] == [sample.sample_id for sample in read_rows(paths[1], Sample)]
    assert figures["rows"] == len(rows) == 71
    assert 0 < figures["replayed"] < 71
    assert all(row.reason for row in rows if row.status != "replayed")
    # a correct deletion and a dotted key are wrong under published semantics
    assert figures["removals"]["rows"] > 0
    assert figures["all"]["oracle_published"]["config_match_published_hosted"] < 1
    table = pl.read_parquet(tmp_path / "audit/audited.parquet")
    assert table.height == 71
    assert table["removals"].sum() == figures["removals"]["count"]
    assert "| 0 |" in (tmp_path / "audit/report.md").read_text()
    assert json.loads((tmp_path / "audit/report.json").read_text()) == figures


def test_floats_written_as_texts_are_told_apart_from_hidden_state(tmp_path: Path) -> None:
    code = "class Till:\n    def add(self):\n        self.total = 2.5\n        return {'success': True}\n"
    environment = ENVIRONMENT.model_copy(
        update={"code": code, "class_name": "Till", "code_hash": content_hash(code), "env_id": "till"}
    )
    sample = Sample(
        sample_id="s", env_id="till", task_id="t", step=1, stratum="delta_1", change_count=1,
        code_hash=environment.code_hash, action=Action(name="add", arguments={}), observation="{'success': True}",
        state_before={"total": "1.5"}, state_after={"total": "2.5"},
    )  # fmt: skip
    write_rows(tmp_path / "environments.jsonl", [environment])
    write_rows(tmp_path / "benchmark.jsonl", [sample])
    figures = audit_benchmark(
        tmp_path / "environments.jsonl", tmp_path / "benchmark.jsonl", tmp_path / "audit", Config()
    )
    (row,) = read_rows(tmp_path / "audit/audited.jsonl", Audited)
    assert (row.volatile, row.same_state, row.float_texts, row.changed_float_texts) == ([], False, 2, 1)
    assert figures["all"]["config_match_ceiling"] == 0
    assert figures["by_change_count"]["1"]["numbers_as_numbers"] == 0
