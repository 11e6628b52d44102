"""Command that serves a model for other clients. What it needs is imported when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from envsim_core.cli.app import DIRECT, ModelsFile, app
from envsim_core.config import DEFAULT_MODELS


@app.command(rich_help_panel=DIRECT)
def serve_model(
    model: Annotated[str, typer.Argument(help="An entry of the models file with `served` or `trained`.")],
    host: Annotated[str, typer.Option(help="The address to listen at; beyond this machine a key is needed.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
    models_file: ModelsFile = Path(DEFAULT_MODELS),
    results: Annotated[Path, typer.Option(help="The workflow's folder: trained models, and logs.")] = Path("results"),
    srun: Annotated[
        str, typer.Option(help="Serve in a SLURM job with these options of srun: '--gpus=1 --time=60'.")
    ] = "",
) -> None:
    """Serve a model of models.yaml as an OpenAI-compatible endpoint, until ctrl-C.

    Clients have to send the key in the environment variable ENVSIM_SERVE_KEY, where it is set.
    """
    import os
    import shlex
    import signal
    from contextlib import suppress

    from envsim_core.backends.endpoints import LOOPBACK
    from envsim_core.backends.served import KEY_VARIABLE, check_clients, clients_key, serving
    from envsim_core.config import model_entry
    from envsim_core.serving.cluster import run_in_job, serve_command

    entry, key = check_clients(model, model_entry(models_file, model), host), clients_key()
    if srun:
        with suppress(KeyboardInterrupt):
            raise typer.Exit(run_in_job(shlex.split(srun), serve_command(model, host, port, models_file, results, [])))
        return
    if host not in LOOPBACK and entry.server == "vllm":
        about = "vLLM asks for the key below /v1 only; other addresses of it are open to whoever reaches this machine"
        typer.echo(f"warning: {about} (docs/models.md)", err=True)
    log = results / "logs" / "serve_model" / f"{model}.served.log"
    with suppress(KeyboardInterrupt), serving(model, entry, results, log, host, port, key) as served:
        needs = f"the key in {KEY_VARIABLE}" if key else "no key"
        node = os.environ.get("SLURMD_NODENAME")
        place = f" of the node {node}" if node else ""
        typer.echo(f'model "{model}" at {served.base_url}{place} ({needs}); log: {log}; ctrl-C ends it')
        while True:
            signal.pause()
