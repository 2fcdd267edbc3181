"""The second phase of two_phase_food: the head thinned and distilled, the tail grown by grafting.

After He, Lin, Eicher-Miller, Zhu, "Long-tailed Food Classification" (arXiv:2210.14748; Nutrients
2023), from its abstract; the details are ours. The first phase trains on everything. For the second
every class gets the same number of molecules:

- of a larger class those nearest to its mean are kept;
- a smaller one keeps all it has, and gets new ones. Their CutMix, guided by class activation,
  pastes the patch of a rare image that its class shows in most. Here the part of a rare molecule
  that its class shows in most is grafted on another molecule in place of the fragment that shows
  *its* class most (`drugtail.methods.grafting`); labels are shared by the number of atoms, as
  CutMix does by area. A molecule that cannot be cut is repeated instead.

The second phase goes on with the first one's weights. What the first network says of molecules of
a thinned class is distilled, since it knew those that were removed; of grown classes the labels
alone count, for it would pull back what was gained.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drugtail.features.packed import GraphStore
from drugtail.methods.grafting import best_fragment, contrast, find_fragments, join, select
from drugtail.methods.losses import is_true_class
from drugtail.training.pool import Pool
from drugtail.training.problem import TRAIN
from drugtail.training.seed_state import SeedState

PIECE = 512


def grafted_pools(
    state: SeedState, mean_sizes: float
) -> tuple[list[Any], list[dict[str, NDArray[Any]]], int]:
    """Choose and make the molecules of the second stage for every seed.

    Parameters
    ----------
    state
        The seeds.
    mean_sizes
        Molecules that every class gets, in mean class sizes.

    Returns
    -------
    pools : list of tuple
        Per seed: positions of the molecules that are kept, sources and backgrounds of new ones,
        which of those could be grafted, and how much of each is of the source.
    grafted : list of dict
        Per seed: packed arrays of the new molecules.
    size : int
        Molecules of every class.
    """
    train = state.subsets[TRAIN]
    labels = state.objective.classes.labels.cpu().numpy()
    output = state.predict(train)
    features = output.features.cpu().numpy()
    activation, counts = atom_activations(state, train)
    size = max(1, round(mean_sizes * len(labels) / state.problem.classes))
    arrays = select(_graphs(state).arrays, train.cpu().numpy())
    start = np.cumsum(counts) - counts
    pools, grafted = [], []
    for index, seed in enumerate(state.seeds):
        generator = np.random.default_rng(state.stream_seed("grafting", seed.number))
        kept = nearest_to_mean(features[index], labels, size)
        source, background = pairs_to_graft(labels, kept, size, generator)
        wanted, inverse = np.unique(np.concatenate([source, background]), return_inverse=True)
        chosen = select(arrays, wanted)
        fragments = find_fragments(chosen)
        where = np.concatenate(
            [np.arange(start[m], start[m] + counts[m]) for m in wanted] or [np.empty(0, np.int64)]
        )
        score = contrast(fragments, chosen, activation[index][where])
        shown, hidden = (best_fragment(fragments, s, len(wanted)) for s in (score, -score))
        first = shown[inverse[: len(source)]]
        second = hidden[inverse[len(source) :]]
        possible = (first >= 0) & (second >= 0)
        new = join(chosen, fragments, first[possible], second[possible])
        # How much of each new molecule is of the rare one.
        held = np.add.reduceat(fragments.kept, fragments.start[:-1], dtype=np.int64)[
            first[possible]
        ]
        share = np.ones(len(source), dtype=np.float32)
        share[possible] = held / new["atom_counts"]
        grafted.append(new)
        pools.append((kept, source, background, possible, share))
    return pools, grafted, size


def use_pools(
    state: SeedState, pools: list[Any], grafted: list[dict[str, NDArray[Any]]], thinned: Tensor
) -> None:
    """Go on with what `grafted_pools` returned; molecules of the thinned classes are distilled.

    Parameters
    ----------
    state, pools, grafted
        The seeds, and what `grafted_pools` returned.
    thinned
        Which classes were thinned, bool [C].
    """
    train, labels = state.subsets[TRAIN].cpu(), state.objective.classes.labels.cpu()
    number = len(state.store)
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
    state.grow(
        {
            name: torch.from_numpy(np.concatenate([new[name] for new in grafted]))
            for name in grafted[0]
        }
    )
    molecules, own, other, shares = (
        torch.stack(column).to(state.store.device) for column in zip(*rows, strict=True)
    )
    teacher = state.predict_each(molecules).logits
    state.use_second_stage(Pool(molecules, own, other, shares, teacher, taught=thinned[own]))


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
    state: SeedState, molecules: Tensor
) -> tuple[NDArray[np.floating[Any]], NDArray[np.int64]]:
    """Return the class activation of each atom for its molecule's class, per seed.

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
    state.network.eval()
    # A plan that names an encoder without is refused.
    encoder: Any = state.network.encoder
    store, pieces = _graphs(state), []
    for rows in molecules.split(PIECE):
        batch = store.batch(rows.repeat(len(state.seeds), 1))
        with torch.no_grad():
            atoms = encoder.atoms(batch)
        # All seeds hold the same molecules; atoms that fill a graph up stand at its end.
        molecule = batch.molecule[0, : batch.molecule_start[0, -1]]
        atoms = atoms[:, : len(molecule)]
        embedding = atoms.new_zeros(len(state.seeds), len(rows), atoms.shape[2])
        embedding.index_add_(1, molecule, atoms).requires_grad_()
        logits = state.network.classify(embedding).logits
        own = is_true_class(state.labels[rows], logits.shape[2])
        (gradient,) = torch.autograd.grad((logits * own).sum(), embedding)
        pieces.append((atoms * gradient[:, molecule]).sum(dim=2))
    counts = store.atom_counts[molecules]
    return torch.cat(pieces, dim=1).cpu().numpy(), counts.cpu().numpy()


def _graphs(state: SeedState) -> GraphStore:
    """The molecules, which must be graphs to be cut; a plan that names others is refused."""
    assert isinstance(state.store, GraphStore)
    return state.store
