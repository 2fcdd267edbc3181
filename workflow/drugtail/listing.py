"""Rows of all there is to choose from: methods, data sets, splits, encoders, tables, metrics."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, get_args

from drugtail import plugins
from drugtail.config.base import meant, validated
from drugtail.config.catalogue import Catalogue
from drugtail.config.encoder import package_kinds
from drugtail.config.recipe import Family, Recipe, Reference
from drugtail.config.split_name import SplitName
from drugtail.data.table_format import FORMATS
from drugtail.report.plots import plot_of
from drugtail.runtime.errors import DrugtailError, file_of
from drugtail.runtime.registry import first_line

COMMAND = "drugtail list methods --markdown > config/methods/README.md"
FAMILIES: dict[str, str] = {
    "baseline": "what the others are compared with",
    "resampling": "which molecules an epoch consists of",
    "reweighting": "how much a molecule counts in the loss",
    "adjustment": "logits or labels changed by the class sizes",
    "decoupled": "features first, then the classifier",
    "mixing": "molecules of two classes in one, or knowledge passed on between networks",
    "contrastive": "molecules compared with each other",
    "experts": "several heads on one encoder",
    "classical": "no network, an estimator on fingerprints",
    "ensemble": "probabilities of other methods averaged",
    "proposed": "weights from distances between classes, and its variants",
    "other": "of none of these families",
}
# Declarations of yes or no, in words.
SAID = {
    "batched": {True: "all seeds at once", False: "seed after seed"},
    "groups": {True: "also _head, _middle and _tail", False: "of all classes only"},
}
# What a second stage consists of.
STAGES: dict[str, str] = {
    "classifier_retraining": "a new last layer on frozen features",
    "learned_scales": "one scale per class, all else frozen",
    "learned_margins": "a scale and a margin per class, all else frozen",
    "distillation": "a new network, taught by the first",
    "two_phase": "molecules chosen and grafted anew, taught by the first stage",
}

# Kinds that are files of the catalogue, and those that are registered: axis -> registry's name.
FILES = ("methods", "datasets", "encoders", "tables")
COMPONENTS = (
    "sampler", "class_weights", "loss", "contrastive", "views", "mixing", "posthoc",
    "second_stage", "subclusters", "classifier",
)  # fmt: skip
REGISTERED = {
    "splits": plugins.SPLITS,
    "featurizers": plugins.FEATURIZERS,
    "encoder-kinds": plugins.ENCODERS,
    "metrics": plugins.METRICS,
    "tests": plugins.TESTS,
    "table-kinds": plugins.TABLE_KINDS,
    "figures": plugins.FIGURES,
    **{f"components.{name}": name for name in COMPONENTS},
}
FORMATS_KIND = "formats"
KINDS = (
    *FILES,
    FORMATS_KIND,
    *(kind for kind in REGISTERED if not kind.startswith("components.")),
    "components",
)


def listed(catalogue: Catalogue, kind: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Rows of everything of one kind, and what is wrong with the files that could not be read.

    What plugins add is among them, if they were loaded before.

    Parameters
    ----------
    catalogue
        Where the files are.
    kind
        One of `KINDS`.

    Raises
    ------
    DrugtailError
        If there is no such kind.
    """
    if kind == "components":
        return [row for name in COMPONENTS for row in registered(f"components.{name}")], []
    if kind == "featurizers":
        # Here, since other kinds need not wait for it.
        from drugtail.features.choice import NAMED_AFTER

        more = [
            {"name": name, "idea": first_line(one), "gives": one.form, "from": ""}
            for name, one in NAMED_AFTER.items()
        ]
        return registered(kind) + more, []
    if kind in REGISTERED:
        return registered(kind), []
    if kind == FORMATS_KIND:
        return [{"name": n, "idea": first_line(FORMATS[n])} for n in FORMATS.names()], []
    if kind not in FILES:
        raise DrugtailError(
            f"{kind!r} cannot be listed{meant(kind, list(KINDS))}; use {', '.join(KINDS)} or "
            "reference (of all settings)"
        )
    readers: dict[str, Callable[[str], Any]] = {
        "methods": catalogue.recipe,
        "datasets": catalogue.dataset,
        "encoders": catalogue.encoder,
        "tables": catalogue.table,
    }
    read, faults = [], []
    for name in catalogue.names(kind):
        try:
            read.append(readers[kind](name))
        except DrugtailError as error:
            faults.append(str(error))
    if kind == "methods":
        return methods(read), faults
    if kind == "encoders":
        read += _of_plugins()
    return [_row(kind, one) for one in read], faults


def _of_plugins() -> list[Any]:
    """Encoders that plugins register, with their default settings: a benchmark may name them."""
    registry = plugins.registry(plugins.ENCODERS)
    names = [name for name in registry.names() if not registry.is_packaged(name)]
    return [validated(registry.settings(n), {"name": n, "kind": n}, n) for n in names]


def registered(kind: str) -> list[dict[str, Any]]:
    """Rows of what is registered: name, idea (first line of the docstring) and what it declares.

    Parameters
    ----------
    kind
        Key of `REGISTERED`.
    """
    registry = plugins.all_registries()[REGISTERED[kind]]
    return [
        {
            **({"key": REGISTERED[kind]} if kind.startswith("components.") else {}),
            "name": name,
            "idea": plot_of(name).caption if kind == "figures" else first_line(registry[name]),
            **_declared(kind, registry[name], name),
            "from": "" if registry.is_packaged(name) else file_of(registry[name]),
        }
        for name in registry.names()
    ]


def _declared(kind: str, one: Any, name: str) -> dict[str, Any]:
    """Return the settings that something was registered with, beside its docstring."""
    if kind == "splits":
        named = {"named": f"{name}-S, S a split seed"} if one.seeded else {}
        if name == "official_purged":
            named = {"named": str(SplitName(name))}
        if one.folds:
            named = {"named": f"{name}-R-F, fold F of repetition R; all: {name}-5x{one.folds}"}
        kept = {} if one.grouping is None else {"keeps_together": one.grouping}
        return {**named, **kept, "requires": list(one.requires)}
    if kind == "featurizers":
        return {"gives": one.form}
    if kind == "encoder-kinds":
        settings = package_kinds().get(name) or plugins.registry(plugins.ENCODERS).settings(name)
        return {"reads": list(settings.reads), "batched": settings.batched}
    if kind == "metrics":
        # Here, since it takes a second to import.
        from drugtail.evaluation.metrics import in_groups

        return {"groups": in_groups(name)}
    if kind == "figures":
        return {"drawn_from": list(plot_of(name).inputs)}
    return {}


def list_as_text(kind: str, rows: Sequence[dict[str, Any]]) -> str:
    """Rows for people: a line each, of methods and encoders with more below it."""
    first = 3 if kind in ("datasets", "encoders", "tables") else 2
    text = ""
    for row in rows:
        shown = [_shown(key, value) for key, value in row.items() if value not in (None, [], "")]
        text += "\n    ".join(["  ".join(shown[:first]), *shown[first:]]) + "\n"
    return text


def _row(kind: str, one: Any) -> dict[str, Any]:
    if kind == "datasets":
        return {key: getattr(one, key) for key in ("name", "title", "task", "licence", "synthetic")}
    if kind == "tables":
        return {"name": one.name, "title": one.title}
    settings = one.model_dump(exclude={"name", "kind", "featurizer"})
    return {"name": one.name, "kind": one.kind, "reads": one.featurizer, "settings": settings}


def _shown(key: str, value: Any) -> str:
    shown = value
    if isinstance(value, list):
        shown = "; ".join(value) if key == "needs" else ", ".join(value)
    if key == "requires":
        return f"(of data sets with: {shown})"
    if key in ("reads", "needs", "gives", "named"):
        return f"{key} {shown}"
    if key == "keeps_together":
        return f"one {shown} stays on one side"
    if key == "drawn_from":
        return f"drawn from {shown}"
    if key in ("batched", "groups"):
        return SAID[key][value]
    if key == "settings":
        return json.dumps(value)
    if isinstance(value, dict):
        link = f", {value['link']}" if value["link"] else ""
        return f"{value['authors']}, {value['venue']} {value['year']}{link}"
    if isinstance(value, bool):
        return "synthetic" if value else "real"
    return str(shown)


def methods(recipes: Iterable[Recipe]) -> list[dict[str, Any]]:
    """One row per recipe, by family and name.

    Returns
    -------
    list of dict
        name, family, idea, reference (a dictionary or None), reads (``graphs`` or
        ``fingerprints``, or an ensemble's ``other methods' predictions``) and needs (see `needs`).
    """
    order = get_args(Family)
    return [
        {
            "name": recipe.name,
            "family": recipe.family,
            "idea": " ".join(filter(None, [recipe.idea, _remade(recipe)])),
            "reference": recipe.reference and recipe.reference.model_dump(),
            "reads": _reads(recipe),
            "needs": needs(recipe),
        }
        for recipe in sorted(recipes, key=lambda r: (order.index(r.family), r.name))
    ]


def _reads(recipe: Recipe) -> str:
    if recipe.ensemble is not None:
        return "other methods' predictions"
    return "graphs" if recipe.is_network else "fingerprints"


def _remade(recipe: Recipe) -> str:
    return f"A reconstruction: {recipe.reconstruction}" if recipe.reconstruction else ""


def needs(recipe: Recipe) -> list[str]:
    """Return the needs of a method beyond one plain training, in words; empty if none.

    Numbers of epochs are those of a full-length training.
    """
    if recipe.ensemble is not None:
        return [f"blocks of {' and '.join(one.method for one in recipe.ensemble.of)}"]
    return [*_of_the_encoder(recipe), *_of_the_head(recipe), *_of_time(recipe)]


def _of_the_encoder(recipe: Recipe) -> Iterator[str]:
    if recipe.views is not None:
        yield "two views of each molecule (twice the work)"
    if recipe.partners is not None:
        yield "two batches a step (twice the work)"
    term: Any = recipe.contrastive
    if term is not None and "queue" in term.needs:
        yield f"a momentum encoder and a queue of {term.queue:,} molecules"
    if term is not None and "centres" in term.needs:
        yield "learned class centres"
    if term is not None and "targets" in term.needs:
        yield "fixed targets for classes"


def _of_the_head(recipe: Recipe) -> Iterator[str]:
    if recipe.experts is not None:
        yield f"{recipe.experts.number} heads"
    if recipe.last_layer.name == "cosine":
        yield "cosine last layer"
    if recipe.posthoc is not None and recipe.posthoc.name == "tau_norm":
        yield "validation molecules for its strength"
    if recipe.posthoc is not None and recipe.posthoc.name == "nearest_class_mean":
        yield "embeddings of all training molecules at the end"


def _of_time(recipe: Recipe) -> Iterator[str]:
    if recipe.sharpness is not None:
        yield "the loss computed twice in each step (twice the work)"
    if recipe.subclusters is not None and recipe.schedule is not None:
        by_class = recipe.subclusters.name == "whole_classes"
        what = "class centres" if by_class else "re-clustering"
        yield f"{what} every {recipe.schedule.refresh_epochs} epochs"
    if recipe.second_stage is not None:
        share = f"{1 - recipe.second_stage.start:.0%} of the epochs"
        yield f"a second stage, {share}: {STAGES[recipe.second_stage.name]}"


def methods_page(rows: list[dict[str, Any]]) -> str:
    """Return config/methods/README.md: the rows of `methods`, by family."""
    lines = [
        "# Methods",
        "",
        f"Generated from the recipes; renew it with `{COMMAND}`.",
        "[Settings](../README.md) lists what a recipe may say, [own.md](own.md) shows how to add a",
        'method. "Needs" is what a method asks for beyond one plain training of a network.',
    ]
    for family in dict.fromkeys(row["family"] for row in rows):
        reads = {row["reads"] for row in rows if row["family"] == family}
        lines += [
            "",
            f"## {family}",
            "",
            f"{FAMILIES[family].capitalize()}; reads {' or '.join(sorted(reads))}.",
            "",
            "| method | idea | needs | reference |",
            "| --- | --- | --- | --- |",
        ]
        for row in rows:
            if row["family"] == family:
                path = f"[`{row['name']}`]({family}/{row['name']}.yaml)"
                cells = [path, row["idea"], "; ".join(row["needs"]) or "–", _cited(row)]
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _cited(row: dict[str, Any]) -> str:
    if row["reference"] is None:
        return "–"
    reference = Reference.model_validate(row["reference"])
    text = f"{reference.authors}, {reference.venue} {reference.year}"
    return text if reference.link is None else f"[{text}]({address(reference.link)})"


def address(link: str) -> str:
    """Web address of a reference: of ``arXiv:…`` and ``doi:…``; others are one already."""
    kind, _, number = link.partition(":")
    # Parentheses, which stand in some DOIs, would end a link in Markdown.
    number = number.replace("(", "%28").replace(")", "%29")
    places = {"arXiv": "https://arxiv.org/abs/", "doi": "https://doi.org/"}
    return places[kind] + number if kind in places else link
