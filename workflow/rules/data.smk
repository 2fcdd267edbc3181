# From published files to features and splits.


rule fetch_dataset:
    output:
        ensure(f"{RESULTS}/data/{{dataset}}/raw/fetch.json", non_empty=True),
    log:
        f"{RESULTS}/logs/fetch/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fetch/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=get_names(lambda dataset: dataset.files),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        dataset=lambda w: CATALOGUE.path("datasets", w.dataset),
        folder=subpath(output[0], parent=True),
        settings=lambda w: get_register_part(w, "files", "columns", "expected"),
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "drugtail fetch --dataset {params.dataset:q} --output {params.folder:q} "
        "2>&1 | tee {log:q}"


rule generate_dataset:
    output:
        ensure(f"{RESULTS}/data/{{dataset}}/raw/generated.csv", non_empty=True),
    log:
        f"{RESULTS}/logs/generate/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/generate/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=get_names(lambda dataset: dataset.generator),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        dataset=lambda w: CATALOGUE.path("datasets", w.dataset),
        folder=subpath(output[0], parent=True),
        settings=lambda w: get_register_part(w, "generator"),
        code=get_code("drugtail.data.generate"),
    message:
        "Generating the synthetic data set {wildcards.dataset}"
    shell:
        "drugtail generate --dataset {params.dataset:q} --output {params.folder:q} 2>&1 | tee {log:q}"


rule prepare_dataset:
    input:
        get_raw_table,
    output:
        molecules=f"{RESULTS}/data/{{dataset}}/molecules.parquet",
        rejected=f"{RESULTS}/data/{{dataset}}/rejected.csv",
        summary=f"{RESULTS}/data/{{dataset}}/dataset.json",
    log:
        f"{RESULTS}/logs/prepare/{{dataset}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/prepare/{{dataset}}.tsv"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        dataset=lambda w: CATALOGUE.path("datasets", w.dataset),
        raw=subpath(input[0], parent=True),
        folder=subpath(output.molecules, parent=True),
        settings=lambda w: get_register_part(
            w, "columns", "official", "classes", "duplicates", "conflicts", "expected"
        ),
        code=get_code("drugtail.data.prepare"),
    message:
        "Parsing and cleaning the molecules of {wildcards.dataset}"
    shell:
        "drugtail prepare --dataset {params.dataset:q} --raw {params.raw:q} "
        "--output {params.folder:q} --workers {threads} 2>&1 | tee {log:q}"


rule split_dataset:
    input:
        f"{RESULTS}/data/{{dataset}}/molecules.parquet",
    output:
        subsets=f"{RESULTS}/splits/{{dataset}}/{{split}}.parquet",
        summary=f"{RESULTS}/splits/{{dataset}}/{{split}}.json",
    log:
        f"{RESULTS}/logs/split/{{dataset}}/{{split}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/split/{{dataset}}/{{split}}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=20,
    params:
        stem=subpath(output.subsets, strip_suffix=".parquet"),
        strategy=lambda w: get_split_axis(w, "strategy"),
        seed=lambda w: get_split_axis(w, "seed"),
        code=get_code("drugtail.data.split"),
    message:
        "Cutting {wildcards.dataset} into train, valid and test: {wildcards.split}"
    shell:
        "drugtail split --molecules {input:q} --strategy {params.strategy:q} --seed {params.seed:q} "
        "--output {params.stem:q} 2>&1 | tee {log:q}"


rule featurize_dataset:
    input:
        f"{RESULTS}/data/{{dataset}}/molecules.parquet",
    output:
        directory(f"{RESULTS}/features/{{dataset}}/{{featurizer}}"),
    log:
        f"{RESULTS}/logs/featurize/{{dataset}}/{{featurizer}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/featurize/{{dataset}}/{{featurizer}}.tsv"
    threads: 2
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        code=get_code("drugtail.features.featurize"),
    message:
        "Featurizing {wildcards.dataset}: {wildcards.featurizer}"
    shell:
        "drugtail featurize --molecules {input:q} --featurizer {wildcards.featurizer} "
        "--output {output:q} --workers {threads} 2>&1 | tee {log:q}"
