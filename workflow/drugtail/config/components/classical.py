"""Settings of classical estimators."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from drugtail.config.base import Settings
from drugtail.config.prior import Shares, alike


class ClassicalSettings(Settings):
    """Settings that all estimators share."""

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """Return the class shares that its probabilities have learned."""
        balanced = getattr(self, "class_weight", "balanced") is not None
        return alike(shares) if balanced else shares


MOST_LEAVES = (
    "Most leaves of a tree; null sets a limit only where the forest could take more than 2 GiB, "
    "and says so."
)

COLUMNS = (
    "Share of the bits that a tree may use, drawn anew for each. With 1, the library's default, "
    "nothing is random and all seeds are equal."
)


class RandomForest(ClassicalSettings):
    """scikit-learn's RandomForestClassifier."""

    name: Literal["random_forest"]
    n_estimators: int = Field(300, ge=1, le=100_000, description="Number of trees.")
    class_weight: Literal["balanced", "balanced_subsample"] | None = Field(
        None, description="As in scikit-learn; null weighs all molecules alike."
    )
    max_leaf_nodes: int | None = Field(None, ge=2, description=MOST_LEAVES)


class BalancedRandomForest(ClassicalSettings):
    """imbalanced-learn's BalancedRandomForestClassifier.

    A tree sees as many molecules of each class as the smallest class has: with a class of one
    molecule, one of each.
    """

    name: Literal["balanced_random_forest"]
    n_estimators: int = Field(
        300,
        ge=1,
        le=100_000,
        description="Number of trees; as for random_forest (the library has 100).",
    )
    max_leaf_nodes: int | None = Field(None, ge=2, description=MOST_LEAVES)


class EasyEnsemble(ClassicalSettings):
    """imbalanced-learn's EasyEnsembleClassifier: a bag of AdaBoost on balanced subsets.

    It was proposed for two classes, which a tree of one split, the library's default, tells apart;
    with C classes a tree needs C leaves at least.
    """

    name: Literal["easy_ensemble"]
    n_estimators: int = Field(
        10, ge=1, le=100_000, description="Number of balanced subsets, each with an AdaBoost."
    )
    adaboost_n_estimators: int = Field(
        50, ge=1, le=100_000, description="Most trees of one AdaBoost."
    )
    max_depth: int | None = Field(
        None, ge=1,
        description="Depth of its trees; null is 3 ceil(log2 C), C the number of classes.",
    )  # fmt: skip


class SmoteLogistic(ClassicalSettings):
    """imbalanced-learn's SMOTE, then scikit-learn's LogisticRegression (L-BFGS, L2 penalty).

    SMOTE over-samples every class to the size of the largest. A class of one molecule is repeated
    once before that, and with small classes fewer neighbours are taken, for all classes.
    """

    name: Literal["smote_logistic"]
    k_neighbors: int = Field(
        5, ge=1,
        description="Neighbours of SMOTE; the library's default. At most the size of the smallest "
        "class, less one.",
    )  # fmt: skip
    C: float = Field(1.0, gt=0, description="Inverse strength of the penalty.")
    tol: float = Field(
        1e-6, gt=0,
        description="Largest gradient at which fitting stops. At the library's 1e-4 some "
        "probabilities are still far from where they end.",
    )  # fmt: skip
    max_iter: int = Field(
        2000, ge=1,
        description="Most iterations; the library's 100 are too few for this tolerance.",
    )  # fmt: skip


class LightGBM(ClassicalSettings):
    """LightGBM's LGBMClassifier; the library's defaults but for class_weight, reg_lambda and
    colsample_bytree.

    No leaf has fewer than `min_child_samples` molecules: with few molecules no tree may split at
    all, and then every molecule gets the same probabilities.
    """

    name: Literal["lightgbm"]
    n_estimators: int = Field(
        100, ge=1, le=100_000, description="Rounds of boosting; each has one tree per class."
    )
    learning_rate: float = Field(0.1, gt=0, description="Factor of each tree.")
    num_leaves: int = Field(31, ge=2, description="Most leaves of a tree.")
    min_child_samples: int = Field(20, ge=1, description="Fewest molecules of a leaf.")
    reg_lambda: float = Field(
        1.0,
        ge=0,
        description="L2 penalty of a leaf's output, as in XGBoost. With 0, the library's default, "
        "leaves of a rare class's few molecules have outputs without bound: with many classes "
        "training can then end worse than it began.",
    )
    colsample_bytree: float = Field(
        0.5, gt=0, le=1,
        description=COLUMNS,
    )  # fmt: skip
    class_weight: Literal["balanced"] | None = Field(
        "balanced", description="As in scikit-learn; null weighs all molecules alike."
    )


class XGBoost(ClassicalSettings):
    """XGBoost; the library's defaults but for class_weight and colsample_bytree."""

    name: Literal["xgboost"]
    n_estimators: int = Field(
        100, ge=1, le=100_000, description="Rounds of boosting; each has one tree per class."
    )
    learning_rate: float = Field(0.3, gt=0, le=1, description="Factor of each tree.")
    max_depth: int = Field(
        6, ge=1, le=1_000, description="Most splits between the root and a leaf."
    )
    min_child_weight: float = Field(
        1.0,
        ge=0,
        description="Smallest sum of second derivatives of the loss in a leaf; of a class of "
        "probability p, a molecule has 2 p (1 - p) times its weight.",
    )
    reg_lambda: float = Field(1.0, ge=0, description="L2 penalty of a leaf's output.")
    colsample_bytree: float = Field(
        0.5, gt=0, le=1,
        description=COLUMNS,
    )  # fmt: skip
    class_weight: Literal["balanced"] | None = Field(
        "balanced", description="Molecules weigh N / (C n_c); null weighs all alike."
    )


class NearestNeighbours(ClassicalSettings):
    """The classes of the most similar training molecules, by Tanimoto similarity of bits.

    Nothing is random: all seeds are equal.
    """

    name: Literal["nearest_neighbours"]
    n_neighbors: int = Field(5, ge=1, description="Number of neighbours.")
    weights: Literal["similarity", "uniform"] = Field(
        "similarity", description="A neighbour votes with its similarity, or with 1."
    )

    def prior(self, shares: list[float], counts: list[int]) -> Shares:
        """See `ClassicalSettings.prior`."""
        return shares


Classifier = Annotated[
    RandomForest | BalancedRandomForest | EasyEnsemble | SmoteLogistic | LightGBM | XGBoost
    | NearestNeighbours,
    Field(discriminator="name"),
]  # fmt: skip
