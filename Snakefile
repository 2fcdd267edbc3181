# The entry: minimum version, validated configuration, rules by stage, named targets.
from snakemake.utils import min_version

min_version("9.0")

# A configuration given with --configfile replaces the default one; it is not mixed with it.
if "name" not in config:

    configfile: "config/config.yaml"


# For --software-deployment-method apptainer; envs/drugtail.def says how it is made.
container: "drugtail.sif"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/tune.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/report.smk"
include: "workflow/rules/track.smk"


# What lies between is named beside what is made of it: going by the age of files alone, Snakemake
# makes no missing block if there are tables of the others, and no missing figure if there is a page.
rule all:
    default_target: True
    input:
        get_blocks("metrics.parquet"),
        get_models(),
        get_tables(),
        get_page(),
        get_tracking_record(),
    localrule: True


rule data:
    input:
        get_features(),
        get_splits("json"),
    localrule: True


rule train:
    input:
        get_blocks("status.json"),
        get_models(),
    localrule: True


rule tables:
    input:
        get_blocks("metrics.parquet"),
        get_tables(),
    localrule: True


rule page:
    input:
        get_blocks("metrics.parquet"),
        get_tables(),
        get_page(),
    localrule: True


rule track:
    input:
        get_blocks("metrics.parquet"),
        get_tracking_record(),
    localrule: True


rule strict:
    input:
        runs=f"{METRICS}/runs.parquet",
        everything=rules.all.input,
    log:
        f"{RESULTS}/logs/{BENCHMARK.name}/strict.log",
    localrule: True
    threads: 1
    resources:
        mem_mb=500,
    message:
        "Refusing gaps: every run of {BENCHMARK.name} must be finished"
    shell:
        "drugtail check --runs {input.runs:q} 2>&1 | tee {log:q}"


onstart:
    check_queue()
    write_plan(PLAN, Path(RESULTS))
    # With a limit of jobs per second, Snakemake looks for jobs again a second after each look, beside
    # the look after each job that ends: after a thousand jobs, a thousand times a second.
    workflow.scheduler.job_rate_limiter = None
    mark_run()


onsuccess:
    print(get_summary())
