# From predictions to one table of runs.


rule evaluate_block:
    input:
        predictions=f"{BLOCK}/predictions.parquet",
        status=f"{BLOCK}/status.json",
    output:
        metrics=f"{BLOCK}/metrics.parquet",
        classes=f"{BLOCK}/class_metrics.parquet",
    log:
        f"{RESULTS}/logs/evaluate/{BLOCK_NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate/{BLOCK_NAME}.tsv"
    threads: 1
    resources:
        mem_mb=times_attempt(1000),
        runtime=times_attempt(EVALUATE_MINUTES),
    params:
        block=BLOCK_NAME,
        code=get_code("drugtail.evaluation.evaluate"),
    message:
        "Evaluating {wildcards.method} on {wildcards.dataset} {wildcards.split}"
    shell:
        "drugtail evaluate --block {params.block:q} --predictions {input.predictions:q} "
        "--metrics {output.metrics:q} --classes {output.classes:q} 2>&1 | tee {log:q}"


rule collect_metrics:
    input:
        metrics=get_blocks("metrics.parquet"),
        status=get_blocks("status.json"),
        separability=get_separability(),
    output:
        runs=f"{METRICS}/runs.parquet",
        classes=f"{METRICS}/class_metrics.parquet",
        history=f"{METRICS}/class_history.parquet",
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/collect.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BENCHMARK.name}/collect.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        blocks=get_block_folders(),
        folder=METRICS,
        plugins=get_plugin_options(plugins.METRICS),
        separability=[
            word for path in get_separability() for word in ("--separability", path)
        ],
        # The plan says them to the job.
        corrections=BENCHMARK.prior_corrections,
        thresholds=BENCHMARK.ghost_thresholds,
        notes=PLAN.method_notes(),
        code=[
            get_code("drugtail.evaluation.collect"),
            *get_plugin_digests(plugins.METRICS),
        ],
    message:
        "Collecting the metrics of {BENCHMARK.name}"
    shell:
        "drugtail collect {params.plugins:q} {params.separability:q} --output {params.folder:q} "
        "{params.blocks:q} 2>&1 | tee {log:q}"
