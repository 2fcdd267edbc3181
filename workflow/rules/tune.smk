# Tuning: one job chooses the settings of one method, on validation molecules.


rule tune_method:
    input:
        molecules=f"{RESULTS}/data/{{dataset}}/molecules.parquet",
        split=f"{RESULTS}/splits/{{dataset}}/{{split}}.parquet",
        features=get_block_features,
    output:
        # journal.json in the same folder is no output: it must outlive a job that is cut off.
        best=f"{TUNING}/best.json",
        trials=f"{TUNING}/trials.parquet",
        manifest=f"{TUNING}/manifest.json",
    log:
        f"{RESULTS}/logs/tune/{{dataset}}/{{split}}/{{encoder}}/{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tune/{{dataset}}/{{split}}/{{encoder}}/{{method}}.tsv"
    threads: 1
    resources:
        mem_mb=3000,
        runtime=1440,
    params:
        method=get_method,
        encoder=lambda w: CATALOGUE.path("encoders", w.encoder),
        assignments=get_assignments,
        folder=subpath(output.best, parent=True),
        seeds=lambda w: BENCHMARK.tuning.seeds,
        trials=lambda w: BENCHMARK.tuning.trials,
        settings=get_tuning_settings,
        code=get_code("drugtail.training.tune"),
    message:
        "Tuning {wildcards.method} on {wildcards.dataset} {wildcards.split}"
    shell:
        "drugtail tune --molecules {input.molecules:q} --split {input.split:q} "
        "--features {input.features:q} {params.method} --encoder {params.encoder:q} "
        "--seeds {params.seeds:q} --trials {params.trials:q} {params.assignments} "
        "--threads {threads} --output {params.folder:q} 2>&1 | tee {log:q}"
