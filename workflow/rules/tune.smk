# Tuning: one job chooses the settings of one method, on validation molecules.


rule tune_method:
    input:
        molecules=f"{SHARED}/data/{{dataset}}/molecules.parquet",
        split=get_block_split,
        features=get_block_features,
    output:
        # journal.json in the same folder is no output: it must outlive a job that is cut off.
        best=f"{TUNING}/best.json",
        trials=f"{TUNING}/trials.parquet",
        manifest=f"{TUNING}/manifest.json",
    log:
        f"{RESULTS}/logs/tune/{TUNING_NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tune/{TUNING_NAME}.tsv"
    threads: 1
    resources:
        mem_mb=get_megabytes,
        runtime=get_minutes,
        gpu=lambda w: GPU if PLAN.recipes[w.method].is_network else 0,
    params:
        # Any of its blocks says what is tuned.
        block=lambda w: f"{TUNING_NAME}/seeds{BENCHMARK.seeds[0]}".format(
            **dict(w.items())
        ),
        folder=subpath(output.best, parent=True),
        seeds=lambda w: BENCHMARK.tuning.seeds,
        trials=lambda w: BENCHMARK.tuning.trials,
        code=get_block_code("drugtail.training.tune"),
    message:
        "Tuning {wildcards.method} on {wildcards.dataset} {wildcards.split}"
    shell:
        "drugtail tune --block {params.block:q} --molecules {input.molecules:q} "
        "--split {input.split:q} --features {input.features:q} "
        "--seeds {params.seeds:q} --trials {params.trials:q} "
        "--threads {threads} --output {params.folder:q} 2>&1 | tee {log:q}"
