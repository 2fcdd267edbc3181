"""From a data set to features."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from drugtail.commands.named import CONFIG, find_dataset, load_plugins, read_vector_files
from drugtail.commands.options import (
    Above,
    Below,
    DatasetOption,
    Encoding,
    Folder,
    Header,
    LabelColumn,
    PluginFiles,
    Replaced,
    Separator,
    Sheet,
    SmilesColumn,
    VectorFiles,
    Workers,
    as_layout,
)
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.invocation import program


def inspect(
    table: Annotated[Path, typer.Argument(help="CSV, TSV, SMI, SDF, XLSX, Parquet or JSON.")],
    write: Annotated[
        Path | None, typer.Option(help="Register to write: config/datasets/<name>.yaml.")
    ] = None,
    smiles: SmilesColumn = None,
    label: LabelColumn = None,
    above: Above = None,
    below: Below = None,
    encoding: Encoding = None,
    separator: Separator = None,
    header: Header = None,
    sheet: Sheet = None,
) -> None:
    """Say what a table would be taken for, and write a register to start from."""
    from drugtail.data.inspect import inspect_table
    from drugtail.data.inspection import describe, write_register

    layout = as_layout(encoding, separator, header, sheet)
    found = inspect_table(table, smiles, label, layout, above=above, below=below)
    print(describe(found))
    if write is not None:
        dataset = write_register(found, write)
        # A register elsewhere is named by its path.
        known = write.resolve().parent == (CONFIG / "datasets").resolve()
        first = dataset.each_task()[0].name if known else write
        if known and not dataset.tasks:
            command = (
                f"{program('drugtail')} recommend {shlex.quote(str(table))} --name {dataset.name}"
            )
        else:
            command = (
                f"{program('snakemake')} --configfile config/config.yaml --config "
                f"name={dataset.name} title={dataset.name} 'datasets=[{first}]' 'notes=[]'"
            )
        print(f"\n{write}: written; look at it. Then, for a first comparison:\n  {command}")


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

    fetch_dataset(find_dataset(dataset), output, mirror=mirror, attempts=attempts, pause=pause)


def generate(dataset: DatasetOption, output: Folder) -> None:
    """Make the synthetic data of a register instead of fetching any."""
    from drugtail.data.generate import generate_reactions
    from drugtail.runtime.files import atomic_path

    register = find_dataset(dataset)
    if register.generator is None:
        raise DrugtailError(f"{dataset}: has no generator; use `drugtail fetch`")
    table = generate_reactions(seed=register.generator.seed)
    with atomic_path(output / "generated.csv") as temporary:
        table.to_csv(temporary, index=False)


def prepare(
    dataset: DatasetOption,
    raw: Annotated[Path, typer.Option(help="Folder with the raw files.")],
    output: Folder,
    workers: Workers = 1,
) -> None:
    """Parse, clean and count: molecules.parquet, rejected.csv, dataset.json."""
    from drugtail.data.prepare import prepare_dataset

    prepare_dataset(find_dataset(dataset), raw, output, workers=workers)


def split(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    strategy: Annotated[str, typer.Option(help="One of `drugtail list splits`.")],
    output: Annotated[Path, typer.Option(help="Path without extension.")],
    seed: Annotated[int, typer.Option(min=0, help="Split seed; of cv the repetition.")] = 0,
    fold: Annotated[int, typer.Option(min=0, help="Fold of a cross-validation.")] = 0,
    group: Annotated[
        str | None,
        typer.Option(help="Grouping that stays together: parent, scaffold, none or a column."),
    ] = None,
    plugin: PluginFiles = None,
) -> None:
    """Cut a data set into train, valid and test, and summarise the cut."""
    from drugtail.data.split import split_dataset

    load_plugins(plugin)
    split_dataset(molecules, strategy, seed, output, fold=fold, grouping=group)


def featurize(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    featurizer: Annotated[str, typer.Option(help="One of `drugtail list featurizers`.")],
    output: Replaced,
    workers: Workers = 1,
    plugin: PluginFiles = None,
    vectors: VectorFiles = None,
) -> None:
    """Turn molecules into numbers: packed graphs, fingerprints or vectors."""
    from drugtail.features.featurize import featurize as run

    load_plugins(plugin)
    run(molecules, featurizer, output, workers=workers, vectors=read_vector_files(vectors))


def separability(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    split: Annotated[Path, typer.Option(help="Its split, {split}.parquet.")],
    output: Annotated[Path, typer.Option(help="Parquet file, a row per class.")],
) -> None:
    """Measure how far apart classes lie on the fingerprints of training molecules."""
    from drugtail.features.separability import measure_separability

    measure_separability(molecules, split, output)
