# Training: one job is a block of seeds of one method.

MODEL = [f"{BLOCK}/model.pt"] if BENCHMARK.keep_models else []


rule train_network:
    input:
        molecules=f"{SHARED}/data/{{dataset}}/molecules.parquet",
        split=get_block_split,
        features=get_block_features,
        tuned=get_tuned,
    output:
        f"{BLOCK}/predictions.parquet",
        f"{BLOCK}/history.parquet",
        f"{BLOCK}/class_history.parquet",
        f"{BLOCK}/manifest.json",
        f"{BLOCK}/embeddings.parquet",
        *MODEL,
        status=f"{BLOCK}/status.json",
    log:
        f"{RESULTS}/logs/train/{BLOCK_NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{BLOCK_NAME}.tsv"
    wildcard_constraints:
        encoder=get_encoders(network=True),
        method=get_methods(ensemble=False),
    threads: 1
    resources:
        mem_mb=get_megabytes,
        runtime=get_minutes,
        gpu=GPU,
    params:
        block=BLOCK_NAME,
        folder=subpath(output.status, parent=True),
        checkpoints=f"{RESULTS}/checkpoints/{BLOCK_NAME}",
        tuned=lambda w, input: (
            f"--tuned {shlex.quote(input.tuned)}" if input.tuned else ""
        ),
        code=get_block_code("drugtail.training.block"),
    message:
        "Training {wildcards.method} on {wildcards.encoder}, {wildcards.dataset} {wildcards.split}, seeds {wildcards.seeds}"
    shell:
        "drugtail train --block {params.block:q} --molecules {input.molecules:q} "
        "--split {input.split:q} --features {input.features:q} --seeds {wildcards.seeds} "
        "{params.tuned} --checkpoints {params.checkpoints:q} "
        "--threads {threads} --output {params.folder:q} 2>&1 | tee {log:q}"


rule train_classical:
    input:
        molecules=f"{SHARED}/data/{{dataset}}/molecules.parquet",
        split=get_block_split,
        features=get_block_features,
        tuned=get_tuned,
    output:
        f"{BLOCK}/predictions.parquet",
        f"{BLOCK}/history.parquet",
        f"{BLOCK}/class_history.parquet",
        f"{BLOCK}/manifest.json",
        *MODEL,
        status=f"{BLOCK}/status.json",
    log:
        f"{RESULTS}/logs/train/{BLOCK_NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{BLOCK_NAME}.tsv"
    wildcard_constraints:
        encoder=get_encoders(network=False),
        method=get_methods(ensemble=False),
    threads: 1
    resources:
        mem_mb=get_megabytes,
        runtime=get_minutes,
    params:
        block=BLOCK_NAME,
        folder=subpath(output.status, parent=True),
        tuned=lambda w, input: (
            f"--tuned {shlex.quote(input.tuned)}" if input.tuned else ""
        ),
        code=get_block_code("drugtail.training.block"),
    message:
        "Fitting {wildcards.method} on {wildcards.encoder}, {wildcards.dataset} {wildcards.split}, seeds {wildcards.seeds}"
    shell:
        "drugtail train --block {params.block:q} --molecules {input.molecules:q} "
        "--split {input.split:q} --features {input.features:q} --seeds {wildcards.seeds} "
        "{params.tuned} --device cpu --threads {threads} "
        "--output {params.folder:q} 2>&1 | tee {log:q}"


rule average_members:
    input:
        molecules=f"{SHARED}/data/{{dataset}}/molecules.parquet",
        split=get_block_split,
        members=get_members("status.json"),
        predictions=get_members("predictions.parquet"),
        models=get_members("model.pt") if BENCHMARK.keep_models else [],
    output:
        f"{BLOCK}/predictions.parquet",
        f"{BLOCK}/history.parquet",
        f"{BLOCK}/class_history.parquet",
        f"{BLOCK}/manifest.json",
        *MODEL,
        status=f"{BLOCK}/status.json",
    log:
        f"{RESULTS}/logs/train/{BLOCK_NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train/{BLOCK_NAME}.tsv"
    wildcard_constraints:
        method=get_methods(ensemble=True),
    threads: 1
    resources:
        mem_mb=times_attempt(3000),
        runtime=times_attempt(20),
    params:
        block=BLOCK_NAME,
        folder=subpath(output.status, parent=True),
        members=lambda w, input: [str(Path(path).parent) for path in input.members],
        code=get_block_code(None),
    message:
        "Averaging {wildcards.method} on {wildcards.encoder}, {wildcards.dataset} {wildcards.split}, seeds {wildcards.seeds}"
    shell:
        "drugtail ensemble --block {params.block:q} --molecules {input.molecules:q} "
        "--split {input.split:q} --seeds {wildcards.seeds} "
        "--output {params.folder:q} {params.members:q} 2>&1 | tee {log:q}"
