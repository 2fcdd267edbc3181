"""Training, tuning, predicting."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from drugtail.commands.named import find_asked, read_seeds, read_vector_files
from drugtail.commands.options import (
    BlockOption,
    Device,
    EncoderFile,
    Encoding,
    Folder,
    Header,
    MethodFile,
    PluginFiles,
    Separator,
    Sheet,
    VectorFiles,
    as_layout,
)
from drugtail.runtime.errors import DrugtailError


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

    asked = find_asked(block, method, encoder, set_, plugin)
    recipe, training = asked.recipe, asked.training
    if recipe.ensemble is not None:
        raise DrugtailError(
            f"method {recipe.name!r} averages other methods' blocks; use `drugtail ensemble`"
        )
    known = read_seeds(seeds)
    if tuned is not None:
        changes = read_tuned(tuned, recipe.name)
        recipe, training = with_settings(recipe, training, changes, where=tuned)
    # Takes seconds to import; a wrong setting is refused before.
    from drugtail.training.block import Block, train_block

    train_block(
        Block(
            molecules, split, features, recipe, asked.encoder, training, known,
            plugins=asked.plugins, tuned=tuned, device=device, threads=threads,
            keep_model=asked.keep_model,
        ),
        output,
        checkpoints=checkpoints,
        checkpoint_seconds=checkpoint_seconds,
    )  # fmt: skip


def ensemble(
    molecules: Annotated[Path, typer.Option(help="molecules.parquet")],
    split: Annotated[Path, typer.Option(help="results/splits/<data set>/<split>.parquet")],
    seeds: Annotated[str, typer.Option(help="Block of seeds, first-last, for example 0-2.")],
    output: Folder,
    members: Annotated[list[Path], typer.Argument(help="Folders of the members' blocks.")],
    block: BlockOption = None,
    method: MethodFile = None,
    encoder: EncoderFile = None,
) -> None:
    """Average the stored predictions of other blocks, with a correction of the prior."""
    asked = find_asked(block, method, encoder, None, None)
    if asked.recipe.ensemble is None:
        raise DrugtailError(f"method {asked.recipe.name!r} is no ensemble; use `drugtail train`")
    known = read_seeds(seeds)
    from drugtail.training.ensemble import EnsembleBlock, average_blocks

    average_blocks(
        EnsembleBlock(
            molecules, split, asked.recipe, asked.encoder, members, known, asked.keep_model
        ),
        output,
    )


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

    asked = find_asked(block, method, encoder, set_, plugin)
    check_space(asked.space, asked.recipe, asked.training, block or str(method))
    from drugtail.training.block import Block
    from drugtail.training.tune import tune_block

    tune_block(
        Block(
            molecules, split, features, asked.recipe, asked.encoder, asked.training,
            read_seeds(seeds), plugins=asked.plugins, device=device, threads=threads,
        ),
        asked.space,
        trials,
        output,
    )  # fmt: skip


def predict(
    model: Annotated[
        Path,
        typer.Option(
            help="model.pt of a block, the block's folder, or results/metrics/BENCHMARK: then the "
            "best on validation molecules."
        ),
    ],
    molecules: Annotated[
        Path, typer.Option(help="Table with SMILES: CSV, TSV, SMI, SDF, XLSX, Parquet, JSON.")
    ],
    output: Annotated[
        Path, typer.Option(help="CSV to write: the table's columns, and ours beside them.")
    ],
    column: Annotated[
        str | None,
        typer.Option(help="Column of SMILES (or reactions); default: the one called so."),
    ] = None,
    second: Annotated[
        str | None, typer.Option(help="Column of the second input, for models that read one.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="One seed; default: mean of all.")] = None,
    prior: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=10,
            help="Strength of a correction of the class shares; 0.5 and 1 are usual. Default: that "
            "of the method that was chosen of a benchmark, else none.",
        ),
    ] = None,
    nearest: Annotated[
        bool, typer.Option(help="Search the most similar training molecule of each.")
    ] = True,
    prefix: Annotated[
        str, typer.Option(help="Prefix of the columns that are added.")
    ] = "drugtail_",
    dataset: Annotated[
        str | None, typer.Option(help="Data set, if the benchmark has several.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            help="Split of a benchmark that the model was trained on, or all, whose models are "
            "averaged; default: the first."
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="Method of a benchmark; default: the best on validation molecules."),
    ] = None,
    encoder: Annotated[
        str | None, typer.Option(help="Encoder that the method ran on; default: the best one.")
    ] = None,
    plugin: PluginFiles = None,
    vectors: VectorFiles = None,
    encoding: Encoding = None,
    separator: Separator = None,
    header: Header = None,
    sheet: Sheet = None,
) -> None:
    """Classify the molecules of a table with what a block has learned."""
    from drugtail.predict.table import predict as run

    run(
        model, molecules, output, column=column, second=second, seed=seed, prior=prior,
        nearest=nearest, prefix=prefix, dataset=dataset, split=split, method=method,
        encoder=encoder, plugins=plugin or [],
        vectors=read_vector_files(vectors),
        layout=as_layout(encoding, separator, header, sheet),
    )  # fmt: skip
