"""Formats: a sample and its request as a row to train on, and such rows as the files that trainers read."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

from envsim_core._core import score
from envsim_core.backends.baselines import true_changes
from envsim_core.errors import BadFile, EnvSimError
from envsim_core.records import Action, JsonObject, Request, Sample, TrainingRow, atomic_path, write_json
from envsim_core.strata import group_of
from envsim_core.training_data.lengths import row_tokens
from envsim_core.training_data.traces import with_trace

CONTAINERS = "{[("
ALPACA, SHAREGPT = "alpaca", "sharegpt"
FILES = {ALPACA: "alpaca.json", SHAREGPT: "sharegpt.json"}
DATASETS = {
    "alpaca": {
        "file_name": FILES[ALPACA],
        "columns": {"prompt": "instruction", "query": "input", "response": "output", "system": "system"},
    },
    "sharegpt": {
        "file_name": FILES[SHAREGPT],
        "formatting": "sharegpt",
        "columns": {"messages": "conversations", "system": "system"},
    },
}
"""What LLaMA-Factory has to know of the two files, in its own words."""


class WrongAnswer(EnvSimError):
    """An answer to train on that the verifier does not give full marks: it must not be trained on."""


def answer_of(sample: Sample) -> str:
    """The right answer to a sample in the one form that prompts ask for.

    Raises WrongAnswer unless the verifier finds state and observation right.
    """
    for feedback in (told(sample.observation), sample.observation):
        # spelled as json.dumps spells it, which is how the prompt shows states
        answer = json.dumps({"feedback": feedback, "config_changes": true_changes(sample)})
        verdict = score(sample.model_dump(include={"state_before", "state_after", "observation"}), answer)
        if verdict.config_match and verdict.feedback_match:
            return answer
    raise WrongAnswer(f'"{sample.sample_id}": the verifier does not take its own truth for right: {verdict.failure}')


def told(observation: str) -> Any:
    """What a prompt asks to be told for an observation: a container as JSON, anything else as the text it is."""
    text = observation.strip()
    if text[:1] not in tuple(CONTAINERS):
        return observation
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # other people's invalid escapes
                value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            return observation
    return _as_json(value) if isinstance(value, dict | list | tuple | set) else observation


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, set):
        return [_as_json(item) for item in sorted(value, key=repr)]
    return value


def training_row(sample: Sample, request: Request, count: Callable[[str], int], trace: str = "") -> TrainingRow:
    """A sample and the request that evaluation would send for it as a row to train on, with its trace if there is one.

    Raises WrongAnswer as `answer_of`, or when the verifier does not find the answer behind its trace.
    """
    answer = answer_of(sample)
    if trace:
        answer = with_trace(trace, answer)
        verdict = score(sample.model_dump(include={"state_before", "state_after", "observation"}), answer)
        if not (verdict.config_match and verdict.feedback_match):
            raise WrongAnswer(f'"{sample.sample_id}": the verifier does not read the answer behind its trace')
    prompt_tokens, answer_tokens = row_tokens(count, request.messages, answer)
    return TrainingRow(
        sample_id=sample.sample_id,
        env_id=sample.env_id,
        task_id=sample.task_id,
        step=sample.step,
        tool=sample.action.name,
        arguments=json.dumps(sample.action.arguments),
        group=group_of(sample.stratum),
        stratum=sample.stratum,
        change_count=sample.change_count,
        code_hash=sample.code_hash,
        code_form=request.code_form,
        prompt=request.messages,
        answer=answer,
        state_before=json.dumps(sample.state_before),
        state_after=json.dumps(sample.state_after),
        observation=sample.observation,
        volatile=json.dumps(sample.volatile),
        prompt_tokens=prompt_tokens,
        answer_tokens=answer_tokens,
    )


def sample_of(row: TrainingRow) -> Sample:
    """The sample that a row was made of, as far as the row tells it."""
    return Sample(
        sample_id=row.sample_id,
        env_id=row.env_id,
        task_id=row.task_id,
        step=row.step,
        stratum=row.stratum,
        change_count=row.change_count,
        code_hash=row.code_hash,
        action=Action(name=row.tool, arguments=json.loads(row.arguments)),
        observation=row.observation,
        state_before=json.loads(row.state_before),
        state_after=json.loads(row.state_after),
        volatile=json.loads(row.volatile),
    )


def check_datasets(folder: Path, rows: list[TrainingRow]) -> None:
    """See that the files of `write_datasets` hold these rows and no other.

    Raises BadFile naming the first row that is another one.
    """
    for name, shape in ((ALPACA, alpaca_row), (SHAREGPT, sharegpt_row)):
        path = folder / FILES[name]
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise BadFile(path, None, None, f"cannot be read: {error}") from None
        for number, (one, other) in enumerate(zip_longest(found, map(shape, rows)), 1):
            if one != other:
                raise BadFile(path, None, f"row {number}", "is not the row that rows.jsonl has there; make it again")


def alpaca_row(row: TrainingRow) -> JsonObject:
    """A row in the shape of Alpaca: one instruction with its system message, one output."""
    system, question = _split(row)
    return {"instruction": question, "input": "", "output": row.answer, "system": system}


def sharegpt_row(row: TrainingRow) -> JsonObject:
    """A row in the shape of ShareGPT: a conversation of one turn."""
    system, question = _split(row)
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": row.answer}]
    return {"conversations": turns, "system": system}


def messages_of(row: TrainingRow) -> list[JsonObject]:
    """A row as chat messages, the answer as the assistant's."""
    return [*(message.model_dump() for message in row.prompt), {"role": "assistant", "content": row.answer}]


def write_datasets(folder: Path, rows: list[TrainingRow]) -> None:
    """Write what LLaMA-Factory takes as its `dataset_dir`: both files, and dataset_info.json that describes them."""
    _write_array(folder / FILES[ALPACA], map(alpaca_row, rows))
    _write_array(folder / FILES[SHAREGPT], map(sharegpt_row, rows))
    write_json(folder / "dataset_info.json", DATASETS)


def _split(row: TrainingRow) -> tuple[str, str]:
    roles = [message.role for message in row.prompt]
    if roles != ["system", "user"]:
        raise EnvSimError(f'"{row.sample_id}": a prompt of {roles} has no place in these formats, system and user have')
    return row.prompt[0].content, row.prompt[1].content


def _write_array(path: Path, rows: Iterable[JsonObject]) -> None:
    """A JSON array, a row per line."""
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as handle:
        separator = "[\n"
        for row in rows:
            handle.write(separator + json.dumps(row))
            separator = ",\n"
        handle.write("[\n]\n" if separator == "[\n" else "\n]\n")
