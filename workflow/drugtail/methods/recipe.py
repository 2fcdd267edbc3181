"""A method is a recipe: orthogonal parts, chosen by name, each with its settings.

This module describes the parts (and imports nothing heavy, so that a workflow can validate every
recipe in milliseconds); the modules beside it implement them. A new part is a class here and a
function registered under the same name there.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Family = Literal[
    "baseline", "resampling", "reweighting", "adjustment", "decoupled", "mixing", "contrastive",
    "experts", "classical", "proposed",
]  # fmt: skip


class Settings(BaseModel):
    """Base of everything read from YAML: unknown keys and silent conversions are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Reference(Settings):
    """Where a method was published."""

    authors: str = Field(description="Authors as they are usually cited.")
    year: int = Field(description="Year of publication.")
    venue: str = Field(description="Journal, conference or preprint server.")
    link: str | None = Field(None, description="DOI or arXiv number.")


# ------------------------------------------------------------------------------- samplers


class InstanceSampler(Settings):
    """Every molecule once per epoch, in random order."""

    name: Literal["instance"] = "instance"


class ClassBalancedSampler(Settings):
    """A class uniformly, then one of its molecules uniformly, with replacement; N draws."""

    name: Literal["class_balanced"]


Sampler = Annotated[InstanceSampler | ClassBalancedSampler, Field(discriminator="name")]

# ------------------------------------------------------------------------- class weights


class UniformWeights(Settings):
    """Every class weighs 1."""

    name: Literal["uniform"] = "uniform"


class CostSensitiveWeights(Settings):
    """w_c = (n_min / n_c)^gamma (ImDrug, 2022)."""

    name: Literal["cost_sensitive"]
    gamma: float = Field(1.0, ge=0, description="Exponent; 0 gives uniform weights.")


class ClassDistanceWeights(Settings):
    """Softmax of negative distances between class centres, renewed at each re-clustering.

    Su, Li, Wang, arXiv:2504.04647, with the distances of classes and of sub-clusters averaged.
    """

    name: Literal["class_distance"]
    distances: Literal["both", "class", "subcluster"] = Field(
        "both", description="Which of the two distances count."
    )


class ClassSeparabilityWeights(Settings):
    """w_c proportional to exp(-s_c / T), s_c the mean silhouette of the class's molecules."""

    name: Literal["class_separability"]
    temperature: float = Field(0.25, gt=0, description="T; the larger, the more alike weights are.")
    of: Literal["train", "valid"] = Field(
        "train", description="Molecules whose silhouettes are taken; centres are of training ones."
    )


ClassWeights = Annotated[
    UniformWeights | CostSensitiveWeights | ClassDistanceWeights | ClassSeparabilityWeights,
    Field(discriminator="name"),
]

# ---------------------------------------------------------------------------------- loss


class CrossEntropy(Settings):
    """Cross-entropy of the logits."""

    name: Literal["cross_entropy"] = "cross_entropy"


class BalancedSoftmax(Settings):
    """Cross-entropy of s + log n (Ren et al., NeurIPS 2020); plain s at prediction."""

    name: Literal["balanced_softmax"]


class LogitAdjustment(Settings):
    """Cross-entropy of s + tau log pi (Menon et al., ICLR 2021); plain s at prediction."""

    name: Literal["logit_adjustment"]
    tau: float = Field(1.0, ge=0, description="Strength; 1 is balanced_softmax, 0 cross-entropy.")


Loss = Annotated[CrossEntropy | BalancedSoftmax | LogitAdjustment, Field(discriminator="name")]

# --------------------------------------------------------------- contrastive term and views


class SupervisedContrastive(Settings):
    """Supervised contrastive loss over classes (Khosla et al., NeurIPS 2020)."""

    name: Literal["supervised"]
    temperature: float = Field(0.1, gt=0, description="Temperature.")


class SubclusterContrastive(Settings):
    """Two-level contrastive loss: within the sub-cluster, and between classes.

    Before the first re-clustering it is the supervised contrastive loss over classes.
    """

    name: Literal["subcluster"]
    temperature: float = Field(0.1, gt=0, description="Temperature within a sub-cluster.")
    beta: float = Field(0.25, ge=0, description="Weight of the class-level term.")
    variant: Literal["paper", "as_published"] = Field(
        "paper", description="Formula of the paper, or of its authors' code."
    )


Contrastive = Annotated[SupervisedContrastive | SubclusterContrastive, Field(discriminator="name")]


class EdgeDrop(Settings):
    """Two views of each molecule with edges dropped, rather those that lead to low-degree atoms."""

    name: Literal["edge_drop"] = "edge_drop"
    rates: list[float] = Field(
        [0.15, 0.10], min_length=2, max_length=2, description="Mean drop rate of either view."
    )
    cap: float = Field(0.7, gt=0, le=1, description="Largest probability of dropping an edge.")


class WholeClasses(Settings):
    """Every class is its own and only sub-cluster."""

    name: Literal["whole_classes"]


class _KMeans(Settings):
    minimum_size: int = Field(
        10, ge=1, description="delta: the size limit is max(n_min, delta) molecules."
    )
    rounds: int = Field(50, ge=1, description="Most rounds of k-means.")
    tolerance: float = Field(1e-3, ge=0, description="Stop when no centre moves further.")
    counted: Literal["molecules", "oversampled"] = Field(
        "molecules",
        description="Class sizes that the number of sub-clusters follows from: those of the "
        "training set, or those after over-sampling every class to the largest (then each class "
        "is one sub-cluster).",
    )


class BalancedKMeans(_KMeans):
    """Capacity-limited k-means that cuts classes into sub-clusters of about the tail's size."""

    name: Literal["balanced_kmeans"] = "balanced_kmeans"


class KMeans(_KMeans):
    """Plain k-means: sub-clusters of any size."""

    name: Literal["kmeans"]


Subclusters = Annotated[BalancedKMeans | KMeans | WholeClasses, Field(discriminator="name")]


class Schedule(Settings):
    """When the geometry of the embeddings is taken, in epochs of the full-length training."""

    warmup_epochs: int = Field(
        10, ge=1,
        description="Epochs before the first re-clustering. With a contrastive term only that is "
        "trained in them; without one the classifier is, all classes alike.",
    )  # fmt: skip
    refresh_epochs: int = Field(10, ge=1, description="Epochs between two re-clusterings.")


# Parts that look at the embeddings of the whole training set.
NEED_GEOMETRY = {"class_distance", "class_separability", "subcluster"}

# ----------------------------------------------------------------------------- classical


class RandomForest(Settings):
    """scikit-learn's RandomForestClassifier."""

    name: Literal["random_forest"]
    trees: int = Field(300, ge=1, description="Number of trees.")
    class_weight: Literal["balanced", "balanced_subsample"] | None = Field(
        None, description="As in scikit-learn; null weighs all molecules alike."
    )


class BalancedRandomForest(Settings):
    """imbalanced-learn's BalancedRandomForestClassifier.

    A tree sees as many molecules of each class as the smallest class has: with a class of one
    molecule, one of each.
    """

    name: Literal["balanced_random_forest"]
    trees: int = Field(
        300, ge=1, description="Number of trees; as for random_forest (the library has 100)."
    )


class EasyEnsemble(Settings):
    """imbalanced-learn's EasyEnsembleClassifier: a bag of AdaBoost on balanced subsets.

    Defaults are the library's. It was proposed for two classes; with many, trees of one split,
    which tell two groups apart, are weak: balanced accuracy on validation molecules of
    mesh_drug_class is 0.3 to 0.4, with a depth of 10 it is 0.6.
    """

    name: Literal["easy_ensemble"]
    bags: int = Field(10, ge=1, description="Number of balanced subsets, each with an AdaBoost.")
    rounds: int = Field(50, ge=1, description="Most trees of one AdaBoost.")
    depth: int = Field(1, ge=1, description="Depth of its trees; 1 is a single split.")


class SmoteLogistic(Settings):
    """imbalanced-learn's SMOTE, then scikit-learn's LogisticRegression (L-BFGS, L2 penalty).

    SMOTE over-samples every class to the size of the largest. A class of one molecule is repeated
    once before that, and with small classes fewer neighbours are taken, for all classes.
    """

    name: Literal["smote_logistic"]
    neighbours: int = Field(
        5, ge=1,
        description="Neighbours of SMOTE; the library's default. At most the size of the smallest "
        "class, less one.",
    )  # fmt: skip
    inverse_penalty: float = Field(
        1.0, gt=0, description="C of scikit-learn: the smaller, the stronger the penalty."
    )
    tolerance: float = Field(
        1e-6, gt=0,
        description="Largest gradient at which fitting stops. At the library's 1e-4 probabilities "
        "on mesh_drug_class are still up to 0.12 from where they end.",
    )  # fmt: skip
    iterations: int = Field(
        2000, ge=1,
        description="Most iterations; the library's 100 are too few for this tolerance "
        "(mesh_drug_class needs 200).",
    )  # fmt: skip


class LightGBM(Settings):
    """LightGBM's LGBMClassifier; the library's defaults but for class_weight and column_fraction.

    No leaf has fewer than `minimum_leaf` molecules: with few molecules no tree may split at all,
    and then every molecule gets the same probabilities.
    """

    name: Literal["lightgbm"]
    trees: int = Field(100, ge=1, description="Rounds of boosting; each has one tree per class.")
    learning_rate: float = Field(0.1, gt=0, description="Factor of each tree.")
    leaves: int = Field(31, ge=2, description="Most leaves of a tree.")
    minimum_leaf: int = Field(20, ge=1, description="Fewest molecules of a leaf.")
    column_fraction: float = Field(
        0.5, gt=0, le=1,
        description="Bits that a tree may use, drawn anew for each. With 1, the library's default, "
        "nothing is random and all seeds are equal.",
    )  # fmt: skip
    class_weight: Literal["balanced"] | None = Field(
        "balanced", description="As in scikit-learn; null weighs all molecules alike."
    )


Classifier = Annotated[
    RandomForest | BalancedRandomForest | EasyEnsemble | SmoteLogistic | LightGBM,
    Field(discriminator="name"),
]

# -------------------------------------------------------------------------------- recipe


class Recipe(Settings):
    """One method: what it is, and the parts it is made of."""

    name: str = Field(description="Name of the method; equals the file name.")
    family: Family = Field(description="Family in the survey's sense; equals the folder name.")
    idea: str = Field(description="One sentence on the idea.")
    reference: Reference | None = Field(None, description="Where it was published.")
    sampler: Sampler = Field(InstanceSampler(), description="How an epoch is drawn.")
    class_weights: ClassWeights = Field(UniformWeights(), description="Weights in the loss.")
    loss: Loss = Field(CrossEntropy(), description="Classification loss.")
    contrastive: Contrastive | None = Field(
        None, description="Contrastive term, added to the classification loss."
    )
    views: EdgeDrop | None = Field(None, description="Two augmented views per molecule.")
    subclusters: Subclusters | None = Field(None, description="Sub-clusters of classes.")
    schedule: Schedule | None = Field(None, description="Warm-up and re-clustering.")
    classifier: Classifier | None = Field(
        None, description="An estimator on fingerprints instead of a network."
    )

    @model_validator(mode="after")
    def _parts_fit_together(self) -> Recipe:
        if self.classifier is not None:
            # A class default (uniform weights, ...) is what a forest ignores; a choice is not.
            foreign = self.model_fields_set - {
                "name", "family", "idea", "reference", "classifier",
            }  # fmt: skip
            if foreign:
                raise ValueError(
                    f"a classical classifier takes no {', '.join(sorted(foreign))}; remove them"
                )
            return self
        if self.contrastive is not None and self.views is None:
            raise ValueError("contrastive also needs: views")
        wants = [
            f"{slot} {part.name}"
            for slot, part in (
                ("class_weights", self.class_weights), ("contrastive", self.contrastive)
            )
            if part is not None and part.name in NEED_GEOMETRY
        ]  # fmt: skip
        missing = [slot for slot in ("subclusters", "schedule") if getattr(self, slot) is None]
        if wants and missing:
            raise ValueError(f"{' and '.join(wants)} also needs: {', '.join(missing)}")
        if self.subclusters is not None and missing:
            raise ValueError("subclusters also needs: schedule")
        if self.schedule is not None and missing:
            raise ValueError("schedule also needs: subclusters")
        return self

    @property
    def needs_geometry(self) -> bool:
        """Whether the method looks at the embeddings of the whole training set."""
        return self.subclusters is not None
