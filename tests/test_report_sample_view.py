"""Sample view: what was asked, answered and judged stands in the terminal, as text whatever it holds."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from envsim_core import cli
from envsim_core.errors import BadFile
from envsim_core.records import Action, Completion, Message, Request, Sample, write_rows
from envsim_core.report.sample_view import print_sample

WRONG = (
    '{"feedback": {"success": true}, "config_changes": [{"type": "modify", "path": ["n"], "value": "2"},'
    ' {"type": "add", "path": ["extra"], "value": [1]}, {"type": "delete", "path": ["old"]}]}'
)


def shown(folder: Path, completion: str | None, *, ask: str = "What happens?", model: str = "m") -> str:
    sample = Sample(
        sample_id="a-1",
        env_id="env",
        task_id="task",
        step=1,
        stratum="delta_2",
        change_count=2,
        code_hash="code",
        action=Action(name="tool", arguments={}),
        observation="{'success': True}",
        state_before={"n": 1, "old": "x"},
        state_after={"n": 2},
    )
    request = Request(sample_id="a-1", prompt_hash="h", messages=[Message(role="user", content=ask)])
    answer = Completion(sample_id="a-1", model=model, key="k", completion=completion, reason="the server was away")
    for name, row in (
        ("stratify/benchmark.jsonl", sample),
        ("prompts/requests.jsonl", request),
        (f"infer/{model}/completions.jsonl", answer),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_rows(folder / name, [row])
    out = io.StringIO()
    print_sample(folder, "a-1", model, Console(file=out, width=120))
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def rows(told: str) -> list[str]:
    return [" ".join(line.split()) for line in told.splitlines() if line.lstrip().startswith(("= [", "! ["))]


def test_true_and_predicted_changes_stand_side_by_side(tmp_path: Path) -> None:
    told = shown(tmp_path, WRONG)
    assert rows(told) == [
        '! ["extra"] unchanged add [1]',
        '! ["n"] 1 → 2 1 → "2"',
        '= ["old"] delete (was "x") delete (was "x")',
    ]
    assert "What happens?" in told and WRONG in told.replace("\n", "")
    assert 'failure              "type_flip"' in told and "config_match         false" in told
    assert "{'success': True}   {'success': True}" in told


@pytest.mark.parametrize(
    ("completion", "why"),
    [
        (None, "there is no answer"),
        ("I do not know.", "the completion holds no readable prediction"),
        ('{"config_changes": [{"type": "delete", "path": ["nowhere"]}]}', "operation 0: "),
    ],
)
def test_an_answer_without_a_state_says_why(tmp_path: Path, completion: str | None, why: str) -> None:
    told = shown(tmp_path, completion)
    assert why in told.split("No predicted state")[1]
    assert rows(told) == ['! ["n"] 1 → 2 unchanged', '! ["old"] delete (was "x") unchanged']
    assert ("none: the server was away" in told) == (completion is None)


def test_hostile_text_is_shown_as_text(tmp_path: Path) -> None:
    hostile = '\x1b[2J\x07[bold red]x[/] \ud800\x9b31m {"feedback": "[link=file:///]\\u001b]0;t", "config_changes": []}'
    told = shown(tmp_path, hostile, ask=hostile, model="m[red]")
    assert not {"\x1b", "\x07", "\x9b", "\ud800"} & set(told)
    assert told.count("[bold red]x[/]") == 2 and "Completion of m[red]" in told and "[link=file:///]?]0;t" in told


def test_a_sample_or_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    shown(tmp_path, WRONG)
    with pytest.raises(BadFile, match=r'benchmark\.jsonl: sample_id: no row for "b"'):
        print_sample(tmp_path, "b", "m")
    with pytest.raises(BadFile, match=r"infer/other/completions\.jsonl: is not there; .*--results"):
        print_sample(tmp_path, "a-1", "other")


def test_the_command_shows_the_sample_of_a_run(tmp_path: Path) -> None:
    shown(tmp_path, WRONG)
    done = CliRunner().invoke(cli.app, ["show", "a-1", "--model", "m", "--results", str(tmp_path)])
    assert done.exit_code == 0 and "Completion of m" in done.output and "unchanged" in done.output
