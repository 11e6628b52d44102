"""Benchmark as files: no near duplicates, environments held out, what leaks is told, and the same bytes everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pyarrow.parquet
import pytest
import yaml

from envsim_core.config import Config, Export, Quotas, Stratify
from envsim_core.errors import EnvSimError
from envsim_core.pool import content_of
from envsim_core.records import (
    Action,
    Audited,
    Environment,
    Sample,
    Transition,
    World,
    content_hash,
    read_rows,
    write_json,
    write_rows,
)
from envsim_core.similarity import SKETCH, NearDuplicates, class_key, jaccard, leaves, sketch, sketch_state, tool_key
from envsim_core.splits import TEST, TRAIN, Placed, by_task, hold_out, leakage, place
from envsim_core.stages.benchmark import export_benchmark
from envsim_core.stages.stratify import import_benchmark, stratify_transitions
from envsim_core.strata import STRATA

ROOT = Path(__file__).parent.parent
SMALL = {
    "collect": {"environments": ["bank", "clinic", "library"], "scenarios_per_environment": 3, "trajectories": 1},
    "stratify": {"quotas": dict.fromkeys(STRATA, 2)},
}


def environment(name: str, code: str | None = None) -> Environment:
    code = code if code is not None else f"class Env:\n    def tool_{name}(self, a=0):\n        self.a = a\n"
    return Environment(
        env_id=name, domain=f"domain of {name}", summary="", class_name="Env", code=code,
        code_hash=content_hash(code), tools=[], scenarios=[],
    )  # fmt: skip


def sample(owner: Environment, number: int, **fields: Any) -> Sample:
    before = {"number": number, "owner": owner.env_id, "rows": {f"{owner.env_id}{number}": {"a.b": 1.5}}}
    values: dict[str, Any] = {
        "sample_id": f"{owner.env_id}-{number}",
        "env_id": owner.env_id,
        "domain": owner.domain,
        "task_id": f"{owner.env_id}-task-{number % 3}",
        "step": number,
        "stratum": "delta_2",
        "change_count": 2,
        "code_hash": owner.code_hash,
        "action": Action(name=f"tool_{owner.env_id}", arguments={"a": number}),
        "observation": "{'success': True, 'text': 'é\"'}",
        "state_before": before,
        "state_after": {"number": number + 1, "owner": owner.env_id, "rows": {}},
    }
    return Sample(**values | fields)


def export(folder: Path, environments: list[Environment], samples: list[Sample], **fields: Any) -> Path:
    write_rows(folder / "environments.jsonl", environments)
    write_rows(folder / "benchmark.jsonl", samples)
    write_rows(
        folder / "audited.jsonl",
        [
            Audited(
                name=row.sample_id,
                content=content_of(row.code_hash, row.state_before, row.action),
                env_id=row.env_id,
                tool=row.action.name,
                stratum=row.stratum,
                change_count=row.change_count,
                status="replayed",
                same_state=True,
                same_observation=True,
            )
            for row in samples
        ],
    )
    write_json(folder / "composition.json", {"seed": 1, "left_out": {"near_duplicates": 7}})
    export_benchmark(
        folder / "environments.jsonl",
        folder / "benchmark.jsonl",
        folder / "composition.json",
        folder / "audited.jsonl",
        folder / "export",
        Config(seed=1, export=Export(**fields)),
    )
    return folder / "export"


def test_the_index_of_two_states_is_that_of_their_leaves() -> None:
    one = {"a": 1, "b": {"c": [1, 2], "d": {}}}
    assert set(leaves(one)) == {"/a = 1", "/b/c/[] = 1", "/b/c/[] = 2", "/b/d = {}"}
    assert jaccard(sketch_state(one), sketch_state({"b": {"d": {}, "c": [2, 1]}, "a": 1.0})) == 1
    assert jaccard(sketch_state(one), sketch_state({"a": 2, "b": {"c": [1, 2], "d": {}}})) == 3 / 5
    assert jaccard(sketch_state({}), sketch_state({})) == 1


def test_the_index_of_large_states_is_estimated_closely_from_sketches_of_one_size() -> None:
    one = sketch_state({f"k{number}": number for number in range(5000)})
    other = sketch_state({f"k{number}": number for number in range(500, 5500)})
    assert len(one) == len(other) == SKETCH
    assert abs(jaccard(one, other) - 4500 / 5500) < 0.08


@pytest.mark.parametrize("threshold", [0.3, 0.9, 1.0])
@pytest.mark.parametrize("largest", [8, 3 * SKETCH])
def test_what_sizes_rule_out_is_ruled_out_by_the_index_too(threshold: float, largest: int) -> None:
    rng = Random(f"{threshold}/{largest}")
    for _ in range(300):
        pool = range(rng.randint(1, largest))
        one, other = (sorted(rng.sample(pool, rng.randint(0, len(pool))))[:SKETCH] for _ in "ab")
        quick, whole = jaccard(one, other, threshold), jaccard(one, other)
        assert quick == whole or whole <= quick < threshold


def test_near_duplicates_are_the_same_call_in_nearly_the_same_state() -> None:
    state = {f"k{number}": number for number in range(60)}
    call = Action(name="pay", arguments={"amount": 5})
    kept = NearDuplicates(0.9)
    assert kept.add(sketch("code", call, state))
    assert not kept.add(sketch("code", call, state | {"k0": 99}))
    assert kept.add(sketch("code", Action(name="pay", arguments={"amount": 6}), state))
    assert kept.add(sketch("other code", call, state))
    assert kept.add(sketch("code", call, state | {f"k{number}": 0 for number in range(1, 12)}))


def test_layout_comments_and_docstrings_do_not_make_another_class_or_tool() -> None:
    one = "class E:\n    def get(self, a):\n        return {'a': a}\n"
    other = 'class E:\n    """An E."""\n\n    def get(self, a):\n        "Get."\n        # .\n        return {"a": a}\n'
    assert class_key(one) == class_key(other) != class_key(one.replace("'a': a", "'a': 1"))
    assert tool_key(one, "E", "get") == tool_key(other, "E", "get")
    assert class_key("not python (") != class_key("not python [")
    assert tool_key("not python (", "E", "get") != tool_key("not python (", "E", "set")


def test_stratify_draws_one_of_near_duplicates_and_says_how_many_there_were(tmp_path: Path) -> None:
    owner = environment("bank")
    large = {f"k{number}": number for number in range(60)}
    rows = [
        Transition(
            transition_id=str(number), env_id="bank", code_hash=owner.code_hash, task_id="t", step=number,
            action=Action(name="tool_bank", arguments={}), status="ok", observation="{'success': True}",
            state_before=large | {"n": number}, state_after=large | {"n": number},
        )
        for number in range(5)
    ]  # fmt: skip
    write_rows(tmp_path / "environments.jsonl", [owner])
    write_rows(tmp_path / "transitions.jsonl", rows)

    def drawn(near_duplicates: float | None) -> tuple[int, int]:
        settings = Config(stratify=Stratify(quotas=Quotas(), near_duplicates=near_duplicates))
        paths = [tmp_path / name for name in ("environments.jsonl", "transitions.jsonl", "b.jsonl", "c.json")]
        told = stratify_transitions(paths[0], paths[1], paths[2], paths[3], settings)
        return told["samples"], told["left_out"]["near_duplicates"]

    assert drawn(0.9) == (1, 4)
    assert drawn(None) == (5, 0)


def placed(environments: list[Environment], each: int = 6) -> tuple[list[Placed], dict[str, Environment]]:
    rows = [place(sample(owner, number)) for owner in environments for number in range(each)]
    return rows, {owner.code_hash: owner for owner in environments}


def test_held_out_environments_are_whole_and_about_the_share_asked_for() -> None:
    rows, codes = placed([environment(f"env{number}") for number in range(10)])
    split = hold_out(rows, codes, 0.3, 0.9, seed=1)
    assert sorted(split.sides.values()).count(TEST) == 3
    assert split.together == ("class_code", "tool_code", "states")
    told = leakage(rows, codes, 0.9, lambda row: split.sides[row.env_id])
    assert {
        kind: told[kind]["pairs"] for kind in ("environment", "class_code", "tool_code", "states")
    } == dict.fromkeys(("environment", "class_code", "tool_code", "states"), 0)
    assert hold_out(rows, codes, 0.3, 0.9, seed=1) == split


def test_every_stratum_is_on_both_sides_where_that_can_be() -> None:
    environments = [environment(f"env{number}") for number in range(6)]
    rows = [
        place(sample(owner, number, stratum="failure" if owner.env_id in ("env0", "env1") else "delta_2"))
        for owner in environments
        for number in range(4)
    ]
    sides = hold_out(rows, {owner.code_hash: owner for owner in environments}, 0.3, 0.9, seed=3).sides
    assert {sides["env0"], sides["env1"]} == {TRAIN, TEST}


def test_environments_that_share_code_stay_together() -> None:
    shared = "    def shared(self):\n        return 1\n"
    twins = [environment(name, f"class Env:\n    x = '{name}'\n{shared}") for name in ("twin1", "twin2")]
    for seed in range(5):
        rows, codes = placed([*twins, *(environment(f"env{number}") for number in range(6))])
        sides = hold_out(rows, codes, 0.3, 0.9, seed=seed).sides
        assert sides["twin1"] == sides["twin2"]


def test_leakage_counts_what_both_sides_share_and_lists_the_pairs() -> None:
    twin1 = environment("twin1", "class Env:\n    def get(self):\n        return 1\n")
    twin2 = environment("twin2", "class Env:\n    def get(self):\n        # the same\n        return 1\n")
    same = {"a": 1, "b": 2}
    rows = [place(sample(twin1, 1, state_before=same)), place(sample(twin2, 2, state_before=same))]
    codes = {owner.code_hash: owner for owner in (twin1, twin2)}
    told = leakage(rows, codes, 0.9, lambda row: TRAIN if row.env_id == "twin1" else TEST)
    assert told["environment"] == {"pairs": 0, "test_samples": 0, "listed": []}
    assert told["class_code"] == {"pairs": 1, "test_samples": 1, "listed": [["twin1", "twin2"]]}
    assert told["tool_code"] == {"pairs": 1, "test_samples": 1, "listed": [["twin1.get", "twin2.get"]]}
    assert told["states"] == {"pairs": 1, "test_samples": 1, "listed": [["twin1-1", "twin2-2", 1.0]]}


def test_a_split_by_task_shares_environments() -> None:
    rows, codes = placed([environment(f"env{number}") for number in range(4)])
    told = leakage(rows, codes, 0.9, by_task(rows, 0.3, seed=1))
    assert told["environment"]["pairs"] > 0
    assert told["environment"]["test_samples"] == told["test"]


def test_the_published_shape_comes_back_as_the_same_samples(tmp_path: Path) -> None:
    owners = [environment("bank"), environment("shop")]
    samples = [
        sample(owners[0], 1),
        sample(owners[1], 2, volatile=[["rows", 0]], world=World(seed="7", now="2025-06-02T09:00:00Z")),
        sample(owners[1], 3, state_before={"x": float("inf"), "y": 10**40}, change_count=5, stratum="delta_5"),
    ]  # fmt: skip
    folder = export(tmp_path, owners, samples)
    paths = [tmp_path / "again" / name for name in ("environments.jsonl", "benchmark.jsonl", "composition.json")]
    import_benchmark(folder / "published.json", paths[0], paths[1], paths[2])
    assert list(read_rows(paths[1], Sample)) == samples
    assert [row.code for row in read_rows(paths[0], Environment)] == [owner.code for owner in owners]
    row = json.loads((folder / "published.json").read_text())[0]
    assert set(row) == {"task_info", "step_detail", "env_code"}
    assert row["step_detail"]["config_change"]["change_count"] == 2
    assert row["step_detail"]["config_change"]["changes"][1] == {
        "path": "rows.bank1", "type": "removed", "before": {"a.b": 1.5},
    }  # fmt: skip


def test_the_data_set_is_readable_and_its_card_names_every_file(tmp_path: Path) -> None:
    owners = [environment(f"env{number}") for number in range(5)]
    samples = [sample(owner, number) for owner in owners for number in range(4)]
    folder = export(tmp_path, owners, samples, title="Mine", test_share=0.2)
    card = (folder / "README.md").read_text()
    front = yaml.safe_load(card.split("---\n")[1])
    assert front["pretty_name"] == "Mine"
    files = {item["path"] for entry in front["configs"] for item in entry["data_files"]}
    assert files == {f"data/{path.name}" for path in (folder / "data").iterdir()}
    assert "| with volatile paths | 0 | 0.0 % |" in card
    assert "7 near duplicates" in card
    table = pl.read_parquet(folder / "data/benchmark.parquet")
    assert [json.loads(text) for text in table["state_after"]] == [row.state_after for row in samples]
    assert pyarrow.parquet.read_table(folder / "data/benchmark.parquet").num_rows == 20
    train, test = (pl.read_parquet(folder / f"data/{side}.parquet") for side in ("train", "test"))
    assert (train.height, test.height) == (16, 4)
    assert not set(train["env_id"]) & set(test["env_id"])
    sides = json.loads((folder / "split.json").read_text())["environments"]
    assert {env_id for env_id, side in sides.items() if side == "test"} == set(test["env_id"])
    codes = pl.read_parquet(folder / "data/environments.parquet")
    assert set(table["code_hash"]) == set(codes["code_hash"])


def test_a_text_that_parquet_cannot_hold_is_named(tmp_path: Path) -> None:
    owner = environment("bank")
    with pytest.raises(EnvSimError, match='"observation" of bank-1 holds half a surrogate pair'):
        export(tmp_path, [owner], [sample(owner, 1, observation="\ud800")])


def build(folder: Path, cores: int, shards: int, **environment: str) -> dict[str, bytes]:
    settings = folder.parent / "small.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(yaml.safe_dump(SMALL))
    command = [sys.executable, "-m", "snakemake", "--nolock", "--cores", str(cores), "--configfile", str(settings)]
    command += ["--config", f"results={folder}", f"collect={{shards: {shards}}}", "--", "benchmark"]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    rooms = ("collect/environments.jsonl", "audit", "stratify", "benchmark")
    found = [path for room in rooms for path in [folder / room, *(folder / room).rglob("*")] if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_two_builds_at_other_times_zones_hash_seeds_locales_and_core_counts_are_equal(tmp_path: Path) -> None:
    one = build(tmp_path / "one", 1, 1, PYTHONHASHSEED="1", TZ="Pacific/Auckland", LANG="C", LC_ALL="C")
    two = build(tmp_path / "two", 2, 2, PYTHONHASHSEED="77", TZ="America/St_Johns", LANG="C.UTF-8", LC_ALL="C.UTF-8")
    assert len(one) == 15
    assert one.keys() == two.keys()
    assert [name for name in one if one[name] != two[name]] == []
    samples = [json.loads(line) for line in one["stratify/benchmark.jsonl"].splitlines()]
    assert len(samples) == 20
    assert {row["env_id"] for row in samples} == {"bank", "clinic", "library"}
    assert all(row["volatile"] == [] for row in samples)
    figures = json.loads(one["audit/report.json"])
    assert figures["volatile"]["rows"] == figures["volatile_observations"]["rows"] == 0
    assert figures["all"]["config_match_ceiling"] == figures["all"]["feedback_match_ceiling"] == 1
