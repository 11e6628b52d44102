"""Rewards: the trainer's way of calling, and the law that no answer that breaks the state out-scores a right one."""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_rows import golden_rows, random_rows

import envsim_core as ec
import envsim_core.rewards as rewards

BEFORE = {"stock": {"apple": 3, "pear": 5}, "orders": [], "note": "keep"}
AFTER = {"stock": {"apple": 2, "pear": 5}, "orders": [{"id": 1, "item": "apple"}], "note": "keep"}
OBSERVATION = '{"success": true, "order_id": 1}'
COLUMNS: dict[str, Any] = {
    "state_before": json.dumps(BEFORE),
    "state_after": json.dumps(AFTER),
    "observation": OBSERVATION,
}
TAKE = {"type": "modify", "path": ["stock", "apple"], "value": 2}
ORDER = {"type": "modify", "path": ["orders"], "value": [{"id": 1, "item": "apple"}]}


def answer(*operations: dict[str, Any], feedback: Any = OBSERVATION) -> str:
    return json.dumps({"feedback": feedback, "config_changes": list(operations)})


def rewards_of(*completions: Any, reward: rewards.Reward | None = None, **columns: Any) -> list[float | None]:
    count = len(completions)
    columns = {name: [value] * count for name, value in (columns or COLUMNS).items()}
    return (reward or ec.reward)(
        prompts=["?"] * count, completions=list(completions), completion_ids=[[1]] * count, trainer_state=None,
        log_extra=None, log_metric=None, **columns
    )  # fmt: skip


def test_better_answers_earn_more() -> None:
    found = rewards_of(
        answer(TAKE, ORDER),
        f"First I think.\n{answer(TAKE, ORDER)}",
        answer(TAKE, ORDER, feedback="wrong"),
        answer(TAKE),
        answer(),
        answer(feedback="wrong"),
        "I do not know.",
    )
    assert found == pytest.approx([1.0, 0.95, 0.85, 0.2 * 2 / 3 + 0.2, 0.2, 0.05, 0.0])
    assert found[-1] == 0.0


def test_damage_earns_the_format_term_and_nothing_else() -> None:
    spoilt = rewards_of(
        answer(TAKE, ORDER, {"type": "delete", "path": ["note"]}),  # all that is true, and one thing more
        answer(TAKE, ORDER, {"type": "add", "path": ["extra"], "value": 1}),
        answer({"type": "delete", "path": ["nothing"]}),
        answer({"type": "modify", "path": [], "value": {}}),  # the whole state wiped, the observation right
    )
    assert spoilt[:3] == pytest.approx([0.05] * 3)
    assert spoilt[3] == pytest.approx(0.05)


def said(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


@pytest.mark.parametrize(
    "form",
    [
        lambda text: text,
        lambda text: [{"role": "assistant", "content": text}],
        lambda text: [said(answer()), {"role": "tool", "content": "x"}, said(text)],
        lambda text: [said([{"type": "text", "text": text[:9]}, {"type": "text", "text": text[9:]}])],
    ],
)
def test_texts_and_chats_earn_the_same(form: Any) -> None:
    assert rewards_of(form(answer(TAKE, ORDER))) == [1.0]


def test_an_answer_without_text_earns_nothing() -> None:
    tool_call: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": []}]
    assert rewards_of("", [], tool_call, [{"role": "tool", "content": answer(TAKE, ORDER)}]) == [0.0] * 4
    for wrong in (None, 3, {"role": "assistant", "content": ""}):
        with pytest.raises(TypeError, match="a completion is a str or a list of chat messages"):
            rewards_of(wrong)


def test_samples_come_as_text_as_dicts_or_as_lines() -> None:
    line = json.dumps({"state_before": BEFORE, "state_after": AFTER, "observation": OBSERVATION})
    assert rewards_of(answer(TAKE, ORDER), sample=line) == [1.0]
    assert rewards_of(answer(TAKE, ORDER), sample=json.loads(line)) == [1.0]
    columns = {"state_before": BEFORE, "state_after": AFTER, "observation": json.loads(OBSERVATION)}
    assert rewards_of(answer(TAKE, ORDER), **columns) == [1.0]
    for volatile in ([["stock"]], '[["stock"]]', None):
        assert rewards_of(answer(TAKE, ORDER), **COLUMNS, volatile=volatile) == [1.0]


def test_what_json_text_holds_is_not_lost_on_the_way() -> None:
    columns: dict[str, Any] = {
        "state_before": "{}",
        "state_after": '{"n": ' + "7" * 5000 + ', "s": "\\ud800"}',
        "observation": "\ud800",
    }
    changes = '[{"path": ["n"], "value": %s}, {"path": ["s"], "value": "\\ud800"}]'
    good = '{"feedback": "\\ud800", "config_changes": ' + changes + "}"
    assert rewards_of(good % ("7" * 5000), good % ("7" * 4999), **columns) == [1.0, pytest.approx(0.3)]


def test_a_sample_that_cannot_be_judged_has_no_reward_and_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewards, "_warned", False)
    good = answer(TAKE, ORDER)
    states = [COLUMNS["state_before"], None, "[]", '{}, "state_after": {}', "{"]
    columns = {
        "state_before": states,
        "state_after": [COLUMNS["state_after"]] * 5,
        "observation": [OBSERVATION] * 5,
    }
    with pytest.warns(UserWarning, match=r"the sample of answer 1: .* \(and 3 more in this batch\)"):
        assert ec.reward(completions=[good] * 5, **columns) == [1.0, None, None, None, None]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert ec.reward(completions=[good] * 5, **columns) == [1.0, None, None, None, None]
        assert rewards_of(good, good, sample='{"state_before": {}}') == [None, None]
        assert rewards_of(good, **COLUMNS, volatile="nonsense") == [None]


def test_columns_that_are_missing_or_of_another_length_are_errors() -> None:
    with pytest.raises(ValueError, match="no column state_after, observation"):
        ec.reward(completions=["x"], state_before=["{}"])
    with pytest.raises(ValueError, match="2 completions but 1 values in column state_before"):
        ec.reward(completions=["x", "y"], state_before=["{}"], state_after=["{}"], observation=[""])
    assert ec.reward(completions=[], state_before=[], state_after=[], observation=[]) == []


def test_a_reward_has_a_name_and_can_be_pickled() -> None:
    mine = ec.make_reward(config_match=2, changed_f1=0, feedback_match=1, format=0.5, threads=1, name="state")
    assert (mine.__name__, ec.reward.__name__) == ("state", "envsim_reward")
    for reward in (mine, ec.reward):
        again = pickle.loads(pickle.dumps(reward))
        assert again == reward
        answers = answer(TAKE, ORDER), answer()
        assert rewards_of(*answers, reward=again) == rewards_of(*answers, reward=reward)


@pytest.mark.parametrize(
    "weights",
    [
        {"config_match": 0.2, "feedback_match": 0.15, "format": 0.05},  # equal is not more
        {"config_match": 0.0, "changed_f1": 1.0, "feedback_match": 0.0, "format": 0.0},
        {"feedback_match": 0.6},
        {"format": 1.0},
        {"changed_f1": -0.1},
        {"config_match": float("nan")},
        {"config_match": float("inf")},
        {"config_match": 1e308, "changed_f1": 1e308},
        {"config_match": 0, "changed_f1": 0, "feedback_match": 0, "format": 0},
    ],
)
def test_weights_that_could_pay_for_a_broken_state_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ec.BadConfig):
        ec.make_reward(**weights)  # type: ignore[arg-type]


def test_the_reward_is_loaded_only_when_asked_for() -> None:
    there = "print('envsim_core.rewards' in sys.modules)"
    probe = f"import sys, envsim_core as ec; {there}; ec.reward; {there}"
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\nTrue\n"
    with pytest.raises(AttributeError, match="no attribute 'rewarding'"):
        ec.rewarding  # noqa: B018


weight = st.floats(0, 1e6) | st.sampled_from([0.0, 1e-300, 0.1, 1.0])


@st.composite
def accepted(draw: st.DrawFn) -> rewards.Reward:
    changed_f1, feedback_match, form = draw(weight), draw(weight), draw(weight)
    others = feedback_match + form
    # As near to the border as the constructor lets one come, or well inside.
    config_match = (others + 0.01 * (changed_f1 + others)) / 0.99 * draw(st.floats(1, 1.001)) + draw(weight)
    try:
        return ec.make_reward(config_match, changed_f1, feedback_match, form)
    except ec.BadConfig:
        assume(False)
        raise


def verdicts_of(sample: dict[str, Any], seed: int) -> list[ec.Verdict]:
    """Verdicts on answers near the truth and far from it, with right and wrong feedback, in every format."""
    rng = random.Random(seed)
    changes = [change.to_dict() for change in ec.diff(sample["state_before"], sample["state_after"])]
    extras: list[dict[str, Any]] = [
        {"type": "add", "path": [rng.choice(["spam", "k0", "k1", "k7"])], "value": rng.choice([1, "1", None, True])},
        {"type": "delete", "path": [rng.choice(["k0", "k3", "k9"])]},
        {"type": "modify", "path": [], "value": {}},
    ]
    texts = []
    for _ in range(12):
        operations = rng.sample(changes, rng.randint(0, len(changes))) if rng.random() < 0.6 else list(changes)
        operations += rng.sample(extras, rng.choice([0, 0, 1, 2]))
        prediction = {"feedback": rng.choice([sample["observation"], "no", None]), "config_changes": operations}
        text = rng.choice([json.dumps, repr])(prediction)
        texts.append(rng.choice(["{}", "```json\n{}\n```", "So: {}", "{}\n```", "<think>{{</think>{}"]).format(text))
    return ec.score_batch([sample] * len(texts), texts)


@settings(max_examples=200, deadline=None)
@given(reward=accepted(), seed=st.integers(0, 10**6))
def test_no_answer_that_breaks_the_state_out_scores_one_that_keeps_it_right(reward: rewards.Reward, seed: int) -> None:
    sample = random_rows(1, seed)[0][0]
    verdicts = verdicts_of(sample, seed)
    right = [reward.of(verdict) for verdict in verdicts if verdict.config_match]
    wrong = [reward.of(verdict) for verdict in verdicts if not verdict.config_match]
    assert all(0 <= earned <= 1 for earned in right + wrong)
    if right and wrong:
        assert min(right) > max(wrong)
        assert min(right) - max(wrong) >= rewards.MARGIN - 1e-9
    total = reward.config_match + reward.changed_f1 + reward.feedback_match + reward.format
    for verdict in verdicts:
        if verdict.collateral or verdict.failure == "inapplicable_operation":
            assert reward.of(verdict) <= reward.format / total + 1e-12
        if verdict.outcome != "scored":
            assert reward.of(verdict) == 0.0


@pytest.mark.parametrize("weights", [{}, {"config_match": 1, "changed_f1": 0, "feedback_match": 0.49, "format": 0.49}])
def test_the_golden_rows_obey_the_law(weights: dict[str, float]) -> None:
    reward = ec.make_reward(**weights)  # type: ignore[arg-type]
    samples, completions = golden_rows()
    for sample, row in zip(samples, completions, strict=True):
        verdict = ec.score(sample, row["completion"])
        if verdict.outcome == "failed":
            with pytest.raises(ValueError, match="infrastructure gave no answer"):
                reward.of(verdict)
            continue
        total = reward.config_match + reward.changed_f1 + reward.feedback_match + reward.format
        least = (reward.config_match + reward.changed_f1) / total
        assert (reward.of(verdict) >= least - 1e-12) == verdict.config_match
        assert ec.reward(completions=[row["completion"]], sample=[json.dumps(sample)]) == [ec.reward.of(verdict)]
