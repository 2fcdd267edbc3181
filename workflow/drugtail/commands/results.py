"""From predictions to tables, figures, page, and beyond."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drugtail.commands.named import CONFIG, find_table, load_plugins, required_plan
from drugtail.commands.options import ConfigFolder, Folder, PluginFiles, Replaced
from drugtail.config.table import Style
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.logging import counted

if TYPE_CHECKING:
    from drugtail.benchmark.reproduction import Repeated
    from drugtail.report.plots import Input


def datasets(
    results: Annotated[Path, typer.Option(help="Folder with data/ and metrics/.")],
    output: Annotated[Path, typer.Option(help="Markdown file; pictures go beside it.")],
    benchmark: Annotated[
        str, typer.Option(help="Benchmark whose balanced accuracies are shown.")
    ] = "catalogue",
    config_dir: ConfigFolder = CONFIG,
) -> None:
    """Write the page on all data sets, from their registers and what preparing them gave."""
    from drugtail.config.catalogue import Catalogue
    from drugtail.report.datasets import datasets_page

    datasets_page(Catalogue(config_dir), results, benchmark, output)


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

        plan = required_plan("--block")
        check_block(plan, plan.block(block), Path(plan.benchmark.results))
    evaluate_block(predictions, metrics, classes)


def collect(
    output: Folder,
    blocks: Annotated[list[Path], typer.Argument(help="Folders of blocks.")],
    separability: Annotated[
        list[Path] | None,
        typer.Option(help="File that `drugtail separability` wrote for a split; may be repeated."),
    ] = None,
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
    metrics = [name for one in load_plugins(plugin) for name in one.names.get("metrics", ())]
    notes = [] if plan is None else plan.method_notes()
    corrections = [] if plan is None else plan.benchmark.prior_corrections
    thresholds = plan is not None and plan.benchmark.ghost_thresholds
    collect_blocks(
        blocks, output, settings, metrics, corrections, notes, thresholds, separability or ()
    )


def tabulate(
    metrics: Annotated[Path, typer.Option(help="Folder that `drugtail collect` wrote.")],
    table: Annotated[str, typer.Option(help="Name, or a file config/tables/<name>.yaml.")],
    output: Annotated[Path, typer.Option(help="Path without extension.")],
    reference: Annotated[str, typer.Option(help="Method to take differences against.")] = (
        "cross_entropy"
    ),
    style: Annotated[
        Style,
        typer.Option(
            help="LaTeX for a journal (a wide table takes both columns of a page) or a thesis."
        ),
    ] = "journal",
    plugin: PluginFiles = None,
) -> None:
    """Write one table as CSV, Markdown and LaTeX."""
    from drugtail.report.tables import tabulate as run

    load_plugins(plugin)
    run(metrics, find_table(table), output, reference=reference, style=style)


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

    load_plugins(plugin)
    given: dict[Input, list[Path]] = {
        "splits": splits or [],
        "runs": [runs] if runs else [],
        "classes": [classes] if classes else [],
        "history": [history] if history else [],
        "embeddings": embeddings or [],
    }
    run(figure, given, output)


def page(
    runs: Annotated[Path, typer.Option(help="runs.parquet")],
    classes: Annotated[Path, typer.Option(help="class_metrics.parquet")],
    title: Annotated[str, typer.Option(help="Heading.")],
    output: Annotated[Path, typer.Option(help="HTML file.")],
    reference: Annotated[str, typer.Option(help="Method to count gains from.")] = "cross_entropy",
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
    history: Annotated[
        Path | None,
        typer.Option(help="class_history.parquet; without it nothing is said of re-clusterings."),
    ] = None,
    plugin: PluginFiles = None,
    blocks: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Folders of the blocks; without them nothing is said of single molecules."
        ),
    ] = None,
) -> None:
    """Build one self-contained HTML page from tables, figures and predictions."""
    from drugtail.report.page import build_page

    load_plugins(plugin)
    build_page(
        title=title,
        notes=note or [],
        runs=runs,
        classes=classes,
        reference=reference,
        tables=table or [],
        figures=figure or [],
        datasets=dataset or [],
        splits=split or [],
        tunings=tuning or [],
        output=output,
        blocks=blocks or [],
        history=history,
    )


def merge(
    folders: Annotated[
        list[Path], typer.Argument(help="Results folders of other machines, or their clones.")
    ],
    config: Annotated[Path, typer.Option(help="Benchmark configuration.")],
    config_dir: ConfigFolder = CONFIG,
) -> None:
    """Bring blocks of a benchmark here that were trained elsewhere, after checking each of them.

    What is here already stays. A block that is damaged or not what the benchmark wants is named,
    left out, and the exit status is 1.
    """
    from drugtail.benchmark.merge import describe_next, merge_blocks
    from drugtail.benchmark.plan import Plan
    from drugtail.config.catalogue import Catalogue, read_benchmark

    plan = Plan(read_benchmark(config), Catalogue(config_dir))
    merged = merge_blocks(plan, folders, Path(plan.benchmark.results))
    print(f"blocks of {plan.benchmark.name}: {merged.describe()}")
    if merged.refused:
        raise DrugtailError("\n".join([*merged.refused, describe_next(merged, config)]))
    print(describe_next(merged, config))


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


def import_(
    published: Annotated[list[Path], typer.Argument(help="Folders that `drugtail publish` wrote.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the metrics; default: results/imported/FOLDER.")
    ] = None,
) -> None:
    """Read published benchmarks back for `drugtail tabulate`, their files checked.

    Runs of several are put together.
    """
    from drugtail.benchmark.read_back import read_back
    from drugtail.runtime.names import SHARED

    target = output or SHARED / "imported" / published[0].resolve().name
    print(f"{target}: {read_back(published, target)} runs")


def retabulate(
    published: Annotated[list[Path], typer.Argument(help="Folders that `drugtail publish` wrote.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the tables; without it they are compared alone.")
    ] = None,
    config_dir: ConfigFolder = CONFIG,
) -> None:
    """Make the tables of a published benchmark again from its published runs, and compare them.

    Of several folders, the tables of the first are made of the runs of all, into --output. The exit
    status is 1 if a table of a single folder is not as published.
    """
    from drugtail.benchmark.read_back import retabulate as run
    from drugtail.config.catalogue import Catalogue

    other = run(published, Catalogue(config_dir), output)
    if len(published) > 1:
        print(f"{output}: {', '.join(other)}")
        return
    for name, files in other.items():
        print(f"{name}: {', '.join(files) + ' differ' if files else 'as published'}")
    if any(other.values()):
        named = ", ".join(file for files in other.values() for file in files)
        raise DrugtailError(
            f"{published[0]}/tables: {named}: missing, changed since, or made by another version "
            "of the code; compare them with what --output FOLDER writes"
        )


def verify(
    published: Annotated[Path, typer.Argument(help="A folder that `drugtail publish` wrote.")],
    only: Annotated[
        str, typer.Option(help="Blocks whose path has this, such as /cross_entropy-.")
    ] = "",
    results: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    config_dir: ConfigFolder = CONFIG,
) -> None:
    """Compare blocks that were trained here with those of a published benchmark.

    The exit status is 1 if a test molecule was given another class than is published, and 2 if none
    of the blocks is trained here; the command that trains the quickest is printed then.
    """
    from drugtail.benchmark.reproduction import Published, repeated_runs
    from drugtail.config.catalogue import Catalogue

    found = Published(published, Catalogue(config_dir), only)
    runs = repeated_runs(found, results)
    if others := len(found.entries) - len(found.planned):
        print(
            f"{counted(others, 'block')} left out: a setting or a file of theirs has changed since"
        )
    if not runs:
        seconds, command = found.quickest(results)
        print(
            f"{counted(len(found.planned), 'block')}, none of them trained here ({results}/runs). "
            f"The quickest took {max(1, round(seconds))} s of a processor where it was published, "
            f"its data not counted:\n{command}"
        )
        raise typer.Exit(2)
    for one in runs:
        print(f"{one.block}, {one.run}: {_said(one)}")
    differing = [one for one in runs if one.differing]
    print(f"{counted(len(runs), 'run')} compared, {len(differing)} with another class somewhere")
    conditions = sorted({condition for one in runs for condition in one.conditions})
    if conditions:
        print(f"Published ones were made with {', '.join(conditions)}")
    if differing:
        causes = {condition for one in differing for condition in one.conditions}
        reason = (
            "What is trained where sums are rounded otherwise, a network above all, ends as with "
            "another seed (docs/running.md)"
            if causes
            else "Processor, packages and code are the same, so this should not happen"
        )
        raise DrugtailError(
            f"{published}: {counted(len(differing), 'run')} trained here gave other classes than "
            f"published. {reason}"
        )


def _said(run: Repeated) -> str:
    molecules = counted(run.molecules, "test molecule")
    if run.differing:
        return (
            f"{run.differing:,} of {molecules} have another class; balanced accuracy "
            f"{100 * run.here:.2f}, published {100 * run.published:.2f}"
        )
    if run.to_the_bit:
        return f"as published to the last bit ({molecules})"
    return f"the same classes as published ({molecules})"


def track(
    blocks: Annotated[list[Path], typer.Argument(help="Folders of blocks.")],
    benchmark: Annotated[str, typer.Option(help="Name of the parent run.")],
    results: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    uri: Annotated[
        str | None,
        typer.Option(envvar="MLFLOW_TRACKING_URI", help="Server; default: SQLite in results."),
    ] = None,
    experiment: Annotated[str | None, typer.Option(help="Default: the benchmark's name.")] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(help="results/metrics/NAME, whose best methods are logged as models."),
    ] = None,
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
        metrics=metrics,
    )
    if done is not None:
        write_json(done, {"uri": uri, **asdict(imported)})
