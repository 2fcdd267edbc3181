"""The second phase of two_phase_food: the head thinned and distilled, the tail grown by grafting.

After He, Lin, Eicher-Miller, Zhu, "Long-tailed Food Classification" (arXiv:2210.14748; Nutrients
2023), from its abstract; the details are ours. The first phase trains on everything. For the second
every class gets the same number of molecules:

- of a larger class those nearest to its mean are kept;
- a smaller one keeps all it has, and gets new ones. Their CutMix, guided by class activation,
  pastes the patch of a rare image that its class shows in most. Here the part of a rare molecule
  that its class shows in most is grafted on another molecule in place of the part that shows *its*
  class most (`drugtail.methods.grafting`); labels are shared by the number of atoms, as CutMix does
  by area. A molecule that cannot be cut is repeated instead.

The second phase goes on with the first one's weights. What the first network says of molecules of
a thinned class is distilled, since it knew those that were removed; of grown classes the labels
alone count, for it would pull back what was gained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drugtail.methods.grafting import best_part, contrast, find_parts, join, select
from drugtail.methods.losses import is_own
from drugtail.training.pool import Pool
from drugtail.training.problem import TRAIN

if TYPE_CHECKING:
    from drugtail.methods.parts import TwoPhase
    from drugtail.training.engine import Run

PIECE = 512


def begin_second_phase(run: Run, settings: TwoPhase) -> None:
    """Choose and make the molecules of the second phase for every seed, and go on with them."""
    train = run.parts[TRAIN]
    labels = run.objective.classes.labels.cpu().numpy()
    said = run.predict(train)
    features = said.features.cpu().numpy()
    activation, counts = atom_activations(run, train)
    size = max(1, round(settings.size * len(labels) / run.problem.classes))
    arrays = select(run.store.arrays, train.cpu().numpy())
    start = np.cumsum(counts) - counts
    pools, grafted = [], []
    for index, seed in enumerate(run.seeds):
        generator = np.random.default_rng(run.stream_seed("grafting", seed.number))
        kept = nearest_to_mean(features[index], labels, size)
        source, background = pairs_to_graft(labels, kept, size, generator)
        wanted, inverse = np.unique(np.concatenate([source, background]), return_inverse=True)
        chosen = select(arrays, wanted)
        parts = find_parts(chosen)
        where = np.concatenate(
            [np.arange(start[m], start[m] + counts[m]) for m in wanted] or [np.empty(0, np.int64)]
        )
        score = contrast(parts, chosen, activation[index][where])
        shown, hidden = (best_part(parts, s, len(wanted)) for s in (score, -score))
        first = shown[inverse[: len(source)]]
        second = hidden[inverse[len(source) :]]
        possible = (first >= 0) & (second >= 0)
        new = join(chosen, parts, first[possible], second[possible])
        # How much of each new molecule is of the rare one.
        held = np.add.reduceat(parts.kept, parts.start[:-1], dtype=np.int64)[first[possible]]
        share = np.ones(len(source), dtype=np.float32)
        share[possible] = held / new["atom_counts"]
        grafted.append(new)
        pools.append((kept, source, background, possible, share))
    _use(run, pools, grafted, thinned=run.objective.classes.counts > size)


def _use(
    run: Run, pools: list[Any], grafted: list[dict[str, NDArray[Any]]], thinned: Tensor
) -> None:
    train, labels = run.parts[TRAIN].cpu(), run.objective.classes.labels.cpu()
    number = len(run.store)
    rows = []
    for (kept, source, background, possible, share), new in zip(pools, grafted, strict=True):
        molecules = torch.cat([train[torch.from_numpy(kept)], train[torch.from_numpy(source)]])
        place = len(kept) + np.flatnonzero(possible)
        molecules[torch.from_numpy(place)] = number + torch.arange(len(place))
        number += len(new["atom_counts"])
        own = labels[torch.from_numpy(np.concatenate([kept, source]))]
        other = labels[torch.from_numpy(np.concatenate([kept, background]))]
        whole = torch.ones(len(kept))
        rows.append((molecules, own, other, torch.cat([whole, torch.from_numpy(share)])))
    run.grow(
        {
            name: torch.from_numpy(np.concatenate([new[name] for new in grafted]))
            for name in grafted[0]
        }
    )
    molecules, own, other, shares = (
        torch.stack(column).to(run.store.device) for column in zip(*rows, strict=True)
    )
    teacher = run.predict_each(molecules).logits
    run.use_second_stage(Pool(molecules, own, other, shares, teacher, taught=thinned[own]))


def nearest_to_mean(
    features: NDArray[np.floating[Any]], labels: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """Positions of the `size` molecules of each class nearest to its mean, all of a smaller one."""
    kept = []
    for c in range(labels.max() + 1):
        members = np.flatnonzero(labels == c)
        distance = np.linalg.norm(features[members] - features[members].mean(axis=0), axis=1)
        # In their own order: that of equal molecules, by distance, would hang on rounding.
        kept.append(np.sort(members[np.argsort(distance, kind="stable")[:size]]))
    return np.concatenate(kept)


def pairs_to_graft(
    labels: NDArray[np.int64],
    kept: NDArray[np.int64],
    size: int,
    generator: np.random.Generator,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For what each class lacks: a molecule of it, and one of any other class, among those kept."""
    source, background = [], []
    for c in range(labels.max() + 1):
        members, others = kept[labels[kept] == c], kept[labels[kept] != c]
        lacking = size - len(members)
        source.append(generator.choice(members, lacking))
        background.append(generator.choice(others, lacking))
    return np.concatenate(source), np.concatenate(background)


def atom_activations(
    run: Run, molecules: Tensor
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """How much each atom speaks for the class of its molecule, by every seed's network.

    x_a · ∂s_y/∂z for the features x_a of atom a, the sum z of which is the embedding: class
    activation mapping (Zhou et al., CVPR 2016; by gradients, Selvaraju et al., ICCV 2017) with
    atoms in the place of pixels.

    Returns
    -------
    activation : numpy.ndarray
        [S, Σ atoms], molecule after molecule.
    counts : numpy.ndarray
        Atoms of each molecule, int64 [n].
    """
    run.network.eval()
    pieces = []
    for rows in molecules.split(PIECE):
        batch = run.store.batch(rows.repeat(len(run.seeds), 1))
        with torch.no_grad():
            atoms = run.network.encoder.atoms(batch, run.store.type_features)
        # All seeds hold the same molecules; atoms that fill a graph up stand at its end.
        molecule = batch.molecule[0, : batch.molecule_start[0, -1]]
        atoms = atoms[:, : len(molecule)]
        embedding = atoms.new_zeros(len(run.seeds), len(rows), atoms.shape[2])
        embedding.index_add_(1, molecule, atoms).requires_grad_()
        logits = run.network.classify(embedding).logits
        own = is_own(run.labels[rows], logits.shape[2])
        (gradient,) = torch.autograd.grad((logits * own).sum(), embedding)
        pieces.append((atoms * gradient[:, molecule]).sum(dim=2))
    counts = run.store.atom_counts[molecules]
    return torch.cat(pieces, dim=1).cpu().numpy(), counts.cpu().numpy()
