"""Config: every key of configs/*.yaml, checked before anything runs; the source of configs/schema.json."""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Hashable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, field_validator
from pydantic.json_schema import models_json_schema

from envsim_core.errors import BadConfig, UnknownName

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Dollars = Annotated[float, Field(ge=0)]

CodeForm = Literal["full", "slice", "tool", "none"]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # a model name is a folder name and a Snakemake wildcard
DEFAULT_CONFIG = Path("configs/config.yaml")
DEFAULT_MODELS = "configs/models.yaml"


class Section(BaseModel):
    """A part of a configuration file: unknown keys are errors, text is not silently read as a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Limits(Section):
    """What one tool call may use."""

    wall_s: Seconds = 5.0
    """Wall-clock time in seconds, after which the call is killed."""
    cpu_s: Positive = 3
    """CPU time in whole seconds (RLIMIT_CPU)."""
    memory_mb: Annotated[int, Field(ge=64)] = 512
    """Address space in MiB (RLIMIT_AS)."""
    result_kb: Positive = 4096
    """Size of state and observation together, in KiB of JSON."""


class Agent(Section):
    """agent: a language model with function calling chooses the calls of policy `agent`."""

    model: str | None = None
    """The entry of models_file that acts."""
    user: str | None = None
    """Conversation: the entry of models_file that plays the user, who alone knows the task; null: the task is told."""
    keep: Literal["all", "finished", "checked"] = "finished"
    """Which trajectories stay: every one, those that the agent ended by itself after a call that worked, or those of
    them whose checks all hold at the end. One that is left out is a row with its reason."""
    messages: Positive = 12
    """Conversation: messages to the user per trajectory."""
    retries: Count = 3
    """How often a request is repeated after an infrastructure error, before the trajectory is given up."""


class Collect(Section):
    """collect: environments are explored into transitions."""

    source: str = "builtin"
    """Where environments come from: a module of envsim_core/sources/."""
    policy: str = "explore"
    """Who chooses the tool calls: a module of envsim_core/policies/."""
    environments: Literal["all"] | list[str] = "all"
    """`all`, or the env_ids to use."""
    files: list[str] = Field(default_factory=list)
    """Files of a source that reads any: paths, or hf://datasets/OWNER/NAME[@REVISION]/PATH on the hub. envscaler:
    environments and scenarios; published: benchmark or trajectory files."""
    calls: str | None = None
    """Policy replay: a JSONL file of calls {env_id, task_id, name, arguments}; null: the source's recorded calls."""
    agent: Agent = Agent()
    """Policy agent."""
    scenarios_per_environment: Positive | None = 8
    """Starting states per environment; null: all that the source has (builtin draws as many as it is asked for)."""
    trajectories: Positive = 2
    """Trajectories per starting state."""
    steps: Positive = 30
    """Tool calls per trajectory; policy replay makes every recorded call."""
    size: Positive = 1
    """Size of a starting state: 1 is about 1-2 KB of JSON, 10 about 17 KB, 150 about 260 KB."""
    shards: Positive = 2
    """Jobs that the exploration is split into; the result does not depend on it."""
    limits: Limits = Limits()
    """What one tool call may use."""


class Quotas(Section):
    """Samples per stratum; the defaults are the published composition (400 samples)."""

    failure: Count = 20
    no_change_no_args: Count = 40
    no_change_args: Count = 40
    delta_1: Count = 25
    delta_2: Count = 25
    delta_3: Count = 50
    delta_4: Count = 50
    delta_5: Count = 50
    delta_6: Count = 50
    delta_7_12: Count = 50


class Stratify(Section):
    """stratify: transitions are drawn into a benchmark."""

    quotas: Quotas = Quotas()
    """Samples per stratum."""
    seed: int | None = None
    """Seed of the draw; null: the top-level seed."""
    clock: Literal["frozen", "in_prompt"] = "frozen"
    """Whether a sample tells the time and the next ids of its frozen world, so that a prompt can (in_prompt)."""
    near_duplicates: Share | None = 0.9
    """Similarity from which two calls count as one, 0 to 1 (see similarity.py); null: only equal calls do."""
    volatile: Literal["leave_out", "mark"] = "leave_out"
    """What becomes of transitions that the audit finds unpredictable, and of those that consume hidden state: left
    out, or kept with the places named in `volatile`, which `config_match_masked` does not compare."""
    strict_quotas: bool = False
    """Whether a stratum with too few transitions is an error (else a warning and a line in composition.json)."""


class Audit(Section):
    """audit: transitions are replayed in other worlds, to find what nobody could predict."""

    reserve: Annotated[float, Field(ge=1)] | None = 2.0
    """How many transitions are replayed per stratum, as a multiple of its quota; null: all of them."""


class Export(Section):
    """benchmark: the benchmark is split and written as a data set."""

    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """Share of the samples whose environments are held out for testing, about."""
    similarity: Share = 0.9
    """Jaccard index from which two states are told as nearly equal in the leakage report."""
    title: str = "EnvSim benchmark"
    """Name of the data set on its card."""


class Prompts(Section):
    """prompts: samples are rendered into chat requests."""

    code: CodeForm = "full"
    """How much of the environment's source the model sees: all of it (full), what the tool can reach, where executing
    that gives the sample's truth and all of it elsewhere (slice), the tool's method alone (tool), or nothing (none)."""
    answer: Literal["delta"] = "delta"
    """What the model is asked for: the changes of the state."""


class Infer(Section):
    """infer: requests are sent to models."""

    retries: Count = 3
    """How often a request is repeated after an infrastructure error. What still failed is tried once more, as often, at
    the end of a run that answered at least as many as it failed; then its row is written as failed."""
    fail_fast: bool = True
    """Whether a server that never answered at all ends the run with an error instead of a file of failed rows."""


class Report(Section):
    """report: verdicts are turned into figures and tables."""

    title: str = "EnvSim report"
    """Heading of the page."""
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Level of the intervals."""
    published_lines: bool = True
    """Whether the published models are drawn as reference lines."""


class Config(Section):
    """The workflow's configuration. Every key has a default, so that a file holds only what differs."""

    seed: int = 20260507
    """Seed of everything that is drawn."""
    results: str = "results"
    """Folder that the workflow writes to."""
    models: Annotated[list[str], Field(min_length=1)] = ["oracle", "copy", "spam", "delete_all", "noisy"]
    """Names of entries in models_file."""
    models_file: str = DEFAULT_MODELS
    """The file of model entries."""
    benchmark: str | None = None
    """A benchmark file to use as it is; null: build one from environments."""
    model: str | None = None
    """The one model that `snakemake eval_model` asks."""
    max_samples: Positive | None = None
    """How many samples `snakemake eval_model` asks for; null: all."""
    collect: Collect = Collect()
    audit: Audit = Audit()
    export: Export = Export()
    stratify: Stratify = Stratify()
    prompts: Prompts = Prompts()
    infer: Infer = Infer()
    report: Report = Report()

    @field_validator("models", mode="before")
    @classmethod
    def _one_model_is_a_list(cls, value: Any) -> Any:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("models")
    @classmethod
    def _each_model_once(cls, value: list[str]) -> list[str]:
        twice = {name for name in value if value.count(name) > 1}
        if twice:
            raise ValueError(f"named twice: {', '.join(sorted(twice))}")
        return value


class Sampling(Section):
    """Sampling parameters, sent with each request as they are."""

    temperature: Annotated[float, Field(ge=0)] | None = 0.0
    """null: not sent (some models refuse it)."""
    top_p: Share | None = None
    max_tokens: Positive | None = 8192
    """Longest answer in tokens; null: the server's own limit."""
    seed: int | None = None
    extra_body: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body, for what a server adds to the protocol."""


class Price(Section):
    """What tokens cost, in dollars per million."""

    prompt: Dollars
    completion: Dollars


class BaselineModel(Section):
    """A baseline that the project serves itself, over the same HTTP path as any other model."""

    baseline: Literal["oracle", "copy", "spam", "delete_all", "noisy"]
    """oracle executes the code, copy changes nothing, spam adds invented changes, delete_all empties the state,
    noisy errs at `error_rate` per change."""
    error_rate: Share = 0.1
    """Probability that noisy gets one change wrong."""
    concurrency: Positive = 8
    """Requests in flight."""
    timeout_s: Seconds = 120.0
    """Longest wait for one answer in seconds."""


class RemoteModel(Section):
    """A model behind an OpenAI-compatible endpoint."""

    model: str
    """The name that the server knows."""
    base_url: str | None = None
    """The endpoint, with its /v1; null: the environment variable OPENAI_BASE_URL."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key. The key itself never stands in a file."""
    sampling: Sampling = Sampling()
    """Sampling parameters."""
    concurrency: Positive = 8
    """Requests in flight."""
    timeout_s: Seconds = 300.0
    """Longest wait for one answer in seconds."""
    requests_per_minute: Positive | None = None
    """Most requests that are sent in a minute, evenly spread; null: no limit."""
    tokens_per_minute: Positive | None = None
    """Most tokens of prompts and answers in a minute, by estimate until the server has counted; null: no limit."""
    price: Price | None = None
    """What the provider asks for; null: money is not counted."""
    spending_limit: Annotated[float, Field(gt=0)] | None = None
    """Dollars that all answers in the model's store may cost; then the run stops, and goes on once this is raised."""


ModelEntry = BaselineModel | RemoteModel


class Models(RootModel[dict[str, ModelEntry]]):
    """configs/models.yaml: model name to entry."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """YAML's own loader keeps the last of two equal keys, which hides a mistake."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if isinstance(key_node, yaml.ScalarNode) and key_node.tag != "tag:yaml.org,2002:merge":
                if key_node.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f'the key "{key_node.value}" stands here twice', key_node.start_mark
                    )
                seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def read_yaml(path: Path | str) -> dict[str, Any]:
    """The mapping in a YAML file; an empty file is an empty mapping.

    Raises BadConfig naming file and line.
    """
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), _UniqueKeyLoader)  # a SafeLoader
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadConfig(f"{path}: is not UTF-8 text: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise BadConfig(f"{path}{line}: not YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise BadConfig(f"{path}: not YAML: {error}") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadConfig(f"{path}: expected keys and values, found a {type(value).__name__}")
    return value


def parse_config(values: Mapping[str, Any], where: str, typed: bool = True) -> Config:
    """Check configuration values; `where` names their file in the error.

    With `typed=False` text may stand for a number or null: Snakemake's --config hands nested values on as text.
    Raises BadConfig naming `where` and the key path, with the nearest known key.
    """
    try:
        return Config.model_validate(dict(values) if typed else _nulls(values), strict=typed)
    except ValidationError as error:
        raise BadConfig("\n".join(_explain(where, Config, error))) from None


def load_config(source: Path | str) -> Config:
    """Read a configuration from a YAML file, or from inline JSON (text that starts with `{`).

    Raises BadConfig naming file (or "--config") and key path.
    """
    text = str(source)
    if not text.lstrip().startswith("{"):
        return parse_config(read_yaml(text), text)
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadConfig(f"--config: not JSON: {error.msg} (column {error.colno})") from None
    return parse_config(values, "--config")


def config_json(config: Config, *keys: str) -> str:
    """The named top-level keys as inline JSON for `load_config`: what one rule depends on, and no more."""
    values = config.model_dump(mode="json", include=set(keys))
    return json.dumps(values, sort_keys=True, separators=(",", ":"))


def load_models(path: Path | str) -> dict[str, ModelEntry]:
    """Read the model entries.

    Raises BadConfig naming file, model and key, with the nearest known key.
    """
    entries: dict[str, ModelEntry] = {}
    for name, values in read_yaml(path).items():
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise BadConfig(f"{path}: {name!r}: a model name is made of letters, digits, '.', '_' and '-'")
        if not isinstance(values, dict):
            raise BadConfig(f"{path}: {name}: expected the keys of a model entry, found {values!r}")
        kind: type[BaselineModel | RemoteModel] = BaselineModel if "baseline" in values else RemoteModel
        try:
            entries[name] = kind.model_validate(values)
        except ValidationError as error:
            raise BadConfig("\n".join(_explain(f"{path}: {name}", kind, error))) from None
    return entries


def model_entry(path: Path | str, name: str) -> ModelEntry:
    """One model entry by name.

    Raises UnknownName offering the nearest name, BadConfig when the file itself is wrong.
    """
    entries = load_models(path)
    if name not in entries:
        raise UnknownName("model", name, entries)
    return entries[name]


def schema() -> dict[str, Any]:
    """The JSON Schema of configs/config.yaml; `#/$defs/Models` is that of configs/models.yaml."""
    _, both = models_json_schema([(Config, "validation"), (Models, "validation")])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "configs/config.yaml",
        "$ref": "#/$defs/Config",
        "$defs": both["$defs"],
    }


def _explain(where: str, top: type[BaseModel], error: ValidationError) -> Iterator[str]:
    for problem in error.errors():
        path = [str(part) for part in problem["loc"] if part != "literal['all']" and part != "list[str]"]
        spot = f"{where}: {'.'.join(path) or 'file'}"
        if problem["type"] == "extra_forbidden":
            known = list(_section(top, path[:-1]).model_fields)
            near = difflib.get_close_matches(path[-1], known, n=1, cutoff=0.5)
            yield f"{spot}: unknown key; " + (f'did you mean "{near[0]}"?' if near else f"known: {', '.join(known)}")
        elif problem["type"] == "missing":
            yield f"{spot}: this key is required"
        else:
            yield f"{spot}: {problem['msg'].removeprefix('Value error, ')}, found {_short(problem['input'])}"


def _section(top: type[BaseModel], path: list[str]) -> type[BaseModel]:
    for name in path:
        annotation: Any = top.model_fields[name].annotation
        options = typing.get_args(annotation) if isinstance(annotation, types.UnionType) else (annotation,)
        top = next(option for option in options if isinstance(option, type) and issubclass(option, BaseModel))
    return top


def _nulls(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _nulls(item) for key, item in value.items()}
    return None if value in ("null", "None", "") else value


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
