# Configuration, and the functions that say which files a benchmark consists of.
import json
import os
import re
import shlex
import sys
import time
from pathlib import Path

HOME = Path(str(workflow.current_basedir)).parents[1]
# The code of this folder, here and in jobs, also where an environment or an image has another copy.
CODE = str(HOME / "workflow")
sys.path.insert(0, CODE)
PYTHONPATH = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([CODE, *PYTHONPATH]))

from drugtail import plugins
from drugtail.benchmark import slurm
from drugtail.benchmark.plan import Plan
from drugtail.benchmark.record import plan_path, write_plan
from drugtail.benchmark.resources import (
    EVALUATE_MINUTES,
    SPLIT_MINUTES,
    data_minutes,
    megabytes_to_ask_for,
    minutes_to_ask_for,
)
from drugtail.config.catalogue import Catalogue, parse_benchmark
from drugtail.config.code import code_of
from drugtail.config.split_name import parse_split
from drugtail.config.table import KINDS
from drugtail.features.choice import module_of, parts_of
from drugtail.report.plots import plot_of
from drugtail.runtime import names, turns
from drugtail.runtime.digest import PACKAGE, code_digest, file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import write_json
from drugtail.runtime.invocation import program
from snakemake.exceptions import WorkflowError

# The command of the environment that runs the workflow, also when that is not activated.
BIN = os.path.relpath(Path(sys.executable).parent)
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

# Relative where that is the same place, so that logged commands can be copied as they stand.
CONFIG = Path("config") if Path("config/methods").is_dir() else HOME / "config"

# What only looks, or frees the folder, may do so beside a run.
LOOKING = (
    r"--(dry-?run|unlock|lint|(detailed-)?summary|d3?ag|rulegraph|filegraph)"
    r"|--(list|report).*|-[lS]|-n\w*|-\wn"
)
if workflow.is_main_process and not any(re.fullmatch(LOOKING, w) for w in sys.argv):
    if reason := turns.reason_against_a_start():
        raise WorkflowError(
            f"{reason}. Nothing was started; `{program('drugtail')} unlock` waits for its end, as make does"
        )

FILES = ", ".join(str(path) for path in workflow.configfiles) or "configuration"


def get_plan():
    """The benchmark: of a job as it was when the job was planned, else as it is now."""
    planned = os.environ.get(names.PLAN_VARIABLE)
    if planned and not workflow.is_main_process:
        return Plan.read(Path(planned))
    # Snakemake leaves `true` and `false` of its option --config as text.
    truth = {"true": True, "false": False}
    given = {k: truth.get(v, v) if isinstance(v, str) else v for k, v in config.items()}
    return Plan(parse_benchmark(given, FILES), Catalogue(CONFIG))


try:
    PLAN = get_plan()
except DrugtailError as error:
    named = str(error).startswith(FILES)
    raise WorkflowError(str(error) if named else f"{FILES}: {error}")
BENCHMARK = PLAN.benchmark

# Not an option of the rule: where a file comes from is no reason to fetch it again.
if BENCHMARK.mirror:
    os.environ["DRUGTAIL_MIRROR"] = BENCHMARK.mirror
# Nor is the device that a network is trained on a reason to train it again.
os.environ["DRUGTAIL_DEVICE"] = BENCHMARK.device
# Wanted by the configuration, it is asked for from a cluster, too.
GPU = int(BENCHMARK.device == "cuda")

RESULTS = BENCHMARK.results
# Data, splits and features are the same for all benchmarks.
SHARED = str(names.SHARED)
# Jobs read what was planned, also if the files of configuration have changed since. Neither an
# input nor an option of a rule: then everything would run again with any change of it.
PLAN_FILE = plan_path(PLAN, Path(RESULTS))
os.environ[names.PLAN_VARIABLE] = str(PLAN_FILE)
METRICS = f"{RESULTS}/metrics/{BENCHMARK.name}"
TABLES = f"{RESULTS}/tables/{BENCHMARK.name}"
FIGURES = f"{RESULTS}/figures/{BENCHMARK.name}"
# The digest stands for the settings: blocks of other settings lie beside.
BLOCK_NAME = "{dataset}/{split}/{encoder}/{method}-{digest}/seeds{seeds}"
BLOCK = f"{RESULTS}/runs/{BLOCK_NAME}"
TUNING_NAME = "{dataset}/{split}/{encoder}/{method}-{digest}"
TUNING = f"{RESULTS}/tuning/{TUNING_NAME}"


wildcard_constraints:
    dataset=r"[^/]+",
    split=r"(plugin-[0-9a-f]+/)?[^/]+",
    encoder=r"[^/]+",
    method="|".join(re.escape(name) for name in PLAN.recipes),
    digest=r"[0-9a-f]+",
    featurizer=r"(plugin-[0-9a-f]+/)?[^/]+",
    seeds=r"\d+-\d+",


def get_code(*modules):
    """Digest of the code a stage uses, so that changing it runs the stage again."""
    return code_digest(*modules)


def get_names(keep):
    """A pattern of the registers that a rule is for."""
    names = [re.escape(name) for name, value in PLAN.registers.items() if keep(value)]
    return "|".join(names) or "(?!)"


def get_planned():
    """The blocks of the benchmark; with `partial: true` the finished ones."""
    return [
        block
        for block in PLAN.blocks()
        if not BENCHMARK.partial
        or Path(RESULTS, "runs", block.path, "status.json").is_file()
    ]


def get_blocks(file):
    """A file of every block."""
    return [f"{RESULTS}/runs/{block.path}/{file}" for block in get_planned()]


def get_models():
    """What every block has learned, unless the benchmark keeps no models."""
    return get_blocks("model.pt") if BENCHMARK.keep_models else []


def get_tunings():
    """What tuning chose for every method; with `partial: true` where it is finished."""
    found = [f"{RESULTS}/tuning/{tuning.path}/best.json" for tuning in PLAN.tunings()]
    return [path for path in found if Path(path).is_file() or not BENCHMARK.partial]


def get_block_folders():
    """The folders of all blocks, finished or not."""
    return [f"{RESULTS}/runs/{block.path}" for block in PLAN.blocks()]


def get_encoders(network):
    """A pattern of the encoders that are networks, or that are not."""
    found = [n for n, e in PLAN.encoders.items() if e.network == network]
    return "|".join(re.escape(name) for name in found) or "(?!)"


def get_methods(ensemble):
    """A pattern of the methods that are ensembles, or that are not."""
    found = [n for n, r in PLAN.recipes.items() if (r.ensemble is not None) == ensemble]
    return "|".join(re.escape(name) for name in found) or "(?!)"


def get_members(file):
    """A function that returns a file of each block that an ensemble averages."""

    def members(wildcards):
        path = BLOCK_NAME.format(**dict(wildcards.items()))
        return [f"{RESULTS}/runs/{name}/{file}" for name in PLAN.block(path).members]

    return members


def get_raw_table(wildcards):
    """The first raw file of a data set, which stands for all of them."""
    dataset = PLAN.datasets[wildcards.dataset]
    name = "fetch.json" if dataset.files else "generated.csv"
    return f"{SHARED}/data/{dataset.source}/raw/{name}"


def get_block_features(wildcards):
    """The features that a block's encoder reads."""
    name = PLAN.inputs.folder(wildcards.encoder)
    return f"{SHARED}/features/{wildcards.dataset}/{name}"


def get_block_split(wildcards):
    """The split of a block."""
    name = PLAN.split_name(wildcards.split)
    return f"{SHARED}/splits/{wildcards.dataset}/{name}.parquet"


def get_block_code(stage):
    """Digest of the code that a block is trained or tuned by: one encoder's, no other's."""

    def code(wildcards):
        encoder, recipe = (
            PLAN.encoders[wildcards.encoder],
            PLAN.recipes[wildcards.method],
        )
        return get_code(*code_of(encoder, recipe, stage))

    return code


def get_job(wildcards):
    """The planned block that a job trains, or the planned tuning."""
    names = dict(wildcards.items())
    if "seeds" in names:
        return PLAN.block(BLOCK_NAME.format(**names))
    path = TUNING_NAME.format(**names)
    return next(tuning for tuning in PLAN.tunings() if tuning.path == path)


def times_attempt(amount):
    """A fixed amount of minutes or MB; twice as much the second time."""
    return lambda wildcards, attempt: amount * attempt


def get_minutes(wildcards, attempt):
    """The time limit of a job, for a cluster; twice as long the second time."""
    return minutes_to_ask_for(PLAN, get_job(wildcards)) * attempt


def get_data_minutes(wildcards, attempt):
    """The time limit of preparing or featurizing a data set; twice as long the second time."""
    # Those of a user's own lie in a folder with their digest.
    own = "/" in wildcards.get("featurizer", "")
    return data_minutes(PLAN, wildcards.dataset, own=own) * attempt


def get_megabytes(wildcards, attempt):
    """The memory of a job, for a cluster; twice as much the second time."""
    return megabytes_to_ask_for(PLAN, get_job(wildcards)) * attempt


def get_features():
    """What the blocks read: no features of a data set for an encoder that does not read it."""
    return [f"{SHARED}/features/{name}/{folder}" for name, folder in PLAN.features_read]


def get_splits(extension):
    """The splits of all data sets."""
    return [
        f"{SHARED}/splits/{name}/{PLAN.split_name(split)}.{extension}"
        for name in PLAN.datasets
        for split in BENCHMARK.splits
    ]


def get_separability():
    """How far apart classes lie on each split, if a table or a figure is about that."""
    kinds = {table.kind for table in PLAN.tables.values()}
    wanted = "separability" in kinds.union(BENCHMARK.figures)
    found = (
        {(block.dataset, block.split) for block in get_planned()} if wanted else set()
    )
    return [
        f"{SHARED}/separability/{dataset}/{PLAN.split_name(split)}.parquet"
        for dataset, split in sorted(found)
    ]


def get_dataset_summaries():
    """dataset.json of all data sets."""
    return [f"{SHARED}/data/{name}/dataset.json" for name in PLAN.datasets]


def get_register_part(wildcards, *fields):
    """The part of a data set's register that a rule depends on, as text."""
    # Of a data set, else of the register that several are tasks of.
    found = PLAN.datasets.get(wildcards.dataset) or PLAN.registers[wildcards.dataset]
    register = found.model_dump(mode="json")
    return json.dumps({name: register[name] for name in fields}, sort_keys=True)


def get_split_options(wildcards):
    """The options that a split's name stands for."""
    strategy, seed, fold, grouping = parse_split(Path(wildcards.split).name)
    options = ["--strategy", strategy, "--seed", str(seed or 0)]
    options += [] if fold is None else ["--fold", str(fold)]
    return options + ([] if grouping is None else ["--group", grouping])


def get_split_plugin(wildcards):
    """The option that names the file of a strategy of the user's own; else none."""
    return get_plugin_option(PLAN.split_plugin(Path(wildcards.split).name))


def get_plugin_option(path):
    """The option that names a file of the user's own; none without one."""
    return [] if path is None else ["--plugin", str(path)]


def get_plugin_options(*axes):
    """The options that name the benchmark's plugins with something on one of some axes."""
    return [word for path in PLAN.plugins_of(*axes) for word in ("--plugin", str(path))]


def get_plugin_digests(*axes):
    """Digests of these plugins."""
    return [file_digest(path) for path in PLAN.plugins_of(*axes)]


def get_split_code(wildcards):
    """Digest of what cuts a split: one strategy, no other."""
    strategy = parse_split(Path(wildcards.split).name).strategy
    return get_one_code("drugtail.data.split", plugins.SPLITS, strategy)


def get_features_code(wildcards):
    """Digest of what featurizes: those featurizers that the name joins, no other."""
    names = parts_of(Path(wildcards.featurizer).name)
    plugin = PLAN.additions.one_path(plugins.FEATURIZERS, names)
    modules = filter(None, map(module_of, names))
    code = get_code("drugtail.features.featurize", *modules)
    vectors = PLAN.inputs.vectors_of(Path(wildcards.featurizer).name).values()
    files = [*vectors] if plugin is None else [plugin, *vectors]
    return [code, *map(file_digest, files)]


def get_vector_options(wildcards):
    """Options that name the files of vectors that a featurizer reads."""
    found = PLAN.inputs.vectors_of(Path(wildcards.featurizer).name)
    return [
        word for name, path in found.items() for word in ("--vectors", f"{name}={path}")
    ]


def get_featurizer_plugin(wildcards):
    """Option with the plugin that a featurizer comes from, if it comes from one."""
    names = parts_of(Path(wildcards.featurizer).name)
    return get_plugin_option(PLAN.additions.one_path(plugins.FEATURIZERS, names))


def get_one_code(stage, axis, name):
    """Digest of a stage and of one thing of an axis: a module of the package, or a plugin."""
    plugin = PLAN.additions.path(axis, name)
    if plugin is not None:
        return [get_code(stage), file_digest(plugin)]
    return [get_code(stage, plugins.registry(axis).module(name))]


def get_local_files(wildcards):
    """Size and time of the files on this machine that a data set is taken from.

    A file of a user's that has changed is fetched again; a published one is known by its digest.
    """
    paths = [
        Path(source.path)
        for file in PLAN.registers[wildcards.dataset].files
        for source in file.sources
        if source.path is not None
    ]
    states = [(path, path.stat()) for path in paths if path.is_file()]
    return [f"{path} {state.st_size} {state.st_mtime_ns}" for path, state in states]


def get_tuned(wildcards):
    """What tuning chose for a block, if it is one of tuned settings."""
    if not PLAN.is_tuned(wildcards.method):
        return []
    return f"{TUNING}/best.json".format(**dict(wildcards.items()))


def get_mapped_embeddings():
    """Embeddings to draw."""
    mapped = PLAN.mapped(get_planned())
    return [f"{RESULTS}/runs/{block.path}/embeddings.parquet" for block in mapped]


def get_tables():
    """Tables and figures."""
    tables = [
        f"{TABLES}/{name}.{kind}"
        for name in PLAN.tables
        for kind in ("csv", "md", "tex")
    ]
    return tables + [
        f"{FIGURES}/{name}.{kind}"
        for name in BENCHMARK.figures
        for kind in ("svg", "png")
    ]


def get_page():
    """The page."""
    return f"{RESULTS}/page/{BENCHMARK.name}/index.html"


def get_tracking_record():
    """The file that says what was imported into MLflow."""
    return f"{RESULTS}/mlflow/{BENCHMARK.name}.json"


def get_tracking_uri():
    """The MLflow store, for people; the environment's server as `drugtail track` takes it."""
    server = BENCHMARK.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI")
    return server or f"sqlite:///{RESULTS}/mlflow/mlflow.db"


def check_queue():
    """Refuse a start whose jobs SLURM would not take, with SLURM's reason."""
    if workflow.executor_plugin.name != "slurm":
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_local]
    # Jobs that are joined to one stand beside each other, on no more CPUs than `cores`.
    joined = max(workflow.group_settings.group_components.values(), default=1)
    cores = workflow.resource_settings.cores or joined
    asked = {
        slurm.Request(
            job.resources.get("slurm_account"),
            job.resources.get("slurm_partition"),
            min(cores, max(job.threads, joined)),
        )
        for job in jobs
    }
    try:
        slurm.refuse_names(
            {name for job in jobs for name in job.resources.keys()}, "the profile"
        )
        for request in asked:
            slurm.refuse(request, "the profile")
    except DrugtailError as error:
        raise WorkflowError(f"{error}. Nothing was submitted")


def mark_run():
    """Say beside Snakemake's locks who holds them, for `drugtail unlock`."""
    locks = Path(".snakemake/locks")
    # Without them (--nolock) nobody would delete it.
    if any(locks.glob("*.lock")):
        mark = {
            "benchmark": BENCHMARK.name,
            "host": os.uname().nodename,
            "process": os.getpid(),
            "started": time.strftime("%Y-%m-%d %H:%M:%S"),
            # Whose queue is asked for jobs that live on.
            "executor": workflow.executor_plugin.name,
        }
        write_json(locks / "run.json", mark)


def get_summary():
    """What to look at after a run."""
    table = Path(f"{TABLES}/{BENCHMARK.tables[0]}.md")
    if not table.is_file():
        return ""
    lines = ["", table.read_text(encoding="utf-8")]
    if any(dataset.synthetic for dataset in PLAN.datasets.values()):
        lines.append("The demo data are synthetic and say nothing about real drugs.\n")
    lines.append(f"tables  {TABLES}/")
    # A target such as `tables` makes neither of them.
    if Path(get_page()).is_file():
        lines += [f"page    {get_page()}", f"figures {FIGURES}/"]
    if Path(get_tracking_record()).is_file():
        lines += [
            f"MLflow  {get_tracking_uri()}",
            f"        open it with: {BIN}/mlflow ui --backend-store-uri {get_tracking_uri()}",
        ]
    return "\n".join(lines)
