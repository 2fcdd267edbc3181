"""Plans, checks and lists for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from drugtail.commands.named import CONFIG, load_plugins
from drugtail.commands.options import (
    Above,
    Below,
    ConfigFolder,
    Encoding,
    Header,
    LabelColumn,
    PluginFiles,
    Separator,
    Sheet,
    SmilesColumn,
    as_layout,
)
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.invocation import program, running

if TYPE_CHECKING:
    from drugtail.benchmark.trial import Trial


def recommend(
    table: Annotated[Path, typer.Argument(help="CSV, TSV, SMI, SDF, XLSX, Parquet or JSON.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the data set; default: that of the file.")
    ] = None,
    smiles: SmilesColumn = None,
    label: LabelColumn = None,
    above: Above = None,
    below: Below = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Also compare graph networks; takes much longer.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; default: one for each processor.")
    ] = None,
    encoding: Encoding = None,
    separator: Separator = None,
    header: Header = None,
    sheet: Sheet = None,
    config_dir: ConfigFolder = CONFIG,
) -> None:
    """Compare methods on a table of molecules with classes, and say which to take.

    It says what it takes each column for, trains eight methods on five folds, and goes on where it
    stopped when it is started again.
    """
    from drugtail.recommendation.recommend import recommend_for
    from drugtail.recommendation.setup import Table

    layout = as_layout(encoding, separator, header, sheet)
    asked = Table(table, name, smiles, label, above, below, layout)
    try:
        found = recommend_for(asked, thorough=thorough, workers=workers, config=config_dir)
    except KeyboardInterrupt:
        raise DrugtailError("stopped; what is finished is kept, start again to go on") from None
    print(
        f"\n{found.text}\n\n"
        f"page      {found.page}\n"
        f"predict   {program('drugtail')} predict --model {found.model} --split all "
        "--molecules NEW.csv --output CLASSES.csv\n"
        f"go on     edit {found.register} and {found.benchmark}, then\n"
        f"          {running(found.benchmark)}"
    )


def plan(
    config: Annotated[Path, typer.Option(help="Benchmark configuration.")],
    config_dir: ConfigFolder = CONFIG,
    profile: Annotated[
        str | None,
        typer.Option(help="Snakemake profile; prints what it asks for from a cluster, too."),
    ] = None,
) -> None:
    """Print how many jobs a benchmark has, how much work they are and how long they take."""
    from drugtail.benchmark.plan import Plan
    from drugtail.benchmark.progress import describe_plan
    from drugtail.config.catalogue import Catalogue, read_benchmark

    benchmark = read_benchmark(config)
    plan = Plan(benchmark, Catalogue(config_dir))
    print(describe_plan(plan, Path(benchmark.results), profile))


def init(
    folder: Annotated[Path, typer.Argument(help="Folder to make.")],
) -> None:
    """Make a project folder, with a catalogue to edit, for the installed package's workflow."""
    from drugtail.project import init_project

    init_project(folder)


def unlock() -> None:
    """Free this folder after a kill, once nothing is at work in it any more; `make` does it, too.

    It waits for another run, for jobs that outlived a run, and for those in SLURM's queue.
    """
    from drugtail.runtime.turns import unlock_folder

    if not unlock_folder():
        print("The folder is free.")


def clean(
    results: Annotated[Path, typer.Option(help="Results folder.")] = Path("results"),
    yes: Annotated[bool, typer.Option("--yes", help="Delete what is listed.")] = False,
) -> None:
    """List blocks that the latest plan of no benchmark names, and delete them with --yes."""
    from drugtail.benchmark.clean import clean_results

    clean_results(results, delete=yes)


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
    no_trial: Annotated[
        bool, typer.Option("--no-trial", help="Do not try your own code on made-up molecules.")
    ] = False,
    config_dir: ConfigFolder = CONFIG,
) -> None:
    """Validate configurations and what they name, or refuse gaps in runs.

    Of tables on this machine columns are checked, no molecule is. Methods, encoders, featurizers
    and metrics of your own are tried on made-up molecules.
    """
    from drugtail.benchmark.plan import Plan
    from drugtail.benchmark.trial import try_own_code
    from drugtail.config.catalogue import (
        Catalogue,
        check_described,
        read_benchmark,
        read_recipe,
    )
    from drugtail.config.dataset import Dataset
    from drugtail.config.yaml_reader import read_yaml
    from drugtail.data.rows import check_own_tables
    from drugtail.evaluation.collect import check_complete
    from drugtail.features.file_vectors import describe_vectors
    from drugtail.plugins import recipe_model

    if not config and runs is None and method is None and not plugin:
        raise DrugtailError("nothing to check; name a benchmark, for example config/config.yaml")
    faults = []
    own = {kind: one for file in load_plugins(plugin) for kind, one in file.encoders.items()}
    for path in config or []:
        try:
            if described := check_described(path, own):
                if isinstance(described, Dataset):
                    check_own_tables(described)
                print(f"{path}: good")
                continue
            if {"family", "idea"} & read_yaml(path).keys():
                raise DrugtailError("looks like a recipe; check it with --method")
            plan = Plan(read_benchmark(path), Catalogue(config_dir))
            for register in plan.registers.values():
                check_own_tables(register)
            tried = None if no_trial else try_own_code(plan)
            tunings = sum(1 for _ in plan.tunings())
            first = f"{tunings} tuning and " if tunings else ""
            jobs = sum(1 for _ in plan.blocks())
            print(f"{path}: good, {first}{jobs} training job{'' if jobs == 1 else 's'}")
            for name, file in plan.vectors.items():
                print(f"{path}: vectors: {name}: {file}: {describe_vectors(file)}")
            for remark in plan.remarks():
                print(f"{path}: {remark}")
            if tried is not None:
                _say_trial(path, tried)
        except DrugtailError as error:
            named = str(error).startswith(str(path))
            faults.append(str(error) if named else f"{path}: {error}")
    if method is not None:
        try:
            read_recipe(method, model=recipe_model(plugin or []))
            print(f"{method}: good")
        except DrugtailError as error:
            faults.append(str(error))
    elif plugin and not config:
        faults.append("--plugin: name what it is for: a recipe with --method, or an encoder's file")
    if faults:
        raise DrugtailError("\n".join(faults))
    if runs is not None:
        print(f"{runs}: all {check_complete(runs)} runs are finished")


def _say_trial(path: Path, trial: Trial) -> None:
    """Say which code of the user's own was tried, and which was not."""
    if trial.tried:
        named = ", ".join(f"{one.method} on {one.encoder}" for one in trial.tried)
        print(f"{path}: tried for three epochs on made-up molecules: {named}")
    for reason in trial.left_out:
        print(f"{path}: not tried beforehand: {reason}")


def schemas(folder: Annotated[Path, typer.Argument(help="For example config/schemas.")]) -> None:
    """Write JSON schemas of all kinds of YAML files, for editors."""
    from drugtail.config.schema import write_schemas

    write_schemas(folder)


def list_(
    kind: Annotated[
        str,
        typer.Argument(
            help="methods, datasets, encoders, tables, splits, featurizers, encoder-kinds, "
            "metrics, tests, table-kinds, figures, formats, components or reference"
        ),
    ],
    config_dir: ConfigFolder = CONFIG,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    markdown: Annotated[
        bool,
        typer.Option(
            "--markdown", help="Print the text of config/methods/README.md (methods only)."
        ),
    ] = False,
    plugin: PluginFiles = None,
) -> None:
    """List what there is, of what a plugin adds, too."""
    from drugtail.config.catalogue import Catalogue

    load_plugins(plugin)

    if kind == "reference" and (as_json or plugin):
        raise DrugtailError("`list reference` is of the package, as Markdown; leave the rest out")
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
