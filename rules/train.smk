# train: rows to train on in, a model that can be served out. Checkpoints lie beside it, undeclared, because Snakemake
# would delete them when a job fails: they are what lets the next run go on.
TRAIN = f"{RESULTS}/train/{{mixture}}"


localrules:
    train_simulator,
    dpo_simulator,


# before any data is collected for it: what the framework does not take, or this machine does not have
rule check_recipe:
    input:
        recipe=lambda wildcards: PARTS[wildcards.part].recipe,
        files=lambda wildcards: recipe_files(PARTS[wildcards.part].recipe),
        lock="configs/train/uv.lock",
    output:
        checked=checked_recipe("{part}"),
    log:
        f"{RESULTS}/logs/check_recipe/{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/check_recipe/{{part}}.tsv"
    wildcard_constraints:
        part=one_of(PARTS),
    priority: 100
    conda:
        "environment.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        version=version("train"),
        trainer=lambda wildcards: PARTS[wildcards.part].trainer,
    shell:
        "python -m envsim_core check-recipe --recipe {input.recipe:q} --trainer {params.trainer}"
        " --checked {output.checked:q} 2>&1 | tee {log:q}"


# only where the recipe starts from a model made here
rule make_base_model:
    input:
        data=f"{RESULTS}/sft/{{mixture}}/alpaca.json",
        recipe=CONFIG.train.recipe,
        lock="configs/train/uv.lock",
    output:
        base=directory(f"{TRAIN}/base"),
    log:
        f"{RESULTS}/logs/make_base_model/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/make_base_model/{{mixture}}.tsv"
    wildcard_constraints:
        mixture=TRAINED_MIXTURE,
    conda:
        "environment.yaml"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=60,
    params:
        version=version("train"),
        config=settings("seed"),
        data=lambda wildcards, input: str(Path(input.data).parent),
    shell:
        "python -m envsim_core make-base-model --data {params.data:q} --recipe {input.recipe:q}"
        " --base {output.base:q} --config {params.config:q} 2>&1 | tee {log:q}"


rule train_model:
    input:
        data=f"{RESULTS}/sft/{{mixture}}/dataset_info.json",
        rows=f"{RESULTS}/sft/{{mixture}}/alpaca.json",
        recipe=CONFIG.train.recipe,
        files=recipe_files(CONFIG.train.recipe),
        checked=checked_recipe("sft"),
        base=scratch_base,
    output:
        model=directory(f"{TRAIN}/model"),
        card=f"{TRAIN}/run_card.json",
        losses=f"{TRAIN}/losses.json",
    log:
        f"{RESULTS}/logs/train_model/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_model/{{mixture}}.tsv"
    wildcard_constraints:
        mixture=TRAINED_MIXTURE,
    conda:
        "environment.yaml"
    threads: RECIPE.cpus
    resources:
        mem_mb=RECIPE.memory_mb,
        runtime=RECIPE.runtime_min,
        gpu=RECIPE.gpus,
        slurm_partition=RECIPE.partition or default_partition(),
    params:
        version=version("train"),
        data=lambda wildcards, input: str(Path(input.data).parent),
        base=lambda wildcards, input: ["--base", *input.base] if input.base else [],
    shell:
        "python -m envsim_core train-model --data {params.data:q} --recipe {input.recipe:q} {params.base:q}"
        " --model {output.model:q} --threads {threads} 2>&1 | tee {log:q}"


rule train_simulator:
    input:
        expand(rules.train_model.output.model, mixture=CONFIG.sft.mixture),


# a preference option: the model's own answers, ranked by the verifier
rule sample_pairs:
    input:
        rows=f"{RESULTS}/sft/{{mixture}}/rl.jsonl",
        recipe=CONFIG.dpo.recipe,
        checked=checked_recipe("dpo"),
        start=f"{TRAIN}/model",
    output:
        pairs=directory(f"{TRAIN}-dpo/pairs"),
    log:
        f"{RESULTS}/logs/sample_pairs/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sample_pairs/{{mixture}}.tsv"
    wildcard_constraints:
        mixture=TRAINED_MIXTURE,
    conda:
        "environment.yaml"
    threads: DPO_RECIPE.cpus
    resources:
        mem_mb=DPO_RECIPE.memory_mb,
        runtime=DPO_RECIPE.runtime_min,
        gpu=DPO_RECIPE.gpus,
        slurm_partition=DPO_RECIPE.partition or default_partition(),
    params:
        version=version("train"),
        config=settings("seed"),
        data=lambda wildcards, input: str(Path(input.rows).parent),
    shell:
        "python -m envsim_core sample-pairs --data {params.data:q} --recipe {input.recipe:q} --start {input.start:q}"
        " --pairs {output.pairs:q} --config {params.config:q} 2>&1 | tee {log:q}"


use rule train_model as prefer_model with:
    input:
        data=rules.sample_pairs.output.pairs,
        recipe=CONFIG.dpo.recipe,
        files=recipe_files(CONFIG.dpo.recipe),
        checked=checked_recipe("dpo"),
        base=f"{TRAIN}/model",
    output:
        model=directory(f"{TRAIN}-dpo/model"),
        card=f"{TRAIN}-dpo/run_card.json",
        losses=f"{TRAIN}-dpo/losses.json",
    log:
        f"{RESULTS}/logs/prefer_model/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prefer_model/{{mixture}}.tsv"
    threads: DPO_RECIPE.cpus
    resources:
        mem_mb=DPO_RECIPE.memory_mb,
        runtime=DPO_RECIPE.runtime_min,
        gpu=DPO_RECIPE.gpus,
        slurm_partition=DPO_RECIPE.partition or default_partition(),
    params:
        data=lambda wildcards, input: input.data,
        base=lambda wildcards, input: ["--base", input.base],


rule dpo_simulator:
    input:
        expand(rules.prefer_model.output.model, mixture=CONFIG.sft.mixture),
