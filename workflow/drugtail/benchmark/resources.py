"""Time, memory and disk that a training job needs, estimated before it has run.

All of it is a guess from sizes that the configuration knows, and meant to be asked for from a
cluster: generous, since a job that asks for too little is killed. Where blocks were measured,
`drugtail.benchmark.progress` goes by these.
"""

from __future__ import annotations

import math

from drugtail.benchmark.plan import Plan
from drugtail.benchmark.planned import PlannedBlock, PlannedTuning
from drugtail.config.benchmark import parse_seeds
from drugtail.config.dataset import Dataset
from drugtail.config.encoders.graph_and_vector import GraphAndVectorEncoder
from drugtail.runtime.files import read_json
from drugtail.runtime.names import SHARED

# Molecules per second of one core of an AMD EPYC, one seed of `cross_entropy` on the demo with the
# catalogue's settings, two jobs beside each other; by the kind of encoder.
RATES = {
    "gcn": 5_500.0,
    "gin": 1_500.0,
    "gine": 1_300.0,
    "gat": 1_000.0,
    "pna": 270.0,
    "gps": 370.0,
    "attentivefp": 750.0,
    "dmpnn": 370.0,
    "mlp": 7_000.0,
}
# Any other: no slower than the slowest of them.
OTHER_RATE = 270.0
# Molecules times classes per second of a classical method; boosted trees are the slowest.
CLASSICAL_RATE = 2_000.0
# Of a method with two views of each molecule, and of each expert beside the first.
VIEWS, EXPERT = 2.5, 0.1
# Before the first and after the last step, and what the guess is multiplied with when it is asked
# for: nodes of a cluster differ, and share what the measured machine had alone.
START_SECONDS, MARGIN = 15.0, 4.0

# Molecules that are prepared or featurized per minute, at least; a core of the machine that was
# measured takes 50,000 and more. A split takes SPLIT_MINUTES, evaluating a block EVALUATE_MINUTES.
DATA_RATE = 4_000
DATA_MINUTES, OWN_MINUTES, SPLIT_MINUTES, EVALUATE_MINUTES = 10, 60, 10, 5

# A forest that is kept takes so much for each training molecule.
FOREST_BYTES = 5_000

# The size of the generated data set stands in its generator; about this many molecules.
GENERATED_MOLECULES = 6_000
# Where the configuration does not say how many there are.
GUESSED_MOLECULES, GUESSED_CLASSES = 100_000, 50

Job = PlannedBlock | PlannedTuning


def train_molecules(plan: Plan, job: Job) -> int | None:
    """Return the training molecules of a job; None if that is not known yet.

    They are those of its split if it is there, else 70 % of what the register of the data set
    expects.
    """
    size = split_size(job.dataset, job.split)
    if size:
        return size
    rows = _expected_molecules(plan, job.dataset)
    return None if rows is None else round(0.7 * rows)


def split_size(dataset: str, split: str) -> int:
    """Return the training molecules of a split; 0 if it is not there."""
    # One that a plugin cut lies in a folder below.
    for path in sorted((SHARED / "splits" / dataset).glob(f"**/{split}.json")):
        return int(sum(read_json(path)["train_counts"]))
    return 0


def _expected_molecules(plan: Plan, name: str) -> int | None:
    dataset = plan.datasets[name]
    if dataset.expected.molecules is not None:
        return dataset.expected.molecules
    rows = _rows(dataset)
    return min(rows, dataset.sample.molecules) if rows and dataset.sample else rows


def _rows(dataset: Dataset) -> int | None:
    """Return the rows of a data set's files, or about how many are generated; None if unknown."""
    if not dataset.files:
        return GENERATED_MOLECULES
    rows = [file.rows for file in dataset.files]
    known = [count for count in rows if count is not None]
    return sum(known) if len(known) == len(rows) else None


def amount(plan: Plan, job: Job) -> int | None:
    """Return the work of a job in training molecules x epochs x seeds x trials."""
    molecules = train_molecules(plan, job)
    trials = job.trials if isinstance(job, PlannedTuning) else 1
    if molecules is None:
        return None
    return molecules * job.epochs * len(parse_seeds(job.seeds)) * trials


def nominal_seconds(plan: Plan, job: Job) -> float | None:
    """Return the seconds that a job takes on one core of the machine that was measured."""
    work = amount(plan, job)
    return None if work is None else START_SECONDS + work / _rate(plan, job)


def _rate(plan: Plan, job: Job) -> float:
    """Return molecules x epochs per second."""
    recipe = plan.recipes[job.method]
    if not recipe.is_network:
        return CLASSICAL_RATE / (plan.datasets[job.dataset].expected.classes or GUESSED_CLASSES)
    dearer = VIEWS if recipe.views is not None else 1.0
    if recipe.experts is not None:
        dearer += EXPERT * (recipe.experts.number - 1)
    encoder = plan.encoders[job.encoder]
    # Of a graph beside a vector, the graph takes the time.
    kind = encoder.graph.kind if isinstance(encoder, GraphAndVectorEncoder) else encoder.kind
    return RATES.get(kind, OTHER_RATE) / dearer


def minutes_to_ask_for(plan: Plan, job: Job) -> int:
    """Return the time limit of a job in minutes: ten at least, two weeks at most."""
    seconds = nominal_seconds(plan, job)
    if seconds is None:
        work = GUESSED_MOLECULES * job.epochs * len(parse_seeds(job.seeds))
        seconds = work / _rate(plan, job)
    return min(max(10, math.ceil(MARGIN * seconds / 60)), 14 * 24 * 60)


def data_minutes(plan: Plan, dataset: str, *, own: bool = False) -> int:
    """Return the time limit of preparing a data set, or of featurizing it once, in minutes.

    A featurizer of the user's `own` may be slow: it gets an hour at least.
    """
    known = {**plan.registers, **plan.datasets}
    rows = _rows(known[dataset])
    found = DATA_MINUTES + math.ceil((GUESSED_MOLECULES if rows is None else rows) / DATA_RATE)
    return max(found, OWN_MINUTES) if own else found


def megabytes_to_ask_for(plan: Plan, job: Job) -> int:
    """Return the memory of a job in MB.

    Half a gigabyte is PyTorch alone, and the largest network of the catalogue took 1.4 GB with one
    seed on 6,000 molecules. Estimators read fingerprints of 2,048 numbers of 4 bytes.
    """
    molecules = train_molecules(plan, job) or GUESSED_MOLECULES
    if plan.recipes[job.method].is_network:
        return 2_000 + 100 * len(parse_seeds(job.seeds)) + molecules // 100
    return 2_000 + molecules // 50


def bytes_to_keep(plan: Plan, block: PlannedBlock) -> int:
    """Return about how many bytes a block takes on disk: predictions and models of every seed."""
    molecules = train_molecules(plan, block) or GUESSED_MOLECULES
    classes = plan.datasets[block.dataset].expected.classes or GUESSED_CLASSES
    # Of validation and test, 30 % beside 70 % of training, a number of 4 bytes for each class.
    predictions = round(molecules * 3 / 7) * classes * 4
    # A forest grows with what it was fitted to: of 300 trees on the demo it takes 20 MB.
    model = 1_000_000 if plan.recipes[block.method].is_network else FOREST_BYTES * molecules
    kept = model if plan.benchmark.keep_models else 0
    return 100_000 + len(parse_seeds(block.seeds)) * (predictions + kept)
