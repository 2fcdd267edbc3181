"""Classical estimators against the libraries used by hand."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from imblearn.ensemble import BalancedRandomForestClassifier, EasyEnsembleClassifier
from imblearn.over_sampling import SMOTE
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.sparse import csr_matrix
from sklearn.ensemble import AdaBoostClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.class_weight import compute_sample_weight
from xgboost import XGBClassifier

import drugtail
from drugtail.config.components.classical import Classifier
from drugtail.methods.classical import CLASSIFIERS, fit, log_probabilities, smote

# Among others: an optimiser that did not converge.
pytestmark = pytest.mark.filterwarnings("error::UserWarning")

Data = tuple[NDArray[np.float32], NDArray[np.int64]]
SEED = 5
SMALL: dict[str, dict[str, Any]] = {
    "random_forest": {"n_estimators": 12, "class_weight": "balanced"},
    "balanced_random_forest": {"n_estimators": 12},
    "easy_ensemble": {"n_estimators": 3, "adaboost_n_estimators": 4, "max_depth": 2},
    "nearest_neighbours": {"n_neighbors": 3, "weights": "uniform"},
    "smote_logistic": {"k_neighbors": 3, "C": 0.5, "tol": 1e-5},
    "lightgbm": {
        "n_estimators": 6, "learning_rate": 0.2, "num_leaves": 5, "min_child_samples": 4,
        "colsample_bytree": 0.3,
        "reg_lambda": 2.5,
        "class_weight": None,
    },
    "xgboost": {
        "n_estimators": 6, "learning_rate": 0.2, "max_depth": 3, "min_child_weight": 0.5,
        "colsample_bytree": 0.3, "reg_lambda": 2.5,
    },
}  # fmt: skip


def fingerprints(sizes: tuple[int, ...], bits: int = 64) -> Data:
    """Random bits, [N, bits], of which each class has its own frequencies."""
    generator = np.random.default_rng(0)
    y = np.repeat(np.arange(len(sizes)), sizes)
    frequency = generator.uniform(0.05, 0.5, (len(sizes), bits))
    return (generator.random((len(y), bits)) < frequency[y]).astype(np.float32), y


def part(name: str, seed: int = SEED, threads: int = 1, **settings: Any) -> Any:
    parsed = TypeAdapter(Classifier).validate_python({"name": name, **settings})
    return CLASSIFIERS[name](parsed, seed, threads)


def predictions(classifier: Any, data: Data, classes: int) -> NDArray[np.float32]:
    fit(classifier, *data)
    return log_probabilities(classifier, data[0], classes)


def smote_then_regression(x: NDArray[np.float32], y: NDArray[np.int64], k: int, c: float) -> Any:
    enlarged = SMOTE(k_neighbors=k, random_state=SEED).fit_resample(csr_matrix(x, dtype=float), y)
    return LogisticRegression(C=c, tol=1e-5, max_iter=2000).fit(*enlarged)


def boosted_by_hand(x: NDArray[np.float32], y: NDArray[np.int64]) -> Any:
    """XGBoost as scikit-learn's users call it, on the full table."""
    model = XGBClassifier(
        n_estimators=6, learning_rate=0.2, max_depth=3, min_child_weight=0.5, colsample_bytree=0.3,
        reg_lambda=2.5, seed=SEED, n_jobs=1, objective="multi:softprob", num_class=int(y.max()) + 1,
        tree_method="hist",
    )  # fmt: skip
    return model.fit(x, y, sample_weight=compute_sample_weight("balanced", y))


BY_HAND: dict[str, Callable[[NDArray[np.float32], NDArray[np.int64]], Any]] = {
    "random_forest": RandomForestClassifier(
        12, class_weight="balanced", random_state=SEED
    ).fit,
    "balanced_random_forest": BalancedRandomForestClassifier(12, random_state=SEED).fit,
    "easy_ensemble": EasyEnsembleClassifier(
        3, AdaBoostClassifier(DecisionTreeClassifier(max_depth=2), n_estimators=4),
        random_state=SEED,
    ).fit,
    "smote_logistic": lambda x, y: smote_then_regression(x, y, k=3, c=0.5),
    "lightgbm": LGBMClassifier(
        n_estimators=6, learning_rate=0.2, num_leaves=5, min_child_samples=4, colsample_bytree=0.3,
        reg_lambda=2.5, random_state=SEED, n_jobs=1, verbosity=-1,
    ).fit,
    "xgboost": boosted_by_hand,
}  # fmt: skip


def test_every_classical_part_is_compared_with_its_library() -> None:
    # Nearest neighbours are ours and have a test file of their own.
    assert sorted([*BY_HAND, "nearest_neighbours"]) == sorted(SMALL) == CLASSIFIERS.names()


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("sizes", [(60, 20), (60, 30, 15, 8)])
def test_a_part_predicts_what_its_library_does(name: str, sizes: tuple[int, ...]) -> None:
    data = fingerprints(sizes)
    expected = BY_HAND[name](*data).predict_proba(data[0])
    found = predictions(part(name, **SMALL[name]), data, len(sizes))
    assert np.ptp(found, axis=0).min() > 0.1, "molecules differ"
    np.testing.assert_allclose(found, np.log(np.maximum(expected, 1e-6)), rtol=1e-6, atol=1e-6)
    assert not np.array_equal(
        found, predictions(part(name, seed=6, **SMALL[name]), data, len(sizes))
    ), "seeds differ"


@pytest.mark.parametrize("name", SMALL)
def test_relabelled_classes_are_told_apart_as_well(name: str) -> None:
    """Not exactly so: what the libraries draw at random follows the order of the classes."""
    x, y = fingerprints((90, 50, 30))
    # Bits of its own, most of which each molecule of a class has.
    x[np.arange(len(y))[:, None], 8 * y[:, None] + [0, 1, 2, 3, 4]] = 1
    new = np.arange(len(y)) % 3 == 0
    order = np.array([2, 0, 1])
    plain, moved = (part(name, **SMALL[name]) for _ in range(2))
    fit(plain, x[~new], y[~new])
    fit(moved, x[~new], order[y[~new]])
    found = order[log_probabilities(plain, x[new], 3).argmax(1)]
    other = log_probabilities(moved, x[new], 3).argmax(1)
    assert (found == order[y[new]]).mean() > 0.9
    assert (found == other).mean() > 0.9


@pytest.mark.parametrize("name", SMALL)
def test_predictions_do_not_depend_on_the_number_of_threads(name: str) -> None:
    data = fingerprints((60, 30, 20, 10, 8, 6))
    one, two = (
        predictions(part(name, threads=threads, **SMALL[name]), data, 6) for threads in (1, 2)
    )
    np.testing.assert_array_equal(one, two)


def test_logistic_regression_does_not_depend_on_the_threads_of_the_machine() -> None:
    # So many coefficients that BLAS would share out sums over them.
    script = """
import numpy as np
from drugtail.methods.classical import CLASSIFIERS, fit
from drugtail.config.components.classical import SmoteLogistic
generator = np.random.default_rng(0)
y = np.repeat(np.arange(12), np.arange(40, 4, -3))
x = (generator.random((len(y), 2048)) < 0.1).astype(np.float32)
classifier = CLASSIFIERS["smote_logistic"](SmoteLogistic(name="smote_logistic"), 0, 1)
fit(classifier, x, y)
print(classifier["regression"].coef_.tobytes().hex())
"""
    one, two = (
        in_another_process(script, OMP_NUM_THREADS=threads, OPENBLAS_NUM_THREADS=threads)
        for threads in ("1", "2")
    )
    assert one == two


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("sizes", [(60, 1), (40, 12, 1, 1)])
def test_a_class_with_a_single_molecule_is_fitted(name: str, sizes: tuple[int, ...]) -> None:
    found = predictions(part(name, **SMALL[name]), fingerprints(sizes), len(sizes))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=1e-5)


def test_smote_brings_every_class_to_the_largest_between_molecules_of_the_class() -> None:
    x, y = fingerprints((20, 7, 2, 1))
    new_x, new_y = smote(x, y, 5, seed=0)
    enlarged = new_x.toarray()
    assert np.bincount(new_y).tolist() == [20] * 4
    np.testing.assert_array_equal(enlarged[: len(x)], x)
    np.testing.assert_array_equal(enlarged[new_y == 3], np.repeat(x[y == 3], 20, axis=0))
    first, second = x[y == 2].astype(float)
    along = (enlarged[new_y == 2] - first) @ (second - first) / ((second - first) ** 2).sum()
    assert ((along >= 0) & (along <= 1)).all()
    assert len(np.unique(along.round(9))) == 20, "two old molecules, 18 new points"
    np.testing.assert_allclose(
        enlarged[new_y == 2], first + along[:, None] * (second - first), atol=1e-12
    )


def test_smote_takes_as_many_neighbours_as_the_smallest_class_permits() -> None:
    x, y = fingerprints((20, 9, 4))
    for asked, taken in ((2, 2), (3, 3), (5, 3)):
        expected, _ = SMOTE(k_neighbors=taken, random_state=1).fit_resample(
            csr_matrix(x, dtype=float), y
        )
        found, _ = smote(x, y, asked, seed=1)
        np.testing.assert_array_equal(found.toarray(), expected.toarray())


def test_lightgbm_gives_all_molecules_one_prediction_where_leaves_cannot_be_filled() -> None:
    data = fingerprints((30, 5))
    same = predictions(part("lightgbm"), data, 2)
    assert np.isfinite(same).all()
    assert (same == same[0]).all()
    assert not (predictions(part("lightgbm", min_child_samples=1), data, 2) == same[0]).all()


def test_log_probabilities_of_a_class_never_seen_are_those_of_one_in_a_million() -> None:
    x, y = fingerprints((20, 10))
    forest = RandomForestClassifier(5, random_state=0).fit(x, 2 * y)
    found = log_probabilities(forest, x, 4)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, [1, 3]], np.log(1e-6), rtol=1e-6)
    seen = np.maximum(forest.predict_proba(x), 1e-6)
    np.testing.assert_allclose(np.exp(found[:, [0, 2]]), seen, rtol=1e-5)


def test_a_large_seed_is_taken_by_every_part() -> None:
    data = fingerprints((30, 12))
    for name, settings in SMALL.items():
        classifier = part(name, seed=2**32 - 1, **settings)
        fit(classifier, *data)
        assert np.isfinite(log_probabilities(classifier, data[0], 2)).all()


def in_another_process(script: str, **environment: str) -> str:
    library = str(Path(drugtail.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": library, **environment},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


def test_training_networks_does_not_load_the_libraries() -> None:
    script = """
import sys
import drugtail.training.block
print(sorted({"imblearn", "lightgbm", "sklearn.ensemble", "xgboost"} & set(sys.modules)))
"""
    assert in_another_process(script) == "[]"


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("balanced_random_forest", "imblearn", "imbalanced-learn"),
        ("easy_ensemble", "imblearn", "imbalanced-learn"),
        ("smote_logistic", "imblearn", "imbalanced-learn"),
        ("lightgbm", "lightgbm", "lightgbm"),
        ("xgboost", "xgboost", "xgboost-cpu"),
    ],
)
def test_a_library_that_is_missing_is_named(name: str, module: str, package: str) -> None:
    # A module that is None there cannot be imported.
    script = f"""
import sys
sys.modules[{module!r}] = None
from pydantic import TypeAdapter
from drugtail.methods.classical import CLASSIFIERS
from drugtail.config.components.classical import Classifier
from drugtail.runtime.errors import DrugtailError
settings = TypeAdapter(Classifier).validate_python({{"name": {name!r}}})
try:
    CLASSIFIERS[{name!r}](settings, 0, 1)
except DrugtailError as error:
    print(error)
"""
    message = in_another_process(script)
    assert message.startswith(f"this method needs {package}, ")
    assert message.endswith(f"pip install {package}")


@pytest.mark.parametrize(("classes", "depth"), [(2, 3), (3, 6), (5, 9)])
def test_trees_of_an_easy_ensemble_are_deep_enough_for_the_classes(
    classes: int, depth: int
) -> None:
    settings = SimpleNamespace(n_estimators=2, adaboost_n_estimators=3, max_depth=None)
    rng = np.random.default_rng(0)
    x = (rng.random((40 * classes, 24)) < 0.4).astype(np.float32)
    y = np.repeat(np.arange(classes), 40)
    found = CLASSIFIERS["easy_ensemble"](settings, 0, 1)
    fit(found, x, y)
    trees = [tree for bag in found.estimators_ for tree in bag[-1].estimators_]
    assert {tree.max_depth for tree in trees} == {depth}
    assert max(tree.get_n_leaves() for tree in trees) >= classes
    settings.max_depth = 1
    chosen = CLASSIFIERS["easy_ensemble"](settings, 0, 1)
    fit(chosen, x, y)
    assert {t.max_depth for bag in chosen.estimators_ for t in bag[-1].estimators_} == {1}
