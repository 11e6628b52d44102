"""Commands that train a simulator, one per rule of its rooms. Stages are imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from envsim_core.cli.app import ROOM, Settings, Threads, app
from envsim_core.config import DEFAULT_CONFIG, load_config

TrainingData = Annotated[Path, typer.Option(help="The folder of training rows, with dataset_info.json.")]
RecipeFile = Annotated[Path, typer.Option(help="A recipe of configs/train.")]


@app.command(rich_help_panel=ROOM)
def check_recipe(
    recipe: RecipeFile,
    trainer: Annotated[Literal["sft", "rl"], typer.Option(help="Who reads it: LLaMA-Factory (sft) or TRL (rl).")],
    checked: Annotated[Path, typer.Option(help="Written where nothing is wrong.")],
) -> None:
    """Have a recipe's own framework read it, and look whether this machine has what it asks for."""
    from envsim_core.stages import rl, train

    stage = rl if trainer == "rl" else train
    stage.check_recipe(recipe, checked)
    typer.echo(f"{recipe}: nothing wrong")


@app.command(rich_help_panel=ROOM)
def make_base_model(
    data: TrainingData,
    recipe: RecipeFile,
    base: Annotated[Path, typer.Option(help="Written: the model's folder.")],
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Make the small model with random weights that a recipe starts from, and its tokenizer."""
    from envsim_core.stages import train as stage

    stage.make_base_model(data, recipe, base, load_config(config).seed)
    typer.echo(f"model to start from: {base}")


@app.command(rich_help_panel=ROOM)
def train_model(
    data: TrainingData,
    recipe: RecipeFile,
    model: Annotated[Path, typer.Option(help="Written: the model's folder; checkpoints lie beside it.")],
    base: Annotated[Path | None, typer.Option(help="The model to start from; else the recipe names it.")] = None,
    threads: Threads = 1,
) -> None:
    """Train a model on the rows with LLaMA-Factory; what was killed goes on from its last checkpoint."""
    from envsim_core.stages import train as stage

    card = stage.train_model(data, recipe, base, model.parent, model, threads)
    typer.echo(f"{card['steps']} steps in {card['seconds']:.0f} s, last loss {card['last_loss']}: {model}")


@app.command(rich_help_panel=ROOM)
def sample_pairs(
    data: TrainingData,
    recipe: RecipeFile,
    start: Annotated[Path, typer.Option(help="The folder of the model that answers.")],
    pairs: Annotated[Path, typer.Option(help="The folder to write: a data set of preferences for LLaMA-Factory.")],
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Have a model answer rows several times, and pair the answers that the verifier ranks best and worst."""
    from envsim_core.stages import train as stage

    counts = stage.sample_pairs(data, recipe, start, pairs, load_config(config).seed)
    typer.echo(f"{counts['pairs']} pairs from {counts['answers']} answers to {counts['rows']} rows: {pairs}")


@app.command(rich_help_panel=ROOM)
def reinforce_model(
    data: TrainingData,
    recipe: RecipeFile,
    start: Annotated[Path, typer.Option(help="The folder of the model to begin with.")],
    model: Annotated[Path, typer.Option(help="Written: the model's folder; checkpoints lie beside it.")],
    threads: Threads = 1,
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Train a model against the verifier with TRL's GRPO; what was killed goes on from its last checkpoint."""
    from envsim_core.stages import rl as stage

    seed = load_config(config).seed
    card = stage.reinforce_model(data, recipe, start, model.parent, model, threads, seed)
    first, last, gain = card["first"]["sampled"], card["last"]["sampled"], card["gain"]
    typer.echo(
        f"{card['steps']} steps in {card['seconds']:.0f} s, held-out reward {first['reward']:.3f} -> "
        f"{last['reward']:.3f} ({gain['reward']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}] by row, "
        f"n = {gain['rows']}): {model}"
    )
    if card["stopped_by_guard"]:
        typer.echo(f"stopped at step {card['stopped_by_guard']['step']}: {card['stopped_by_guard']['why']}", err=True)
