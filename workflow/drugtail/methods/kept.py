"""Fitted estimators as numbers and text, so that they can be kept without pickle.

Three forms: what an estimator of ours says of itself as arrays, LightGBM's own text, and skops for
what is scikit-learn's or imbalanced-learn's. What skops may build is listed here and nowhere else:
never is it asked of the file.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from drugtail.methods.optional import optional
from drugtail.runtime.errors import DrugtailError

# Types that skops does not trust by itself, and that our estimators are made of.
TRUSTED = frozenset(
    {
        "sklearn.tree._tree.Tree",
        "imblearn.ensemble._forest.BalancedRandomForestClassifier",
        "imblearn.ensemble._easy_ensemble.EasyEnsembleClassifier",
        "imblearn.pipeline.Pipeline",
        "imblearn.under_sampling._prototype_selection._random_under_sampler.RandomUnderSampler",
    }
)
# A kept estimator: its form, and what that form needs.
Kept = dict[str, Any]


@runtime_checkable
class AsArrays(Protocol):
    """An estimator that says itself what it has learned, which a plugin's can do as well."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what it has learned."""

    def load_arrays(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what `arrays` returned."""


class CannotBeKept(Exception):
    """An estimator has no form that can be read again; the message says why."""


def kept(classifier: Any) -> Kept:
    """Return a fitted estimator as numbers and text.

    Raises
    ------
    CannotBeKept
        If it is made of types that are not in `TRUSTED`, and does not say itself what it has
        learned (`AsArrays`).
    """
    if isinstance(classifier, AsArrays):
        arrays = classifier.arrays()
        return {"form": "arrays", "arrays": {k: torch.from_numpy(v) for k, v in arrays.items()}}
    if hasattr(classifier, "booster_"):
        text = classifier.booster_.model_to_string()
        return {"form": "lightgbm", "content": _as_tensor(zlib.compress(text.encode()))}
    import skops.io

    # A pipeline of ours ends with the estimator; what stands before it acts in fitting alone.
    if hasattr(classifier, "steps"):
        classifier = classifier[-1]
    content = io.BytesIO()
    try:
        skops.io.dump(classifier, content, compression=zipfile.ZIP_DEFLATED)
        strange = set(skops.io.get_untrusted_types(data=content.getvalue())) - TRUSTED
    except Exception as error:
        # skops raises what its many kinds of nodes raise.
        raise CannotBeKept(f"skops cannot keep it ({type(error).__name__}: {error})") from error
    if strange:
        raise CannotBeKept(f"it is made of {', '.join(sorted(strange))}")
    return {"form": "skops", "content": _as_tensor(content.getvalue())}


def restored(one: Kept, make: Callable[[], Any], classes: int, where: object) -> Any:
    """Return an estimator with ``classes_`` and ``predict_proba``, as the one that was kept.

    Parameters
    ----------
    one
        What `kept` returned.
    make
        Makes an estimator that has learned nothing, for those that are kept as arrays.
    classes
        Number of classes C.
    where
        Path, for messages.

    Raises
    ------
    DrugtailError
        If it holds types that no estimator of ours has, or is damaged.
    """
    form = one.get("form")
    try:
        if form == "arrays":
            estimator = make()
            estimator.load_arrays({name: array.numpy() for name, array in one["arrays"].items()})
            return estimator
        if form == "lightgbm":
            return _Boosted(zlib.decompress(_as_bytes(one["content"])).decode(), classes)
        if form == "skops":
            return _from_skops(_as_bytes(one["content"]), where)
    except DrugtailError:
        raise
    except Exception as error:
        # Libraries raise what they like on content that is not theirs.
        raise DrugtailError(
            f"{where}: its estimator cannot be read ({type(error).__name__}); train the block again"
        ) from error
    raise DrugtailError(f"{where}: keeps its estimator as {form!r}, which is none of ours")


def _as_tensor(content: bytes) -> Tensor:
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)


def _as_bytes(content: Tensor) -> bytes:
    return content.numpy().tobytes()


def _from_skops(content: bytes, where: object) -> Any:
    import skops.io

    strange = set(skops.io.get_untrusted_types(data=content)) - TRUSTED
    if strange:
        raise DrugtailError(
            f"{where}: holds {', '.join(sorted(strange))}, which no model of ours does; it is not "
            "opened"
        )
    estimator = skops.io.loads(content, trusted=sorted(TRUSTED))
    for tree in _trees(estimator):
        _check_tree(tree, where)
    return estimator


def _trees(estimator: Any) -> Iterator[Any]:
    """Yield the trees of an ensemble, also of an ensemble of pipelines of ensembles."""
    for one in getattr(estimator, "estimators_", ()):
        yield from _trees(one[-1] if hasattr(one, "steps") else one)
    if hasattr(estimator, "tree_"):
        yield estimator.tree_


def _check_tree(tree: Any, where: object) -> None:
    """Refuse a tree whose branches lead outside of it or back, which scikit-learn does not see."""
    number = np.arange(tree.node_count)
    inner = tree.children_left >= 0
    for child in (tree.children_left, tree.children_right):
        good = (child[inner] > number[inner]) & (child[inner] < tree.node_count)
        if not good.all() or (child[~inner] >= 0).any():
            raise DrugtailError(f"{where}: a tree of it is damaged; train the block again")
    if ((tree.feature[inner] < 0) | (tree.feature[inner] >= tree.n_features)).any():
        raise DrugtailError(f"{where}: a tree of it is damaged; train the block again")


class _Boosted:
    """LightGBM's trees, read from text."""

    def __init__(self, text: str, classes: int) -> None:
        with optional("lightgbm"):
            from lightgbm import Booster

        self.booster = Booster(model_str=text)
        self.classes_ = np.arange(classes)

    def predict_proba(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return probabilities, [n, C]."""
        found = np.asarray(self.booster.predict(x, num_threads=1))
        return np.stack([1 - found, found], axis=1) if found.ndim == 1 else found
