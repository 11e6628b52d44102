"""Train: rows to train on in, a model that can be served out, by LLaMA-Factory in its own stack."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from envsim_core.config.recipe import Recipe, load_recipe
from envsim_core.errors import BadConfig, BadFile
from envsim_core.records import JsonObject, write_json, write_text
from envsim_core.training.cards import Sessions, file_hash, folder_hash
from envsim_core.training.checkpoints import publish_model, resumable, step_of, whole_folder
from envsim_core.training.machine import check_machine, check_machine_here, free_port
from envsim_core.training.running import TrainingFailed, ask_program, run_program, thread_variables
from envsim_core.training.stacks import Stack, make_stack, packages

VERSION = "1"
# what this project says itself
OURS = {"dataset", "dataset_dir", "output_dir", "resume_from_checkpoint", "overwrite_output_dir", "report_to"}
SHOWN = ("llamafactory", "deepspeed", "torch", "transformers", "tokenizers", "accelerate", "peft", "trl", "datasets")
LOSSES = ("loss", "learning_rate", "grad_norm", "rewards/accuracies")


def check_recipe(recipe_file: Path, checked: Path) -> None:
    """Look at all of a recipe that needs no rows: the machine, and what LLaMA-Factory and DeepSpeed say to it.

    Writes `checked`, which says what was looked at. Raises BadConfig and TrainingFailed.
    """
    recipe, options = load_recipe(recipe_file, Recipe)
    check_machine_here(recipe, str(recipe_file))
    made = recipe.scratch is not None or options.get("stage") == "dpo"
    base = Path("a model that is made here") if made else None
    chosen = chosen_options(recipe_file, recipe, options, checked.parent, base, checked.parent / "checkpoints")
    check_options(recipe_file, make_stack("train"), chosen, None, checked, parse_only=True)
    write_json(checked, {"recipe": str(recipe_file), "sha256": file_hash(recipe_file)})


def make_base_model(data: Path, recipe_file: Path, folder: Path, seed: int) -> None:
    """Make the model that a recipe with `scratch` starts from, from the rows in `data`: whole, or not at all."""
    recipe, _ = load_recipe(recipe_file, Recipe)
    if recipe.scratch is None:
        raise BadConfig(f"{recipe_file}: envsim.scratch: is not there, so there is nothing to make")
    stack = make_stack("train")
    with whole_folder(folder) as temporary:
        settings = {
            "rows": str(data / "alpaca.json"),
            "folder": str(temporary),
            "scratch": recipe.scratch.model_dump(),
            "seed": seed,
        }
        path = folder.with_name("base.settings.json")
        write_json(path, settings)
        said = ask_program(
            "base model", stack, "envsim_core.training.inside.make_base", path, {"CUDA_VISIBLE_DEVICES": ""}
        )
    print(f"base model: {said.strip().splitlines()[-1]}", file=sys.stderr)


def sample_pairs(data: Path, recipe_file: Path, start: Path, pairs: Path, seed: int) -> JsonObject:
    """Have the model in `start` answer rows of `data`, and write best and worst answers into the folder `pairs`.

    `pairs` is then a `dataset_dir` with the data set `pairs`. Raises TrainingFailed where no two answers differ enough.
    """
    recipe, _ = load_recipe(recipe_file, Recipe)
    if recipe.pairs is None:
        raise BadConfig(f"{recipe_file}: envsim.pairs: is not there; it says how many answers are ranked")
    check_machine(recipe, str(recipe_file))
    stack = make_stack("rl")
    with whole_folder(pairs) as temporary:
        told: JsonObject = {
            "rows": str(data / "rl.jsonl"),
            "model": str(start),
            "pairs": str(temporary / "pairs.json"),
            "seed": seed,
            **recipe.pairs.model_dump(),
        }
        settings = pairs.with_name("pairs.settings.json")
        write_json(settings, told)
        variables = {"HF_HUB_OFFLINE": "1"} if recipe.gpus else {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
        said = ask_program("pairs", stack, "envsim_core.training.inside.sample_pairs", settings, variables)
        counts: JsonObject = json.loads(said.strip().splitlines()[-1])
        if not counts["pairs"]:
            raise TrainingFailed(f"{start}: no two of {counts['answers']} answers differ by {recipe.pairs.margin}")
        columns = {"prompt": "instruction", "query": "input", "system": "system", "chosen": "chosen"}
        described = {"file_name": "pairs.json", "ranking": True, "columns": columns | {"rejected": "rejected"}}
        write_json(temporary / "dataset_info.json", {"pairs": described})
    return counts


def train_model(
    data: Path, recipe_file: Path, base: Path | None, training: Path, model: Path, threads: int
) -> JsonObject:
    """Train on the rows in `data` and write `model`; checkpoints, settings and the log lie in `training`.

    A run that was killed goes on from its last whole checkpoint. Returns the run card, which is run_card.json in
    `training`, beside losses.json. Raises BadConfig, BadFile and TrainingFailed before anything long starts where
    recipe, rows or machine are not fit for it.
    """
    recipe, options = load_recipe(recipe_file, Recipe)
    check_machine(recipe, str(recipe_file))
    stack = make_stack("train")
    chosen = chosen_options(recipe_file, recipe, options, data, base, training / "checkpoints")
    rows = data / _dataset(data, chosen["dataset"])
    check_options(recipe_file, stack, chosen, rows, training / "check.json")
    checkpoints = training / "checkpoints"
    processes = trainer_processes(recipe)
    identity: JsonObject = {"options": _without_paths(chosen), "rows": file_hash(rows), "base": folder_hash(base)}
    if "deepspeed" in chosen:
        identity["processes"] = processes  # DeepSpeed goes on with as many as wrote its checkpoint, or not at all
    sessions = Sessions(training, identity)
    resumed = resumable(checkpoints, sessions.earlier, processes)
    if resumed:
        chosen["resume_from_checkpoint"] = str(resumed)
        print(f"{training.name}: going on from step {step_of(resumed)}", file=sys.stderr, flush=True)
    settings = training / "settings.yaml"
    write_text(settings, yaml.safe_dump(chosen, sort_keys=False, allow_unicode=True))
    sessions.begin(step_of(resumed) if resumed else 0)
    command = trainer_command(stack, recipe, chosen, settings)
    variables = trainer_variables(recipe, chosen, threads)
    sessions.end(run_program(training.name, stack, command, training / "train.log", variables, append=bool(resumed)))
    written = checkpoints
    if chosen["finetuning_type"] == "lora":
        written = _merged(stack, chosen, training, variables)
    publish_model(written, model)
    losses = _losses(checkpoints)
    write_json(training / "losses.json", losses)
    card: JsonObject = {
        "version": VERSION,
        "training": training.name,
        "recipe": str(recipe_file),
        "options": chosen,
        "data": {"rows": str(rows), "sha256": file_hash(rows)},
        "base": {"path": chosen["model_name_or_path"], "sha256": folder_hash(base)},
        "packages": {name: version for name, version in packages(stack).items() if name in SHOWN},
        "steps": losses["steps"],
        "last_loss": losses["points"][-1].get("loss") if losses["points"] else None,
        **sessions.totals(recipe.gpus),
    }
    write_json(training / "run_card.json", card)
    return card


def chosen_options(
    recipe_file: Path, recipe: Recipe, options: JsonObject, data: Path, base: Path | None, checkpoints: Path
) -> JsonObject:
    """The trainer's options: those of the file, and where its data and outputs are. Raises BadConfig."""
    if taken := sorted(OURS & set(options)):
        raise BadConfig(f"{recipe_file}: {taken[0]}: cannot stand in a recipe, this project sets it")
    if base is not None:
        options = {"model_name_or_path": str(base)} | options
    if "model_name_or_path" not in options:
        raise BadConfig(f"{recipe_file}: model_name_or_path: is missing; name a model, or give envsim.scratch")
    if base is not None and options["model_name_or_path"] != str(base):
        raise BadConfig(f"{recipe_file}: model_name_or_path: excludes envsim.scratch, which makes the model")
    dataset = "pairs" if options.get("stage") == "dpo" else recipe.dataset
    return {
        "finetuning_type": "full",
        **options,
        "dataset": dataset,
        "dataset_dir": str(data),
        "output_dir": str(checkpoints),
        "overwrite_output_dir": True,
        "overwrite_cache": True,
        "preprocessing_num_workers": 1,
        "dataloader_num_workers": 0,
        "report_to": "none",
        "trust_remote_code": False,
    }


def check_options(
    recipe_file: Path, stack: Stack, chosen: JsonObject, rows: Path | None, settings: Path, parse_only: bool = False
) -> None:
    """Have LLaMA-Factory itself read the options, and count every row's tokens. Raises BadConfig."""
    write_json(settings, {"options": chosen, "rows": str(rows), "parse_only": parse_only, "port": free_port()})
    told = ask_program(
        str(recipe_file), stack, "envsim_core.training.inside.check_sft", settings, {"CUDA_VISIBLE_DEVICES": ""}
    )
    wrong = json.loads(told.strip().splitlines()[-1])["wrong"]
    if wrong:
        raise BadConfig(f"{recipe_file}: {wrong[0]}")


def trainer_processes(recipe: Recipe) -> int:
    """How many processes train together."""
    return recipe.processes or max(1, recipe.gpus)


def trainer_command(stack: Stack, recipe: Recipe, chosen: JsonObject, settings: Path) -> list[str]:
    """LLaMA-Factory in one process, or under torchrun: on GPUs, with DeepSpeed, in several processes.

    Its own launcher would take every GPU that it sees, and cut a path that has a space in two.
    """
    processes = trainer_processes(recipe)
    if not recipe.gpus and processes == 1 and "deepspeed" not in chosen:
        return [str(stack.program("llamafactory-cli")), "train", str(settings)]
    meet = ["--master_addr", "127.0.0.1", "--master_port", str(recipe.port or free_port())]
    run = [str(stack.python), "-m", "torch.distributed.run", "--nproc_per_node", str(processes), *meet]
    return [*run, "-m", "llamafactory.launcher", str(settings)]


def trainer_variables(recipe: Recipe, chosen: JsonObject, threads: int) -> dict[str, str]:
    """The environment variables of a training: its threads, its devices, how its processes talk."""
    variables = thread_variables(threads // trainer_processes(recipe))
    if recipe.gpus:  # as LLaMA-Factory's launcher sets them
        variables |= {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True", "TORCH_NCCL_AVOID_RECORD_STREAMS": "1"}
    else:
        variables |= {"CUDA_VISIBLE_DEVICES": "", "GLOO_SOCKET_IFNAME": "lo"}
    variables |= recipe.variables
    if Path(chosen["model_name_or_path"]).is_dir():
        variables["HF_HUB_OFFLINE"] = "1"
    return variables


def _dataset(data: Path, name: str) -> str:
    info = data / "dataset_info.json"
    try:
        return str(json.loads(info.read_text(encoding="utf-8"))[name]["file_name"])
    except (OSError, ValueError, KeyError) as error:
        raise BadFile(info, None, name, f"does not describe a data set: {error!r}") from None


def _without_paths(chosen: JsonObject) -> JsonObject:
    return {
        key: value for key, value in chosen.items() if key not in {"dataset_dir", "output_dir", "model_name_or_path"}
    }


def _merged(stack: Stack, chosen: JsonObject, training: Path, variables: dict[str, str]) -> Path:
    """The base model with the trained adapters in its weights."""
    options: dict[str, Any] = {
        "model_name_or_path": chosen["model_name_or_path"],
        "adapter_name_or_path": chosen["output_dir"],
        "template": chosen["template"],
        "finetuning_type": "lora",
        "export_dir": str(training / "merged"),
        "export_size": 5,
    }
    settings = training / "merge.yaml"
    write_text(settings, yaml.safe_dump(options, sort_keys=False))
    command = [str(stack.program("llamafactory-cli")), "export", str(settings)]
    run_program(training.name, stack, command, training / "merge.log", variables | {"FORCE_TORCHRUN": "0"})
    return training / "merged"


def _losses(checkpoints: Path) -> JsonObject:
    """The curve that the trainer wrote down."""
    path = checkpoints / "trainer_state.json"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingFailed(f"{path}: cannot be read: {error}") from None
    points = [
        {"step": entry["step"], "epoch": entry.get("epoch"), **{key: entry[key] for key in LOSSES if key in entry}}
        for entry in state["log_history"]
        if "loss" in entry
    ]
    return {"steps": state["global_step"], "points": points}
