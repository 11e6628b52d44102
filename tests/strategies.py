"""Hypothesis strategies: hostile states, true changes, operations in every spelling, and completions around them."""

from __future__ import annotations

import copy
import json
from typing import Any

import oracle
from hypothesis import strategies as st

JsonObject = dict[str, Any]

# Each of them has a meaning in some path spelling, so each can be confused with something else.
NASTY_KEYS = (
    *("a", "b", "ab", "u", "q", "n", "A", " a", "", ".", "a.", ".a", "a.b", "a.b.n", "b.c"),
    *("/", "/a", "a/b", "/a/b", "~", "~1", "~0", "~01", "/a~1b", "0", "1", "7", "01", "-1", "-", "+1"),
    *("[0]", "a[0]", "q[0]", "['a']", "a['b']", '["a"]', "[", "]", "'", '"', "\\", "it's"),
    *("$", "$.a", "$[0]", "$a", "self", "self.a", "self.", "selfish", "é", "e\u0301", "😀", "\uff5e", "\ud800", "\n"),
    *("feedback", "config_changes", "type", "value"),
)
TEXTS = (
    *(
        "",
        "ok",
        "1",
        "1.0",
        "0",
        "true",
        "True",
        "null",
        "None",
        "nan",
        "NaN",
        "[1]",
        "{'a': 1}",
        '{"a": 1}',
        "'a'",
        '"a"',
    ),
    *(
        "x\ny",
        "a\tb",
        "```\n",
        "\n```json\n",
        "<think>",
        "</think>",
        "}{",
        "[(",
        "it's",
        'say "hi"',
        ",]",
        ", }",
        "\\",
        "\\n",
    ),
    *(
        '{"feedback": "x"}',
        "{'config_changes': []}",
        "caf\u00e9",
        "cafe\u0301",
        "\ud83d",
        "\ude00",
        "😀",
        "\u2028",
        "\x00",
    ),
)
NUMBERS: tuple[int | float, ...] = (
    *(
        0,
        1,
        2,
        -1,
        0.0,
        -0.0,
        1.0,
        0.5,
        1e16,
        10**16,
        10**16 + 1,
        2**53,
        2**53 + 1,
        float(2**53),
        2**63,
        2**64,
        -(2**63),
    ),
    *(10**22, 1e22, 10**30, 1e-7, 5e-324, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan")),
)

keys = st.one_of(st.sampled_from(NASTY_KEYS), st.sampled_from("abuqn"), st.text(max_size=4))
texts = st.one_of(st.sampled_from(TEXTS), st.text(max_size=6))
scalars = st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.integers(-3, 3), texts, st.floats())
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=3)),
    max_leaves=8,
)
states = st.dictionaries(keys, values, max_size=5)


def containers(value: Any) -> list[Any]:
    """Every object and array in a value, itself included."""
    found = [value] if isinstance(value, (dict, list)) else []
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return found + [container for child in children for container in containers(child)]


@st.composite
def changed(draw: st.DrawFn, state: JsonObject) -> JsonObject:
    """Another state, a few edits away."""
    state = copy.deepcopy(state)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.sampled_from(containers(state)))
        what = draw(st.sampled_from(["set", "set", "add", "remove"]))
        if isinstance(place, dict):
            known = sorted(place)
            key = draw(st.sampled_from(known)) if known and what != "add" else draw(keys)
            if what == "remove":
                place.pop(key, None)
            else:
                place[key] = draw(values)
        elif what == "remove" and place:
            del place[draw(st.integers(0, len(place) - 1))]
        elif what == "set" and place:
            place[draw(st.integers(0, len(place) - 1))] = draw(values)
        else:
            place.insert(draw(st.integers(0, len(place))), draw(values))
    return state


def pointer(path: list[str]) -> str:
    return "".join("/" + segment.replace("~", "~0").replace("/", "~1") for segment in path)


def dotted(path: list[str]) -> str:
    return ".".join(path)


def bracketed(path: list[str]) -> str:
    """Brackets behind the first segment, with the quote that the segment does not hold."""
    rest = (f"[{s}]" if s.isdigit() else f'["{s}"]' if "'" in s else f"['{s}']" for s in path[1:])
    return path[0] + "".join(rest) if path else ""


@st.composite
def spelled_path(draw: st.DrawFn, path: list[str]) -> Any:
    """A path in one of its spellings, right or nearly so."""
    spelling = draw(st.sampled_from(["list", "list", "pointer", "dotted", "bracketed", "numbers", "cut"]))
    if spelling == "list":
        return path
    if spelling == "numbers":
        return [int(segment) if segment.isascii() and segment.isdigit() else segment for segment in path]
    if spelling == "pointer":
        return pointer(path)
    text = bracketed(path) if spelling == "bracketed" else dotted(path)
    text = draw(st.sampled_from(["", "", "", "$.", "self.", "$", "."])) + text
    if spelling == "cut":
        text = text[: draw(st.integers(0, len(text)))] + draw(
            st.sampled_from(["", ".", "[0]", "[", "]", "/", ".-", ".0"])
        )
    return text


@st.composite
def some_path(draw: st.DrawFn, state: JsonObject) -> list[str]:
    """A path into the state, often to something that is there, sometimes a step beyond."""
    path: list[str] = []
    here: Any = state
    while True:
        if isinstance(here, dict) and here:
            path.append(draw(st.sampled_from(sorted(here))))
            here = here[path[-1]]
        elif isinstance(here, list):
            path.append(draw(st.sampled_from([*map(str, range(len(here) + 2)), "-", "01", "-1"])))
            known = path[-1].isdigit() and int(path[-1]) < len(here)
            here = here[int(path[-1])] if known else None
        else:
            break
        if draw(st.booleans()):
            break
    return path + draw(st.lists(keys, max_size=2)) if draw(st.integers(0, 3)) == 0 else path


KINDS = {
    "add": ("add", "added", "insert", "create", " Add"),
    "modify": ("modify", "modified", "update", "updated", "set", "replace", "change", "changed"),
    "delete": ("delete", "deleted", "remove", "removed", "DELETE"),
}
RFC_KINDS = {"add": "add", "modify": "replace", "delete": "remove"}
BAD_KINDS: tuple[Any, ...] = ("zap", "", 5, True, "move", "test", [], {})


@st.composite
def spelled_operation(draw: st.DrawFn, kind: str, path: list[str], value: Any) -> JsonObject:
    """An operation in one of its spellings."""
    operation: JsonObject = {"path": draw(spelled_path(path))}
    style = draw(st.sampled_from(["type", "type", "op", "rfc", "none", "both"]))
    if style in ("type", "both"):
        operation["type"] = draw(st.sampled_from(KINDS[kind]))
    if style == "both":
        operation["op"] = draw(st.sampled_from(["add", None, "zap"]))
    if style == "op":
        operation["op"] = draw(st.sampled_from(KINDS[kind]))
    if style == "rfc":
        operation |= {"op": RFC_KINDS[kind], "type": None}
    if kind != "delete" or style == "none":
        operation[draw(st.sampled_from(["value", "value", "after", "new_value", "new"]))] = value
    return operation


@st.composite
def stray_operation(draw: st.DrawFn, state: JsonObject) -> Any:
    """An operation that the truth did not ask for, possibly no operation at all."""
    choice = draw(st.integers(0, 9))
    if choice == 0:
        return draw(values)
    path = draw(some_path(state))
    if choice <= 2:
        operation = {"op": draw(st.sampled_from(["move", "copy", "test"])), "path": draw(spelled_path(path))}
        return operation | {"from": draw(spelled_path(draw(some_path(state)))), "value": draw(values)}
    operation = draw(spelled_operation(draw(st.sampled_from(sorted(KINDS))), path, draw(values)))
    if choice == 3:
        operation[draw(st.sampled_from(["type", "op", "path", "value"]))] = draw(st.sampled_from(BAD_KINDS))
    return operation


@st.composite
def operations(draw: st.DrawFn, before: JsonObject, after: JsonObject) -> list[Any]:
    """The true changes in many spellings, some of them left out, some strays among them."""
    listed: list[Any] = []
    for change in oracle.diff(before, after):
        if draw(st.integers(0, 9)) > 0:
            listed.append(draw(spelled_operation(change["type"], change["path"], change["after"])))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        listed.insert(draw(st.integers(0, len(listed))), draw(stray_operation(before)))
    return listed


@st.composite
def observations(draw: st.DrawFn) -> tuple[str, Any]:
    """A true observation, and a feedback that may or may not equal it."""
    value = draw(st.one_of(values, states))
    truth = draw(st.sampled_from([repr(value), json.dumps(value)]))
    same = [truth, value, json.dumps(value), repr(value), f" {truth}\n", truth.replace("[", "{").replace("]", "}")]
    return truth, draw(st.one_of(st.sampled_from(same), values, texts))


@st.composite
def with_trailing_commas(draw: st.DrawFn, text: str) -> str:
    closers = [place for place, char in enumerate(text) if char in "}]"]
    for place in sorted(draw(st.sets(st.sampled_from(closers), max_size=3)), reverse=True) if closers else []:
        text = text[:place] + ", " + text[place:]
    return text


PIECES = (
    *(
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        ",",
        ":",
        "\\",
        "\n",
        "\n```\n",
        "```json\n",
        "<think>",
        "</think>",
        "null",
        "None",
        " ",
    ),
    *('{"feedback": "x"}', '{"feedback": ', "{'config_changes': [", "It's ", "\ufeff", "(", ")", "set()", "nan"),
)


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    """The text cut, or with pieces put in or taken out."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 1, 2, 4]))):
        place = draw(st.integers(0, len(text)))
        how = draw(st.sampled_from(["cut", "insert", "insert", "drop"]))
        if how == "cut":
            text = text[:place]
        elif how == "insert":
            text = text[:place] + draw(st.sampled_from(PIECES)) + text[place:]
        else:
            text = text[:place] + text[place + draw(st.integers(1, 3)) :]
    return text


@st.composite
def completions(draw: st.DrawFn, prediction: Any) -> str:
    """A completion around a prediction: notation, fences, reasoning, prose, a wrong draft, damage."""
    text = draw(
        st.sampled_from(
            [json.dumps(prediction), json.dumps(prediction, ensure_ascii=False, indent=1), repr(prediction)]
        )
    )
    if draw(st.integers(0, 4)) == 0:
        text = draw(with_trailing_commas(text))
    wrap = draw(st.integers(0, 7))
    draft = draw(
        st.sampled_from(['{"feedback": "draft"}', "{'config_changes': [1, (2,)]}", '{"feedback": "cut', "{'a': 1}"])
    )
    if wrap == 0:
        text = f"```json\n{text}\n```"
    elif wrap == 1:
        text = f"<think>Let me see: {draft}</think>\n{text}"
    elif wrap == 2:
        text = f"It's this one: {draft} and then\n```\n{text}\n``` done"
    elif wrap == 3:
        text = f"{text}\nor {draft}"
    elif wrap == 4:
        text = f'{{"answer": [{text}]}}'
    elif wrap == 5:
        text = f"{draft}</think>{text}"
    return draw(mutated(text))


@st.composite
def questions(draw: st.DrawFn) -> tuple[JsonObject, str | None]:
    """A sample and a completion for it."""
    before = draw(states)
    after = draw(changed(before))
    truth, feedback = draw(observations())
    sample: JsonObject = {"state_before": before, "state_after": after, "observation": truth}
    if draw(st.booleans()):
        paths = [change["path"] for change in oracle.diff(before, after)]
        sample["volatile"] = [draw(st.sampled_from(paths))] if paths else []
        sample["volatile"] += [draw(some_path(after)) for _ in range(draw(st.integers(0, 1)))]
    prediction: JsonObject = {"feedback": feedback, "config_changes": draw(operations(before, after))}
    dropped = draw(st.sampled_from([None, None, None, "feedback", "config_changes"]))
    prediction = {key: value for key, value in prediction.items() if key != dropped}
    if draw(st.integers(0, 19)) == 0:
        prediction["config_changes"] = draw(values)
    return sample, draw(completions(prediction))
