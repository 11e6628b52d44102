"""Serving, before anything starts: what is wrong with an entry, a model or a machine is one clear error."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from serving_entries import Project, model_folder

from envsim_core.backends.served import model_weights
from envsim_core.config import ServedModel, Serving, TrainedModel, load_models, model_entry, trained_model_dir
from envsim_core.errors import BadConfig, EnvSimError
from envsim_core.serving import preflight
from envsim_core.serving.commands import launcher
from envsim_core.serving.process import Launch
from envsim_core.training import stacks

KEY = "a-key-for-this-job-alone"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def refused(project: Project) -> str:
    """The one error of a run, which started nothing."""
    with pytest.raises(EnvSimError) as error:
        project.infer()
    assert project.starts() == 0
    return str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"served": "a/b", "server": "llamafactory", "gpus": 0}, "m: template: llamafactory needs the name of a chat"),
        ({"served": "a/b", "gpus": 0}, "m: gpus: vllm needs a GPU; without one: server: llamafactory"),
        ({"served": "a/b", "options": {"api-key": "k"}}, "m: options: api-key cannot stand here"),
        ({"served": "a/b", "max_modle_len": 5}, 'm: max_modle_len: unknown key; did you mean "max_model_len"?'),
        ({"served": "a/b", "server": "llamafactory", "template": "t", "max_model_len": 5}, "is an option of vllm"),
        ({"trained": "../x"}, "m: trained: String should match pattern"),
    ],
)
def test_a_wrong_entry_is_refused_when_it_is_read(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(yaml.safe_dump({"m": values}))
    with pytest.raises(BadConfig) as error:
        load_models(path)
    assert message in str(error.value)


def test_an_entry_needs_nothing_but_the_model(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text("hub: {served: Qwen/Qwen3-4B}\nown: {trained: balance2}\n")
    entries = load_models(path)
    assert isinstance(entries["hub"], ServedModel)
    assert isinstance(entries["own"], TrainedModel)


def cut_off(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-3])


def without_one_of_its_files(folder: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-2.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), "is no model: it has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: cannot be read as JSON"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "has no tokenizer"),
        (lambda folder: (folder / "model.safetensors").unlink(), "has no weights"),
        (cut_off, "model.safetensors: is not a whole safetensors file"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"\xff" * 40), "is not a whole safetensors file"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b""), "is not a whole safetensors file"),
        (without_one_of_its_files, "is incomplete: model-2.safetensors is missing"),
        (lambda folder: folder.rename(folder.with_name("elsewhere")), "there is no folder"),
    ],
)
def test_a_model_that_is_not_whole_is_refused(project: Project, spoil: Callable[[Path], None], message: str) -> None:
    project.entry()
    spoil(project.weights)
    assert message in refused(project)


def test_a_server_that_is_not_installed_is_told_with_where_and_how(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project.environment / "bin/vllm").unlink()
    project.entry()
    said = refused(project)
    assert f"{project.environment}/bin/vllm is not there (`environment` in its entry)" in said
    assert "bin/pip install 'vllm==" in said
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(stacks, "ROOT", project.folder)
    monkeypatch.setattr(stacks, "has_gpu", lambda: False)
    project.entry(environment=None)
    said = refused(project)
    assert "vllm is neither beside this Python nor on PATH" in said
    assert ".venv-serve is made on machines with an NVIDIA GPU and its driver alone" in said


@pytest.mark.parametrize(("visible", "gpus", "seen"), [("", 1, 0), ("0", 2, 1)])
def test_a_missing_gpu_is_told(project: Project, visible: str, gpus: int, seen: int) -> None:
    project.entry(gpus=gpus, variables={"CUDA_VISIBLE_DEVICES": visible})
    said = refused(project)
    assert f"wants {gpus} GPU" in said
    assert f"this machine shows {seen} (CUDA_VISIBLE_DEVICES is '{visible}')" in said


def test_too_little_memory_is_told(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "_main_memory", lambda: 10)
    project.entry(server="llamafactory", template="qwen3", gpus=0)
    assert "GB of main memory; take more gpus, or a smaller or quantized model" in refused(project)


def test_an_unknown_template_is_told_with_the_nearest_known(project: Project) -> None:
    source = project.environment / "lib/python3.11/site-packages/llamafactory/data/template.py"
    source.parent.mkdir(parents=True)
    source.write_text('register_template(\n    name="qwen3_nothink",\n)\nregister_template(name="llama3")\n')
    project.entry(server="llamafactory", gpus=0, template="qwen3_nothnk")
    said = refused(project)
    assert 'no chat template in LLaMA-Factory for the model "m" "qwen3_nothnk"; did you mean "qwen3_nothink"?' in said
    project.entry(template=str(project.folder / "none.jinja"))
    assert "there is no file" in refused(project)


def test_a_trained_model_is_served_from_its_trainings_folder(project: Project) -> None:
    project.entry(served=None, trained="balance2")
    assert 'train "balance2" first' in refused(project)
    model_folder(trained_model_dir(project.results, "balance2"))
    project.infer()
    assert project.answers() == project.expected()
    project.nothing_is_left()


def launch(project: Project, **changes: Any) -> Launch:
    project.entry(**changes)
    entry = model_entry(project.models_file, "m")
    assert isinstance(entry, Serving)
    weights = model_weights("m", entry, project.results)
    made = launcher("m", entry, weights, Path("/env/bin/program"), project.folder / "m.yaml")("127.0.0.1", 8123, KEY)
    assert isinstance(made, Launch)
    assert KEY not in " ".join(made.command)
    return made


def test_vllm_gets_its_options_by_argument_and_its_key_by_the_environment(project: Project) -> None:
    options = {"gpu_memory_utilization": 0.85, "enforce-eager": True, "enable_prefix_caching": False, "rope": {"a": 1}}
    made = launch(
        project, served="Qwen/Qwen3-4B", revision="abc", gpus=2, max_model_len=4096, options=options, variables={}
    )
    assert made.command == [
        "/env/bin/program", "serve", "Qwen/Qwen3-4B", "--served-model-name", "m", "--host", "127.0.0.1",
        "--port", "8123", "--revision", "abc", "--max-model-len", "4096", "--tensor-parallel-size", "2",
        "--no-enable-prefix-caching", "--generation-config", "vllm", "--gpu-memory-utilization", "0.85",
        "--enforce-eager", "--rope", '{"a": 1}',
    ]  # fmt: skip
    assert made.environment == {"VLLM_API_KEY": KEY}
    assert made.health == "/health"


def test_llamafactory_gets_a_file_and_listens_where_it_is_told(project: Project) -> None:
    made = launch(
        project, server="llamafactory", template="qwen3_nothink", gpus=0, options={"infer_dtype": "float32"},
        sampling={"max_tokens": 99}, variables={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert made.command == ["/env/bin/program", "api", str(project.folder / "m.yaml")]
    assert yaml.safe_load((project.folder / "m.yaml").read_text()) == {
        "model_name_or_path": str(project.weights), "template": "qwen3_nothink", "infer_backend": "huggingface",
        "trust_remote_code": False, "max_new_tokens": 99, "infer_dtype": "float32",
    }  # fmt: skip
    assert KEY not in (project.folder / "m.yaml").read_text()
    assert made.environment == {
        "OMP_NUM_THREADS": "1", "API_HOST": "127.0.0.1", "API_PORT": "8123", "API_KEY": KEY, "API_MODEL_NAME": "m",
        "API_VERBOSE": "0", "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip


def test_a_folder_is_told_from_a_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert not preflight.is_folder("Qwen/Qwen3-4B")
    os.makedirs("Qwen/Qwen3-4B")
    for folder in ("Qwen/Qwen3-4B", "./a/b", "/data/model", "~/model", "a/b/c", "model"):
        assert preflight.is_folder(folder)
