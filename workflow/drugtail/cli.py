"""The command: one verb per stage, with explicit input and output paths."""

from __future__ import annotations

import errno
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from drugtail import __version__
from drugtail.report.plots import PLOTS
from drugtail.runtime.errors import DrugtailError

if TYPE_CHECKING:
    from drugtail.config.recipe import Recipe
    from drugtail.config.training import Training

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
OwnCode = Annotated[
    Path | None, typer.Option(help="Python file with components of your own that the recipe names.")
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
    dataset: Annotated[Path, typer.Option(help="config/datasets/<name>.yaml")],
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
    from drugtail.config.catalogue import read_dataset
    from drugtail.data.fetch import fetch_dataset

    fetch_dataset(read_dataset(dataset), output, mirror=mirror, attempts=attempts, pause=pause)


@app.command()
def generate(
    dataset: Annotated[Path, typer.Option(help="config/datasets/<name>.yaml")], output: Folder
) -> None:
    """Make the synthetic data of a register instead of fetching any."""
    from drugtail.config.catalogue import read_dataset
    from drugtail.data.generate import generate_reactions
    from drugtail.runtime.files import atomic_path

    register = read_dataset(dataset)
    if register.generator is None:
        raise DrugtailError(f"{dataset}: has no generator; use `drugtail fetch`")
    table = generate_reactions(seed=register.generator.seed)
    with atomic_path(output / "generated.csv") as temporary:
        table.to_csv(temporary, index=False)


@app.command()
def prepare(
    dataset: Annotated[Path, typer.Option(help="config/datasets/<name>.yaml")],
    raw: Annotated[Path, typer.Option(help="Folder with the raw files.")],
    output: Folder,
    workers: Workers = 1,
) -> None:
    """Parse, clean and count: molecules.parquet, rejected.csv, dataset.json."""
    from drugtail.config.catalogue import read_dataset
    from drugtail.data.prepare import prepare_dataset

    prepare_dataset(read_dataset(dataset), raw, output, workers=workers)


@app.command()
def split(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    strategy: Annotated[str, typer.Option(help="random, standard, scaffold or official")],
    output: Annotated[Path, typer.Option(help="Path without extension.")],
    seed: Annotated[int, typer.Option(min=0, help="Split seed.")] = 0,
) -> None:
    """Cut a data set into train, valid and test, and summarise the cut."""
    from drugtail.data.split import split_dataset

    split_dataset(molecules, strategy, seed, output)


@app.command()
def featurize(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    featurizer: Annotated[str, typer.Option(help="atoms or morgan")],
    output: Replaced,
    workers: Workers = 1,
) -> None:
    """Turn molecules into packed graphs or fingerprints."""
    from drugtail.features.featurize import featurize as run

    run(molecules, featurizer, output, workers=workers)


# ------------------------------------------------------------------------------- training


@app.command()
def train(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    split: Annotated[Path, typer.Option(help="results/splits/<data set>/<split>.parquet")],
    features: Annotated[Path, typer.Option(help="Folder of features.")],
    method: Annotated[Path, typer.Option(help="config/methods/<family>/<name>.yaml")],
    encoder: Annotated[Path, typer.Option(help="config/encoders/<name>.yaml")],
    seeds: Annotated[str, typer.Option(help="Block of seeds, first-last, for example 0-2.")],
    output: Folder,
    code: OwnCode = None,
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
    from drugtail.config.catalogue import read_encoder
    from drugtail.config.search_space import read_tuned, with_settings

    recipe, settings, _ = _resolved(method, set_, code)
    block = _seeds(seeds)
    if tuned is not None:
        changes = read_tuned(tuned, recipe.name)
        recipe, settings = with_settings(recipe, settings, changes, where=tuned)
    # Takes seconds to import; a wrong setting is refused before.
    from drugtail.training.block import Block, train_block

    train_block(
        Block(
            molecules, split, features, recipe, read_encoder(encoder), settings, block,
            code=code, tuned=tuned, device=device, threads=threads,
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
    method: Annotated[Path, typer.Option(help="config/methods/<family>/<name>.yaml")],
    encoder: Annotated[Path, typer.Option(help="config/encoders/<name>.yaml")],
    trials: Annotated[int, typer.Option(min=1, help="Trials, the default among them.")],
    output: Folder,
    code: OwnCode = None,
    seeds: Annotated[str, typer.Option(help="Block of seeds of each trial.")] = "0-1",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="As for train; a setting of the method is then not tuned."),
    ] = None,
    device: Device = "auto",
    threads: Annotated[int, typer.Option(min=1, help="CPU threads.")] = 1,
) -> None:
    """Choose a method's settings on validation molecules; for `drugtail train --tuned`."""
    from drugtail.config.catalogue import read_encoder
    from drugtail.config.search_space import check_space, free_space
    from drugtail.training.block import Block
    from drugtail.training.tune import tune_block

    recipe, training, fixed = _resolved(method, set_, code)
    space = free_space(recipe, fixed)
    check_space(space, recipe, training, method)
    block = Block(
        molecules, split, features, recipe, read_encoder(encoder), training, _seeds(seeds),
        code=code, device=device, threads=threads,
    )  # fmt: skip
    tune_block(block, space, trials, output)


def _resolved(
    method: Path, assignments: list[str] | None, code: Path | None
) -> tuple[Recipe, Training, dict[str, Any]]:
    """Recipe and training settings with what --set says, and what it says of the method."""
    from drugtail.config.base import merged
    from drugtail.config.catalogue import parse_assignments, read_recipe
    from drugtail.config.training import Training
    from drugtail.plugins import recipe_model

    changes: dict[str, dict[str, Any]] = {"method": {}, "training": {}}
    for key, value in parse_assignments(assignments or []).items():
        kind, _, rest = key.partition(".")
        if kind not in changes or not rest:
            raise DrugtailError(f"--set {key}: write it as method.KEY=VALUE or training.KEY=VALUE")
        changes[kind][rest] = value
    recipe = read_recipe(method, changes["method"], recipe_model(code))
    training = merged(Training(), changes["training"], where="--set training")
    return recipe, training, changes["method"]


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
) -> None:
    """Classify the molecules of a CSV with a trained network."""
    from drugtail.predict import predict as run

    run(model, molecules, output, column=column, seed=seed)


# ----------------------------------------------------------------------------- evaluation


@app.command()
def evaluate(
    predictions: Annotated[Path, typer.Option(help="predictions.parquet of a block.")],
    metrics: Annotated[Path, typer.Option(help="Parquet file for metrics per run.")],
    classes: Annotated[Path, typer.Option(help="Parquet file for metrics per run and class.")],
) -> None:
    """Compute every metric of a block from its predictions alone."""
    from drugtail.evaluation.evaluate import evaluate_block

    evaluate_block(predictions, metrics, classes)


@app.command()
def collect(
    output: Folder,
    blocks: Annotated[list[Path], typer.Argument(help="Folders of blocks.")],
) -> None:
    """Put the metrics of many blocks into one table; what is missing is marked."""
    from drugtail.evaluation.collect import collect_blocks

    collect_blocks(blocks, output)


@app.command()
def tabulate(
    metrics: Annotated[Path, typer.Option(help="Folder that `drugtail collect` wrote.")],
    table: Annotated[Path, typer.Option(help="config/tables/<name>.yaml")],
    output: Annotated[Path, typer.Option(help="Path without extension.")],
    reference: Annotated[str, typer.Option(help="Method to take differences against.")] = (
        "cross_entropy"
    ),
) -> None:
    """Write one table as CSV, Markdown and LaTeX."""
    from drugtail.config.catalogue import read_table_definition
    from drugtail.report.tables import tabulate as run

    run(metrics, read_table_definition(table), output, reference=reference)


@app.command()
def plot(
    figure: Annotated[str, typer.Argument(help=", ".join(PLOTS))],
    output: Annotated[Path, typer.Option(help="Path without extension.")],
    inputs: Annotated[list[Path] | None, typer.Argument(help="Its input files.")] = None,
) -> None:
    """Draw one figure as SVG and PNG."""
    from drugtail.report import figures

    inputs = inputs or []
    needed = {"identifiability": 2, "embedding_map": 0}.get(figure, 1)
    if len(inputs) < needed:
        raise DrugtailError(f"{figure}: needs {needed} input files, {len(inputs)} are given")

    if figure == "class_sizes":
        figures.plot_class_sizes(inputs, output)
    elif figure == "recall_by_class_size":
        figures.plot_recall(inputs[0], output)
    elif figure == "class_history":
        figures.plot_class_history(inputs[0], output)
    elif figure == "embedding_map":
        figures.plot_embedding_map(inputs, output)
    elif figure == "identifiability":
        figures.plot_identifiability(inputs[0], inputs[1], output)
    else:
        raise DrugtailError(f"{figure!r} is not a figure; use one of {', '.join(PLOTS)}")


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
) -> None:
    """Build one self-contained HTML page from tables and figures."""
    from drugtail.report.page import build_page

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
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Also predictions and histories of every block.")
    ] = False,
) -> None:
    """Copy tables, figures and page of a finished benchmark, with how they were made."""
    from drugtail.benchmark.plan import Plan
    from drugtail.benchmark.publish import publish as run
    from drugtail.config.catalogue import Catalogue, read_benchmark

    plan = Plan(read_benchmark(config), Catalogue(config_dir))
    run(plan, config, output, partial=partial, blocks=blocks)


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
def check(
    config: Annotated[
        list[Path] | None,
        typer.Argument(help="Benchmarks, or files of datasets/, methods/, …"),
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="runs.parquet in which every run must be finished.")
    ] = None,
    method: Annotated[Path | None, typer.Option(help="A recipe outside the catalogue.")] = None,
    code: OwnCode = None,
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

    if not config and runs is None and method is None and code is None:
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
        except DrugtailError as error:
            named = str(error).startswith(str(path))
            faults.append(str(error) if named else f"{path}: {error}")
    if method is not None:
        try:
            read_recipe(method, model=recipe_model(code))
            print(f"{method}: good")
        except DrugtailError as error:
            faults.append(str(error))
    elif code is not None:
        faults.append("--code: name the recipe that it is for with --method")
    if faults:
        raise DrugtailError("\n".join(faults))
    if runs is not None:
        print(f"{runs}: all {check_complete(runs)} runs are finished")


@app.command("list")
def list_(
    kind: Annotated[
        str, typer.Argument(help="methods, datasets, encoders, tables, metrics or reference")
    ],
    config_dir: ConfigFolder = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Of methods: the text of config/methods/README.md.")
    ] = False,
) -> None:
    """List what there is."""
    from drugtail.config.catalogue import Catalogue

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
