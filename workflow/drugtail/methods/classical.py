"""Estimators on fingerprints, from scikit-learn, imbalanced-learn, LightGBM and XGBoost.

The seeds of a block are fitted one after the other: the libraries' estimators are no networks whose
weights could be stacked and computed together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from drugtail.config.prior import SMALLEST_PROBABILITY
from drugtail.methods.optional import optional
from drugtail.runtime.logging import say
from drugtail.runtime.registry import Registry

if TYPE_CHECKING:
    from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
    from imblearn.pipeline import Pipeline
    from lightgbm import LGBMClassifier
    from scipy.sparse import csr_matrix
    from sklearn.ensemble import RandomForestClassifier

    from drugtail.methods.nearest_neighbours import TanimotoNeighbours
    from drugtail.methods.xgboost_trees import XGBoostTrees

# The libraries take seconds to import, which the training of networks need not wait for (nor
# need the optional ones be there): each function imports its own.
CLASSIFIERS: Registry[Any] = Registry("classifier")
# Bytes of the trees of a forest: 300 full ones on 20,000 molecules of 600 classes would have 45 GB.
LARGEST_FOREST = 2 * 2**30
# In place of a depth that follows from the number of classes, which `fit` knows.
BY_CLASSES = 10**9


@CLASSIFIERS.register("random_forest")
def random_forest(settings: Any, seed: int, threads: int) -> RandomForestClassifier:
    """scikit-learn's random forest.

    Parameters
    ----------
    settings
        ``n_estimators``, ``class_weight`` and ``max_leaf_nodes``.
    seed
        Seed of the forest, in [0, 2**32).
    threads
        Threads to fit with; the result does not depend on it.
    """
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(
        n_estimators=settings.n_estimators,
        class_weight=settings.class_weight,
        max_leaf_nodes=settings.max_leaf_nodes,
        random_state=seed,
        n_jobs=threads,
    )


@CLASSIFIERS.register("balanced_random_forest")
def balanced_random_forest(
    settings: Any, seed: int, threads: int
) -> BalancedRandomForestClassifier:
    """imbalanced-learn's forest of trees on balanced samples (Chen, Liaw, Breiman, 2004).

    Parameters
    ----------
    settings
        ``n_estimators`` and ``max_leaf_nodes``.
    seed, threads
        As for `random_forest`.
    """
    with optional("imbalanced-learn"):
        from imblearn.ensemble import BalancedRandomForestClassifier

    return BalancedRandomForestClassifier(
        n_estimators=settings.n_estimators,
        max_leaf_nodes=settings.max_leaf_nodes,
        random_state=seed,
        n_jobs=threads,
    )


@CLASSIFIERS.register("easy_ensemble")
def easy_ensemble(settings: Any, seed: int, threads: int) -> EasyEnsembleClassifier:
    """imbalanced-learn's bag of AdaBoost on balanced subsets (Liu, Wu, Zhou, 2009).

    AdaBoost refuses a subset whose molecules all have one fingerprint. That can only happen when
    the smallest class has one molecule, or one fingerprint, and other classes have it too.

    Parameters
    ----------
    settings
        ``n_estimators``, ``adaboost_n_estimators`` and ``max_depth``.
    seed
        As for `random_forest`.
    threads
        Processes to fit with; the result does not depend on it.
    """
    with optional("imbalanced-learn"):
        from imblearn.ensemble import EasyEnsembleClassifier
    from sklearn.ensemble import AdaBoostClassifier
    from sklearn.tree import DecisionTreeClassifier

    # Without a depth it gets that of the number of classes, see `fit`.
    tree = DecisionTreeClassifier(max_depth=settings.max_depth or BY_CLASSES)
    return EasyEnsembleClassifier(
        n_estimators=settings.n_estimators,
        estimator=AdaBoostClassifier(tree, n_estimators=settings.adaboost_n_estimators),
        random_state=seed,
        n_jobs=threads,
    )


@CLASSIFIERS.register("smote_logistic")
def smote_logistic(settings: Any, seed: int, threads: int) -> Pipeline:
    """SMOTE (Chawla et al., 2002), then scikit-learn's logistic regression.

    Only SMOTE is random: seeds are equal where it makes nothing new, because all classes have one
    size or those to be enlarged have one molecule.

    Parameters
    ----------
    settings
        ``k_neighbors``, ``C``, ``tol`` and ``max_iter``.
    seed
        Seed of SMOTE, in [0, 2**32).
    threads
        Not used: neither step runs faster with more.
    """
    with optional("imbalanced-learn"):
        from imblearn import FunctionSampler
        from imblearn.pipeline import Pipeline
    from sklearn.linear_model import LogisticRegression

    oversample = FunctionSampler(
        func=smote, kw_args={"neighbours": settings.k_neighbors, "seed": seed}
    )
    regression = LogisticRegression(C=settings.C, tol=settings.tol, max_iter=settings.max_iter)
    return Pipeline([("smote", oversample), ("regression", regression)])


def smote(
    x: NDArray[np.float32], y: NDArray[np.int64], neighbours: int, seed: int
) -> tuple[csr_matrix, NDArray[np.int64]]:
    """Over-sample every class to the size of the largest with imbalanced-learn's SMOTE.

    SMOTE draws a molecule and one of its nearest neighbours of the same class, and takes a point
    between the two: a class needs two molecules at least, and k + 1 for k neighbours.

    Parameters
    ----------
    x
        [N, bits].
    y
        Classes, [N]. One with a single molecule gets a copy of it first.
    neighbours
        Lowered to what the smallest class permits.
    seed
        Seed, in [0, 2**32).

    Returns
    -------
    x, y
        [M, bits] and [M]: sparse, as most bits are 0, which takes a fraction of the memory and of
        the time; in double precision, as in single the regression ends elsewhere.
    """
    from imblearn.over_sampling import SMOTE
    from scipy.sparse import csr_matrix

    alone = np.flatnonzero(np.bincount(y)[y] == 1)
    x, y = np.concatenate([x, x[alone]]), np.concatenate([y, y[alone]])
    smallest = np.unique(y, return_counts=True)[1].min()
    sampler = SMOTE(k_neighbors=int(min(neighbours, smallest - 1)), random_state=seed)
    enlarged: tuple[csr_matrix, NDArray[np.int64]] = sampler.fit_resample(
        csr_matrix(x, dtype=np.float64), y
    )
    return enlarged


@CLASSIFIERS.register("lightgbm")
def lightgbm(settings: Any, seed: int, threads: int) -> LGBMClassifier:
    """LightGBM's boosted trees (Ke et al., 2017).

    Parameters
    ----------
    settings
        ``n_estimators``, ``learning_rate``, ``num_leaves``, ``min_child_samples``,
        ``reg_lambda``, ``colsample_bytree`` and ``class_weight``. Only the choice of columns is
        random.
    seed, threads
        As for `random_forest`.
    """
    with optional("lightgbm"):
        from lightgbm import LGBMClassifier

    return LGBMClassifier(
        n_estimators=settings.n_estimators,
        learning_rate=settings.learning_rate,
        num_leaves=settings.num_leaves,
        min_child_samples=settings.min_child_samples,
        reg_lambda=settings.reg_lambda,
        colsample_bytree=settings.colsample_bytree,
        class_weight=settings.class_weight,
        # LightGBM reads a signed number.
        random_state=seed % 2**31,
        n_jobs=threads,
        # Without these two, sums are taken in an order that depends on threads and on timing.
        deterministic=True,
        force_row_wise=True,
        # Else a line for every tree that cannot be split further.
        verbosity=-1,
    )


@CLASSIFIERS.register("xgboost")
def xgboost(settings: Any, seed: int, threads: int) -> XGBoostTrees:
    """XGBoost's boosted trees (Chen and Guestrin, 2016).

    Parameters
    ----------
    settings
        ``n_estimators``, ``learning_rate``, ``max_depth``, ``min_child_weight``, ``reg_lambda``,
        ``colsample_bytree`` and ``class_weight``. Only the choice of columns is random.
    seed, threads
        As for `random_forest`.
    """
    from drugtail.methods.xgboost_trees import XGBoostTrees

    return XGBoostTrees(
        settings.n_estimators,
        settings.class_weight == "balanced",
        threads,
        learning_rate=settings.learning_rate,
        max_depth=settings.max_depth,
        min_child_weight=settings.min_child_weight,
        reg_lambda=settings.reg_lambda,
        colsample_bytree=settings.colsample_bytree,
        seed=seed % 2**31,
        tree_method="hist",
        verbosity=0,
    )


@CLASSIFIERS.register("nearest_neighbours")
def nearest_neighbours(settings: Any, seed: int, threads: int) -> TanimotoNeighbours:
    """K nearest neighbours by Tanimoto similarity: the simplest baseline there is.

    Parameters
    ----------
    settings
        ``n_neighbors`` and ``weights``.
    seed, threads
        Not used: nothing is random, and a product of matrices takes no time.
    """
    from drugtail.methods.nearest_neighbours import TanimotoNeighbours

    return TanimotoNeighbours(settings.n_neighbors, settings.weights)


def most_leaves(trees: int, classes: int) -> int:
    """Return how many leaves a tree may have so that a forest takes at most `LARGEST_FOREST` bytes.

    A tree of L leaves has 2L - 1 nodes, each with 64 bytes and one number of 8 bytes per class.
    """
    return max(2, LARGEST_FOREST // (trees * 2 * (64 + 8 * classes)))


def _limit_leaves(classifier: Any, y: NDArray[np.int64]) -> None:
    """Limit the leaves of a forest's trees where they could grow beyond memory; say so.

    No tree has more leaves than it sees molecules. Where the limit is above that, it is not set:
    scikit-learn grows trees with a limit in another order, so that they would differ.
    """
    parameters = classifier.get_params(deep=False)
    if parameters.get("max_leaf_nodes", 0) is not None or "bootstrap" not in parameters:
        return
    counts = np.bincount(y)
    counts = counts[counts > 0]
    seen = len(counts) * counts.min() if "sampling_strategy" in parameters else len(y)
    limit = most_leaves(parameters["n_estimators"], len(counts))
    if limit < seen:
        say(
            f"trees of the forest have at most {limit:,} leaves, so that it takes at most "
            f"{LARGEST_FOREST / 2**30:.0f} GiB; classifier.max_leaf_nodes sets another limit"
        )
        classifier.set_params(max_leaf_nodes=limit)


def _deepen(classifier: Any, classes: int) -> None:
    """Give trees of boosted ensembles a depth at which they can tell C classes apart: 3 ⌈log2 C⌉.

    On validation molecules of 12 drug classes an easy ensemble has a balanced accuracy of 31 with
    trees of one split, and still gains at a depth of 12.
    """
    depths = {
        name: 3 * max(1, math.ceil(math.log2(classes)))
        for name, value in classifier.get_params().items()
        if name.endswith("max_depth") and value == BY_CLASSES
    }
    if depths:
        classifier.set_params(**depths)


def fit(classifier: Any, x: NDArray[np.float32], y: NDArray[np.int64]) -> None:
    """Fit `classifier` to x, [N, bits], and y, [N].

    Forests that could outgrow memory get a limit of leaves (`most_leaves`).

    BLAS and scikit-learn's own OpenMP run on one thread, whatever the machine has: they ignore
    ``threads``, and sums in another order would lead logistic regression elsewhere. An
    estimator's ``n_jobs`` still holds.
    """
    from threadpoolctl import threadpool_limits

    _limit_leaves(classifier, y)
    _deepen(classifier, len(np.unique(y)))
    with threadpool_limits(1):
        classifier.fit(x, y)


def log_probabilities(classifier: Any, x: NDArray[np.float32], classes: int) -> NDArray[np.float32]:
    """Logarithms of predicted probabilities, [N, C], as logits; floored at log 1e-6.

    The classifier predicts on one thread, now and later: sums over trees depend on the number.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return unlimited_log_probabilities(classifier, x, classes)


def unlimited_log_probabilities(
    classifier: Any, x: NDArray[np.float32], classes: int
) -> NDArray[np.float32]:
    """Do as `log_probabilities`, for threads: libraries' limits hold for the process, not for one.

    The caller limits BLAS and OpenMP to one thread beforehand.
    """
    if hasattr(classifier, "n_jobs"):
        classifier.n_jobs = 1
    probabilities = np.zeros((len(x), classes))
    probabilities[:, classifier.classes_] = classifier.predict_proba(x)
    return np.log(np.maximum(probabilities, SMALLEST_PROBABILITY)).astype(np.float32)
