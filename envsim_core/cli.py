"""Commands: one per rule of the workflow, plus the few that a person calls. Stages are imported when called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from envsim_core.config import DEFAULT_CONFIG, DEFAULT_MODELS, load_config

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Can an LLM be trusted to simulate an environment? `make run` does it all; each command is one step of it.",
)

Settings = Annotated[
    str,
    typer.Option("--config", help="A configuration file, or inline JSON of what differs from the defaults."),
]
ModelsFile = Annotated[Path, typer.Option(help="The file of model entries.")]
Benchmark = Annotated[Path, typer.Option(help="Benchmark, JSONL of samples.")]
Environments = Annotated[Path, typer.Option(help="Environments, JSONL.")]

Threads = Annotated[int, typer.Option(min=1, help="Groups of calls at a time; the result does not depend on it.")]

ROOM = "Steps of the workflow, one per rule"
DIRECT = "Commands to use directly"


# both spellings: the published script has underscores
MAX_SAMPLES = typer.Option("--max_samples", "--max-samples", min=1, help="Ask only the first N. Default: all.")
MAX_WORKERS = typer.Option("--max_workers", "--max-workers", min=1, help="Requests in flight. Default: the entry's.")
OUTPUT_DIR = typer.Option("--output_dir", "--output-dir", help="Where to write. Default: beside the input.")
BASE_URL = typer.Option("--base_url", "--base-url", help="The server. Default: the entry's, else OPENAI_BASE_URL.")
MODELS_FILE = typer.Option("--models_file", "--models-file", help="The model entries. Default: configs/models.yaml.")


@app.command(rich_help_panel=DIRECT)
def evaluate(
    input: Annotated[Path, typer.Option(help="A benchmark file in the published shape: a JSON array, or JSONL.")],
    model: Annotated[str, typer.Option(help="A name from models.yaml, or one that the server at --base-url knows.")],
    max_samples: Annotated[int | None, MAX_SAMPLES] = None,
    max_workers: Annotated[int | None, MAX_WORKERS] = None,
    output_dir: Annotated[Path | None, OUTPUT_DIR] = None,
    base_url: Annotated[str | None, BASE_URL] = None,
    models_file: Annotated[Path | None, MODELS_FILE] = None,
    retries: Annotated[int, typer.Option(min=0, help="Repeats after an infrastructure error.")] = 3,
    resume: Annotated[bool, typer.Option(help="Reuse answers of an earlier run; --no-resume asks again.")] = True,
) -> None:
    """Ask a model the questions of a published benchmark file and write its scores next to the file.

    Example: python -m envsim_core evaluate --input FILE --model NAME --max_samples 400 --max_workers 3
    """
    from envsim_core.stages import evaluate as stage

    stage.evaluate(
        input,
        model,
        max_samples=max_samples,
        max_workers=max_workers,
        output_dir=output_dir,
        base_url=base_url,
        models_file=models_file,
        retries=retries,
        resume=resume,
    )


@app.command(rich_help_panel=DIRECT)
def list_models(models_file: ModelsFile = Path(DEFAULT_MODELS)) -> None:
    """List the models that a run can ask, and where each one is."""
    from envsim_core.config import BaselineModel, load_models

    for name, entry in load_models(models_file).items():
        if isinstance(entry, BaselineModel):
            about = f"baseline {entry.baseline}, served by this project"
        else:
            about = f"{entry.model} at {entry.base_url or '$OPENAI_BASE_URL'}, key from ${entry.api_key_env}"
        typer.echo(f"{name:24} {about}")


@app.command(rich_help_panel=DIRECT)
def serve_baseline(
    baseline: Annotated[str, typer.Argument(help="oracle, copy, spam, delete_all or noisy.")],
    requests: Annotated[Path, typer.Option(help="The prompts that it recognises.")] = Path(
        "results/prompts/requests.jsonl"
    ),
    benchmark: Benchmark = Path("results/stratify/benchmark.jsonl"),
    environments: Environments = Path("results/collect/environments.jsonl"),
    error_rate: Annotated[float, typer.Option(min=0, max=1, help="Of noisy, per change.")] = 0.1,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8001,
) -> None:
    """Serve a baseline on this machine as an OpenAI-compatible endpoint, to try another client on."""
    from envsim_core.backends.baseline_server import serve

    serve(baseline, error_rate, environments, benchmark, requests, port)


@app.command(rich_help_panel=DIRECT)
def show_leaderboard(
    report: Annotated[Path, typer.Option(help="The report's folder.")] = Path("results/report"),
) -> None:
    """Print the leaderboard of the last run, and where its page is."""
    import json

    from envsim_core.errors import BadFile
    from envsim_core.stages.report import print_leaderboard

    path = report / "leaderboard.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadFile(path, None, None, f"cannot be read: {error}; run `snakemake report` first") from None
    print_leaderboard(data, report / "index.html")


@app.command(rich_help_panel=DIRECT)
def diff_verdicts(
    before: Annotated[Path, typer.Argument(help="verdicts.parquet of one run or scorer.")],
    after: Annotated[Path, typer.Argument(help="verdicts.parquet of the other.")],
    limit: Annotated[int, typer.Option(min=0, help="How many changed samples to list.")] = 50,
) -> None:
    """List the samples that two runs or two scorers judge differently, with counts; status 1 if there are any."""
    from envsim_core.report.terminal import print_verdict_changes
    from envsim_core.report.verdict_changes import verdict_changes

    found = verdict_changes(before, after)
    print_verdict_changes(before, after, found, limit)
    raise typer.Exit(0 if found.same else 1)


@app.command(rich_help_panel=DIRECT)
def show(
    sample: Annotated[str, typer.Argument(help="A sample_id of the benchmark.")],
    model: Annotated[str, typer.Option(help="A model that answered.")],
    results: Annotated[Path, typer.Option(help="The run's folder.")] = Path("results"),
) -> None:
    """Show one sample: prompt, completion, verdict, and the true and the predicted changes side by side."""
    from envsim_core.report.sample_view import print_sample

    print_sample(results, sample, model)


@app.command(rich_help_panel=DIRECT)
def doctor() -> None:
    """Show how well environment code is contained on this machine; status 1 if it could get out."""
    from rich.console import Console
    from rich.table import Table

    from envsim_core.executor.doctor import examine

    layers, attempts = examine()
    table = Table("", "", "reason", "remedy", title="Isolation of environment code")
    for finding in layers:
        table.add_row(finding.name, "active" if finding.good else "missing", finding.reason, finding.remedy)
    table.add_section()
    for finding in attempts:
        table.add_row(finding.name, "refused" if finding.good else "POSSIBLE", finding.reason, finding.remedy)
    Console(width=None if Console().is_terminal else 160).print(table)
    if not all(finding.good for finding in attempts):
        raise typer.Exit(1)


@app.command(rich_help_panel=DIRECT)
def write_schema(schema: Annotated[Path, typer.Option(help="Where to.")] = Path("configs/schema.json")) -> None:
    """Write the JSON Schema of the configuration files, which editors check them against."""
    from envsim_core.config import schema as config_schema
    from envsim_core.records import write_json

    write_json(schema, config_schema())


@app.command(rich_help_panel=ROOM)
def collect_environments(
    environments: Annotated[Path, typer.Option(help="Written.")], config: Settings = str(DEFAULT_CONFIG)
) -> None:
    """Read the configured source into one file of environments, with their scenarios."""
    from envsim_core.stages import collect as stage

    typer.echo(f"{stage.collect_environments(environments, load_config(config))} environments: {environments}")


@app.command(rich_help_panel=ROOM)
def collect_transitions(
    environments: Environments,
    shard: Annotated[int, typer.Option(min=0, help="Which shard, from 0.")],
    transitions: Annotated[Path, typer.Option(help="Written.")],
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Explore one shard of the environments and record every tool call, the failed ones included."""
    from envsim_core.stages import collect as stage

    count = stage.collect_transitions(environments, shard, transitions, load_config(config))
    typer.echo(f"{count} transitions: {transitions}")


@app.command(rich_help_panel=ROOM)
def merge_transitions(
    shards: Annotated[list[Path], typer.Argument(help="The files of all shards.")],
    environments: Environments,
    transitions: Annotated[Path, typer.Option(help="Written.")],
) -> None:
    """Put the shards together, in the order of the environments."""
    from envsim_core.stages import collect as stage

    typer.echo(f"{stage.merge_transitions(environments, shards, transitions)} transitions: {transitions}")


@app.command(rich_help_panel=ROOM)
def audit_transitions(
    environments: Environments,
    transitions: Annotated[Path, typer.Option(help="Executed calls.")],
    audit: Annotated[Path, typer.Option(help="The folder to write.")],
    threads: Threads = 1,
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Replay transitions in other worlds, and name what nobody could predict."""
    from envsim_core.stages import audit as stage

    figures = stage.audit_transitions(environments, transitions, audit, load_config(config), threads)
    typer.echo(f"{figures['rows']} audited, {figures['volatile']['rows']} volatile: {audit / 'report.md'}")


@app.command(rich_help_panel=ROOM)
def audit_benchmark(
    environments: Environments,
    benchmark: Benchmark,
    audit: Annotated[Path, typer.Option(help="The folder to write.")],
    threads: Threads = 1,
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Replay the samples of a finished benchmark in other worlds, and name what nobody could predict."""
    from envsim_core.stages import audit as stage

    figures = stage.audit_benchmark(environments, benchmark, audit, load_config(config), threads)
    typer.echo(f"{figures['rows']} audited, {figures['volatile']['rows']} volatile: {audit / 'report.md'}")


@app.command(rich_help_panel=ROOM)
def stratify_transitions(
    environments: Environments,
    transitions: Annotated[Path, typer.Option(help="Executed calls.")],
    benchmark: Annotated[Path, typer.Option(help="Written: the samples.")],
    composition: Annotated[Path, typer.Option(help="Written: what was drawn, per stratum.")],
    audited: Annotated[Path | None, typer.Option(help="Rows of the audit: nothing else is drawn.")] = None,
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Draw a benchmark: each stratum's quota, spread over environments and tools as widely as possible."""
    from envsim_core.stages import stratify as stage

    settings = load_config(config)
    described = stage.stratify_transitions(environments, transitions, benchmark, composition, settings, audited)
    typer.echo(f"{described['samples']} samples: {benchmark}")


@app.command(rich_help_panel=ROOM)
def import_benchmark(
    input: Annotated[Path, typer.Option(help="A benchmark file in the published shape.")],
    environments: Annotated[Path, typer.Option(help="Written: the code of its environments.")],
    benchmark: Annotated[Path, typer.Option(help="Written: the samples.")],
    composition: Annotated[Path, typer.Option(help="Written: how many samples each stratum has.")],
) -> None:
    """Take a published benchmark file as it is, in place of a drawn one."""
    from envsim_core.stages import stratify as stage

    described = stage.import_benchmark(input, environments, benchmark, composition)
    typer.echo(f"{described['samples']} samples: {benchmark}")


@app.command(rich_help_panel=ROOM)
def export_benchmark(
    environments: Environments,
    benchmark: Benchmark,
    composition: Annotated[Path, typer.Option(help="What stratify wrote about the benchmark.")],
    audited: Annotated[Path, typer.Option(help="Rows of the audit.")],
    export: Annotated[Path, typer.Option(help="The folder to write.")],
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Write the benchmark as a Hugging Face data set and in the published shape, split by environment."""
    from envsim_core.stages import benchmark as stage

    told = stage.export_benchmark(environments, benchmark, composition, audited, export, load_config(config))
    typer.echo(f"{told['train']} to train, {told['test']} to test on held-out environments: {export / 'README.md'}")


@app.command(rich_help_panel=ROOM)
def render_prompts(
    environments: Environments,
    benchmark: Benchmark,
    requests: Annotated[Path, typer.Option(help="Written: one chat request per sample.")],
    slices: Annotated[Path, typer.Option(help="Written: how much of the code is shown, and what that saves.")],
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Render every sample into the chat request that models are asked with."""
    from envsim_core.stages import prompts as stage

    settings = load_config(config)
    count = stage.render_prompts(
        environments, benchmark, requests, slices, code=settings.prompts.code, limits=settings.collect.limits
    )
    typer.echo(f"{count} requests: {requests}")


@app.command(rich_help_panel=ROOM)
def infer_completions(
    requests: Annotated[Path, typer.Option(help="Chat requests, JSONL.")],
    environments: Environments,
    benchmark: Benchmark,
    model: Annotated[str, typer.Option(help="An entry of the models file.")],
    completions: Annotated[Path, typer.Option(help="Written; answers are kept in store.jsonl beside it.")],
    models_file: ModelsFile = Path(DEFAULT_MODELS),
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Ask one model every request. What was answered before is not asked again."""
    from envsim_core.stages import infer as stage

    settings = load_config(config).infer
    tally = stage.infer_completions(
        requests,
        benchmark,
        environments,
        model,
        completions,
        models_file,
        retries=settings.retries,
        fail_fast=settings.fail_fast,
    )
    typer.echo(f"{model}: {tally.answered} answered, {tally.reused} reused, {tally.failed} failed: {completions}")
    for reason, count in tally.failures.most_common():
        typer.echo(f"{model}: {count} failed: {reason}", err=True)


@app.command(rich_help_panel=ROOM)
def score_completions(
    benchmark: Benchmark,
    completions: Annotated[Path, typer.Option(help="Completions, JSONL, in benchmark order.")],
    verdicts: Annotated[Path, typer.Option(help="Written: one row per sample, Parquet.")],
    summary: Annotated[Path, typer.Option(help="Written: the counts, JSON.")],
) -> None:
    """Judge every completion against the truth."""
    from envsim_core.stages import score as stage

    counted = stage.score_completions(benchmark, completions, verdicts, summary)
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counted["outcomes"].items())
    typer.echo(f"{counted['samples']} verdicts ({outcomes}): {verdicts}")


@app.command(rich_help_panel=ROOM)
def write_report(
    scores: Annotated[list[Path], typer.Argument(help="Score folders; each one's name is its model's.")],
    benchmark: Benchmark,
    report: Annotated[Path, typer.Option(help="The folder to write.")],
    composition: Annotated[Path | None, typer.Option(help="What stratify wrote about the benchmark.")] = None,
    config: Settings = str(DEFAULT_CONFIG),
) -> None:
    """Write the report: one page, and the same numbers as JSON, Markdown and Parquet."""
    from envsim_core.stages import report as stage

    settings = load_config(config).report
    stage.write_report(
        benchmark,
        composition,
        {folder.name: folder for folder in scores},
        report,
        title=settings.title,
        confidence=settings.confidence,
        published_lines=settings.published_lines,
    )
    typer.echo(f"report: {report / 'index.html'}")
