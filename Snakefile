# The workflow: environments -> transitions -> audit -> benchmark -> prompts -> completions -> verdicts -> report.
# One room is one file in rules/, one module in envsim_core/stages/ and one folder in results/.
from snakemake.utils import min_version

min_version("9.0")


configfile: "configs/config.yaml"


report: "rules/captions/workflow.rst"


include: "rules/common.smk"
include: "rules/collect.smk"
include: "rules/audit.smk"
include: "rules/stratify.smk"
include: "rules/benchmark.smk"
include: "rules/prompts.smk"
include: "rules/infer.smk"
include: "rules/score.smk"
include: "rules/ablation.smk"
include: "rules/repeats.smk"
include: "rules/report.smk"
include: "rules/evaluate.smk"
include: "rules/sft.smk"
include: "rules/verify.smk"
include: "rules/train.smk"
include: "rules/rl.smk"
include: "rules/synth.smk"
include: "rules/rollouts.smk"


# seconds of work each: not worth a place in a cluster's queue
localrules:
    all,
    simulator,
    serve_simulator,
    ablate_prompts,
    ablation,
    benchmark,
    export_benchmark,
    partial_report,
    report,
    measure_repeats,
    render_prompts,
    score_ablation,
    score_completions,
    score_repeat,
    write_ablation,
    write_report,


# data -> SFT -> RL -> serve -> benchmark -> report: the trained models are entries like any other
rule simulator:
    input:
        rules.report.input,


# What is missing is trained, then the model is served for other programs until ctrl-C, by this process itself when
# Snakemake is through: other runs in this folder are not locked out meanwhile. Without an output it always runs.
rule serve_simulator:
    input:
        weights=served_weights,
    log:
        f"{RESULTS}/logs/serve_simulator.log",
    conda:
        "rules/environment.yaml"
    shell:
        "echo 'to be served: {input.weights}' | tee {log:q}"


rule all:
    default_target: True
    input:
        rules.report.input,


# the one moment when the plugin is loaded and has not yet looked at the queue
onstart:
    hold_run()
    watch_queue()


onsuccess:
    if REPORTED & set(workflow.dag_settings.targets or ["all"]):
        shell("python -m envsim_core show-leaderboard --report {RESULTS}/report")
    serve_afterwards()


onerror:
    if 0 < len(finished_models()) < len(CONFIG.models) and REPORTED & set(workflow.dag_settings.targets or ["all"]):
        print(
            f"{len(finished_models())} of {len(CONFIG.models)} models are complete; `snakemake partial_report`, with the"
            " same options, writes the report of those",
            file=sys.stderr,
        )
