# From metrics to tables, figures and the page.


def get_plot_inputs(wildcards):
    """What a figure is drawn from."""
    return {
        "class_sizes": get_splits("json"),
        "recall_by_class_size": [f"{METRICS}/class_metrics.parquet"],
        "class_history": [f"{METRICS}/class_history.parquet"],
        "embedding_map": get_mapped_embeddings(),
        "identifiability": [
            f"{METRICS}/class_metrics.parquet",
            f"{METRICS}/class_history.parquet",
        ],
    }[wildcards.figure]


rule tabulate_results:
    input:
        runs=f"{METRICS}/runs.parquet",
        classes=f"{METRICS}/class_metrics.parquet",
        history=f"{METRICS}/class_history.parquet",
    output:
        multiext(f"{TABLES}/{{table}}", csv=".csv", md=".md", tex=".tex"),
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/tabulate/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BENCHMARK.name}/tabulate/{{table}}.tsv"
    wildcard_constraints:
        table="|".join(PLAN.tables),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        metrics=METRICS,
        stem=subpath(output.csv, strip_suffix=".csv"),
        reference=BENCHMARK.reference,
        settings=lambda w: PLAN.tables[w.table].model_dump_json(),
        code=get_code("drugtail.report.tables"),
    message:
        "Writing the table {wildcards.table}"
    shell:
        "drugtail tabulate --metrics {params.metrics:q} --table {wildcards.table:q} --reference {params.reference:q} "
        "--output {params.stem:q} 2>&1 | tee {log:q}"


rule plot_figure:
    input:
        get_plot_inputs,
    output:
        multiext(f"{FIGURES}/{{figure}}", svg=".svg", png=".png"),
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/plot/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BENCHMARK.name}/plot/{{figure}}.tsv"
    wildcard_constraints:
        figure="|".join(PLOTS),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        stem=subpath(output.svg, strip_suffix=".svg"),
        code=get_code("drugtail.report.figures"),
    message:
        "Drawing {wildcards.figure}"
    shell:
        "drugtail plot {wildcards.figure} {input:q} --output {params.stem:q} 2>&1 | tee {log:q}"


rule build_page:
    input:
        runs=f"{METRICS}/runs.parquet",
        tables=[f"{TABLES}/{name}.md" for name in PLAN.tables],
        figures=[f"{FIGURES}/{name}.svg" for name in PLOTS],
        datasets=get_dataset_summaries(),
        splits=get_splits("json"),
        tunings=get_tunings(),
    output:
        get_page(),
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/page.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BENCHMARK.name}/page.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # Functions, since Snakemake takes braces in a plain text for wildcards.
        title=lambda w: BENCHMARK.title,
        notes=lambda w: PLAN.notes(),
        options=lambda w, input: [
            word
            for kind in ("table", "figure", "dataset", "split", "tuning")
            for path in input.get(f"{kind}s")
            for word in (f"--{kind}", path)
        ],
        note_options=lambda w: [
            word for note in PLAN.notes() for word in ("--note", note)
        ],
        code=get_code("drugtail.report.page"),
        template=file_digest(HOME / "workflow/drugtail/report/page.html"),
    message:
        "Building the page {output}"
    shell:
        "drugtail page --runs {input.runs:q} --title {params.title:q} {params.note_options:q} "
        "{params.options:q} --output {output:q} 2>&1 | tee {log:q}"
