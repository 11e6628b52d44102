"""ServedModel and TrainedModel: entries of models that the project serves itself, on the node where they are asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from envsim_core.config.entries import AskedModel
from envsim_core.config.section import Count, Positive, Seconds

# what the project says itself: the address, the key and the names of the model
RESERVED = {
    "api_key", "api_server_count", "chat_template", "host", "infer_backend", "max_model_len", "model",
    "model_name_or_path", "port", "revision", "root_path", "served_model_name", "ssl_certfile", "ssl_keyfile",
    "template", "tensor_parallel_size", "uds",
}  # fmt: skip


class Serving(AskedModel):
    """How a model is served in the job that asks it: a server starts, is asked, and is stopped in every case."""

    server: Literal["vllm", "llamafactory"] = "vllm"
    """vllm (needs a GPU), or llamafactory: the API of LLaMA-Factory, which also runs without one."""
    gpus: Count = 1
    """GPUs of one server, which are asked of SLURM; 0: none (llamafactory alone)."""
    max_model_len: Positive | None = None
    """vllm: longest prompt and answer together, in tokens; null: the model's own limit."""
    template: str | None = Field(default=None, validate_default=True)
    """llamafactory: the name of its chat template. vllm: a file with one; null: the tokenizer's own."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further options of the server by name, as on its command line (vllm) or in its file (llamafactory):
    {gpu_memory_utilization: 0.85, enforce_eager: true}."""
    environment: str | None = None
    """Folder of the Python environment that the server is installed in; null: the one that this runs in, else PATH,
    else .venv-serve (vllm) or .venv-train (llamafactory), which are made on first use."""
    variables: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the server: {HF_HOME: /data/hf}."""
    load_limit_s: Seconds = 1800.0
    """How long the server may take until it answers."""
    partition: str | None = None
    """SLURM partition of the job; null: the profile's."""
    cpus: Positive = 4
    """CPU cores of the job."""
    memory_mb: Positive = 32000
    """Main memory of the job in MB."""
    runtime_min: Positive = 720
    """Longest run of the job in minutes."""
    concurrency: Positive = 32
    """Requests in flight."""
    timeout_s: Seconds = 600.0
    """Longest wait for one answer in seconds, which may have to wait for its turn."""

    @field_validator("gpus")
    @classmethod
    def _vllm_needs_a_gpu(cls, value: int, info: ValidationInfo) -> int:
        if not value and info.data.get("server") == "vllm":
            raise ValueError("vllm needs a GPU; without one: server: llamafactory")
        return value

    @field_validator("max_model_len")
    @classmethod
    def _only_vllm_has_a_length(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value is not None and info.data.get("server") == "llamafactory":
            raise ValueError("is an option of vllm; llamafactory takes the model's own limit")
        return value

    @field_validator("template")
    @classmethod
    def _llamafactory_needs_a_template(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("server") == "llamafactory":
            raise ValueError("llamafactory needs the name of a chat template, for example qwen3_nothink")
        return value

    @field_validator("options")
    @classmethod
    def _options_leave_the_rest_alone(cls, value: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(name for name in value if name.lstrip("-").replace("-", "_") in RESERVED)
        if taken:
            raise ValueError(f"{', '.join(taken)} cannot stand here: the project sets it, or a key of the entry does")
        return value


class ServedModel(Serving):
    """A model from the Hugging Face hub or from a folder, served by the project where it is asked."""

    served: str
    """A name on the Hugging Face hub, or a folder with config, tokenizer and weights."""
    revision: str | None = None
    """Commit, tag or branch on the hub (vllm); null: the newest. A commit keeps answers comparable."""


class TrainedModel(Serving):
    """A model that this workflow trained, served by the project where it is asked."""

    trained: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The name of its training, whose folder of weights `trained_model_dir` names."""


def trained_model_dir(results: Path | str, name: str) -> Path:
    """The folder with config, tokenizer and weights that the training called `name` ends with."""
    return Path(results) / "train" / name / "model"
