"""Rewards: verdicts as numbers for reinforcement learning, in the form that TRL's trainers call."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from envsim_core._core import Verdict, diff, score, score_batch
from envsim_core.enums import Failure, Outcome, Strategy
from envsim_core.errors import BadConfig

MARGIN = 0.01
"""By how much, of the sum of the weights, a right state has to outweigh everything else that could be gained."""

WELL_FORMED = frozenset({Strategy.WHOLE_JSON, Strategy.FENCED_JSON})
"""The strategies that earn the format term: JSON that needed no repair, alone or in a fenced block."""

STATE_COLUMNS = ("state_before", "state_after", "observation")

_warned = False


@dataclass(frozen=True)
class Reward:
    """A reward function for TRL's GRPOTrainer and RLOOTrainer (`reward_funcs=[reward]`): a number in [0, 1] per answer.

    With the weights divided by their sum, an answer earns
    `config_match` if the state after it is right everywhere, side effects included (CM);
    `changed_f1` times the F1 of its changes, unless it edits what should have stayed (`collateral`);
    `feedback_match` if the observation is right (FM), under the same condition and if its operations apply;
    `format` if it is JSON that needed no repair, alone or in a fenced block.
    An answer without a readable prediction earns 0.0.

    Law: an answer with CM earns more than any answer without it to the same sample, by at least `MARGIN`. For an
    answer with CM has a changed-F1 of 1 and no collateral, so it earns at least `config_match + changed_f1`; one
    without CM earns at most `changed_f1 + feedback_match + format`; and the constructor refuses weights unless
    `config_match >= feedback_match + format + MARGIN * sum`. No weighting that it takes pays for a broken state.
    Second law: an answer with collateral, or whose operations do not apply, earns the format term and nothing else.

    Raises BadConfig for weights that are negative, not finite, or against the law.
    """

    config_match: float = 0.6
    changed_f1: float = 0.2
    feedback_match: float = 0.15
    format: float = 0.05
    threads: int | None = None
    """Threads that score a batch; None is one per core. Trainers with a process per GPU want a small number."""
    name: str = "envsim_reward"
    """What the trainer's logs call it."""

    def __post_init__(self) -> None:
        weights = (self.config_match, self.changed_f1, self.feedback_match, self.format)
        total = sum(weights)
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights) or not math.isfinite(total):
            raise BadConfig(f"the weights of a reward are finite and not negative, not {weights}")
        if total <= 0 or self.config_match / total < (self.feedback_match + self.format) / total + MARGIN:
            raise BadConfig(
                f"config_match ({self.config_match}) must be at least feedback_match + format + {MARGIN} of the sum of "
                f"all weights ({self.feedback_match + self.format + MARGIN * total}); otherwise an answer that breaks "
                "the state could earn more than one that keeps it right"
            )

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(
        self,
        prompts: Sequence[Any] | None = None,
        completions: Sequence[Any] = (),
        completion_ids: Sequence[Any] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """The rewards of a batch, in order; None where the sample itself cannot be judged (a warning says why, once).

        A completion is a str, or a list of chat messages, of which the last one by the assistant counts. The samples
        come as columns of the dataset: `state_before`, `state_after` (JSON text or dicts; text is safer, because
        tables fill the missing keys of dicts with nulls), `observation` (text, or a dict that stands for its JSON) and
        optionally `volatile`; or as `sample`, a JSON line or dict with these fields. Everything else is ignored.
        Raises ValueError where the columns are not there or not as long as the completions.
        """
        texts = [_text_of(completion) for completion in completions]
        samples, troubles = _samples(columns, len(texts))
        rewards: list[float | None] = [None] * len(texts)
        judged = [(at, sample) for at, sample in enumerate(samples) if sample is not None]
        verdicts = score_batch([sample for _, sample in judged], [texts[at] for at, _ in judged], self.threads)
        for (at, _), verdict in zip(judged, verdicts, strict=True):
            rewards[at] = self.of(verdict)
        _warn(troubles)
        return rewards

    def of(self, verdict: Verdict) -> float:
        """The reward of one verdict, in [0, 1]. Raises ValueError where it is `failed`."""
        if verdict.outcome == Outcome.FAILED:
            raise ValueError("a failed verdict has no reward: infrastructure gave no answer")
        if verdict.outcome != Outcome.SCORED:
            return 0.0
        clean = not verdict.collateral and verdict.failure != Failure.INAPPLICABLE_OPERATION
        # Summed in this order, rounding keeps the law: each step keeps the order of what came before.
        earned = self.config_match if verdict.config_match else 0.0
        if clean:
            earned += self.feedback_match if verdict.feedback_match else 0.0
            earned += self.changed_f1 * (verdict.changed_f1 or 0.0)
        earned += self.format if verdict.strategy in WELL_FORMED else 0.0
        total = self.config_match + self.feedback_match + self.changed_f1 + self.format
        return min(1.0, earned / total)


def make_reward(
    config_match: float = 0.6,
    changed_f1: float = 0.2,
    feedback_match: float = 0.15,
    format: float = 0.05,
    threads: int | None = None,
    name: str = "envsim_reward",
) -> Reward:
    """A reward function with weights of your own; see `Reward` for what they mean and which are taken."""
    return Reward(config_match, changed_f1, feedback_match, format, threads, name)


reward = Reward()
"""The reward function with the default weights."""


def _text_of(completion: Any) -> str:
    """The text of a completion: itself, or what the assistant says last."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Mapping) or not isinstance(completion, Sequence):
        raise TypeError(f"a completion is a str or a list of chat messages, not {type(completion).__name__}")
    for message in reversed(completion):
        if message.get("role", "assistant") == "assistant":
            content = message.get("content")
            if isinstance(content, str) or content is None:
                return content or ""
            return "".join(part.get("text", "") for part in content if part.get("type") == "text")
    return ""


def _samples(columns: Mapping[str, Any], count: int) -> tuple[list[dict[str, Any] | str | bytes | None], list[str]]:
    """The sample of each completion, None where it cannot be judged, and why not."""
    asked = ("sample",) if "sample" in columns else STATE_COLUMNS
    if missing := [name for name in asked if name not in columns]:
        raise ValueError(
            f"the dataset has no column {', '.join(missing)}; needed are {', '.join(STATE_COLUMNS)}, or sample"
        )
    taken = [*asked, *(["volatile"] if "volatile" in columns and asked is STATE_COLUMNS else [])]
    for name in taken:
        if len(columns[name]) != count:
            raise ValueError(f"{count} completions but {len(columns[name])} values in column {name}")
    samples: list[dict[str, Any] | str | bytes | None] = []
    troubles: list[str] = []
    # The answers of one group share their sample, so each is made and checked once.
    made: dict[tuple[Any, ...], dict[str, Any] | str | bytes | None] = {}
    for at in range(count):
        fields = tuple(columns[name][at] for name in taken)
        key = tuple(field if isinstance(field, str | bytes) else id(field) for field in fields)
        if key not in made:
            try:
                sample = fields[0] if asked == ("sample",) else _sample(*fields)
                score(sample, "")
                made[key] = sample
            except (TypeError, ValueError, RecursionError) as error:
                made[key] = None
                troubles.append(f"the sample of answer {at}: {error}")
        samples.append(made[key])
    return samples, troubles


def _sample(before: Any, after: Any, observation: Any, volatile: Any = None) -> str:
    """The JSON line of a sample. Texts go in as they are, so integers of any size and lone surrogates stay."""
    states = [state if isinstance(state, str) else json.dumps(state) for state in (before, after)]
    diff(*states)  # each text is one JSON object, so that none can smuggle in fields of its own
    if isinstance(volatile, str):
        volatile = json.loads(volatile)
    text = observation if isinstance(observation, str) else json.dumps(observation)
    rest = json.dumps({"observation": text, "volatile": volatile})
    return f'{{"state_before": {states[0]}, "state_after": {states[1]}, {rest[1:]}'


def _warn(troubles: list[str]) -> None:
    global _warned
    if troubles and not _warned:
        _warned = True
        more = f" (and {len(troubles) - 1} more in this batch)" if len(troubles) > 1 else ""
        warnings.warn(f"no reward where the sample cannot be judged; {troubles[0]}{more}", stacklevel=3)
