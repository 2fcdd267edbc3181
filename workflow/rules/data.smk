# From published files to features and splits.
from drugtail.config.dataset import Dataset

# What a register says for people, and where the raw files come from: fetched anew, they are
# prepared anew.
NOT_PREPARED_BY = (
    "title",
    "task",
    "synthetic",
    "licence",
    "citation",
    "note",
    "meaning",
) + (
    "files",
    "generator",
)


rule fetch_dataset:
    output:
        ensure(f"{SHARED}/data/{{dataset}}/raw/fetch.json", non_empty=True),
    log:
        f"{SHARED}/logs/fetch/{{dataset}}.log",
    benchmark:
        f"{SHARED}/benchmarks/fetch/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=get_names(lambda dataset: dataset.files),
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=60,
    params:
        folder=subpath(output[0], parent=True),
        settings=lambda w: get_register_part(
            w, "files", "columns", "tasks", "labels", "expected"
        ),
        local=get_local_files,
    message:
        "Fetching {wildcards.dataset}"
    shell:
        "drugtail fetch --dataset {wildcards.dataset:q} --output {params.folder:q} "
        "2>&1 | tee {log:q}"


rule generate_dataset:
    output:
        ensure(f"{SHARED}/data/{{dataset}}/raw/generated.csv", non_empty=True),
    log:
        f"{SHARED}/logs/generate/{{dataset}}.log",
    benchmark:
        f"{SHARED}/benchmarks/generate/{{dataset}}.tsv"
    wildcard_constraints:
        dataset=get_names(lambda dataset: dataset.generator),
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        folder=subpath(output[0], parent=True),
        settings=lambda w: get_register_part(w, "generator"),
        code=get_code("drugtail.data.generate"),
    message:
        "Generating the synthetic data set {wildcards.dataset}"
    shell:
        "drugtail generate --dataset {wildcards.dataset:q} --output {params.folder:q} 2>&1 | tee {log:q}"


rule prepare_dataset:
    input:
        get_raw_table,
    output:
        molecules=f"{SHARED}/data/{{dataset}}/molecules.parquet",
        summary=f"{SHARED}/data/{{dataset}}/dataset.json",
    log:
        f"{SHARED}/logs/prepare/{{dataset}}.log",
    benchmark:
        f"{SHARED}/benchmarks/prepare/{{dataset}}.tsv"
    threads: 2
    resources:
        mem_mb=times_attempt(2000),
        runtime=get_data_minutes,
    params:
        raw=subpath(input[0], parent=True),
        folder=subpath(output.molecules, parent=True),
        settings=lambda w: get_register_part(
            w, *(key for key in Dataset.model_fields if key not in NOT_PREPARED_BY)
        ),
        code=get_code("drugtail.data.prepare"),
    message:
        "Parsing and cleaning the molecules of {wildcards.dataset}"
    shell:
        "drugtail prepare --dataset {wildcards.dataset:q} --raw {params.raw:q} "
        "--output {params.folder:q} --workers {threads} 2>&1 | tee {log:q}"


rule split_dataset:
    input:
        f"{SHARED}/data/{{dataset}}/molecules.parquet",
    output:
        subsets=f"{SHARED}/splits/{{dataset}}/{{split}}.parquet",
        summary=f"{SHARED}/splits/{{dataset}}/{{split}}.json",
    log:
        f"{SHARED}/logs/split/{{dataset}}/{{split}}.log",
    benchmark:
        f"{SHARED}/benchmarks/split/{{dataset}}/{{split}}.tsv"
    threads: 1
    resources:
        mem_mb=times_attempt(1000),
        runtime=times_attempt(SPLIT_MINUTES),
    params:
        stem=subpath(output.subsets, strip_suffix=".parquet"),
        options=get_split_options,
        plugin=get_split_plugin,
        code=get_split_code,
    message:
        "Cutting {wildcards.dataset} into train, valid and test: {wildcards.split}"
    shell:
        "drugtail split --molecules {input:q} {params.options:q} {params.plugin:q} "
        "--output {params.stem:q} 2>&1 | tee {log:q}"


rule measure_separability:
    input:
        molecules=f"{SHARED}/data/{{dataset}}/molecules.parquet",
        split=f"{SHARED}/splits/{{dataset}}/{{split}}.parquet",
    output:
        f"{SHARED}/separability/{{dataset}}/{{split}}.parquet",
    log:
        f"{SHARED}/logs/separability/{{dataset}}/{{split}}.log",
    benchmark:
        f"{SHARED}/benchmarks/separability/{{dataset}}/{{split}}.tsv"
    threads: 1
    resources:
        mem_mb=times_attempt(2000),
        runtime=times_attempt(10),
    params:
        code=get_code("drugtail.features.separability"),
    message:
        "Measuring the separability of classes of {wildcards.dataset} on {wildcards.split}"
    shell:
        "drugtail separability --molecules {input.molecules:q} --split {input.split:q} "
        "--output {output:q} 2>&1 | tee {log:q}"


rule featurize_dataset:
    input:
        f"{SHARED}/data/{{dataset}}/molecules.parquet",
    output:
        directory(f"{SHARED}/features/{{dataset}}/{{featurizer}}"),
    log:
        f"{SHARED}/logs/featurize/{{dataset}}/{{featurizer}}.log",
    benchmark:
        f"{SHARED}/benchmarks/featurize/{{dataset}}/{{featurizer}}.tsv"
    threads: 2
    resources:
        mem_mb=times_attempt(2000),
        runtime=get_data_minutes,
    params:
        name=lambda w: Path(w.featurizer).name,
        plugin=get_featurizer_plugin,
        vectors=get_vector_options,
        code=get_features_code,
    message:
        "Featurizing {wildcards.dataset}: {wildcards.featurizer}"
    shell:
        "drugtail featurize --molecules {input:q} --featurizer {params.name:q} "
        "{params.plugin:q} {params.vectors:q} --output {output:q} --workers {threads} 2>&1 | tee {log:q}"
