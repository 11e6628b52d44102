"""Rl: a trained model learns from the verifier, by TRL in its own stack; a model that can be served out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from envsim_core.config.recipe import RlRecipe, load_recipe
from envsim_core.errors import BadConfig
from envsim_core.records import JsonObject, write_json
from envsim_core.training.cards import Sessions, file_hash, folder_hash, paired_gain
from envsim_core.training.checkpoints import publish_model, resumable, step_of
from envsim_core.training.machine import check_machine, check_machine_here, free_port
from envsim_core.training.running import ask_program, run_program, thread_variables
from envsim_core.training.stacks import Stack, make_stack, packages

VERSION = "2"
OURS = {"output_dir", "report_to", "seed", "resume_from_checkpoint"}  # what this project says itself
INSIDE = (
    "reward", "curriculum", "trained", "held_out_rows", "look_every", "look_samples", "look_batch", "max_kl",
    "max_clipped",
)  # fmt: skip
SHOWN = ("trl", "vllm", "deepspeed", "torch", "transformers", "tokenizers", "accelerate", "datasets")
CHECK, TRAINER = "envsim_core.training.inside.check_grpo", "envsim_core.training.inside.grpo"


def check_recipe(recipe_file: Path, checked: Path) -> None:
    """Look at all of a recipe that needs no rows: the machine, and what TRL and DeepSpeed say to it.

    Writes `checked`, which says what was looked at. Raises BadConfig and TrainingFailed.
    """
    recipe, options = read_recipe(recipe_file)
    check_machine_here(recipe, str(recipe_file))
    check_options(recipe_file, make_stack("rl"), {"options": options}, checked, parse_only=True)
    write_json(checked, {"recipe": str(recipe_file), "sha256": file_hash(recipe_file)})


def reinforce_model(
    data: Path, recipe_file: Path, start: Path, training: Path, model: Path, threads: int, seed: int
) -> JsonObject:
    """Train the model in `start` on the prompts in `data`, and write `model`; all else lies in `training`.

    A run that was killed goes on from its last whole checkpoint. Returns the run card; curve.json has the held-out
    curve, which the verifier measures whatever the reward was. Raises BadConfig and TrainingFailed before anything long
    starts where recipe, rows or machine are not fit for it.
    """
    recipe, options = read_recipe(recipe_file)
    check_machine(recipe, str(recipe_file))
    stack = make_stack("rl")
    rows, held_out = data / "rl.jsonl", data / "held_out_rl.jsonl"
    checkpoints = training / "checkpoints"
    settings: JsonObject = {
        "options": options,
        "rows": str(rows),
        "held_out": str(held_out),
        "model": str(start),
        "seed": seed,
        "checkpoints": str(checkpoints),
        "written": str(training / "written"),
        "curve": str(training / "curve.jsonl"),
        "guard": str(training / "guard.json"),
        **{name: getattr(recipe, name) for name in INSIDE},
    }
    check_options(recipe_file, stack, settings, training / "check.json")
    hashes = {"rows": file_hash(rows), "held_out": file_hash(held_out), "start": folder_hash(start)}
    told = {key: settings[key] for key in ("options", "seed", "reward", "curriculum", "trained", "held_out_rows")}
    if "deepspeed" in options:
        told["processes"] = max(1, recipe.gpus)  # DeepSpeed goes on with as many as wrote its checkpoint
    sessions = Sessions(training, {**told, **hashes})
    resumed = resumable(checkpoints, sessions.earlier, max(1, recipe.gpus))
    settings["resume"] = str(resumed) if resumed else None
    if resumed:
        print(f"{training.name}: going on from step {step_of(resumed)}", file=sys.stderr, flush=True)
    else:
        (training / "curve.jsonl").unlink(missing_ok=True)
        (training / "guard.json").unlink(missing_ok=True)
    write_json(training / "settings.json", settings)
    sessions.begin(step_of(resumed) if resumed else 0)
    command = trainer_command(stack, recipe, training / "settings.json")
    variables = trainer_variables(recipe, threads)
    sessions.end(run_program(training.name, stack, command, training / "train.log", variables, append=bool(resumed)))
    publish_model(training / "written", model)
    curve = [json.loads(line) for line in (training / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    guard = training / "guard.json"
    write_json(training / "curve.json", {"reward": recipe.reward, "points": curve})
    card: JsonObject = {
        "version": VERSION,
        "training": training.name,
        "recipe": str(recipe_file),
        "reward": recipe.reward,
        "curriculum": recipe.curriculum,
        "trained": recipe.trained,
        "options": options,
        "data": {"rows": str(rows), "sha256": hashes["rows"], "held_out_sha256": hashes["held_out"]},
        "start": {"path": str(start), "sha256": hashes["start"]},
        "packages": {name: version for name, version in packages(stack).items() if name in SHOWN},
        "steps": curve[-1]["step"] if curve else 0,
        "first": _without_rows(curve[0]) if curve else None,
        "last": _without_rows(curve[-1]) if curve else None,
        "gain": paired_gain(*(curve[at]["sampled"]["by_row"] for at in (0, -1))) if curve else None,
        "stopped_by_guard": json.loads(guard.read_text(encoding="utf-8")) if guard.exists() else None,
        **sessions.totals(recipe.gpus),
    }
    write_json(training / "run_card.json", card)
    return card


def _without_rows(point: JsonObject) -> JsonObject:
    """A point of the curve but for the reward of every single row, which curve.json has."""
    return {
        key: {name: told for name, told in value.items() if name != "by_row"} if isinstance(value, dict) else value
        for key, value in point.items()
    }


def read_recipe(recipe_file: Path) -> tuple[RlRecipe, JsonObject]:
    """A recipe and its options for TRL. Raises BadConfig."""
    recipe, options = load_recipe(recipe_file, RlRecipe)
    if taken := sorted(OURS & set(options)):
        raise BadConfig(f"{recipe_file}: {taken[0]}: cannot stand in a recipe, this project sets it")
    return recipe, options


def check_options(recipe_file: Path, stack: Stack, settings: JsonObject, path: Path, parse_only: bool = False) -> None:
    """Have TRL itself read the options, and count every prompt's tokens. Raises BadConfig."""
    write_json(path, settings | {"parse_only": parse_only, "port": free_port()})
    said = ask_program(str(recipe_file), stack, CHECK, path, {"CUDA_VISIBLE_DEVICES": ""})
    wrong = json.loads(said.strip().splitlines()[-1])["wrong"]
    if wrong:
        raise BadConfig(f"{recipe_file}: {wrong[0]}")


def trainer_command(stack: Stack, recipe: RlRecipe, settings: Path) -> list[str]:
    """One process, or one per GPU."""
    if recipe.gpus <= 1:
        return [str(stack.python), "-m", TRAINER, str(settings)]
    port = str(recipe.port or free_port())
    run = [str(stack.program("torchrun")), "--nproc_per_node", str(recipe.gpus), "--master_port", port]
    return [*run, "-m", TRAINER, str(settings)]


def trainer_variables(recipe: RlRecipe, threads: int) -> dict[str, str]:
    """The environment variables of a training."""
    variables = {**thread_variables(threads // max(1, recipe.gpus)), **recipe.variables}
    if not recipe.gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ""
    return variables | {"HF_HUB_OFFLINE": "1"}
