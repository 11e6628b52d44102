# infer: chat requests in, one completion or reason per request out. The store beside the completions is not declared,
# because Snakemake would delete it when a job fails: it is what lets the next run go on.
rule infer_completions:
    input:
        requests=rules.render_prompts.output.requests,
        environments=ENVIRONMENTS,
        benchmark=BENCHMARK,
    output:
        completions=f"{RESULTS}/infer/{{model}}/completions.jsonl",
    log:
        f"{RESULTS}/logs/infer_completions/{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/infer_completions/{{model}}.tsv"
    conda:
        "environment.yaml"
    threads: 1
    resources:
        mem_mb=1500,
        runtime=720,
    params:
        version=version("infer"),
        config=settings("infer"),
        models_file=CONFIG.models_file,
        entry=model_settings,
    shell:
        "python -m envsim_core infer-completions --requests {input.requests:q}"
        " --environments {input.environments:q} --benchmark {input.benchmark:q} --model {wildcards.model:q}"
        " --models-file {params.models_file:q} --completions {output.completions:q}"
        " --config {params.config:q} 2>&1 | tee {log:q}"
