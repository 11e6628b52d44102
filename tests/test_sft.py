"""Training data: rows as evaluation renders them, answers that the verifier takes, nothing that a benchmark knows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import envsim_core as ec
from envsim_core.config import Config, parse_config
from envsim_core.pool import read_environments
from envsim_core.records import (
    Environment,
    Request,
    Sample,
    TrainingRow,
    Transition,
    read_rows,
    write_json,
    write_rows,
)
from envsim_core.stages.collect import collect_environments, collect_transitions, merge_transitions
from envsim_core.stages.prompts import render_prompts
from envsim_core.stages.sft import (
    NothingToTrainOn,
    OverLong,
    check_training_data,
    draw_training_samples,
    select_training_tasks,
    write_training_files,
)
from envsim_core.stages.stratify import import_benchmark, stratify_transitions
from envsim_core.strata import STRATA
from envsim_core.training_data.formats import write_datasets
from envsim_core.training_data.leaks import ContaminatedRow

ENVIRONMENTS = ["bank", "clinic", "library"]
SMALL: dict[str, Any] = {
    "seed": 3,
    "collect": {"environments": ENVIRONMENTS, "scenarios_per_environment": 2, "trajectories": 1, "steps": 25},
    "stratify": {"quotas": dict.fromkeys(STRATA, 3)},
    "sft": {
        "mixture": "small",
        "environments": ENVIRONMENTS,
        "scenarios_per_environment": 6,
        "trajectories": 1,
        "steps": 25,
        "held_out_rows": 20,
        "mixtures": {
            "small": {"counts": {"failure": 5, "no_change": 10, "simple": 20, "delta_3_up": 20}, "held_out": "task"},
            "away": {"rows": 40},
            "reinforced": {"counts": {"failure": 4, "simple": 12}, "held_out": "task", "rl_rows": 8},
        },
    },
}


@dataclass(frozen=True)
class Room:
    """A folder with a benchmark and one mixture's files, and how to make them again."""

    folder: Path
    config: Config
    mixture: str

    def path(self, name: str) -> Path:
        return self.folder / name

    def select(self) -> dict[str, Any]:
        return select_training_tasks(
            self.path("all.jsonl"), self.path("benchmark.jsonl"), self.path("environments.jsonl"),
            self.path("split.json"), self.mixture, self.path("sft/environments.jsonl"), self.path("tasks.json"),
            self.config,
        )  # fmt: skip

    def collect(self, shards: int = 1) -> None:
        collect = self.config.sft.collection(self.mixture, self.config.collect)
        config = self.config.model_copy(update={"collect": collect.model_copy(update={"shards": shards})})
        files = [self.path(f"sft/shards/{shard}.jsonl") for shard in range(shards)]
        for shard, file in enumerate(files):
            collect_transitions(self.path("sft/environments.jsonl"), shard, file, config)
        merge_transitions(self.path("sft/environments.jsonl"), files, self.path("transitions.jsonl"))

    def draw(self, threads: int = 2) -> dict[str, Any]:
        return draw_training_samples(
            self.path("sft/environments.jsonl"), self.path("transitions.jsonl"), self.path("tasks.json"),
            self.path("benchmark.jsonl"), self.path("environments.jsonl"), self.mixture, self.path("samples.jsonl"),
            self.path("held_out.jsonl"), self.path("drawn.json"), self.config, threads,
        )  # fmt: skip

    def write(self, **recipe: Any) -> dict[str, Any]:
        sft = self.config.sft.model_copy(update=recipe)
        config = self.config.model_copy(update={"sft": sft})
        settings = sft.recipe(self.mixture)
        requests = [self.path("requests.jsonl")]
        render = {"samples": requests[0], "held_out": self.path("held_out_requests.jsonl")}
        environments = self.path("sft/environments.jsonl")
        for name, file in render.items():
            render_prompts(environments, self.path(f"{name}.jsonl"), file, code=settings.code)
        if settings.over_long == "slice":
            requests.append(self.path("sliced.jsonl"))
            render_prompts(environments, self.path("samples.jsonl"), requests[1], code="slice")
        return write_training_files(
            self.path("sft/environments.jsonl"), self.path("samples.jsonl"), requests, self.path("held_out.jsonl"),
            self.path("held_out_requests.jsonl"), self.path("tasks.json"), self.path("drawn.json"),
            self.path("benchmark.jsonl"), self.path("environments.jsonl"), self.mixture, self.path("data"), config,
        )  # fmt: skip

    def rows(self, name: str = "rows.jsonl") -> list[TrainingRow]:
        return list(read_rows(self.path(f"data/{name}"), TrainingRow))

    def samples(self, name: str = "samples.jsonl") -> list[Sample]:
        return list(read_rows(self.path(name), Sample))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A benchmark of three environments, and the mixture `small` beside it, finished."""
    folder = tmp_path_factory.mktemp("sft")
    room = Room(folder, parse_config(SMALL, "small"), "small")
    config = room.config.model_copy(update={"collect": room.config.collect.model_copy(update={"shards": 1})})
    collect_environments(room.path("environments.jsonl"), config)
    collect_transitions(room.path("environments.jsonl"), 0, room.path("b/shards/0.jsonl"), config)
    stratify_transitions(
        room.path("environments.jsonl"), room.path("b/shards/0.jsonl"), room.path("benchmark.jsonl"),
        room.path("composition.json"), config,
    )  # fmt: skip
    write_json(room.path("split.json"), {"environments": {"bank": "train", "clinic": "test", "library": "train"}})
    training = config.model_copy(update={"collect": config.sft.collection("small", config.collect)})
    collect_environments(room.path("all.jsonl"), training)
    room.select()
    room.collect()
    room.draw()
    room.write()
    return room


@pytest.fixture
def copied(small: Room, tmp_path: Path) -> Callable[[str], Room]:
    def copy(mixture: str = "small") -> Room:
        shutil.copytree(small.folder, tmp_path / "room")
        return Room(tmp_path / "room", small.config, mixture)

    return copy


def disguised_as(row: TrainingRow, planted: Sample) -> TrainingRow:
    """A training row that asks what a row of the benchmark asks, under its own name."""
    return row.model_copy(
        update={
            "env_id": planted.env_id,
            "code_hash": planted.code_hash,
            "tool": planted.action.name,
            "arguments": json.dumps(planted.action.arguments),
            "state_before": json.dumps(planted.state_before),
        }
    )


def test_a_row_asks_what_evaluation_asks_of_the_same_sample(small: Room) -> None:
    rows = {row.sample_id: row for row in small.rows()}
    render_prompts(small.path("sft/environments.jsonl"), small.path("samples.jsonl"), small.path("evaluated.jsonl"))
    requests = {request.sample_id: request for request in read_rows(small.path("evaluated.jsonl"), Request)}
    assert len(rows) == 55
    for name, row in rows.items():
        assert row.prompt == requests[name].messages
    alpaca = json.loads(small.path("data/alpaca.json").read_text())
    sharegpt = json.loads(small.path("data/sharegpt.json").read_text())
    for row, one, other in zip(small.rows(), alpaca, sharegpt, strict=True):
        system, user = (message.content for message in requests[row.sample_id].messages)
        assert one == {"instruction": user, "input": "", "output": row.answer, "system": system}
        turns = [{"from": "human", "value": user}, {"from": "gpt", "value": row.answer}]
        assert other == {"conversations": turns, "system": system}


def test_the_verifier_gives_every_answer_full_marks(small: Room) -> None:
    samples = {sample.sample_id: sample for sample in small.samples()}
    rows = small.rows()
    for row in rows:
        verdict = ec.score(samples[row.sample_id].model_dump(), row.answer)
        assert verdict.config_match and verdict.feedback_match, row.sample_id
    columns = {name: [getattr(row, name) for row in rows] for name in ("state_before", "state_after", "observation")}
    volatile = [row.volatile for row in rows]
    assert ec.reward(completions=[row.answer for row in rows], volatile=volatile, **columns) == [1.0] * len(rows)


def test_a_mixture_has_the_rows_that_it_asks_for(small: Room) -> None:
    report = json.loads(small.path("data/report.json").read_text())
    counts = {item["name"]: item["rows"] for item in report["composition"]}
    assert counts == {"failure": 5, "no_change": 10, "simple": 20, "delta_3_up": 20}
    assert report["short"] == []
    assert report["strata"]["delta_1"] == report["strata"]["delta_2"] == 10


def test_a_planted_row_of_the_benchmark_is_left_out_and_named(copied: Callable[..., Room]) -> None:
    room = copied()
    planted = next(iter(read_rows(room.path("benchmark.jsonl"), Sample)))
    rows = list(read_rows(room.path("transitions.jsonl"), Transition))
    known = next(row for row in rows if row.env_id == planted.env_id)
    # under the name of a task that is trained on, so that nothing but its content gives it away
    disguised = known.model_copy(
        update={
            "action": planted.action,
            "observation": planted.observation,
            "state_before": planted.state_before,
            "state_after": planted.state_after,
            "transition_id": "planted",
        }
    )
    write_rows(room.path("transitions.jsonl"), [*rows, disguised])
    told = room.draw()
    assert told["contaminated"]["row"] == 1
    assert told["contaminated_listed"]["row"] == [["planted", planted.sample_id, 1.0]]
    room.write()
    assert planted.state_before not in [json.loads(row.state_before) for row in room.rows()]


def test_a_row_planted_behind_the_draw_stops_the_run(copied: Callable[..., Room]) -> None:
    room = copied()
    planted = next(iter(read_rows(room.path("benchmark.jsonl"), Sample)))
    samples = room.samples()
    at = next(at for at, row in enumerate(samples) if row.stratum == planted.stratum)
    samples[at] = planted.model_copy(update={"sample_id": "planted", "task_id": samples[at].task_id})
    write_rows(room.path("samples.jsonl"), samples)
    with pytest.raises(ContaminatedRow, match=r'training row "planted" .* is known to the benchmark: row of'):
        room.write()


def test_a_row_planted_in_a_finished_file_is_found(copied: Callable[..., Room]) -> None:
    room = copied()
    files = room.path("sft/environments.jsonl"), room.path("benchmark.jsonl"), room.path("environments.jsonl")
    assert check_training_data(room.path("data"), *files)["against"]["benchmark"]["rows"] == 30
    rows = room.rows()
    alpaca = json.loads(room.path("data/alpaca.json").read_text())
    write_json(room.path("data/alpaca.json"), [*alpaca, alpaca[0]])
    with pytest.raises(
        ec.BadFile, match=rf"alpaca.json: row {len(rows) + 1}: is not the row that rows.jsonl has there"
    ):
        check_training_data(room.path("data"), *files)
    planted = next(iter(read_rows(room.path("benchmark.jsonl"), Sample)))
    rows[3] = disguised_as(rows[3], planted)
    write_rows(room.path("data/rows.jsonl"), rows)
    write_datasets(room.path("data"), rows)
    with pytest.raises(ContaminatedRow, match=f'"{rows[3].sample_id}" .* is known to the benchmark: row of'):
        check_training_data(room.path("data"), *files)


def test_nothing_of_a_held_out_environment_is_trained_on(copied: Callable[..., Room]) -> None:
    room = copied("away")
    told = room.select()
    assert told["held_out_environments"] == ["clinic"]
    # planted: the environment under another name, with its code laid out anew
    environments = list(read_rows(room.path("sft/environments.jsonl"), Environment))
    clinic = next(row for row in environments if row.env_id == "clinic")
    twin = clinic.model_copy(update={"env_id": "twin", "code": "# another\n" + clinic.code, "code_hash": "twin"})
    write_rows(room.path("sft/environments.jsonl"), [*environments, twin])
    tasks = json.loads(room.path("tasks.json").read_text())
    write_json(room.path("tasks.json"), {**tasks, "tasks": tasks["tasks"] | {"twin": {"twin-0": "train"}}})
    rows = list(read_rows(room.path("transitions.jsonl"), Transition))
    stolen = next(row for row in rows if row.env_id == "clinic")
    planted = stolen.model_copy(update={"env_id": "twin", "code_hash": "twin", "task_id": "twin-0.0"})
    write_rows(room.path("transitions.jsonl"), [*rows, planted])
    drawn = room.draw()
    assert drawn["contaminated"]["class_code"] == 1
    room.write()
    assert {row.env_id for row in room.rows()} <= {"bank", "library"}
    assert {row.env_id for row in room.rows("held_out_rl.jsonl")} == {"clinic"}


def test_no_task_of_the_benchmark_is_explored(small: Room) -> None:
    theirs = {sample.task_id.rpartition(".")[0] for sample in read_rows(small.path("benchmark.jsonl"), Sample)}
    explored = {
        scenario.task_id
        for row in read_environments(small.path("sft/environments.jsonl")).values()
        for scenario in row.scenarios
    }
    assert theirs and not theirs & explored
    trained, held = ({row.task_id for row in small.rows(name)} for name in ("rows.jsonl", "held_out_rl.jsonl"))
    assert trained and held and not trained & held


def test_rows_for_reinforcement_learning_are_not_those_that_were_trained_on(copied: Callable[..., Room]) -> None:
    room = copied("reinforced")
    room.draw()
    report = room.write()
    trained, reinforced = room.rows(), room.rows("rl.jsonl")
    assert (report["rows"], report["rl_rows"]) == (len(trained), len(reinforced)) == (16, 8)
    assert not {row.sample_id for row in trained} & {row.sample_id for row in reinforced}
    assert [row.group for row in reinforced].count("failure") == 2, "in the same proportions"
    assert len(json.loads(room.path("data/alpaca.json").read_text())) == 16
    assert "8 further rows are for reinforcement learning alone" in room.path("data/report.md").read_text()
    files = room.path("sft/environments.jsonl"), room.path("benchmark.jsonl"), room.path("environments.jsonl")
    check_training_data(room.path("data"), *files)
    planted = next(iter(read_rows(room.path("benchmark.jsonl"), Sample)))
    reinforced[2] = disguised_as(reinforced[2], planted)
    write_rows(room.path("data/rl.jsonl"), reinforced)
    with pytest.raises(ContaminatedRow, match=f'"{reinforced[2].sample_id}" .* is known to the benchmark: row of'):
        check_training_data(room.path("data"), *files)


def test_without_such_rows_reinforcement_learning_has_the_rows_that_were_trained_on(small: Room) -> None:
    assert small.path("data/rl.jsonl").read_bytes() == small.path("data/rows.jsonl").read_bytes()


def test_neither_shards_nor_threads_change_a_byte(small: Room, copied: Callable[..., Room]) -> None:
    room = copied()
    shutil.rmtree(room.path("data"))
    room.select()
    room.collect(shards=2)
    room.draw(threads=1)
    room.write()
    for path in sorted(path for path in small.path("data").rglob("*") if path.is_file()):
        name = path.relative_to(small.folder)
        assert room.path(str(name)).read_bytes() == path.read_bytes(), name


def test_the_held_out_file_is_a_benchmark_that_asks_the_same(copied: Callable[..., Room]) -> None:
    room = copied()
    room.write(code="none")  # the prompt that needs most of what a published file has no place for
    paths = [room.path(f"again/{name}") for name in ("environments.jsonl", "benchmark.jsonl", "composition.json")]
    import_benchmark(room.path("data/held_out.json"), paths[0], paths[1], paths[2])
    assert list(read_rows(paths[1], Sample)) == room.samples("held_out.jsonl")
    render_prompts(paths[0], paths[1], room.path("again/requests.jsonl"), code="none")
    requests = list(read_rows(room.path("again/requests.jsonl"), Request))
    assert [row.messages for row in requests] == [row.prompt for row in room.rows("held_out_rl.jsonl")]


def test_over_long_rows_are_an_error_or_left_out_or_sliced_and_never_cut(copied: Callable[..., Room]) -> None:
    room = copied()
    longest = sorted(row.prompt_tokens + row.answer_tokens for row in room.rows())
    limit = longest[len(longest) // 2]
    with pytest.raises(
        OverLong, match=rf"\d+ of \d+ rows are longer than sft.max_tokens = {limit} \(estimate: 4 bytes"
    ):
        room.write(max_tokens=limit, over_long="error")
    report = room.write(max_tokens=limit, over_long="drop")
    told = report["lengths"]["over_long"]
    assert told["left_out"] == told["rows"] > 0
    assert any("too long ones left out" in line for line in report["short"])
    assert all(row.prompt_tokens + row.answer_tokens <= limit for row in room.rows())
    report = room.write(max_tokens=limit, over_long="slice")
    assert report["lengths"]["over_long"]["sliced"] > 0
    forms = {row.code_form for row in room.rows()}
    assert forms == {"full", "slice"}
    assert all(row.prompt_tokens + row.answer_tokens <= limit for row in room.rows())
    with pytest.raises(NothingToTrainOn, match=r"each of \d+ rows is longer than sft.max_tokens = 10"):
        room.write(max_tokens=10)


def test_a_tokenizer_that_is_not_there_is_one_line(copied: Callable[..., Room]) -> None:
    with pytest.raises(ec.BadFile, match=r"nowhere: sft.tokenizer: there is no such file"):
        copied().write(tokenizer="nowhere")


def test_the_data_set_is_readable_and_its_card_names_every_file(small: Room) -> None:
    folder = small.path("data/dataset_card")
    front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    files = {item["path"] for entry in front["configs"] for item in entry["data_files"]}
    assert files == {f"data/{path.name}" for path in (folder / "data").iterdir()}
    table = pl.read_parquet(folder / "data/train.parquet")
    rows = small.rows()
    assert [messages[-1]["content"] for messages in table["messages"].to_list()] == [row.answer for row in rows]
    assert table["state_after"].to_list() == [row.state_after for row in rows]
    assert pl.read_parquet(folder / "data/held_out.parquet").height == 20
    codes = pl.read_parquet(folder / "data/environments.parquet")
    assert set(table["code_hash"]) <= set(codes["code_hash"])


def test_a_trace_tells_the_executed_lines_and_the_answer_stands_behind_it(
    copied: Callable[..., Room],
) -> None:
    room = copied()
    plain = {row.sample_id: row.answer for row in room.rows()}
    report = room.write(reasoning="trace")
    rows = room.rows()
    assert report["with_trace"] == len(rows) == len(plain)
    codes = read_environments(room.path("sft/environments.jsonl"))
    for row in rows:
        trace, _, answer = row.answer.removeprefix("<think>\n").partition("\n</think>\n\n")
        assert answer == plain[row.sample_id]
        source = {line.strip() for line in codes[row.code_hash].code.splitlines()}
        told = [line for line in trace.splitlines() if not line.startswith("    ") and not line.startswith("(")]
        assert told and set(told) <= source
        for change in json.loads(answer)["config_changes"]:
            # a line may take out a whole object, and a later one put it back changed
            above = [json.dumps(change["path"][: at + 1]) for at in range(len(change["path"]))]
            inside = json.dumps(change["path"])[:-1]
            assert "more lines)" in trace or inside in trace or any(path in trace for path in above), row.sample_id
    columns = {name: [getattr(row, name) for row in rows] for name in ("state_before", "state_after", "observation")}
    rewards = ec.reward(completions=[row.answer for row in rows], **columns)
    assert rewards == pytest.approx([0.95] * len(rows))  # all but the format: there is something before the JSON
