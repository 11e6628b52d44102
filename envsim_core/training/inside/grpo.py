"""GRPO: reinforcement learning with the verifier as reward, a curriculum over |Δ|, a held-out curve, and guards.

python -m envsim_core.training.inside.grpo SETTINGS.json      (stack `rl`)
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from envsim_core import score_batch
from envsim_core.rewards import Reward, reward
from envsim_core.training.inside.published_reward import published_reward

Row = dict[str, Any]
STATE = ("state_before", "state_after", "observation", "volatile")
CHANGES = ("0", "1", "2", "3+")
REWARDS: dict[str, Callable[..., list[float | None]]] = {"verifier": reward, "published": published_reward}


def main(settings: dict[str, Any]) -> None:
    """Train, write the curve as it grows, and leave the model in `written`."""
    options = dict(settings["options"])
    arguments = GRPOConfig(**options, output_dir=settings["checkpoints"], report_to="none", seed=settings["seed"])
    rows = read(settings["rows"])
    within = [row for row in read(settings["held_out"]) if row["change_count"] <= settings["curriculum"][-1]]
    held_out = some(within, settings["held_out_rows"], settings["seed"])
    tokenizer = AutoTokenizer.from_pretrained(settings["model"], padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(settings["model"], dtype="float32" if arguments.use_cpu else "auto")
    train_only(model, settings["trained"])
    chosen = curriculum(rows, settings["curriculum"], prompts_needed(arguments), settings["seed"])
    columns = {name: [row[name] for row in chosen] for name in ("prompt", *STATE)}
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=[REWARDS[settings["reward"]]],
        args=arguments,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
        callbacks=[HeldOut(settings, held_out, tokenizer, arguments), Guards(settings)],
    )
    trainer.train(resume_from_checkpoint=settings["resume"])
    trainer.save_model(settings["written"])
    if trainer.is_world_process_zero():
        trainer.save_state()


def train_only(model: Any, pattern: str | None) -> None:
    """Train the parameters whose names the regular expression finds, and leave the others as they are; None: all."""
    if pattern is None:
        return
    for name, parameter in model.named_parameters():
        parameter.requires_grad = re.search(pattern, name) is not None
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    if not trained:
        raise SystemExit(f"envsim.trained: {pattern!r} is in no parameter's name")
    print(f"{trained} of {model.num_parameters()} parameters are trained", flush=True)


def read(path: str) -> list[Row]:
    """The rows of a JSONL file."""
    with open(path, encoding="utf-8") as handle:
        return [json.loads(line) for line in handle]


def some(rows: list[Row], count: int, seed: int) -> list[Row]:
    """`count` of the rows, in their order: a file's beginning may be of one stratum alone."""
    return [rows[at] for at in sorted(Random(seed).sample(range(len(rows)), min(count, len(rows))))]


def prompts_needed(arguments: Any) -> int:
    """Prompts that `max_steps` steps ask."""
    steps = int(arguments.max_steps)
    per_generation = arguments.generation_batch_size // arguments.num_generations
    return int(max(per_generation, steps * per_generation // arguments.steps_per_generation + per_generation))


def curriculum(rows: list[Row], limits: list[int], count: int, seed: int) -> list[Row]:
    """`count` rows in the order in which they are asked: equal phases, each up to its own |Δ|, one after the other."""
    rng = Random(seed)
    chosen: list[Row] = []
    for number, limit in enumerate(limits):
        size = count * (number + 1) // len(limits) - len(chosen)
        fit = [row for row in rows if row["change_count"] <= limit]
        if not fit:
            raise SystemExit(f"curriculum: no row has at most {limit} changes")
        while size > 0:
            part = rng.sample(fit, min(size, len(fit)))
            chosen += part
            size -= len(part)
    return chosen


class HeldOut(TrainerCallback):  # type: ignore[misc]
    """Every few steps, and before the first, the held-out rows are answered and judged: always by the verifier."""

    def __init__(self, settings: dict[str, Any], rows: list[Row], tokenizer: Any, arguments: Any) -> None:
        self.path = Path(settings["curve"])
        self.every, self.samples = settings["look_every"], settings["look_samples"]
        self.rows, self.tokenizer, self.arguments = rows, tokenizer, arguments
        self.batch = settings["look_batch"]

    def on_train_begin(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """The start; after a resume, what was seen later than the checkpoint is forgotten."""
        if state.is_world_process_zero:
            seen = read(str(self.path)) if self.path.exists() else []
            self.path.write_text("".join(json.dumps(line) + "\n" for line in seen if line["step"] <= state.global_step))
            if not any(line["step"] == state.global_step for line in seen):
                self.look(model, state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **rest: Any) -> None:
        """Look when it is time."""
        due = state.global_step % self.every == 0 or state.global_step == state.max_steps
        if due and state.is_world_process_zero:
            self.look(model, state.global_step)

    def look(self, model: Any, step: int) -> None:
        """One point of the curve."""
        training = model.training
        model.eval()
        with torch.random.fork_rng(), torch.no_grad():
            torch.manual_seed(0)  # the same dice for every point
            sampled = list(self.answers(model, self.rows * self.samples, do_sample=True))
            greedy = list(self.answers(model, self.rows, do_sample=False))
        model.train(training)
        point: dict[str, Any] = {
            "step": step,
            "sampled": judged(self.rows, sampled),
            "greedy": judged(self.rows, greedy),
        }
        with open(self.path, "a", encoding="utf-8") as handle:
            handle.write(json.dumps(point) + "\n")
        told = {how: point[how]["reward"] for how in ("sampled", "greedy")}
        print(f"step {step}: held-out reward {json.dumps(told)}", flush=True)

    def answers(self, model: Any, rows: list[Row], do_sample: bool) -> Iterable[tuple[str, int]]:
        """The text of each answer, and its length in tokens."""
        for start in range(0, len(rows), self.batch):
            texts = [
                self.tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
                for row in rows[start : start + self.batch]
            ]
            asked = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
            chosen: dict[str, Any] = {"do_sample": False}
            if do_sample:
                chosen = {"do_sample": True, "temperature": self.arguments.temperature, "top_k": 0, "top_p": 1.0}
            written = model.generate(
                **asked,
                **chosen,
                max_new_tokens=self.arguments.max_completion_length,
                pad_token_id=self.tokenizer.pad_token_id,
                eos_token_id=self.tokenizer.eos_token_id,
            )[:, asked["input_ids"].shape[1] :]
            for row in written:
                length = int((row != self.tokenizer.pad_token_id).sum())
                yield self.tokenizer.decode(row, skip_special_tokens=True), length


def judged(asked: list[Row], answers: list[tuple[str, int]]) -> dict[str, Any]:
    """What the verifier says of answers: its reward, state and observation right, edits of what should have stayed.

    `answers` are to all rows in order, as often as there are. `by_changes` has the answers to rows of 0, 1, 2, and 3 or
    more changes, and those with the state right, as [CM, n]; `by_row` is each row's mean reward.
    """
    rows = asked * (len(answers) // len(asked))
    samples = [
        {**{name: json.loads(row[name]) for name in ("state_before", "state_after")}, "observation": row["observation"]}
        for row in rows
    ]
    verdicts = score_batch(samples, [text for text, _ in answers])
    rewards = [Reward().of(verdict) for verdict in verdicts]
    by_changes = {name: [0, 0] for name in CHANGES}
    for row, verdict in zip(rows, verdicts, strict=True):
        counted = by_changes[CHANGES[min(row["change_count"], len(CHANGES) - 1)]]
        counted[0] += bool(verdict.config_match)
        counted[1] += 1
    count = len(rows)
    mean = sum(rewards) / count
    return {
        "n": count,
        "reward": round(mean, 5),
        "reward_sd": round((sum((value - mean) ** 2 for value in rewards) / max(1, count - 1)) ** 0.5, 5),
        "config_match": sum(bool(verdict.config_match) for verdict in verdicts),
        "feedback_match": sum(bool(verdict.feedback_match) for verdict in verdicts),
        "by_changes": by_changes,
        "by_row": [round(sum(rewards[at :: len(asked)]) / (count // len(asked)), 5) for at in range(len(asked))],
        "unparsed": sum(verdict.outcome == "unparsed" for verdict in verdicts),
        "with_collateral": sum(bool(verdict.collateral) for verdict in verdicts),
        "tokens": round(sum(length for _, length in answers) / count, 1),
    }


class Guards(TrainerCallback):  # type: ignore[misc]
    """End a training that drifts too far from where it began, or whose answers grow without end."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.max_kl, self.max_clipped = settings["max_kl"], settings["max_clipped"]
        self.path = Path(settings["guard"])

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **rest: Any) -> None:
        """Look at what the trainer just logged."""
        found = logs or {}
        why = ""
        if self.max_kl is not None and found.get("kl", 0.0) > self.max_kl:
            why = f"KL to the model it began with is {found['kl']:.3f}, more than {self.max_kl}"
        if found.get("completions/clipped_ratio", 0.0) > self.max_clipped:
            share = found["completions/clipped_ratio"]
            why = f"{share:.0%} of the answers were cut off at max_completion_length, more than {self.max_clipped:.0%}"
        if why:
            control.should_training_stop = True
            if state.is_world_process_zero:
                self.path.write_text(json.dumps({"step": state.global_step, "why": why}), encoding="utf-8")
                print(f"step {state.global_step}: stopped: {why}", flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
