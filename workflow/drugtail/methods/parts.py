"""The parts that recipes combine, as settings: one class each, read from YAML.

Nothing heavy is imported, so that a workflow can validate every recipe in milliseconds; the modules
beside this one implement the parts. A new part is a class here, in the union of its kind, and a
function registered under the same name there; one of a user's own may live outside the package, see
`drugtail.methods.own`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from drugtail.runtime.settings import Settings as Settings

# ------------------------------------------------------------------------------- samplers


class InstanceSampler(Settings):
    """Every molecule once per epoch, in random order."""

    name: Literal["instance"] = "instance"


class ClassBalancedSampler(Settings):
    """A class uniformly, then one of its molecules uniformly, with replacement; N draws."""

    name: Literal["class_balanced"]


class SquareRootSampler(Settings):
    """A class with probability proportional to sqrt(n_c), then one of its molecules; N draws."""

    name: Literal["square_root"]


class ProgressiveSampler(Settings):
    """From the classes as they are at the first epoch to all alike at the last; N draws."""

    name: Literal["progressive"]


class ReverseSampler(Settings):
    """A class with probability proportional to 1/n_c, then one of its molecules; N draws."""

    name: Literal["reverse"]


class UndersampleSampler(Settings):
    """Every epoch, other molecules of the large classes: at most some times the smallest class."""

    name: Literal["undersample"]
    multiple: float = Field(1.0, ge=1, description="k: most molecules of a class, in n_min.")


class DeferredSampler(Settings):
    """Every molecule once per epoch at first, then class-balanced (DRS; Cao et al., 2019)."""

    name: Literal["deferred"]
    start: float = Field(0.8, ge=0, lt=1, description="Share of the epochs before the change.")


Sampler = Annotated[
    InstanceSampler | ClassBalancedSampler | SquareRootSampler | ProgressiveSampler
    | ReverseSampler | UndersampleSampler | DeferredSampler,
    Field(discriminator="name"),
]  # fmt: skip

# ------------------------------------------------------------------------- class weights


class UniformWeights(Settings):
    """Every class weighs 1."""

    name: Literal["uniform"] = "uniform"


class _CountWeights(Settings):
    start: float = Field(
        0.0, ge=0, lt=1, description="Share of the epochs before which all classes weigh alike."
    )


class CostSensitiveWeights(_CountWeights):
    """w_c = (n_min / n_c)^gamma (ImDrug, 2022)."""

    name: Literal["cost_sensitive"]
    gamma: float = Field(1.0, ge=0, description="Exponent; 0 gives uniform weights.")


class ClassBalancedWeights(_CountWeights):
    """w_c proportional to (1 - beta) / (1 - beta^n_c) (Cui et al., CVPR 2019)."""

    name: Literal["class_balanced"]
    beta: float = Field(
        0.999, ge=0, lt=1, description="0 gives uniform weights, towards 1 those of 1/n_c."
    )


class ClassDistanceWeights(Settings):
    """Softmax of negative distances between class centres, renewed at each re-clustering.

    Su, Li, Wang, arXiv:2504.04647, with the distances of classes and of sub-clusters averaged.
    """

    # Such parts need sub-clusters and a schedule in the recipe.
    needs_geometry: ClassVar[bool] = True

    name: Literal["class_distance"]
    distances: Literal["both", "class", "subcluster"] = Field(
        "both", description="Which of the two distances count."
    )


class ClassSeparabilityWeights(Settings):
    """w_c proportional to exp(-s_c / T), s_c the mean silhouette of the class's molecules."""

    needs_geometry: ClassVar[bool] = True

    name: Literal["class_separability"]
    temperature: float = Field(0.25, gt=0, description="T; the larger, the more alike weights are.")
    of: Literal["train", "valid"] = Field(
        "train", description="Molecules whose silhouettes are taken; centres are of training ones."
    )


ClassWeights = Annotated[
    UniformWeights | CostSensitiveWeights | ClassBalancedWeights | ClassDistanceWeights
    | ClassSeparabilityWeights,
    Field(discriminator="name"),
]  # fmt: skip

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


class Focal(Settings):
    """Cross-entropy times (1 - p_y)^gamma (Lin et al., ICCV 2017)."""

    name: Literal["focal"]
    gamma: float = Field(2.0, ge=0, description="How fast easy molecules lose weight; 0: not.")


class InfluenceBalanced(Settings):
    """Cross-entropy over a molecule's influence on the last layer (Park et al., ICCV 2021)."""

    name: Literal["influence_balanced"]
    alpha: float = Field(1000.0, gt=0, description="Factor.")
    start: float = Field(
        0.5, ge=0, lt=1, description="Share of the epochs before which it is plain cross-entropy."
    )


class Ldam(Settings):
    """Cross-entropy with a margin that grows as classes get rarer (Cao et al., NeurIPS 2019)."""

    name: Literal["ldam"]
    margin: float = Field(0.5, ge=0, description="Of the rarest class; n_c^(-1/4) of the others.")


class VectorScaling(Settings):
    """Cross-entropy of (n_c / n_max)^gamma s + tau log pi (Kini et al., NeurIPS 2021)."""

    name: Literal["vector_scaling"]
    gamma: float = Field(0.15, ge=0, description="Strength of the scaling.")
    tau: float = Field(1.0, ge=0, description="Strength of the shift.")


class ClassDependentTemperature(Settings):
    """Cross-entropy of s_c / a_c, a_c = (n_max / n_c)^gamma; plain s at prediction (Ye, 2020)."""

    name: Literal["class_dependent_temperature"]
    gamma: float = Field(0.2, ge=0, description="Strength; 0 is cross-entropy.")


class SoftmaxEqualization(Settings):
    """Rare classes are often left out of the softmax of other classes (Tan et al., CVPR 2020)."""

    name: Literal["softmax_equalization"]
    threshold: float = Field(0.005, ge=0, description="lambda: a class rarer than this is rare.")
    probability: float = Field(0.9, ge=0, le=1, description="gamma: of leaving them out.")


class LabelAwareSmoothing(Settings):
    """Label smoothing, stronger for large classes (Zhong et al., CVPR 2021)."""

    name: Literal["label_aware_smoothing"]
    head: float = Field(0.4, ge=0, lt=1, description="Smoothing of the largest class.")
    tail: float = Field(0.1, ge=0, lt=1, description="Smoothing of the smallest class.")


class DiverseExperts(Settings):
    """Margin loss of each expert, less their divergence (RIDE; Wang et al., ICLR 2021)."""

    # Such losses need experts in the recipe, and several heads need such a loss.
    for_experts: ClassVar[bool] = True

    name: Literal["diverse_experts"]
    margin: float = Field(0.5, ge=0, description="As of `ldam`.")
    diversity: float = Field(0.2, ge=0, description="Weight of the divergence.")
    spread: float = Field(
        0.05, ge=0, le=1, description="How much lower the temperature of rare classes is."
    )


class TrustworthyExperts(Settings):
    """Evidence of each expert, where those before it are unsure (TLC; Li et al., CVPR 2022)."""

    for_experts: ClassVar[bool] = True

    name: Literal["trustworthy_experts"]
    margin: float = Field(0.5, ge=0, description="As of `ldam`.")
    threshold: float = Field(
        0.54, ge=0, lt=1,
        description="An expert learns molecules whose weight is above this share of the batch's "
        "largest.",
    )  # fmt: skip
    divergence: float = Field(
        0.015, ge=0, description="Weight of the divergence at the end; it grows with the epochs."
    )


Loss = Annotated[
    CrossEntropy | Focal | InfluenceBalanced | Ldam | BalancedSoftmax | LogitAdjustment
    | VectorScaling | ClassDependentTemperature | SoftmaxEqualization | LabelAwareSmoothing
    | DiverseExperts | TrustworthyExperts,
    Field(discriminator="name"),
]  # fmt: skip

# --------------------------------------------------------------- contrastive term and views


class ContrastiveSettings(Settings):
    """What the settings of every contrastive term have."""

    # Whether the classification loss is already in the term, or is added to it.
    whole: ClassVar[bool] = False
    # What it compares with besides views: "centres" of classes, learned, "targets" of classes, or a
    # "queue" of earlier molecules (then its settings have ``queue`` and ``momentum``).
    needs: ClassVar[tuple[str, ...]] = ()
    needs_geometry: ClassVar[bool] = False

    temperature: float = Field(0.1, gt=0, description="Temperature.")
    weight: float = Field(1.0, ge=0, description="Factor on the term.")


class SupervisedContrastive(ContrastiveSettings):
    """Supervised contrastive loss over classes (Khosla et al., NeurIPS 2020)."""

    name: Literal["supervised"]


class BalancedContrastive(ContrastiveSettings):
    """Every class counts alike in the denominator (BCL; Zhu et al., CVPR 2022)."""

    needs: ClassVar[tuple[str, ...]] = ("centres",)

    name: Literal["balanced"]
    weight: float = Field(0.3, ge=0, description="Factor on the term.")


class _KPositive(ContrastiveSettings):
    positives: int = Field(6, ge=1, description="k: besides the molecule's own other view.")


class KPositiveContrastive(_KPositive):
    """At most k + 1 positives for each molecule (KCL; Kang et al., ICLR 2021)."""

    name: Literal["k_positive"]


class TargetedContrastive(_KPositive):
    """Classes drawn to points spread evenly on the sphere (TSC; Li et al., CVPR 2022)."""

    needs: ClassVar[tuple[str, ...]] = ("targets",)
    needs_geometry: ClassVar[bool] = True

    name: Literal["targeted"]
    target_weight: float = Field(1.0, ge=0, description="Weight of the class's own target.")
    start: float = Field(
        0.5, ge=0, le=1, description="Share of the epochs after which classes have targets."
    )


class ParametricContrastive(ContrastiveSettings):
    """Learned class centres beside a queue of molecules (PaCo; Cui et al., ICCV 2021)."""

    whole: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("queue",)

    name: Literal["parametric"]
    temperature: float = Field(0.05, gt=0, description="Temperature.")
    alpha: float = Field(0.01, ge=0, description="Weight of a molecule among the positives.")
    queue: int = Field(1024, ge=1, description="Molecules of earlier batches compared with.")
    momentum: float = Field(
        0.999, ge=0, lt=1, description="Of the encoder that embeds the molecules of the queue."
    )


class ClassInstanceContrastive(ContrastiveSettings):
    """Contrast for frequent classes, cross-entropy for rare ones (Lavoie, Waslander, 2023)."""

    whole: ClassVar[bool] = True

    name: Literal["class_instance"]


class SubclusterContrastive(ContrastiveSettings):
    """Two-level contrastive loss: within the sub-cluster, and between classes.

    Before the first re-clustering it is the supervised contrastive loss over classes.
    """

    needs_geometry: ClassVar[bool] = True

    name: Literal["subcluster"]
    temperature: float = Field(0.1, gt=0, description="Temperature within a sub-cluster.")
    beta: float = Field(0.25, ge=0, description="Weight of the class-level term.")
    variant: Literal["paper", "as_published"] = Field(
        "paper", description="Formula of the paper, or of its authors' code."
    )


Contrastive = Annotated[
    SupervisedContrastive | SubclusterContrastive | BalancedContrastive | KPositiveContrastive
    | TargetedContrastive | ParametricContrastive | ClassInstanceContrastive,
    Field(discriminator="name"),
]  # fmt: skip


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
        10, ge=0,
        description="Epochs before the first re-clustering. With a contrastive term only that is "
        "trained in them; without one the classifier is, all classes alike.",
    )  # fmt: skip
    refresh_epochs: int = Field(10, ge=1, description="Epochs between two re-clusterings.")


# ---------------------------------------------------------- mixing, last layer, experts


class Mixup(Settings):
    """Embeddings of two molecules of the batch mixed, and their labels (Zhang et al., 2018)."""

    name: Literal["mixup"]


class Remix(Settings):
    """Mixup that leaves the label to the rarer class (Chou et al., ECCV Workshops 2020)."""

    name: Literal["remix"]
    kappa: float = Field(3.0, ge=1, description="How many times rarer a class has to be.")
    tau: float = Field(0.5, ge=0, le=1, description="Up to which share it gets the whole label.")


class Bilateral(Settings):
    """Two branches, of molecules as they come and drawn in reverse (BBN; Zhou, CVPR 2020)."""

    name: Literal["bilateral"]
    sampler: Sampler = Field(
        ReverseSampler(name="reverse"), description="How the second branch's molecules are drawn."
    )


Mixing = Annotated[Mixup | Remix | Bilateral, Field(discriminator="name")]


class LinearLayer(Settings):
    """s_c = w_c h + b_c."""

    name: Literal["linear"] = "linear"


class CosineLayer(Settings):
    """s_c = scale cos(w_c, h)."""

    name: Literal["cosine"]
    scale: float = Field(30.0, gt=0, description="Largest logit.")


LastLayer = Annotated[LinearLayer | CosineLayer, Field(discriminator="name")]


class Experts(Settings):
    """Several heads on one encoder."""

    number: int = Field(3, ge=2, description="Number of heads.")
    combine: Literal["mean", "evidence"] = Field(
        "mean",
        description="Mean of their logits, or weighted by how unsure those before are, with an "
        "uncertainty for each prediction.",
    )


# ------------------------------------------------------------ after training, second stage


class PosthocLogitAdjustment(Settings):
    """s - tau log pi at prediction (Menon et al., ICLR 2021)."""

    name: Literal["logit_adjustment"]
    tau: float = Field(1.0, ge=0, description="Strength.")


class TauNormalization(Settings):
    """w_c / |w_c|^tau at prediction, tau by validation (Kang et al., ICLR 2020)."""

    name: Literal["tau_norm"]
    steps: int = Field(20, ge=1, description="tau is chosen among 0, 1/steps, ..., 1.")


class NearestClassMean(Settings):
    """The class whose mean is nearest by cosine similarity (Kang et al., ICLR 2020)."""

    name: Literal["nearest_class_mean"]


Posthoc = Annotated[
    PosthocLogitAdjustment | TauNormalization | NearestClassMean, Field(discriminator="name")
]


class _SecondStage(Settings):
    start: float = Field(
        0.8, gt=0, lt=1, description="Share of the epochs before it; they are its first stage."
    )
    sampler: Sampler = Field(InstanceSampler(), description="How its epochs are drawn.")


class _OnFrozenFeatures(_SecondStage):
    sampler: Sampler = Field(
        ClassBalancedSampler(name="class_balanced"), description="How its epochs are drawn."
    )


class ClassifierRetraining(_OnFrozenFeatures):
    """A new last layer on frozen features (cRT; Kang et al., ICLR 2020)."""

    name: Literal["classifier_retraining"]


class LearnedScales(_OnFrozenFeatures):
    """One learned scale for each class's logit, all else frozen (LWS; Kang et al., ICLR 2020).

    The authors learn scales with plain gradient descent at a rate of 0.2. Here Adam moves a scale
    by about the learning rate in a step. In the 60 epochs that 300 leave, in which the learning
    rate begins anew, that is up to 1.8 on 5,000 molecules, but hardly anything in a shortened
    training.
    """

    name: Literal["learned_scales"]


class Distillation(_SecondStage):
    """A new network learns from the first one's flattened outputs (DiVE; He, ICCV 2021)."""

    name: Literal["distillation"]
    start: float = Field(
        0.5, gt=0, lt=1, description="Share of the epochs before it; they are its first stage."
    )
    temperature: float = Field(2.0, gt=0, description="Of both networks' outputs.")
    power: float = Field(
        0.5, gt=0, le=1, description="The teacher's probabilities are raised to it."
    )
    weight: float = Field(0.5, ge=0, le=1, description="Of the teacher; the labels have the rest.")
    loss: Loss = Field(
        BalancedSoftmax(name="balanced_softmax"), description="Classification loss of the student."
    )
    class_weights: ClassWeights = Field(
        UniformWeights(), description="Weights in the student's loss."
    )


class TwoPhase(_SecondStage):
    """The head thinned and distilled, the tail grown by grafting (He et al., 2023)."""

    name: Literal["two_phase"]
    start: float = Field(
        0.5, gt=0, lt=1, description="Share of the epochs before it; they are its first stage."
    )
    size: float = Field(
        1.0, gt=0, description="To which every class is thinned or grown, in mean class sizes."
    )
    temperature: float = Field(2.0, gt=0, description="Of both phases' outputs.")
    weight: float = Field(
        0.5, ge=0, le=1, description="Of phase 1's outputs, for molecules of thinned classes."
    )


SecondStage = Annotated[
    ClassifierRetraining | LearnedScales | Distillation | TwoPhase, Field(discriminator="name")
]

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
    which tell two groups apart, are weak.
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
        description="Largest gradient at which fitting stops. At the library's 1e-4 some "
        "probabilities are still far from where they end.",
    )  # fmt: skip
    iterations: int = Field(
        2000, ge=1,
        description="Most iterations; the library's 100 are too few for this tolerance.",
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
