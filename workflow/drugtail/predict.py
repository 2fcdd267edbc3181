"""Classifying new molecules with a trained network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from drugtail.config.base import Settings, validated
from drugtail.config.catalogue import validated_encoder
from drugtail.config.components.network import Experts, LastLayer
from drugtail.config.dataset import Molecules, Reaction
from drugtail.config.encoder import EncoderSettings
from drugtail.config.layout import Layout
from drugtail.data.identity import NOTES, identify_all
from drugtail.data.reaction_smiles import read_reactions
from drugtail.data.tables import FOUND, read_table
from drugtail.features.batch import Store
from drugtail.features.choice import make_featurizer
from drugtail.features.stores import STORES
from drugtail.models.inference import predict as predict_logits
from drugtail.models.network import Network
from drugtail.models.saved import load_model
from drugtail.models.stacked import load_state_of
from drugtail.plugins import encoder_kinds
from drugtail.runtime.digest import file_digest
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.files import atomic_path
from drugtail.runtime.logging import counted, say

# What a model reads -> names of columns that hold it.
COLUMNS = {
    "smiles": ("smiles",),
    "reaction": ("reaction", "reactions", "rxn", "reaction_smiles", "rxn_smiles"),
}


class _Head(Settings):
    """What stands on the encoder, as ``model.pt`` says."""

    last_layer: LastLayer
    experts: Experts | None


def predict(
    model: Path,
    molecules: Path,
    output: Path,
    *,
    column: str | None = None,
    second: str | None = None,
    name: str | None = None,
    layout: Layout = FOUND,
    seed: int | None = None,
    plugins: Sequence[Path] = (),
) -> None:
    """Write class probabilities of the molecules of a table.

    Molecules are read as those were that the model was trained on.

    Parameters
    ----------
    model
        ``model.pt`` of a block.
    molecules
        Table with a column of SMILES or InChI: CSV, TSV, SMI, SDF, XLSX or Parquet.
    output
        CSV: row, name (the column `name` as it is), smiles (canonical; or the reaction), predicted
        (class name), a probability per class (``p_CLASS``), for methods that say it the
        ``uncertainty``, and ``reason`` where a row is no molecule.
    column
        Name of the SMILES column (or that of reactions); None takes the one called smiles (or
        reaction), in any case.
    second
        Name of the column with the second input, for models that have one.
    name
        Column that is kept, such as the names of the molecules.
    layout
        What is declared of the table: format, encoding, separator, header, sheet.
    seed
        Which seed's network; None averages the probabilities of all.
    plugins
        Files with the encoder and the featurizer, if they are not the package's.

    Raises
    ------
    DrugtailError
        If there is no such model or seed, a plugin is lacking or is another file than the model
        was trained with, or no row could be classified (`output` then says why).
    """
    if output.suffix.lower() in (".xlsx", ".xls", ".parquet"):
        raise DrugtailError(f"{output}: is written as CSV; name it .csv")
    if not model.exists() and (model.parent / "status.json").exists():
        raise DrugtailError(
            f"{model}: no such file: this block is of a classical method, which keeps no model; "
            "only networks classify new molecules"
        )
    saved = load_model(model)
    weights = saved["weights"]
    if seed is not None:
        if str(seed) not in weights:
            raise DrugtailError(f"{model}: has no seed {seed}; there are {', '.join(weights)}")
        weights = {str(seed): weights[str(seed)]}
    if not weights:
        raise DrugtailError(f"{model}: every run of this block diverged; there is no network")
    _check_second(saved["second"], second, model)
    table = read_table(molecules, [one for one in (column, second, name) if one], layout)
    if column is None:
        column = _named_column(table, molecules, saved["reads"])
    reading = validated(Molecules, saved["molecules"], model)
    if saved["reads"] == "reaction":
        parsed = read_reactions(table[column], Reaction(use="reaction"), reading)
    else:
        parsed = identify_all(table[column], reading)
    if second is not None:
        parsed["second"] = table[second].str.strip().str.upper()
        if saved["second"]["kind"] == "smiles":
            other = identify_all(table[second], reading)
            parsed["second"] = other["smiles"]
            wrong = (parsed["reason"] == "") & (other["reason"] != "")
            parsed.loc[wrong, "reason"] = "second molecule: " + other["reason"][wrong]
    _say_outcome(parsed, molecules, output)
    good = (parsed["reason"] == "").to_numpy()
    names = saved["class_names"]
    probabilities = np.full((len(parsed), len(names)), np.nan)
    unsure = torch.zeros(int(good.sum()))
    if good.any():
        asked: Any = parsed["smiles"][good].tolist()
        if second is not None:
            asked = (asked, parsed["second"][good].tolist())
        network, store = _rebuilt(saved, model, asked, plugins)
        everything = torch.arange(len(store))[None]
        mean = torch.zeros(len(store), len(names))
        for state in weights.values():
            load_state_of(network, 0, state)
            found = predict_logits(network, store, everything)
            mean += found.logits[0].softmax(1) / len(weights)
            if found.uncertainty is not None:
                unsure += found.uncertainty[0] / len(weights)
        probabilities[good] = mean.numpy()
    frame = pd.DataFrame({"row": np.arange(1, len(parsed) + 1)})
    if name is not None:
        frame["name"] = table[name]
    frame = frame.assign(smiles=parsed["smiles"], predicted="")
    frame.loc[good, "predicted"] = np.array(names)[probabilities[good].argmax(1)]
    columns = [f"p_{name}" for name in names]
    frame = frame.join(pd.DataFrame(probabilities, columns=columns))
    if saved["experts"] is not None and saved["experts"]["combine"] == "evidence":
        frame.loc[good, "uncertainty"] = unsure.numpy()
    frame = frame.assign(reason=parsed["reason"])
    with atomic_path(output) as temporary:
        frame.to_csv(temporary, index=False)
    if not good.any():
        what = "reaction" if saved["reads"] == "reaction" else "molecule"
        raise DrugtailError(
            f"{molecules}: no cell of column {column!r} is a {what}, so that nothing was "
            f"classified; {output} says why of each row; name another column with --column"
        )


def _named_column(table: pd.DataFrame, path: Path, reads: str) -> str:
    """Name of the column called as what a model reads, in any case, if there is one."""
    words = COLUMNS[reads]
    named = [str(column) for column in table.columns if str(column).lower() in words]
    if len(named) != 1:
        raise DrugtailError(
            f"{path}: has {len(named) or 'no'} columns called {words[0]}; name one with --column: "
            f"{', '.join(map(str, table.columns))}"
        )
    return named[0]


def _check_second(needed: dict[str, Any] | None, given: str | None, model: Path) -> None:
    if (needed is None) == (given is None):
        return
    if needed is None:
        raise DrugtailError(f"{model}: reads molecules alone; leave --second out")
    raise DrugtailError(
        f"{model}: reads a second input, too ({needed['kind']}); name its column: --second"
    )


def _say_outcome(parsed: pd.DataFrame, molecules: Path, output: Path) -> None:
    """Say how many rows are no molecules, and what was done to the others."""
    reasons = parsed["reason"][parsed["reason"] != ""]
    if len(reasons):
        counts = reasons.value_counts()
        named = ", ".join(f"{n:,} {str(reason)[:80]}" for reason, n in counts[:4].items())
        named += ", …" if len(counts) > 4 else ""
        say(f"{molecules}: {len(reasons):,} of {len(parsed):,} rows set aside: {named} ({output})")
    for note, number in parsed["notes"].str.split().explode().dropna().value_counts().items():
        say(f"{molecules}: {counted(number, 'molecule')}: {NOTES[str(note)]}")


def _rebuilt(
    saved: dict[str, Any], model: Path, asked: Any, plugins: Sequence[Path]
) -> tuple[Network, Store]:
    """Return the network without its weights, and the features that it reads of some molecules."""
    kinds = encoder_kinds(plugins)
    _check_plugins(saved["plugins"], model, plugins)
    encoder = validated_encoder(saved["encoder"], model, kinds)
    assert isinstance(encoder, EncoderSettings)
    featurizer = make_featurizer(encoder.featurizer, saved["second"], saved["reads"])
    store = STORES[featurizer.form](featurizer.arrays(asked), torch.device("cpu"))
    head = validated(_Head, {key: saved[key] for key in _Head.model_fields}, model)
    network = Network(
        encoder, store.shape, len(saved["class_names"]), [0], head.last_layer, head.experts
    )
    return network, store


def _check_plugins(wanted: dict[str, str], model: Path, plugins: Sequence[Path]) -> None:
    """Refuse to rebuild a network with other files than it was trained with."""
    given = {file_digest(path): path for path in plugins}
    for name, digest in wanted.items():
        if digest in given:
            continue
        kept = model.parent / "plugins" / Path(name).name
        copy = f", or its copy: --plugin {kept}" if kept.is_file() else ""
        changed = [sha for sha, path in given.items() if path.name == Path(name).name]
        if changed:
            raise DrugtailError(
                f"{model}: {name} has changed since it was trained (SHA-256 {changed[0][:16]}…, "
                f"was {digest[:16]}…); name the file as it was{copy}"
            )
        raise DrugtailError(
            f"{model}: needs an encoder or featurizer of {name}; name the file that it was trained "
            f"with: --plugin {name}{copy}"
        )
