# Lookups that every room uses; no rules here.
import glob
import importlib
import json
import os
import re
import shlex
import sys
from collections import namedtuple
from pathlib import Path

from snakemake.dag import DAG
from snakemake.exceptions import WorkflowError
from snakemake.persistence import PersistenceBase

from envsim_core import __version__
from envsim_core.config import (
    BatchModel,
    OfflineModel,
    RemoteModel,
    Serving,
    TrainedModel,
    config_json,
    load_config,
    load_models,
    parse_config,
    trained_model_dir,
)
from envsim_core.config.recipe import Recipe, RlRecipe, load_recipe
from envsim_core.config.sizes import with_size
from envsim_core.errors import EnvSimError, UnknownName
from envsim_core.runs import RUN, check_first, go_on_as, hold_run, other_runs, survive_kills
from envsim_core.slurm import cancel_abandoned, keep_watch
from envsim_core.sources import load_source


def checked_config():
    """The configuration: every file by itself, so that an error names it, then what --config made of them."""
    try:
        for path in workflow.configfiles:
            load_config(path)
        sized = with_size(config, workflow.config_settings.overwrite_config)
        checked = parse_config(sized, "--config", typed=False)
        entries = load_models(checked.models_file)
        for name in [*checked.models, *filter(None, [checked.model])]:
            if name not in entries:
                raise UnknownName(f"entry in {checked.models_file} for the model", name, entries)
    except EnvSimError as error:
        raise WorkflowError(str(error)) from None
    return checked, entries


CONFIG, MODELS = checked_config()
RESULTS = CONFIG.results
SCORER = __version__  # of the scorer: another one judges again what was answered, and asks no model
REPORTED = {"all", "report", "partial_report", "simulator"}  # the targets that end with a leaderboard


# `snakemake eval_model ...` works as typed: without a profile, --cores or --jobs, this machine's cores are used.
if workflow.resource_settings.cores is None and workflow.resource_settings.nodes is None:
    workflow.resource_settings.cores = os.cpu_count()

# A rule runs the Python that Snakemake runs in, also where its environment was not activated. Conda brings its own.
# A prefix takes the place of Snakemake's, without which `... | tee` succeeds whatever the command does.
if not workflow.deployment_settings.deployment_method:
    shell.prefix(f"set -euo pipefail; export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")


if workflow.is_main_process:
    survive_kills(PersistenceBase, DAG)
else:
    # inside a cluster's job: it is watched by the cluster, and its run may be on another machine
    os.environ.pop(RUN, None)


wildcard_constraints:
    code="full|slice|tool|none",
    answer="delta|full_state",
    repeat="[1-9][0-9]*",
    model="[A-Za-z0-9][A-Za-z0-9._-]*",
    shard="[0-9]+",
    mixture="[A-Za-z0-9][A-Za-z0-9._-]*",


def more_each_time(amount):
    """A resource that grows with the attempts of a job: what ran out of memory or time is not tried with the same."""
    return lambda wildcards, attempt: amount * attempt


def watch_queue():
    """Under the profile slurm: a job or a controller that is gone is an error, never a wait without end."""
    if workflow.executor_plugin.name != "slurm":
        return
    try:
        keep_watch(importlib.import_module(workflow.executor_plugin.executor.__module__))
        if hold_run() and not other_runs():
            cancel_abandoned(workflow.executor_settings.jobname_prefix or "", str(workflow.workdir_init))
    except EnvSimError as error:
        raise WorkflowError(str(error)) from None


def version(room):
    """The VERSION of a room's stage: a change of meaning reruns its rules, a change of a comment does not."""
    return importlib.import_module(f"envsim_core.stages.{room}").VERSION


def settings(*keys):
    """The named top-level keys as inline JSON; as a parameter they rerun a job when they change, and only then."""
    return config_json(CONFIG, *keys)


def infer_settings():
    """What an answer depends on of section infer: asking more often changes nothing about the first answers."""
    once = CONFIG.infer.model_copy(update={"repeats": 1})
    return config_json(CONFIG.model_copy(update={"infer": once}), "infer", "results")


def source_files():
    """The files that environments are read from."""
    try:
        return [os.path.relpath(path) for path in load_source(CONFIG.collect.source).source_files(CONFIG.collect)]
    except EnvSimError as error:
        raise WorkflowError(str(error)) from None


def agent_settings(wildcards):
    """The entries of the models that policy agent asks: when one changes, its trajectories are made again."""
    if CONFIG.collect.policy != "agent":
        return ""
    names = [CONFIG.collect.agent.model, CONFIG.collect.agent.user]
    return " ".join(MODELS[name].model_dump_json() for name in names if name in MODELS)


def collect_settings():
    """What the calls depend on; the models file only where a model makes them."""
    return settings("seed", "collect", *(["models_file"] if CONFIG.collect.policy == "agent" else []))


def call_files():
    """The file of calls that policy replay makes."""
    return [CONFIG.collect.calls] if CONFIG.collect.policy == "replay" and CONFIG.collect.calls else []


def model_settings(wildcards):
    """A model's entry, so that changing it asks this model again and no other."""
    return MODELS[wildcards.model].model_dump_json()


def model_prices():
    """What the tokens of each model cost, as JSON; models without a price are not in it."""
    prices = {name: getattr(MODELS[name], "price", None) for name in CONFIG.models}
    return json.dumps({name: price.model_dump() for name, price in prices.items() if price})


def served(model, key, default):
    """What a model that is served in the job itself asks for by this key of its entry; a model elsewhere: `default`."""
    entry = MODELS.get(model)
    value = getattr(entry, key) if isinstance(entry, (Serving, OfflineModel)) else None
    return default if value is None else value


def profile_default(resource):
    """What the profile says for rules that name nothing."""
    default = (workflow.resource_settings.default_resources or {}).get(resource)
    return getattr(default, "raw", None) or ""


def default_partition():
    """The partition of the profile: a rule that names one for some models has to name it for the others."""
    return profile_default("slurm_partition")


def trained_weights(wildcards):
    """The folder of a model that this workflow trains."""
    entry = MODELS.get(getattr(wildcards, "model", CONFIG.model))
    return [str(trained_model_dir(RESULTS, entry.trained))] if isinstance(entry, TrainedModel) else []


def finished_models():
    """The models whose answers are complete."""
    return [name for name in CONFIG.models if Path(RESULTS, "infer", name, "completions.jsonl").exists()]


def reported_models():
    """All models, or those that are there where `snakemake partial_report` asks for no more."""
    if "partial_report" not in (workflow.dag_settings.targets or ()):
        return CONFIG.models
    if not finished_models():
        raise WorkflowError("partial_report: no model has been asked yet; snakemake all asks them")
    return finished_models()


def of_reported_models(pattern):
    """An input: this file of every model that the report shows."""
    return lambda wildcards: expand(pattern, model=reported_models())


def left_out_models():
    """Why each model that the report does not show is not there."""
    return {name: failure_of(name) for name in CONFIG.models if name not in reported_models()}


def failure_of(model):
    """The last error that stands in the logs of asking a model."""
    said = ""
    for log in sorted(Path(RESULTS, "logs/infer_completions").glob(f"{glob.escape(model)}*.log")):
        if re.fullmatch(re.escape(model) + r"(\.\d+)?\.log", log.name):
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                said = line.removeprefix("error: ") if line.startswith("error: ") else said
    return said or "its answers are not complete"


def evaluated_file(wildcards):
    """The published file that eval_model was called with."""
    if CONFIG.benchmark is None or CONFIG.model is None:
        raise WorkflowError("eval_model needs both: snakemake eval_model --config benchmark=FILE model=NAME")
    return CONFIG.benchmark


def evaluation_prefix():
    """What the names of an evaluation's files begin with; they lie beside the input."""
    if CONFIG.benchmark is None or CONFIG.model is None:
        return f"{RESULTS}/evaluate/unset"
    from envsim_core.stages.evaluate import output_prefix

    return str(output_prefix(Path(CONFIG.benchmark), CONFIG.model))


# A provider's limits (requests per minute, money) hold for all of a model's requests, so that one client keeps them.
SHARDED = [
    name
    for name, entry in MODELS.items()
    if CONFIG.infer.shards > 1 and not isinstance(entry, (RemoteModel, BatchModel))
]


def one_of(names):
    """A wildcard constraint: one of these names and no other."""
    return "|".join(map(re.escape, names)) or "(?!)"


def of_mixture(wildcards, make):
    """What `make` gives for the mixture of a file's folder; a name that is not configured is one line."""
    try:
        return make(CONFIG.sft, wildcards.mixture)
    except EnvSimError as error:
        raise WorkflowError(str(error)) from None


def sft_settings(*keys):
    """As `settings`, with the one mixture alone: changing another one reruns nothing."""

    def found(wildcards):
        alone = of_mixture(wildcards, lambda sft, name: sft.alone(name))
        return config_json(CONFIG.model_copy(update={"sft": alone}), "sft", *keys)

    return found


def sft_collect_settings(wildcards):
    """The collect room's settings with the mixture's own extent."""
    collect = of_mixture(wildcards, lambda sft, name: sft.collection(name, CONFIG.collect))
    keys = ["seed", "collect"]
    keys += ["models_file"] if CONFIG.collect.policy == "agent" else []
    return config_json(CONFIG.model_copy(update={"collect": collect}), *keys)


def sft_prompt_settings(code=None):
    """The prompts room's settings with as much code as the mixture shows."""

    def found(wildcards):
        prompts = of_mixture(wildcards, lambda sft, name: sft.prompts(name, CONFIG.prompts, code))
        keys = ["prompts"] + (["collect"] if prompts.code == "slice" else [])
        return config_json(CONFIG.model_copy(update={"prompts": prompts}), *keys)

    return found


def sft_sources(wildcards):
    """The files that a mixture's environments are read from."""
    collect = of_mixture(wildcards, lambda sft, name: sft.collection(name, CONFIG.collect))
    return [os.path.relpath(path) for path in load_source(collect.source).source_files(collect)]


def sft_requests(wildcards):
    """The rendered prompts; where over-long rows are sliced, the sliced ones too."""
    recipe = of_mixture(wildcards, lambda sft, name: sft.recipe(name))
    sliced = recipe.over_long == "slice" and recipe.code != "slice"
    return [
        f"{RESULTS}/sft/{wildcards.mixture}/work/{name}.jsonl"
        for name in ["requests"] + (["sliced_requests"] if sliced else [])
    ]


def repeat_before(wildcards):
    """The answers before these: one job after the other, because a model's limits hold for one job."""
    last = int(wildcards.repeat) - 1
    folder = f"{RESULTS}/repeats/{last}/infer" if last else f"{RESULTS}/infer"
    return ancient(f"{folder}/{wildcards.model}/completions.jsonl")


def form_folder(code, answer):
    """Where the prompts, completions and verdicts of a form lie."""
    return RESULTS if (code, answer) == OWN_FORM else f"{ABLATION}/{code}-{answer}"


def form_config(wildcards):
    """The settings of a form's prompts; a slice is proven by executing it."""
    prompts = CONFIG.prompts.model_copy(update={"code": wildcards.code, "answer": wildcards.answer})
    keys = ("collect", "prompts") if wildcards.code == "slice" else ("prompts",)
    return config_json(CONFIG.model_copy(update={"prompts": prompts}), *keys)


def form_before(wildcards):
    """The model's answers in the form before this one: one after the other, because its limits hold for one job."""
    others = [form for form in FORMS if form != OWN_FORM]
    place = others.index((wildcards.code, wildcards.answer)) if (wildcards.code, wildcards.answer) in others else 0
    return [ancient(f"{form_folder(*others[place - 1])}/infer/{wildcards.model}/completions.jsonl")] if place else []


def forms_of(path):
    """One file of every form and model."""
    return [f"{form_folder(*form)}/{path}".format(model=model) for form in FORMS for model in CONFIG.models]


def verify_stage(name):
    """What the stage says about the input of `snakemake verify`, from its files' names and sizes."""
    try:
        return getattr(importlib.import_module("envsim_core.stages.verify"), name)(CONFIG.verify)
    except EnvSimError as error:
        raise WorkflowError(str(error)) from None


def verify_shards(pattern):
    """The files of all shards."""
    return lambda wildcards: expand(pattern, shard=range(verify_stage("count_shards")))


def verified_environments(wildcards):
    """The environments that the rows name."""
    return CONFIG.verify.environments or f"{RESULTS}/collect/environments.jsonl"


def trained_cards():
    """The run cards of the reported models that are trained here."""
    reported = [MODELS[name] for name in CONFIG.models if name not in left_out_models()]
    trained = [entry.trained for entry in reported if isinstance(entry, TrainedModel)]
    return [str(trained_model_dir(RESULTS, name).with_name("run_card.json")) for name in trained]


def recipe_of(path, kind):
    """What a recipe of configs/train asks of the machine."""
    try:
        return load_recipe(path, kind)[0]
    except EnvSimError as error:
        raise WorkflowError(str(error)) from None


RECIPE = recipe_of(CONFIG.train.recipe, Recipe)
DPO_RECIPE = recipe_of(CONFIG.dpo.recipe, Recipe)
RL_RECIPE = recipe_of(CONFIG.rl.recipe, RlRecipe)
Part = namedtuple("Part", "recipe trainer")
PARTS = {
    "sft": Part(CONFIG.train.recipe, "sft"),
    "dpo": Part(CONFIG.dpo.recipe, "sft"),
    "rl": Part(CONFIG.rl.recipe, "rl"),
    "experiment": Part(CONFIG.rl.experiment, "rl"),
}


def checked_recipe(part):
    """Written when a recipe was looked at, which is before its data is made."""
    return f"{RESULTS}/train/recipe_{part}.json"


# a training's name is its mixture's, with what was done after it
TRAINED_MIXTURE = r"[A-Za-z0-9][A-Za-z0-9._-]*(?<!-rl)(?<!-dpo)(?<!-published)"


def recipe_files(path):
    """Files that a recipe names: DeepSpeed's configuration."""
    named = load_recipe(path, RlRecipe)[1].get("deepspeed")
    return [named] if isinstance(named, str) else []


def scratch_base(wildcards):
    """The folder of the model that a training starts from, where it is made here."""
    return [f"{RESULTS}/train/{wildcards.mixture}/base"] if RECIPE.scratch else []


# the model that `serve_simulator` serves: the one that is named, else the last trained one of those that are asked
SERVED = CONFIG.model or next(
    (name for name in reversed(CONFIG.models) if isinstance(MODELS[name], TrainedModel)), None
)
NOTHING_TRAINED = (
    "none of `models` is trained here; say which size (--config size=tiny), or add an entry with `trained`"
)


def served_weights(wildcards):
    """The weights of the model that `serve_simulator` serves, where it is trained here."""
    entry = MODELS.get(SERVED)
    return [str(trained_model_dir(RESULTS, entry.trained))] if isinstance(entry, TrainedModel) else []


def serves(started):
    """Whether a model is served once the run's jobs are done."""
    return "serve_simulator" in (started.dag_settings.targets or ())


def check_simulator(started):
    """What would keep a model from being trained for the benchmark, or served, is told before anything is done."""
    trained = any(isinstance(MODELS[name], TrainedModel) for name in CONFIG.models)
    if "simulator" in (started.dag_settings.targets or ()) and not trained:
        raise WorkflowError(f"simulator: {NOTHING_TRAINED}")
    if not serves(started):
        return
    from envsim_core.backends.served import check_clients

    if SERVED is None:
        raise WorkflowError(f"serve_simulator: {NOTHING_TRAINED}, or model=NAME")
    here = started.executor_plugin.name == "local"  # another machine looks for itself
    try:
        check_clients(SERVED, MODELS[SERVED], CONFIG.serve.host, CONFIG.serve.port if here else None)
    except EnvSimError as error:
        raise WorkflowError(str(error)) from None


if workflow.is_main_process:
    check_first(DAG, check_simulator)


def serve_afterwards():
    """Have this process serve the model when the run has ended well."""
    from envsim_core.serving.cluster import serve_command, srun_options

    if serves(workflow) and not workflow.touch:
        srun = []
        if workflow.executor_plugin.name == "slurm":
            srun = srun_options(MODELS[SERVED], default_partition(), profile_default("slurm_account"))
        go_on_as(serve_command(SERVED, CONFIG.serve.host, CONFIG.serve.port, CONFIG.models_file, RESULTS, srun))
