"""The Python surface: names, types and docstrings of the binary are those of the stub."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import envsim_core as ec

ROOT = Path(__file__).parents[1]
STUB = ast.parse((ROOT / "envsim_core" / "_core.pyi").read_text(encoding="utf-8"))


def documented() -> list[tuple[str, str]]:
    found = []
    for node in STUB.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append((node.name, ast.get_docstring(node) or ""))
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and ast.get_docstring(member):
                    found.append((f"{node.name}.{member.name}", ast.get_docstring(member) or ""))
    return found


@pytest.mark.parametrize(("name", "text"), documented())
def test_help_says_what_the_stub_says(name: str, text: str) -> None:
    thing: object = ec._core
    for part in name.split("."):
        thing = getattr(thing, part)
    assert inspect.getdoc(thing) == text
    assert text


def test_the_stub_fits_the_binary() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "envsim_core._core"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_core_loads_nothing_heavy() -> None:
    heavy = "{'polars', 'pydantic', 'openai', 'pathlib'}"
    probe = f"import sys, envsim_core; print(*sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-S", "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_enums_equal_their_text() -> None:
    sample = {"state_before": {"a": 1}, "state_after": {"a": 2}, "observation": "ok"}
    verdict = ec.score(sample, "{}")
    assert verdict.outcome == "unparsed"
    assert verdict.outcome is ec.Outcome.UNPARSED
    assert {"unparsed": 1}[verdict.failure] == 1
    assert verdict.strategy is None


def test_states_come_back_in_the_form_they_came_in() -> None:
    operations = [{"type": "add", "path": ["b"], "value": 2}]
    assert ec.apply({"a": 1}, operations) == {"a": 1, "b": 2}
    assert ec.apply('{"a":1}', operations) == '{"a": 1, "b": 2}'
    assert ec.apply(b'{"a":1}', operations) == b'{"a": 1, "b": 2}'


def test_changes_are_operations() -> None:
    before, after = {"a": 1, "b": {"c": 2}}, {"b": {"c": 3}, "d": None}
    changes = ec.diff(before, after)
    assert [change.type for change in changes] == ["delete", "modify", "add"]
    assert ec.apply(before, changes) == after
    assert ec.apply(before, [change.to_dict() for change in changes]) == after


def test_a_value_that_is_not_there_is_missing_and_not_null() -> None:
    sample = {"state_before": {"a": 1}, "state_after": {"a": 1, "b": None}, "observation": ""}
    mismatch = ec.score(sample, '{"config_changes": []}').first_mismatch
    assert mismatch is not None
    assert (mismatch.path, mismatch.expected, mismatch.got) == (["b"], None, ec.MISSING)
    assert mismatch.to_dict() == {"path": ["b"], "expected": None}


def test_integers_of_any_size_cross_the_boundary() -> None:
    for digits in (19, 20, 700, 5000, 20_000):
        number = 10**digits + 7
        assert ec.apply({"n": number}, [{"path": ["m"], "value": -number}]) == {"n": number, "m": -number}


@pytest.mark.parametrize("state", ["[1]", "nonsense", "[" * 100_000, '{"a": 1} {"b": 2}', b'{"a": "\xff"}'])
def test_what_is_no_state_is_refused_by_name(state: str | bytes) -> None:
    with pytest.raises(ec.InvalidState):
        ec.diff(state, "{}")


def test_a_python_object_that_json_lacks_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="complex"):
        ec.diff({"a": 1j}, {})


def test_a_bad_sample_of_a_batch_is_named_by_its_place() -> None:
    good = {"state_before": {}, "state_after": {}, "observation": ""}
    with pytest.raises(ec.InvalidSample, match="sample 1: state_after: is missing") as caught:
        ec.score_batch([good, {"state_before": {}, "observation": ""}], ["", ""])
    assert caught.value.index == 1
    with pytest.raises(ValueError, match="1 samples but 2 completions"):
        ec.score_batch([good], ["", ""])
