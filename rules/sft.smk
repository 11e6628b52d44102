# sft: transitions that no benchmark knows in, rows to train on out. results/sft/{mixture}/ is a data set of its own.
SFT = f"{RESULTS}/sft/{{mixture}}"


localrules:
    collect_training_environments,
    select_training_tasks,
    merge_training_transitions,
    sft_data,


use rule collect_environments as collect_training_environments with:
    input:
        sources=sft_sources,
    output:
        environments=f"{SFT}/collect/all_environments.jsonl",
    log:
        f"{RESULTS}/logs/collect_training_environments/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect_training_environments/{{mixture}}.tsv"
    params:
        version=version("collect"),
        config=sft_collect_settings,


rule select_training_tasks:
    input:
        environments=rules.collect_training_environments.output.environments,
        benchmark=BENCHMARK,
        benchmark_environments=ENVIRONMENTS,
        split=rules.export_benchmark.output.split,
    output:
        selected=f"{SFT}/collect/environments.jsonl",
        tasks=f"{SFT}/work/tasks.json",
    log:
        f"{RESULTS}/logs/select_training_tasks/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/select_training_tasks/{{mixture}}.tsv"
    conda:
        "environment.yaml"
    threads: 1
    resources:
        mem_mb=more_each_time(2000),
        runtime=more_each_time(30),
    params:
        version=version("sft"),
        config=sft_settings("seed"),
    shell:
        "python -m envsim_core select-training-tasks --environments {input.environments:q}"
        " --benchmark {input.benchmark:q} --benchmark-environments {input.benchmark_environments:q}"
        " --split {input.split:q} --mixture {wildcards.mixture:q} --selected {output.selected:q}"
        " --tasks {output.tasks:q} --config {params.config:q} 2>&1 | tee {log:q}"


use rule collect_transitions as collect_training_transitions with:
    input:
        environments=rules.select_training_tasks.output.selected,
        calls=call_files(),
    output:
        transitions=f"{SFT}/collect/shards/{{shard}}.jsonl",
    log:
        f"{RESULTS}/logs/collect_training_transitions/{{mixture}}/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/collect_training_transitions/{{mixture}}/{{shard}}.tsv"
    params:
        version=version("collect"),
        config=sft_collect_settings,
        models=agent_settings,


use rule merge_transitions as merge_training_transitions with:
    input:
        environments=rules.select_training_tasks.output.selected,
        shards=[f"{SFT}/collect/shards/{shard}.jsonl" for shard in range(CONFIG.sft.shards)],
    output:
        transitions=f"{SFT}/collect/transitions.jsonl",
    log:
        f"{RESULTS}/logs/merge_training_transitions/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/merge_training_transitions/{{mixture}}.tsv"


rule draw_training_samples:
    input:
        environments=rules.select_training_tasks.output.selected,
        transitions=rules.merge_training_transitions.output.transitions,
        tasks=rules.select_training_tasks.output.tasks,
        benchmark=BENCHMARK,
        benchmark_environments=ENVIRONMENTS,
    output:
        samples=f"{SFT}/work/samples.jsonl",
        held_out=f"{SFT}/held_out.jsonl",
        drawn=f"{SFT}/work/drawn.json",
    log:
        f"{RESULTS}/logs/draw_training_samples/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/draw_training_samples/{{mixture}}.tsv"
    conda:
        "environment.yaml"
    threads: 2
    resources:
        mem_mb=more_each_time(3000),
        runtime=more_each_time(120),
    params:
        version=version("sft"),
        config=sft_settings("seed", "collect"),
    shell:
        "python -m envsim_core draw-training-samples --environments {input.environments:q}"
        " --transitions {input.transitions:q} --tasks {input.tasks:q} --benchmark {input.benchmark:q}"
        " --benchmark-environments {input.benchmark_environments:q} --mixture {wildcards.mixture:q}"
        " --samples {output.samples:q} --held-out {output.held_out:q} --drawn {output.drawn:q}"
        " --threads {threads} --config {params.config:q} 2>&1 | tee {log:q}"


# evaluation's own command: training and evaluation cannot drift apart
use rule render_prompts as render_training_prompts with:
    input:
        environments=rules.select_training_tasks.output.selected,
        benchmark=rules.draw_training_samples.output.samples,
    output:
        requests=f"{SFT}/work/requests.jsonl",
        slices=f"{SFT}/work/slices.json",
    log:
        f"{RESULTS}/logs/render_training_prompts/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/render_training_prompts/{{mixture}}.tsv"
    params:
        version=version("prompts"),
        config=sft_prompt_settings(),


use rule render_prompts as render_sliced_training_prompts with:
    input:
        environments=rules.select_training_tasks.output.selected,
        benchmark=rules.draw_training_samples.output.samples,
    output:
        requests=f"{SFT}/work/sliced_requests.jsonl",
        slices=f"{SFT}/work/sliced_slices.json",
    log:
        f"{RESULTS}/logs/render_sliced_training_prompts/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/render_sliced_training_prompts/{{mixture}}.tsv"
    params:
        version=version("prompts"),
        config=sft_prompt_settings("slice"),


use rule render_prompts as render_held_out_prompts with:
    input:
        environments=rules.select_training_tasks.output.selected,
        benchmark=rules.draw_training_samples.output.held_out,
    output:
        requests=f"{SFT}/work/held_out_requests.jsonl",
        slices=f"{SFT}/work/held_out_slices.json",
    log:
        f"{RESULTS}/logs/render_held_out_prompts/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/render_held_out_prompts/{{mixture}}.tsv"
    params:
        version=version("prompts"),
        config=sft_prompt_settings(),


rule write_training_files:
    input:
        environments=rules.select_training_tasks.output.selected,
        samples=rules.draw_training_samples.output.samples,
        requests=sft_requests,
        held_out=rules.draw_training_samples.output.held_out,
        held_out_requests=rules.render_held_out_prompts.output.requests,
        tasks=rules.select_training_tasks.output.tasks,
        drawn=rules.draw_training_samples.output.drawn,
        benchmark=BENCHMARK,
        benchmark_environments=ENVIRONMENTS,
    output:
        alpaca=f"{SFT}/alpaca.json",
        sharegpt=f"{SFT}/sharegpt.json",
        dataset_info=f"{SFT}/dataset_info.json",
        rows=f"{SFT}/rows.jsonl",
        rl=f"{SFT}/rl.jsonl",
        held_out_rl=f"{SFT}/held_out_rl.jsonl",
        held_out_benchmark=f"{SFT}/held_out.json",
        card=f"{SFT}/dataset_card/README.md",
        train_table=f"{SFT}/dataset_card/data/train.parquet",
        held_out_table=f"{SFT}/dataset_card/data/held_out.parquet",
        environments_table=f"{SFT}/dataset_card/data/environments.parquet",
        report=f"{SFT}/report.json",
        page=f"{SFT}/report.md",
    log:
        f"{RESULTS}/logs/write_training_files/{{mixture}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/write_training_files/{{mixture}}.tsv"
    conda:
        "environment.yaml"
    threads: 2
    resources:
        mem_mb=more_each_time(4000),
        runtime=more_each_time(60),
    params:
        version=version("sft"),
        data=lambda wildcards, output: str(Path(output.report).parent),
        config=sft_settings("seed", "collect"),
    shell:
        "python -m envsim_core write-training-files {input.requests:q} --environments {input.environments:q}"
        " --samples {input.samples:q} --held-out {input.held_out:q} --held-out-requests {input.held_out_requests:q}"
        " --tasks {input.tasks:q} --drawn {input.drawn:q} --benchmark {input.benchmark:q}"
        " --benchmark-environments {input.benchmark_environments:q} --mixture {wildcards.mixture:q}"
        " --data {params.data:q} --threads {threads} --config {params.config:q} 2>&1 | tee {log:q}"


rule sft_data:
    input:
        expand(rules.write_training_files.output, mixture=CONFIG.sft.mixture),
