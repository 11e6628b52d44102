# rl: a trained model and the verifier in, a model that can be served out; checkpoints lie beside it, undeclared.
localrules:
    rl_simulator,
    rl_experiment,


rule reinforce_model:
    input:
        rows=f"{RESULTS}/sft/{{mixture}}/rl.jsonl",
        held_out=f"{RESULTS}/sft/{{mixture}}/held_out_rl.jsonl",
        recipe=CONFIG.rl.recipe,
        files=recipe_files(CONFIG.rl.recipe),
        checked=checked_recipe("rl"),
        start=f"{RESULTS}/train/{{mixture}}/model",
    output:
        model=directory(f"{RESULTS}/train/{{mixture}}-rl/model"),
        card=f"{RESULTS}/train/{{mixture}}-rl/run_card.json",
        curve=f"{RESULTS}/train/{{mixture}}-rl/curve.json",
    log:
        f"{RESULTS}/logs/reinforce_model/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reinforce_model/{{mixture}}.tsv"
    wildcard_constraints:
        mixture=TRAINED_MIXTURE,
    conda:
        "environment.yaml"
    threads: RL_RECIPE.cpus
    resources:
        mem_mb=RL_RECIPE.memory_mb,
        runtime=RL_RECIPE.runtime_min,
        gpu=RL_RECIPE.gpus,
        slurm_partition=RL_RECIPE.partition or default_partition(),
    params:
        version=version("rl"),
        config=settings("seed"),
        data=lambda wildcards, input: str(Path(input.rows).parent),
    shell:
        "python -m envsim_core reinforce-model --data {params.data:q} --recipe {input.recipe:q}"
        " --start {input.start:q} --model {output.model:q} --threads {threads}"
        " --config {params.config:q} 2>&1 | tee {log:q}"


rule rl_simulator:
    input:
        expand(rules.reinforce_model.output.model, mixture=CONFIG.sft.mixture),


# what another reward teaches the same model: the published harness's verdict, measured by ours
use rule reinforce_model as reinforce_by_published_metric with:
    input:
        rows=f"{RESULTS}/sft/{{mixture}}/rl.jsonl",
        held_out=f"{RESULTS}/sft/{{mixture}}/held_out_rl.jsonl",
        recipe=CONFIG.rl.experiment,
        files=recipe_files(CONFIG.rl.experiment),
        checked=checked_recipe("experiment"),
        start=f"{RESULTS}/train/{{mixture}}/model",
    output:
        model=directory(f"{RESULTS}/train/{{mixture}}-published/model"),
        card=f"{RESULTS}/train/{{mixture}}-published/run_card.json",
        curve=f"{RESULTS}/train/{{mixture}}-published/curve.json",
    log:
        f"{RESULTS}/logs/reinforce_by_published_metric/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/reinforce_by_published_metric/{{mixture}}.tsv"


rule rl_experiment:
    input:
        expand(rules.reinforce_model.output.curve, mixture=CONFIG.sft.mixture),
        expand(rules.reinforce_by_published_metric.output.curve, mixture=CONFIG.sft.mixture),
