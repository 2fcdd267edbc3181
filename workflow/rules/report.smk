# From metrics to tables, figures and the page.


# A table is made by what these axes have; of metrics it asks which way is better.
TABLE_AXES = (plugins.TABLE_KINDS, plugins.TESTS, plugins.METRICS)


def get_plot_files(figure):
    """The files that a figure is drawn from, by kind of input."""
    found = {
        "splits": get_splits("json"),
        "runs": [f"{METRICS}/runs.parquet"],
        "classes": [f"{METRICS}/class_metrics.parquet"],
        "history": [f"{METRICS}/class_history.parquet"],
        "embeddings": get_mapped_embeddings(),
    }
    return {kind: found[kind] for kind in plot_of(figure).inputs}


def get_plot_inputs(wildcards):
    """The same as one list."""
    return [
        path for paths in get_plot_files(wildcards.figure).values() for path in paths
    ]


def get_plot_options(wildcards):
    """The options that name them."""
    files = get_plot_files(wildcards.figure)
    return [
        word
        for kind, paths in files.items()
        for p in paths
        for word in (f"--{kind}", p)
    ]


def get_plot_code(wildcards):
    """Digest of what draws: one figure, no other."""
    return get_one_code("drugtail.report.plot", plugins.FIGURES, wildcards.figure)


def get_table_code(wildcards):
    """Digest of what makes a table: its kind, no other, and plugins that it may ask."""
    kind = PLAN.tables[wildcards.table].kind
    own = [f"drugtail.report.table_kinds.{kind}"] if kind in KINDS else []
    return [
        get_code("drugtail.report.tables", *own),
        *get_plugin_digests(*TABLE_AXES),
    ]


rule tabulate_results:
    input:
        runs=f"{METRICS}/runs.parquet",
        classes=f"{METRICS}/class_metrics.parquet",
        history=f"{METRICS}/class_history.parquet",
    output:
        csv=report(
            f"{TABLES}/{{table}}.csv",
            category="Tables",
            labels={"table": "{table}"},
            caption="../report/table.rst",
        ),
        md=f"{TABLES}/{{table}}.md",
        tex=f"{TABLES}/{{table}}.tex",
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/tabulate/{{table}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BENCHMARK.name}/tabulate/{{table}}.tsv"
    wildcard_constraints:
        table="|".join(PLAN.tables),
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        metrics=METRICS,
        stem=subpath(output.csv, strip_suffix=".csv"),
        reference=BENCHMARK.reference,
        settings=lambda w: PLAN.tables[w.table].model_dump_json(),
        plugins=get_plugin_options(*TABLE_AXES),
        code=get_table_code,
    message:
        "Writing the table {wildcards.table}"
    shell:
        "drugtail tabulate --metrics {params.metrics:q} --table {wildcards.table:q} --reference {params.reference:q} "
        "{params.plugins:q} --output {params.stem:q} 2>&1 | tee {log:q}"


rule plot_figure:
    input:
        get_plot_inputs,
    output:
        svg=report(
            f"{FIGURES}/{{figure}}.svg",
            category="Figures",
            labels={"figure": "{figure}"},
            caption="../report/figure.rst",
        ),
        png=f"{FIGURES}/{{figure}}.png",
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/plot/{{figure}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BENCHMARK.name}/plot/{{figure}}.tsv"
    wildcard_constraints:
        figure="|".join(BENCHMARK.figures) or "(?!)",
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        stem=subpath(output.svg, strip_suffix=".svg"),
        options=get_plot_options,
        plugins=lambda w: get_plugin_option(
            PLAN.additions.path(plugins.FIGURES, w.figure)
        ),
        caption=lambda w: plot_of(w.figure).caption,
        code=get_plot_code,
    message:
        "Drawing {wildcards.figure}"
    shell:
        "drugtail plot {wildcards.figure} {params.options:q} {params.plugins:q} "
        "--output {params.stem:q} 2>&1 | tee {log:q}"


rule build_page:
    input:
        runs=f"{METRICS}/runs.parquet",
        classes=f"{METRICS}/class_metrics.parquet",
        history=f"{METRICS}/class_history.parquet",
        tables=[f"{TABLES}/{name}.md" for name in PLAN.tables],
        figures=[f"{FIGURES}/{name}.svg" for name in BENCHMARK.figures],
        datasets=get_dataset_summaries(),
        splits=get_splits("json"),
        tunings=get_tunings(),
        predictions=get_blocks("predictions.parquet"),
    output:
        page=report(get_page(), category="Page", caption="../report/page.rst"),
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/page.log",
    benchmark:
        f"{RESULTS}/benchmarks/{BENCHMARK.name}/page.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        # Functions, since Snakemake takes braces in a plain text for wildcards.
        title=lambda w: BENCHMARK.title,
        reference=BENCHMARK.reference,
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
        plugins=get_plugin_options(plugins.FIGURES),
        blocks=get_block_folders(),
        code=[get_code("drugtail.report.page"), *get_plugin_digests(plugins.FIGURES)],
        template=file_digest(PACKAGE / "report/page.html"),
    message:
        "Building the page {output.page}"
    shell:
        "drugtail page --runs {input.runs:q} --classes {input.classes:q} --history {input.history:q} "
        "--reference {params.reference:q} --title {params.title:q} {params.note_options:q} "
        "{params.options:q} {params.plugins:q} --output {output.page:q} {params.blocks:q} "
        "2>&1 | tee {log:q}"
