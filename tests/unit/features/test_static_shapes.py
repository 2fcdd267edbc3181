"""Graphs of a fixed size."""

import pytest
import torch
from graph_batches import SMILES, cut, one_of, view_of
from hypothesis import given, settings
from hypothesis import strategies as st

from drugtail.features.packed import GraphStore, Size
from drugtail.features.reading import pack_atoms


@pytest.fixture(scope="module")
def store() -> GraphStore:
    return GraphStore(pack_atoms(SMILES), torch.device("cpu"))


@settings(max_examples=40, deadline=None)
@given(
    rows=st.lists(
        st.lists(st.integers(0, len(SMILES) - 1), min_size=3, max_size=3), min_size=1, max_size=4
    ),
    spare=st.tuples(st.integers(1, 40), st.integers(0, 90)),
)
def test_a_graph_that_is_filled_up_is_the_exact_one_and_atoms_bound_to_themselves(
    store: GraphStore, rows: list[list[int]], spare: tuple[int, int]
) -> None:
    needed = store.size_of(torch.tensor(rows))
    size = Size(needed.atoms + spare[0], needed.entries + spare[1])
    batch = store.batch(torch.tensor(rows), size)
    assert batch.atom_type.shape == (len(rows), size.atoms)
    assert batch.norm.shape == (len(rows), size.entries)
    for seed, molecules in enumerate(rows):
        one, exact = one_of(batch, seed), store.batch(torch.tensor(molecules))
        atoms, entries = len(exact.atom_type), len(exact.row)
        assert torch.equal(one.molecule_start, exact.molecule_start)
        for name in ("atom_type", "molecule"):
            assert torch.equal(getattr(one, name)[:atoms], getattr(exact, name))
        for name in ("row", "column", "reverse", "norm"):
            assert torch.equal(getattr(one, name)[:entries], getattr(exact, name))
        assert (one.molecule[atoms:] == 3).all()
        assert (one.norm[entries:] == 0).all()
        filling = one.row[entries:]
        assert torch.equal(filling, one.column[entries:])
        assert torch.equal(one.reverse[entries:], torch.arange(entries, size.entries))
        # As evenly over the atoms as can be, and every entry in the row of its atom.
        spread = torch.bincount(filling - atoms, minlength=size.atoms - atoms)
        assert spread.max() - spread.min() <= 1
        assert torch.equal(torch.bincount(one.row, minlength=size.atoms), one.row_start.diff())


def test_views_do_not_depend_on_how_far_a_graph_is_filled_up_nor_on_other_seeds(
    store: GraphStore,
) -> None:
    rows = torch.tensor([[0, 3, 0, 3], [7, 2, 7, 2]])
    exact = [view_of(cut(store, one), 0)[0] for one in rows[:1]]
    for size in (None, Size(70, 300), Size(80, 400)):
        found = view_of(store.batch(rows, size), 0)[0]
        torch.testing.assert_close(found[: len(exact[0])], exact[0], rtol=0, atol=0)
