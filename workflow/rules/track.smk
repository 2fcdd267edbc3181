# MLflow is a view of the files: nothing depends on it.


rule track_runs:
    input:
        metrics=get_blocks("metrics.parquet"),
        status=get_blocks("status.json"),
        runs=f"{METRICS}/runs.parquet",
    output:
        get_tracking_record(),
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/track.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BENCHMARK.name}/track.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=1500,
        runtime=60,
    params:
        blocks=lambda w, input: [str(Path(path).parent) for path in input.status],
        name=BENCHMARK.name,
        results=RESULTS,
        metrics=METRICS,
        uri=lambda w: (
            f"--uri {shlex.quote(BENCHMARK.tracking.uri)}"
            if BENCHMARK.tracking.uri
            else ""
        ),
        # Set later, it is another place to import into.
        address=lambda w: get_tracking_uri(),
        experiment=lambda w: BENCHMARK.tracking.experiment or BENCHMARK.name,
    message:
        "Importing the runs of {BENCHMARK.name} into MLflow"
    shell:
        "drugtail track {params.blocks:q} --benchmark {params.name:q} --results {params.results:q} "
        "--metrics {params.metrics:q} "
        "{params.uri} --experiment {params.experiment:q} --done {output:q} 2>&1 | tee {log:q}"
