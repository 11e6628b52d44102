"""The published file is read as it is, in both forms, and a row that cannot be used is named."""

from __future__ import annotations

import copy
import gzip
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from envsim_core import diff
from envsim_core.errors import BadFile
from envsim_core.sources.published import find_class, read_published

SLICE = Path(__file__).parent / "data" / "published_format_sample.json"
Row = dict[str, Any]


def row(**changes: Any) -> Row:
    made: Row = {
        "task_info": {"env_id": "Shop", "task_id": "t-1", "step": 3},
        "step_detail": {
            "step": 3,
            "action": {"name": "sell", "arguments": {"n": 1}},
            "observation": {"type": "tool", "content": "{'success': True}"},
            "config_before": {"stock": 2},
            "config_after": {"stock": 1},
            "config_change": {"changes": [], "change_count": 1},
        },
        "env_code": "class Shop:\n    def sell(self, n): ...\n",
    }
    made["task_info"].update(changes.pop("task_info", {}))
    made["step_detail"].update(changes)
    return made


def write(path: Path, value: Any) -> Path:
    path.write_text(json.dumps(value) if not isinstance(value, str) else value)
    return path


def test_every_row_of_the_slice_is_read_with_its_numbers_exact() -> None:
    raw = json.loads(SLICE.read_text())
    rows = list(read_published(SLICE))
    assert len(rows) == len(raw) == 71
    for number, (read, given) in enumerate(zip(rows, raw, strict=True), 1):
        detail = given["step_detail"]
        assert read.row == number
        assert json.dumps(read.sample.state_before) == json.dumps(detail["config_before"])
        assert json.dumps(read.sample.state_after) == json.dumps(detail["config_after"])
        assert read.sample.observation == detail["observation"]["content"]
        assert read.sample.change_count == len(diff(detail["config_before"], detail["config_after"]))
        assert read.sample.change_count == detail["config_change"]["change_count"]
        assert read.warning is None
        assert read.environment.code == given["env_code"]
        assert read.environment.class_name == given["task_info"]["env_id"]
    assert len({read.sample.sample_id for read in rows}) == 71
    assert len({id(read.environment) for read in rows}) == len({given["env_code"] for given in raw})


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.jsonl.gz"])
def test_an_array_and_lines_give_the_same_rows(tmp_path: Path, name: str) -> None:
    raw = json.loads(SLICE.read_text())
    text = "\ufeff" + "\n".join(json.dumps(one) for one in raw) + "\n\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    assert list(read_published(path)) == list(read_published(SLICE))


def test_an_indented_array_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", "\n\n" + json.dumps([row(), row()], indent=4) + "\n")
    assert [read.row for read in read_published(path)] == [1, 2]


def test_lines_are_read_as_they_are_needed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps(row()) + "\n" + "{ this is no JSON\n")
    rows = read_published(path)
    assert next(rows).row == 1
    with pytest.raises(BadFile, match=r"a\.jsonl:2: row 2: not JSON"):
        next(rows)


def test_numbers_stay_exact(tmp_path: Path) -> None:
    text = '{"n": 123456789012345678901234567890, "x": 0.1, "y": 1e16, "z": NaN, "w": 1.0}'
    path = write(tmp_path / "a.json", json.dumps([row()]).replace('{"stock": 2}', text))
    state = next(read_published(path)).sample.state_before
    assert json.dumps(state) == text.replace("1e16", "1e+16")


def test_arguments_may_be_an_object_a_json_text_or_absent(tmp_path: Path) -> None:
    given: list[Any] = [{"n": 1}, '{"n": 1}', "", None]
    rows = [row(action={"name": "sell", "arguments": arguments}) for arguments in given]
    rows.append(row(action={"name": "sell"}))
    read = [one.sample.action.arguments for one in read_published(write(tmp_path / "a.json", rows))]
    assert read == [{"n": 1}, {"n": 1}, {}, {}, {}]


def test_an_observation_may_be_text_or_a_value(tmp_path: Path) -> None:
    given: list[Any] = [{"content": "ok"}, "ok", {"content": {"a": 1}}, {"content": None}, {"content": True}]
    rows = [row(observation=observation) for observation in given]
    read = [one.sample.observation for one in read_published(write(tmp_path / "a.json", rows))]
    assert read == ["ok", "ok", '{"a": 1}', "", "true"]


def test_sample_ids_are_kept_or_made_and_always_unique(tmp_path: Path) -> None:
    rows = [row(), row(), row(task_info={"sample_id": "x"}), row(task_info={"sample_id": "x"}), row()]
    read = [one.sample.sample_id for one in read_published(write(tmp_path / "a.json", rows))]
    assert read == ["Shop/t-1/3#1", "Shop/t-1/3#2", "x", "x#4", "Shop/t-1/3#5"]


def test_strata_follow_the_observation_the_change_and_the_arguments(tmp_path: Path) -> None:
    same = {"config_before": {"a": 1}, "config_after": {"a": 1}}
    rows = [
        row(),
        row(**same),
        row(**same, action={"name": "sell", "arguments": "{}"}),
        row(**same, observation={"content": "{'success': False, 'error': 'no'}"}),
        row(config_before={}, config_after={str(n): n for n in range(9)}),
    ]
    read = [one.sample.stratum for one in read_published(write(tmp_path / "a.json", rows))]
    assert read == ["delta_1", "no_change_args", "no_change_no_args", "failure", "delta_7_12"]


def test_a_change_count_that_is_not_true_is_a_warning(tmp_path: Path) -> None:
    rows = [row(), row(config_change={"change_count": 4})]
    read = list(read_published(write(tmp_path / "a.json", rows)))
    assert read[1].sample.change_count == 1
    assert [one.warning for one in read] == [
        None,
        "row 2: the file says 4 changes, config_before and config_after differ in 1",
    ]


def test_code_that_cannot_be_parsed_is_still_code(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", [row() | {"env_code": "class Shop:\n  def sell(:\n\x00"}])
    environment = next(read_published(path)).environment
    assert environment.class_name == ""
    assert environment.code.startswith("class Shop")


def test_the_class_is_found_by_its_name_then_by_its_tool() -> None:
    code = "class File: ...\nclass Disk:\n    def sell(self): ...\nclass Last: ...\n"
    assert find_class(code, "File", "sell") == "File"
    assert find_class(code, "no-class", "sell") == "Disk"
    assert find_class(code, "no-class", "no_tool") == "Last"
    assert find_class("x = 1", "x", "y") == ""


def remove(*path: str) -> Callable[[Row], None]:
    def apply(given: Row) -> None:
        for key in path[:-1]:
            given = given[key]
        del given[path[-1]]

    return apply


def put(value: Any, *path: str) -> Callable[[Row], None]:
    def apply(given: Row) -> None:
        for key in path[:-1]:
            given = given[key]
        given[path[-1]] = value

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (remove("step_detail", "config_before"), "row 2: step_detail.config_before: is missing"),
        (remove("step_detail", "config_after"), "row 2: step_detail.config_after: is missing"),
        (put([], "step_detail", "config_before"), "row 2: step_detail.config_before: is not an object but an array"),
        (remove("step_detail", "action", "name"), "row 2: step_detail.action.name: is missing"),
        (put("[1]", "step_detail", "action", "arguments"), "row 2: step_detail.action.arguments: is not an object"),
        (put("{", "step_detail", "action", "arguments"), "row 2: step_detail.action.arguments: is a text that is not"),
        (remove("step_detail", "observation"), "row 2: step_detail.observation: is missing"),
        (remove("step_detail", "observation", "content"), "row 2: step_detail.observation.content: is missing"),
        (remove("env_code"), "row 2: env_code: is missing"),
        (remove("task_info"), "row 2: task_info: is missing"),
        (put(None, "task_info", "env_id"), "row 2: task_info.env_id: is missing"),
        (put(True, "task_info", "task_id"), "row 2: task_info.task_id: is not a name but true or false"),
        (put("3", "task_info", "step"), "row 2: task_info.step: is not a whole number but a text"),
        (put(5, "step_detail"), "row 2: step_detail: is not an object but a number"),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_a_row_without_what_a_question_needs_is_named(
    tmp_path: Path, damage: Callable[[Row], None], message: str, lines: bool
) -> None:
    damaged = copy.deepcopy(row())
    damage(damaged)
    rows = [row(), damaged]
    path = tmp_path / ("a.jsonl" if lines else "a.json")
    write(path, "\n".join(map(json.dumps, rows)) if lines else rows)
    with pytest.raises(BadFile) as caught:
        list(read_published(path))
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}:2: " if lines else f"{path}: ")


def test_truncated_json_names_the_row_and_the_place_at_every_length(tmp_path: Path) -> None:
    text = json.dumps([row(), row()])
    second = text.index('{"task_info"', 5)
    for length in range(1, len(text)):
        path = write(tmp_path / "a.json", text[:length])
        with pytest.raises(BadFile) as caught:
            list(read_published(path))
        assert str(path) in str(caught.value)
        if length > second:
            assert "row 2" in str(caught.value)
        assert "character" in str(caught.value)


@pytest.fixture
def default_digits() -> Iterator[None]:
    limit = sys.get_int_max_str_digits()  # of the whole process: another test may have lifted it
    sys.set_int_max_str_digits(sys.int_info.default_max_str_digits)
    yield
    sys.set_int_max_str_digits(limit)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no samples"),
        ("  \n\n", "holds no samples"),
        ("[]", "holds no samples"),
        ("[] tail", "holds no samples"),
        ("[1]", "row 1: is not an object but a number"),
        ('{"task_info": 1', "row 1: not JSON"),
        ("hello", "row 1: not JSON"),
        ("[" * 100_000, "row 1: is nested too deeply"),
        ("[" + "9" * 5000 + "]", "row 1: cannot be read: Exceeds the limit"),
    ],
)
@pytest.mark.usefixtures("default_digits")
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(BadFile, match=message.replace("[", r"\[")):
        list(read_published(write(tmp_path / "a.json", content)))


def test_text_after_the_array_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="text after the end of the array"):
        list(read_published(write(tmp_path / "a.json", json.dumps([row()]) + " tail")))


def test_a_missing_file_bytes_that_are_no_text_and_a_damaged_archive_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"none\.json: cannot be read: No such file"):
        list(read_published(tmp_path / "none.json"))
    (tmp_path / "bytes.json").write_bytes(b"[\xff\xfe]")
    with pytest.raises(BadFile, match=r"bytes\.json: cannot be decoded"):
        list(read_published(tmp_path / "bytes.json"))
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(json.dumps(row()).encode() * 50)[:60])
    with pytest.raises(BadFile, match=r"cut\.jsonl\.gz: cannot be decoded"):
        list(read_published(tmp_path / "cut.jsonl.gz"))
