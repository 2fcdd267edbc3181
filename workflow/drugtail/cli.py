"""The command: one verb per stage, with explicit input and output paths."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from drugtail import __version__
from drugtail.runtime.errors import DrugtailError

if TYPE_CHECKING:
    from drugtail.benchmark.plan import Plan
    from drugtail.config.dataset import Dataset
    from drugtail.config.encoder import Encoder
    from drugtail.config.recipe import Recipe, Space
    from drugtail.config.table import Table
    from drugtail.config.training import Training
    from drugtail.plugins import Plugin
    from drugtail.report.plots import Input

app = typer.Typer(
    help="A reproducible benchmark of long-tailed drug classification.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Folder = Annotated[Path, typer.Option(help="Folder to write into.")]
Replaced = Annotated[
    Path, typer.Option(help="Folder of its own for the output; replaced when it is there.")
]
ConfigFolder = Annotated[
    Path, typer.Option("--config-dir", help="Folder with datasets/, methods/, encoders/, tables/.")
]
PluginFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin", help="Python file of your own with what is named here; may be repeated."
    ),
]
MethodFile = Annotated[
    Path | None, typer.Option(help="config/methods/<family>/<name>.yaml, to train by hand.")
]
EncoderFile = Annotated[
    Path | None, typer.Option(help="config/encoders/<name>.yaml, to train by hand.")
]
DatasetOption = Annotated[str, typer.Option(help="Name, or a file config/datasets/<name>.yaml.")]
BlockOption = Annotated[
    str | None,
    typer.Option(
        help="Folder below results/runs/ of a block of the plan that DRUGTAIL_PLAN names; instead "
        "of --method, --encoder, --set and --plugin."
    ),
]
Device = Annotated[str, typer.Option(envvar="DRUGTAIL_DEVICE", help="auto, cpu or cuda")]
Workers = Annotated[int, typer.Option(min=1, help="Processes to work with.")]
CONFIG = Path("config")


def main() -> None:
    """Run the command; bad input ends with a message and status 1, not with a traceback."""
    try:
        app()
    except DrugtailError as error:
        _fail(str(error))
    except OSError as error:
        # Some libraries give no error number, only a text.
        if error.errno is None:
            _fail(f"{error}. Nothing finished so far is lost")
        place = error.filename or "a file"
        hints = {
            errno.ENOSPC: "the disk is full; free some space and start again",
            errno.EACCES: "no permission; choose another folder or change its permissions",
            errno.EEXIST: "a file stands where a folder is needed; choose another path",
            errno.EFBIG: "the file would exceed the limit on file sizes; raise it",
            errno.EROFS: "the file system is read-only; choose another folder",
            errno.ENOTDIR: "a part of this path is a file, not a folder; choose another path",
        }
        hint = hints.get(error.errno, "mend that and start again")
        _fail(f"{place}: {error.strerror}: {hint}. Nothing finished so far is lost")


def _fail(message: str) -> NoReturn:
    print(f"drugtail: error: {message}", file=sys.stderr)
    raise SystemExit(1)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"drugtail {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A reproducible benchmark of long-tailed drug classification."""


# ---------------------------------------------------------------------------------- data


@app.command()
def fetch(
    dataset: DatasetOption,
    output: Folder,
    mirror: Annotated[
        Path | None,
        typer.Option(envvar="DRUGTAIL_MIRROR", help="Folder that is tried before any address."),
    ] = None,
    attempts: Annotated[int, typer.Option(min=1, help="Tries per address.")] = 4,
    pause: Annotated[
        float, typer.Option(min=0, help="Seconds before the second try; doubled for each further.")
    ] = 1.0,
) -> None:
    """Get the published files of a data set; they land only when their content is right."""
    from drugtail.data.fetch import fetch_dataset

    fetch_dataset(_dataset(dataset), output, mirror=mirror, attempts=attempts, pause=pause)


@app.command()
def generate(dataset: DatasetOption, output: Folder) -> None:
    """Make the synthetic data of a register instead of fetching any."""
    from drugtail.data.generate import generate_reactions
    from drugtail.runtime.files import atomic_path

    register = _dataset(dataset)
    if register.generator is None:
        raise DrugtailError(f"{dataset}: has no generator; use `drugtail fetch`")
    table = generate_reactions(seed=register.generator.seed)
    with atomic_path(output / "generated.csv") as temporary:
        table.to_csv(temporary, index=False)


@app.command()
def prepare(
    dataset: DatasetOption,
    raw: Annotated[Path, typer.Option(help="Folder with the raw files.")],
    output: Folder,
    workers: Workers = 1,
) -> None:
    """Parse, clean and count: molecules.parquet, rejected.csv, dataset.json."""
    from drugtail.data.prepare import prepare_dataset

    prepare_dataset(_dataset(dataset), raw, output, workers=workers)


@app.command()
def split(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    strategy: Annotated[str, typer.Option(help="One of `drugtail list splits`.")],
    output: Annotated[Path, typer.Option(help="Path without extension.")],
    seed: Annotated[int, typer.Option(min=0, help="Split seed.")] = 0,
    plugin: PluginFiles = None,
) -> None:
    """Cut a data set into train, valid and test, and summarise the cut."""
    from drugtail.data.split import split_dataset

    _load(plugin)
    split_dataset(molecules, strategy, seed, output)


@app.command()
def featurize(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    featurizer: Annotated[str, typer.Option(help="One of `drugtail list featurizers`.")],
    output: Replaced,
    workers: Workers = 1,
    plugin: PluginFiles = None,
) -> None:
    """Turn molecules into numbers: packed graphs, fingerprints or vectors."""
    from drugtail.features.featurize import featurize as run

    _load(plugin)
    run(molecules, featurizer, output, workers=workers)


# ------------------------------------------------------------------------------- training


@app.command()
def train(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    split: Annotated[Path, typer.Option(help="results/splits/<data set>/<split>.parquet")],
    features: Annotated[Path, typer.Option(help="Folder of features.")],
    seeds: Annotated[str, typer.Option(help="Block of seeds, first-last, for example 0-2.")],
    output: Folder,
    block: BlockOption = None,
    method: MethodFile = None,
    encoder: EncoderFile = None,
    plugin: PluginFiles = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="method.KEY=VALUE or training.KEY=VALUE; may be repeated."),
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Folder of the block's own to continue from after an interruption."),
    ] = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(min=0, help="Time between checkpoints; 0: after every epoch.")
    ] = 60.0,
    tuned: Annotated[
        Path | None, typer.Option(help="best.json of `drugtail tune`, whose changes are made last.")
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Train a block: one data set, split, encoder and method, and a run of seeds."""
    from drugtail.config.search_space import read_tuned, with_settings

    asked = _asked(block, method, encoder, set_, plugin)
    recipe, training = asked.recipe, asked.training
    known = _seeds(seeds)
    if tuned is not None:
        changes = read_tuned(tuned, recipe.name)
        recipe, training = with_settings(recipe, training, changes, where=tuned)
    # Takes seconds to import; a wrong setting is refused before.
    from drugtail.training.block import Block, train_block

    train_block(
        Block(
            molecules, split, features, recipe, asked.encoder, training, known,
            plugins=asked.plugins, tuned=tuned, device=device, threads=threads,
        ),
        output,
        checkpoints=checkpoints,
        checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip


@app.command()
def tune(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    split: Annotated[Path, typer.Option(help="results/splits/<data set>/<split>.parquet")],
    features: Annotated[Path, typer.Option(help="Folder of features.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials, the default among them.")],
    output: Folder,
    block: BlockOption = None,
    method: MethodFile = None,
    encoder: EncoderFile = None,
    plugin: PluginFiles = None,
    seeds: Annotated[str, typer.Option(help="Block of seeds of each trial.")] = "0-1",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="As for train; a setting of the method is then not tuned."),
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Choose a method's settings on validation molecules; for `drugtail train --tuned`."""
    from drugtail.config.search_space import check_space

    asked = _asked(block, method, encoder, set_, plugin)
    check_space(asked.space, asked.recipe, asked.training, block or str(method))
    from drugtail.training.block import Block
    from drugtail.training.tune import tune_block

    tune_block(
        Block(
            molecules, split, features, asked.recipe, asked.encoder, asked.training, _seeds(seeds),
            plugins=asked.plugins, device=device, threads=threads,
        ),
        asked.space,
        trials,
        output,
    )  # fmt: skip


class _Asked(NamedTuple):
    """What is to be trained or tuned."""

    recipe: Recipe
    encoder: Encoder
    training: Training
    space: dict[str, Space]
    plugins: list[Path]


def _asked(
    block: str | None,
    method: Path | None,
    encoder: Path | None,
    assignments: list[str] | None,
    plugins: list[Path] | None,
) -> _Asked:
    """Find out what is asked for: a block of the plan in force, or files named by hand."""
    if block is None:
        if method is None or encoder is None:
            raise DrugtailError("name what to train: --method and --encoder, or --block of a plan")
        return _asked_by_hand(method, encoder, assignments, plugins or [])
    if method is not None or encoder is not None or assignments or plugins:
        raise DrugtailError("--block says all; leave --method, --encoder, --set and --plugin out")
    plan = _plan_in_force("--block")
    planned = plan.block(block)
    recipe, training = plan.resolved_settings(planned.dataset, planned.method)
    return _Asked(
        recipe, plan.encoders[planned.encoder], training, plan.space(planned.method),
        plan.block_plugins(planned.encoder, planned.method),
    )  # fmt: skip


def _asked_by_hand(
    method: Path, encoder: Path, assignments: list[str] | None, plugins: list[Path]
) -> _Asked:
    from drugtail.config.base import merged
    from drugtail.config.catalogue import parse_assignments, read_encoder, read_recipe
    from drugtail.config.search_space import free_space
    from drugtail.config.training import Training
    from drugtail.plugins import encoder_kinds, recipe_model

    changes: dict[str, dict[str, Any]] = {"method": {}, "training": {}}
    for key, value in parse_assignments(assignments or []).items():
        kind, _, rest = key.partition(".")
        if kind not in changes or not rest:
            raise DrugtailError(f"--set {key}: write it as method.KEY=VALUE or training.KEY=VALUE")
        changes[kind][rest] = value
    recipe = read_recipe(method, changes["method"], recipe_model(plugins))
    training = merged(Training(), changes["training"], where="--set training")
    space = free_space(recipe, changes["method"])
    return _Asked(recipe, read_encoder(encoder, encoder_kinds(plugins)), training, space, plugins)


def _load(plugins: list[Path] | None) -> list[Plugin]:
    """Register what plugins add, and return it."""
    if not plugins:
        return []
    # Here, since it takes a second to import.
    from drugtail.plugins import load_plugin

    return [load_plugin(path) for path in plugins]


def _plan_in_force(option: str) -> Plan:
    from drugtail.benchmark.record import plan_in_force
    from drugtail.runtime.names import PLAN_VARIABLE

    plan = plan_in_force()
    if plan is None:
        raise DrugtailError(
            f"{option}: no plan is named; set {PLAN_VARIABLE} to the plan of the run, a file in "
            "results/plans/"
        )
    return plan


def _dataset(name: str) -> Dataset:
    """Return a register: of a file, of the plan in force, or of the catalogue."""
    from drugtail.benchmark.record import plan_in_force
    from drugtail.config.catalogue import Catalogue, read_dataset

    if name.endswith((".yaml", ".yml")):
        return read_dataset(Path(name))
    plan = plan_in_force()
    if plan is not None and name in plan.datasets:
        return plan.datasets[name]
    return Catalogue(CONFIG).dataset(name)


def _table(name: str) -> Table:
    """Return the definition of a table, found as `_dataset` finds a register."""
    from drugtail.benchmark.record import plan_in_force
    from drugtail.config.catalogue import Catalogue, read_table_definition

    if name.endswith((".yaml", ".yml")):
        return read_table_definition(Path(name))
    plan = plan_in_force()
    if plan is not None and name in plan.tables:
        return plan.tables[name]
    return Catalogue(CONFIG).table(name)


def _seeds(block: str) -> range:
    from drugtail.config.benchmark import parse_seeds

    try:
        return parse_seeds(block)
    except ValueError as error:
        raise DrugtailError(f"--seeds: {error}") from None


@app.command()
def predict(
    model: Annotated[Path, typer.Option(help="model.pt of a block.")],
    molecules: Annotated[Path, typer.Option(help="CSV with a column of SMILES.")],
    output: Annotated[Path, typer.Option(help="CSV to write.")],
    column: Annotated[str, typer.Option(help="Name of the SMILES column.")] = "smiles",
    seed: Annotated[
        int | None, typer.Option(help="One seed's network; default: mean of all.")
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Classify the molecules of a CSV with a trained network."""
    from drugtail.predict import predict as run

    run(model, molecules, output, column=column, seed=seed, plugins=plugin or [])


# ----------------------------------------------------------------------------- evaluation


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Option(help="predictions.parquet of a block.")],
    metrics: Annotated[Path, typer.Option(help="Parquet file for metrics per run.")],
    classes: Annotated[Path, typer.Option(help="Parquet file for metrics per run and class.")],
    block: Annotated[
        str | None,
        typer.Option(help="Its folder below results/runs/; it must be what the plan wants."),
    ] = None,
) -> None:
    """Compute every metric of a block from its predictions alone."""
    from drugtail.evaluation.evaluate import evaluate_block

    if block is not None:
        from drugtail.benchmark.verify import check_block

        plan = _plan_in_force("--block")
        check_block(plan, plan.block(block), Path(plan.benchmark.results))
    evaluate_block(predictions, metrics, classes)


@app.command()
def collect(
    output: Folder,
    blocks: Annotated[list[Path], typer.Argument(help="Folders of blocks.")],
    plugin: PluginFiles = None,
) -> None:
    """Put the metrics of many blocks into one table; what is missing is marked.

    Metrics that a plugin registers are computed here, from the predictions of the blocks.
    Under a plan (DRUGTAIL_PLAN), every block must be what it wants.
    """
    from drugtail.benchmark.record import plan_in_force
    from drugtail.evaluation.collect import collect_blocks

    plan = plan_in_force()
    settings: dict[Path, str] = {}
    if plan is not None:
        from drugtail.benchmark.progress import is_finished
        from drugtail.benchmark.verify import check_block

        results = Path(plan.benchmark.results)
        for folder in blocks:
            planned = plan.block("/".join(folder.parts[-5:]))
            settings[folder] = planned.settings
            if is_finished(planned, results):
                check_block(plan, planned, results)
    metrics = [name for one in _load(plugin) for name in one.names.get("metrics", ())]
    collect_blocks(blocks, output, settings, metrics)


@app.command()
def tabulate(
    metrics: Annotated[Path, typer.Option(help="Folder that `drugtail collect` wrote.")],
    table: Annotated[str, typer.Option(help="Name, or a file config/tables/<name>.yaml.")],
    output: Annotated[Path, typer.Option(help="Path without extension.")],
    reference: Annotated[str, typer.Option(help="Method to take differences against.")] = (
        "cross_entropy"
    ),
    plugin: PluginFiles = None,
) -> None:
    """Write one table as CSV, Markdown and LaTeX."""
    from drugtail.report.tables import tabulate as run

    _load(plugin)
    run(metrics, _table(table), output, reference=reference)


@app.command()
def plot(
    figure: Annotated[str, typer.Argument(help="One of `drugtail list figures`.")],
    output: Annotated[Path, typer.Option(help="Path without extension.")],
    splits: Annotated[
        list[Path] | None, typer.Option(help="Summary of a split; may be repeated.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="runs.parquet")] = None,
    classes: Annotated[Path | None, typer.Option(help="class_metrics.parquet")] = None,
    history: Annotated[Path | None, typer.Option(help="class_history.parquet")] = None,
    embeddings: Annotated[
        list[Path] | None, typer.Option(help="embeddings.parquet of a block; may be repeated.")
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Draw one figure as SVG and PNG, from those files that it needs."""
    from drugtail.report.plot import plot as run

    _load(plugin)
    given: dict[Input, list[Path]] = {
        "splits": splits or [],
        "runs": [runs] if runs else [],
        "classes": [classes] if classes else [],
        "history": [history] if history else [],
        "embeddings": embeddings or [],
    }
    run(figure, given, output)


@app.command()
def page(
    runs: Annotated[Path, typer.Option(help="runs.parquet")],
    title: Annotated[str, typer.Option(help="Heading.")],
    output: Annotated[Path, typer.Option(help="HTML file.")],
    note: Annotated[list[str] | None, typer.Option(help="Paragraph; may be repeated.")] = None,
    table: Annotated[
        list[Path] | None, typer.Option(help="Markdown table; may be repeated.")
    ] = None,
    figure: Annotated[list[Path] | None, typer.Option(help="SVG figure; may be repeated.")] = None,
    dataset: Annotated[
        list[Path] | None, typer.Option(help="dataset.json; may be repeated.")
    ] = None,
    split: Annotated[
        list[Path] | None, typer.Option(help="Summary of a split; may be repeated.")
    ] = None,
    tuning: Annotated[
        list[Path] | None, typer.Option(help="best.json of a tuning; may be repeated.")
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Build one self-contained HTML page from tables and figures."""
    from drugtail.report.page import build_page

    _load(plugin)
    build_page(
        title=title,
        notes=note or [],
        runs=runs,
        tables=table or [],
        figures=figure or [],
        datasets=dataset or [],
        splits=split or [],
        tunings=tuning or [],
        output=output,
    )


@app.command()
def publish(
    config: Annotated[Path, typer.Option(help="Benchmark configuration.")],
    output: Replaced,
    config_dir: ConfigFolder = CONFIG,
    partial: Annotated[
        bool, typer.Option("--partial", help="Also with blocks missing; the manifest names them.")
    ] = False,
) -> None:
    """Copy tables, figures, metrics and predicted classes of a finished benchmark."""
    from drugtail.benchmark.plan import Plan
    from drugtail.benchmark.publish import publish as run
    from drugtail.config.catalogue import Catalogue, read_benchmark

    plan = Plan(read_benchmark(config), Catalogue(config_dir))
    run(plan, config, output, partial=partial)


@app.command("import")
def import_(
    published: Annotated[Path, typer.Argument(help="Folder that `drugtail publish` wrote.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the metrics; default: results/imported/FOLDER.")
    ] = None,
) -> None:
    """Read a published benchmark back for `drugtail tabulate`, its files checked."""
    from drugtail.benchmark.read_back import read_back
    from drugtail.runtime.names import SHARED

    target = output or SHARED / "imported" / published.resolve().name
    print(f"{target}: {read_back(published, target)} runs")


@app.command()
def track(
    blocks: Annotated[list[Path], typer.Argument(help="Folders of blocks.")],
    benchmark: Annotated[str, typer.Option(help="Name of the parent run.")],
    results: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    uri: Annotated[
        str | None,
        typer.Option(envvar="MLFLOW_TRACKING_URI", help="Server; default: SQLite in results."),
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="Default: the benchmark's name.")] = None,
    done: Annotated[Path | None, typer.Option(help="File that records what was imported.")] = None,
) -> None:
    """Import finished blocks into MLflow; repeating it changes nothing."""
    from dataclasses import asdict

    from drugtail.runtime.files import write_json
    from drugtail.tracking.mlflow import default_uri, track_blocks

    imported = track_blocks(
        blocks,
        uri=uri or default_uri(results),
        experiment=experiment or benchmark,
        benchmark=benchmark,
        artifacts=None if uri else results / "mlflow" / "artifacts",
    )
    if done is not None:
        write_json(done, {"uri": uri, **asdict(imported)})


# --------------------------------------------------------------------------------- people


@app.command()
def plan(
    config: Annotated[Path, typer.Option(help="Benchmark configuration.")],
    config_dir: ConfigFolder = CONFIG,
) -> None:
    """Print how many jobs a benchmark has, how much work they are and how long they take."""
    from drugtail.benchmark.plan import Plan
    from drugtail.benchmark.progress import describe_plan
    from drugtail.config.catalogue import Catalogue, read_benchmark

    benchmark = read_benchmark(config)
    print(describe_plan(Plan(benchmark, Catalogue(config_dir)), Path(benchmark.results)))


@app.command()
def clean(
    results: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Delete what is listed.")] = False,
) -> None:
    """List blocks that the latest plan of no benchmark names, and delete them with --yes."""
    from drugtail.benchmark.clean import clean_results

    clean_results(results, delete=yes)


@app.command()
def check(
    config: Annotated[
        list[Path] | None,
        typer.Argument(help="Benchmarks, or files of datasets/, methods/, …"),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="runs.parquet in which every run must be finished.")
    ] = None,
    method: Annotated[Path | None, typer.Option(help="A recipe outside the catalogue.")] = None,
    plugin: PluginFiles = None,
    config_dir: ConfigFolder = CONFIG,
) -> None:
    """Validate configurations and what they name (no data are read), or refuse gaps in runs."""
    from drugtail.benchmark.plan import Plan
    from drugtail.config.catalogue import (
        Catalogue,
        check_described,
        read_benchmark,
        read_recipe,
        read_yaml,
    )
    from drugtail.evaluation.collect import check_complete
    from drugtail.plugins import recipe_model

    if not config and runs is None and method is None and not plugin:
        raise DrugtailError("nothing to check; name a benchmark, for example config/config.yaml")
    faults = []
    for path in config or []:
        try:
            if check_described(path):
                print(f"{path}: good")
                continue
            if {"family", "idea"} & read_yaml(path).keys():
                raise DrugtailError("looks like a recipe; check it with --method")
            plan = Plan(read_benchmark(path), Catalogue(config_dir))
            tunings = sum(1 for _ in plan.tunings())
            first = f"{tunings} tuning and " if tunings else ""
            print(f"{path}: good, {first}{sum(1 for _ in plan.blocks())} training jobs")
            for unused in plan.unused_plugins():
                print(f"{path}: plugins: {unused}: the benchmark names nothing of it")
        except DrugtailError as error:
            named = str(error).startswith(str(path))
            faults.append(str(error) if named else f"{path}: {error}")
    if method is not None:
        try:
            read_recipe(method, model=recipe_model(plugin or []))
            print(f"{method}: good")
        except DrugtailError as error:
            faults.append(str(error))
    elif plugin:
        faults.append("--plugin: name the recipe that it is for with --method")
    if faults:
        raise DrugtailError("\n".join(faults))
    if runs is not None:
        print(f"{runs}: all {check_complete(runs)} runs are finished")


@app.command()
def schemas(folder: Annotated[Path, typer.Argument(help="For example config/schemas.")]) -> None:
    """Write JSON schemas of all kinds of YAML files, for editors."""
    from drugtail.config.schema import write_schemas

    write_schemas(folder)


@app.command("list")
def list_(
    kind: Annotated[
        str,
        typer.Argument(
            help="methods, datasets, encoders, tables, splits, featurizers, encoder-kinds, "
            "metrics, tests, table-kinds, figures, components or reference"
        ),
    ],
    config_dir: ConfigFolder = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Of methods: the text of config/methods/README.md.")
    ] = False,
    plugin: PluginFiles = None,
) -> None:
    """List what there is, of what a plugin adds, too."""
    from drugtail.config.catalogue import Catalogue

    _load(plugin)

    if kind == "reference":
        from drugtail.config.reference import settings_reference

        print(settings_reference(), end="")
        return
    if markdown and (kind != "methods" or as_json):
        raise DrugtailError("--markdown is for `list methods`, and without --json")
    from drugtail.listing import list_as_text, listed

    rows, faults = listed(Catalogue(config_dir), kind)
    if faults and (markdown or as_json):
        raise DrugtailError("\n".join(faults))
    if markdown:
        from drugtail.listing import methods_page

        print(methods_page(rows), end="")
    elif as_json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
    else:
        print(list_as_text(kind, rows), end="")
    if faults:
        raise DrugtailError("not listed:\n" + "\n".join(faults))
