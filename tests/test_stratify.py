"""Stratify: the quotas, spread as widely as possible, the same bytes every time, and never silently short."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from envsim_core.config import Config, Quotas, Stratify
from envsim_core.records import Action, Environment, Sample, Transition, read_rows, write_rows
from envsim_core.stages.stratify import ShortStratum, import_benchmark, stratify_transitions
from envsim_core.strata import GROUP_OF, OUTSIDE, STRATA, group_of, is_failure, stratum_of

PUBLISHED = Path(__file__).parent / "data"
SMALL = Quotas(**dict.fromkeys(STRATA, 4))
NONE = dict.fromkeys(STRATA, 0)


def transition(env: str, number: int, changes: int, **fields: Any) -> Transition:
    """A call of one of three tools in `env` that changes `changes` numbers; `number` makes its state its own."""
    before = {"number": number, **{f"k{i}": 0 for i in range(changes)}}
    values: dict[str, Any] = {
        "transition_id": f"{env}-{number}-{changes}",
        "env_id": env,
        "code_hash": f"code of {env}",
        "task_id": f"{env}-0",
        "step": number,
        "action": Action(name=f"tool_{number % 3}", arguments={"a": number}),
        "status": "ok",
        "observation": "{'success': True}",
        "state_before": before,
        "state_after": before | {f"k{i}": 1 for i in range(changes)},
    }
    return Transition(**values | fields)


def pool(environments: int = 6, each: int = 6) -> list[Transition]:
    rows = []
    for e in range(environments):
        for n in range(each):
            env = f"env{e}"
            rows += [transition(env, n, changes) for changes in (0, 1, 2, 3, 4, 5, 6, 9)]
            rows.append(transition(env, 100 + n, 0, action=Action(name="list", arguments={})))
            rows.append(transition(env, 200 + n, 0, observation="{'success': False, 'error': 'no'}"))
    return rows


def run(folder: Path, rows: list[Transition], config: Config) -> tuple[list[Sample], dict[str, Any]]:
    names = sorted({row.env_id for row in rows})
    write_rows(
        folder / "environments.jsonl",
        [
            Environment(
                env_id=name,
                domain=f"domain of {name}",
                summary="",
                class_name="C",
                code="",
                code_hash=f"code of {name}",
                tools=[],
                scenarios=[],
            )
            for name in names
        ],
    )
    write_rows(folder / "transitions.jsonl", rows)
    paths = [
        folder / name for name in ("environments.jsonl", "transitions.jsonl", "benchmark.jsonl", "composition.json")
    ]
    stratify_transitions(paths[0], paths[1], paths[2], paths[3], config)
    return list(read_rows(paths[2], Sample)), json.loads(paths[3].read_text())


def config(**fields: Any) -> Config:
    return Config(seed=1, stratify=Stratify(**{"quotas": SMALL, **fields}))


@pytest.mark.parametrize(
    ("arguments", "observation", "changes", "expected"),
    [
        ({"a": 1}, "{'success': False, 'error': 'x'}", 0, "failure"),
        ({}, '{"success": false}', 0, "failure"),
        ({"a": 1}, "{'success': False}", 2, OUTSIDE),
        ({}, "{'success': True}", 0, "no_change_no_args"),
        ({"a": 1}, "nothing", 0, "no_change_args"),
        ({"a": 1}, "success: False", 0, "no_change_args"),
        ({}, "{'success': 0}", 0, "no_change_no_args"),
        ({}, "ok", 1, "delta_1"),
        ({}, "ok", 6, "delta_6"),
        ({}, "ok", 7, "delta_7_12"),
        ({}, "ok", 12, "delta_7_12"),
        ({}, "ok", 13, OUTSIDE),
    ],
)
def test_a_stratum_is_outcome_change_and_arguments(
    arguments: dict[str, Any], observation: str, changes: int, expected: str
) -> None:
    assert stratum_of(arguments, observation, changes) == expected


def test_hostile_observations_are_no_failures() -> None:
    for text in ("{'success': " * 20_000, "[" * 100_000 + "'success'", "{'success': False", "{'success': exit()}"):
        assert not is_failure(text)


def test_every_stratum_has_a_group() -> None:
    assert Counter(GROUP_OF.values()) == {"failure": 1, "no_change": 2, "simple": 2, "medium": 4, "difficult": 1}
    assert group_of(OUTSIDE) == OUTSIDE


def test_each_stratum_has_its_quota_and_its_samples_belong_there(tmp_path: Path) -> None:
    samples, composition = run(tmp_path, pool(), config())
    assert Counter(sample.stratum for sample in samples) == dict.fromkeys(STRATA, 4)
    for sample in samples:
        assert stratum_of(sample.action.arguments, sample.observation, sample.change_count) == sample.stratum
    assert composition["samples"] == 40
    assert composition["strata"]["delta_3"] == {
        "asked": 4, "drawn": 4, "available": 36, "environments": 4, "tools": 4,
    }  # fmt: skip


def test_every_environment_is_used_and_none_much_more_than_another(tmp_path: Path) -> None:
    samples, composition = run(tmp_path, pool(), config())
    counts = Counter(sample.env_id for sample in samples)
    assert len(counts) == 6
    assert max(counts.values()) - min(counts.values()) <= 1
    assert {env: sum(strata.values()) for env, strata in composition["environments"].items()} == counts


def test_an_environment_that_only_one_stratum_has_is_in_it(tmp_path: Path) -> None:
    rows = [*pool(), transition("rare", 0, 5)]
    samples, _ = run(tmp_path, rows, config())
    assert [sample.stratum for sample in samples if sample.env_id == "rare"] == ["delta_5"]


def test_tools_are_spread_within_an_environment(tmp_path: Path) -> None:
    quotas = Quotas(**NONE | {"delta_2": 3})
    samples, _ = run(tmp_path, pool(environments=1), config(quotas=quotas))
    assert {sample.action.name for sample in samples} == {"tool_0", "tool_1", "tool_2"}


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    contents = []
    for seed in (1, 1, 2):
        run(tmp_path, pool(), config(seed=seed))
        contents.append((tmp_path / "benchmark.jsonl").read_bytes())
    assert contents[0] == contents[1] != contents[2]


def test_equal_calls_in_equal_states_are_one_sample(tmp_path: Path) -> None:
    quotas = Quotas(**NONE | {"delta_2": 3})
    same = transition("env0", 1, 2)
    samples, composition = run(
        tmp_path, [same, same.model_copy(update={"transition_id": "again"})], config(quotas=quotas)
    )
    assert len(samples) == 1
    assert composition["left_out"]["duplicates"] == 1


def test_sample_ids_are_readable_and_unique(tmp_path: Path) -> None:
    samples, _ = run(tmp_path, pool(), config())
    assert len({sample.sample_id for sample in samples}) == len(samples)
    assert all(
        sample.sample_id.startswith(f"{sample.stratum}-{sample.env_id}-{sample.action.name}-") for sample in samples
    )


def test_what_was_not_executed_is_counted_and_not_drawn(tmp_path: Path) -> None:
    lost = transition("env0", 900, 2, status="timeout", reason="late", observation=None, state_after=None)
    samples, composition = run(tmp_path, [*pool(), lost, transition("env0", 901, 20)], config())
    assert composition["left_out"] == {
        "outside": 1, "duplicates": 0, "near_duplicates": 0, "hidden": 0, "timeout": 1,
    }  # fmt: skip
    assert len(samples) == 40


def test_a_short_stratum_is_a_warning_and_a_line_of_the_composition(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in pool() if not row.transition_id.endswith("-9")][:-1]
    _, composition = run(tmp_path, rows, config())
    assert (composition["strata"]["delta_7_12"]["asked"], composition["strata"]["delta_7_12"]["drawn"]) == (4, 0)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "transitions.jsonl: too few transitions: delta_7_12 has 0 of 4; the benchmark has fewer samples" in said


def test_a_short_stratum_is_an_error_when_asked_for(tmp_path: Path) -> None:
    rows = [row for row in pool() if not row.transition_id.endswith("-9")]
    with pytest.raises(ShortStratum, match="delta_7_12 has 0 of 4"):
        run(tmp_path, rows, config(strict_quotas=True))
    assert not (tmp_path / "benchmark.jsonl").exists()


def test_no_sample_at_all_is_always_an_error(tmp_path: Path) -> None:
    with pytest.raises(ShortStratum):
        run(tmp_path, [transition("env0", 1, 20)], config())


def test_a_published_file_is_taken_as_it_is(tmp_path: Path) -> None:
    source = PUBLISHED / "published_format_sample.json"
    paths = [tmp_path / name for name in ("environments.jsonl", "benchmark.jsonl", "composition.json")]
    described = import_benchmark(source, paths[0], paths[1], paths[2])
    samples = list(read_rows(paths[1], Sample))
    codes = {row.code_hash for row in read_rows(paths[0], Environment)}
    assert described["samples"] == len(samples) == len(json.loads(source.read_text()))
    assert {sample.code_hash for sample in samples} == codes
    assert sum(line["drawn"] for line in described["strata"].values()) == len(samples)
