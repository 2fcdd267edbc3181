# Training: one job is a block of seeds of one method.


rule train_network:
    input:
        molecules=f"{RESULTS}/data/{{dataset}}/molecules.parquet",
        split=f"{RESULTS}/splits/{{dataset}}/{{split}}.parquet",
        features=get_block_features,
        tuned=get_tuned,
    output:
        f"{BLOCK}/predictions.parquet",
        f"{BLOCK}/history.parquet",
        f"{BLOCK}/class_history.parquet",
        f"{BLOCK}/manifest.json",
        f"{BLOCK}/model.pt",
        f"{BLOCK}/embeddings.parquet",
        status=f"{BLOCK}/status.json",
    log:
        f"{RESULTS}/logs/train/{BLOCK_NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{BLOCK_NAME}.tsv"
    wildcard_constraints:
        encoder=get_encoders("graph"),
    threads: 1
    resources:
        mem_mb=3000,
        runtime=720,
    params:
        method=get_method,
        encoder=lambda w: CATALOGUE.path("encoders", w.encoder),
        assignments=get_assignments,
        folder=subpath(output.status, parent=True),
        checkpoints=f"{RESULTS}/checkpoints/{BLOCK_NAME}",
        tuned=lambda w, input: (
            f"--tuned {shlex.quote(input.tuned)}" if input.tuned else ""
        ),
        settings=get_block_settings,
        code=get_code("drugtail.training.block"),
    message:
        "Training {wildcards.method}{wildcards.settings} on {wildcards.dataset} {wildcards.split}, seeds {wildcards.seeds}"
    shell:
        "drugtail train --molecules {input.molecules:q} --split {input.split:q} "
        "--features {input.features:q} {params.method} --encoder {params.encoder:q} "
        "--seeds {wildcards.seeds} {params.assignments} {params.tuned} --checkpoints {params.checkpoints:q} "
        "--threads {threads} --output {params.folder:q} 2>&1 | tee {log:q}"


rule train_classical:
    input:
        molecules=f"{RESULTS}/data/{{dataset}}/molecules.parquet",
        split=f"{RESULTS}/splits/{{dataset}}/{{split}}.parquet",
        features=get_block_features,
        tuned=get_tuned,
    output:
        f"{BLOCK}/predictions.parquet",
        f"{BLOCK}/history.parquet",
        f"{BLOCK}/class_history.parquet",
        f"{BLOCK}/manifest.json",
        status=f"{BLOCK}/status.json",
    log:
        f"{RESULTS}/logs/train/{BLOCK_NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{BLOCK_NAME}.tsv"
    wildcard_constraints:
        encoder=get_encoders("fingerprint"),
    threads: 1
    resources:
        mem_mb=3000,
        runtime=240,
    params:
        method=get_method,
        encoder=lambda w: CATALOGUE.path("encoders", w.encoder),
        assignments=get_assignments,
        folder=subpath(output.status, parent=True),
        tuned=lambda w, input: (
            f"--tuned {shlex.quote(input.tuned)}" if input.tuned else ""
        ),
        settings=get_block_settings,
        code=get_code("drugtail.training.block"),
    message:
        "Fitting {wildcards.method}{wildcards.settings} on {wildcards.dataset} {wildcards.split}, seeds {wildcards.seeds}"
    shell:
        "drugtail train --molecules {input.molecules:q} --split {input.split:q} "
        "--features {input.features:q} {params.method} --encoder {params.encoder:q} "
        "--seeds {wildcards.seeds} {params.assignments} {params.tuned} --device cpu --threads {threads} "
        "--output {params.folder:q} 2>&1 | tee {log:q}"
