"""Classification losses, per molecule."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from drugtail.models.experts import trust
from drugtail.runtime.draws import Draws
from drugtail.runtime.registry import Registry


@dataclass(frozen=True)
class Outcome:
    """A network's output for a batch of one seed, and what a loss may know besides.

    Attributes
    ----------
    logits : Tensor
        s, [B, C].
    labels : Tensor
        y, int64 [B].
    counts : Tensor
        Training molecules per class n, [C].
    features : Tensor
        h, what the last layer got, [B, H].
    experts : Tensor
        Logits of every expert, [E, B, C]; of the only head, [1, B, C].
    scale : float
        Largest logit that a cosine last layer gives; 1 for a linear one.
    progress : Tensor
        Share of the epochs that are over, a scalar in [0, 1).
    draws : Draws
        Source of randomness.
    weights : Tensor
        Class weight of each molecule over the batch's mean, [B]; for losses that apply it
        themselves (``weighs_itself``).
    """

    logits: Tensor
    labels: Tensor
    counts: Tensor
    features: Tensor
    experts: Tensor
    scale: float
    progress: Tensor
    draws: Draws
    weights: Tensor

    @property
    def prior(self) -> Tensor:
        """π, share of each class among the training molecules, [C]."""
        counts = self.counts.to(self.logits.dtype)
        return counts / counts.sum()


Loss = Callable[[Any, Outcome], Tensor]
LOSSES: Registry[Loss] = Registry("loss")


@LOSSES.register("cross_entropy")
def cross_entropy(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy, −log softmax(s)_y.

    Parameters
    ----------
    settings
        Settings of the component.
    batch
        Logits s, labels y, class sizes n and more, see `Outcome`.

    Returns
    -------
    Tensor
        Loss per molecule, [B].
    """
    return negative_log_likelihood(batch.logits, batch.labels)


@LOSSES.register("focal")
def focal(settings: Any, batch: Outcome) -> Tensor:
    """−(1 − p_y)^γ log p_y (Lin et al., ICCV 2017); parameters and result as in `cross_entropy`.

    ``settings.gamma`` is γ; 0 gives cross-entropy.
    """
    losses = negative_log_likelihood(batch.logits, batch.labels)
    # 1 − p without cancellation; away from 0, where the root of γ < 1 has no derivative.
    rest = -torch.expm1(-losses)
    factor = rest.clamp(min=torch.finfo(losses.dtype).eps).pow(settings.gamma)
    return factor * losses


@LOSSES.register("influence_balanced")
def influence_balanced(settings: Any, batch: Outcome) -> Tensor:
    """α / (‖softmax(s) − onehot(y)‖₁ · ‖h‖₁ + 10⁻³) times cross-entropy, late in training.

    Park et al., ICCV 2021, equation 8: the denominator is how much a molecule moves the last layer.
    Their weights w_c ∝ 1/n_c are the recipe's class weights. Up to ``settings.start`` of the epochs
    it is cross-entropy; ``settings.alpha`` is α. As in the authors' code the gradient flows through
    the factor, so that a molecule that is fitted fades as it does with cross-entropy. With Adam α
    scales no step for long; the jump of the loss makes the first steps of the second half larger.
    Parameters and result as in `cross_entropy`.
    """
    losses = negative_log_likelihood(batch.logits, batch.labels)
    own = is_true_class(batch.labels, batch.logits.shape[1])
    error = (batch.logits.softmax(dim=1) - own.to(batch.logits.dtype)).abs().sum(dim=1)
    influence = error * batch.features.abs().sum(dim=1)
    factor: Tensor = settings.alpha / (influence + 1e-3)
    return losses * factor.where(batch.progress >= settings.start, 1.0)


@LOSSES.register("ldam")
def ldam(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy of s, less the class's margin times the scale at the true class.

    m_c = m · n_c^(−1/4) / max_j n_j^(−1/4) (label-distribution-aware margin; Cao et al., NeurIPS
    2019, equation 13 in the form of their experiments). ``settings.margin`` is m. It needs a cosine
    last layer, whose scale is that of the margins. Parameters and result as in `cross_entropy`.
    """
    return negative_log_likelihood(with_margins(batch.logits, batch, settings.margin), batch.labels)


@LOSSES.register("balanced_softmax")
def balanced_softmax(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy of s + log n (Ren et al., NeurIPS 2020, equation 4).

    Parameters and result as in `cross_entropy`. A class without training molecules takes no part.
    """
    shifted = batch.logits + batch.counts.to(batch.logits.dtype).log()
    return negative_log_likelihood(shifted, batch.labels)


@LOSSES.register("logit_adjustment")
def logit_adjustment(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy of s + τ log π (Menon et al., ICLR 2021, equation 10).

    Parameters and result as in `cross_entropy`; ``settings.tau`` is τ. τ = 1 is
    `balanced_softmax`, since log π and log n differ by a constant.
    """
    return negative_log_likelihood(
        batch.logits + scaled_log_prior(batch, settings.tau), batch.labels
    )


@LOSSES.register("vector_scaling")
def vector_scaling(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy of (n_c / n_max)^γ · s + τ log π (Kini et al., NeurIPS 2021, equation 2).

    ``settings.gamma`` is γ, ``settings.tau`` τ. Parameters and result as in `cross_entropy`.
    """
    factor = _relative_size(batch) ** settings.gamma
    shift = scaled_log_prior(batch, settings.tau)
    return negative_log_likelihood(batch.logits * factor + shift, batch.labels)


@LOSSES.register("class_dependent_temperature")
def class_dependent_temperature(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy of s_c / a_c with a_c = (n_max / n_c)^γ (Ye et al., arXiv:2001.01385).

    ``settings.gamma`` is γ. Parameters and result as in `cross_entropy`.
    """
    factor = _relative_size(batch) ** settings.gamma
    return negative_log_likelihood(batch.logits * factor, batch.labels)


@LOSSES.register("softmax_equalization")
def softmax_equalization(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy in which rare classes are left out of the softmax of other classes, often.

    Softmax equalization loss of Tan et al., CVPR 2020, equation 7: a class c ≠ y with π_c < λ does
    not count with probability γ, drawn per molecule and class. Where no class is that rare, it is
    `cross_entropy`.
    ``settings.threshold`` is λ, ``settings.probability`` γ. Parameters and result as in
    `cross_entropy`.
    """
    rare = batch.prior < settings.threshold
    # Numbers belong to classes by their size: how these are numbered must not matter.
    drawn = batch.draws.uniform(*batch.logits.shape)[:, batch.counts.argsort().argsort()]
    left_out = drawn < settings.probability
    own = is_true_class(batch.labels, batch.logits.shape[1])
    absent = rare & left_out & ~own
    floor = torch.finfo(batch.logits.dtype).min
    return negative_log_likelihood(batch.logits.masked_fill(absent, floor), batch.labels)


@LOSSES.register("label_aware_smoothing")
def label_aware_smoothing(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy with the target 1 − ε_y at y and ε_y / (C − 1) at every other class.

    ε_c = ε_tail + (ε_head − ε_tail) · sin(π/2 · (n_c − n_min) / (n_max − n_min)), concave in n_c
    (Zhong et al. (MiSLAS), CVPR 2021, equation 6). ``settings.head`` and ``settings.tail`` are the
    two ends; classes of one size all have ε_tail. The recipe takes it where the authors do: after a
    training with mixup, for a classifier on balanced samples; here that one starts anew, where the
    authors go on with the old one and scale its classes besides. Parameters and result as in
    `cross_entropy`.
    """
    counts = batch.counts.to(batch.logits.dtype)
    place = (counts - counts.min()) / (counts.max() - counts.min()).clamp(min=1)
    smoothing = settings.tail + (settings.head - settings.tail) * (place * math.pi / 2).sin()
    own = is_true_class(batch.labels, len(counts))
    # Of class y, picked by comparing: see the rules beside this file.
    mine = (smoothing * own).sum(dim=1, keepdim=True)
    target = torch.where(own, 1 - mine, mine / (len(counts) - 1))
    return -(target * batch.logits.log_softmax(dim=1)).sum(dim=1)


@LOSSES.register("seesaw")
def seesaw(settings: Any, batch: Outcome) -> Tensor:
    """−log of e^{s_y} / (e^{s_y} + Σ_{j≠y} M_yj C_yj e^{s_j}) (Wang et al., CVPR 2021).

    M_yj = min(1, n_j / n_y)^p spares classes smaller than the molecule's own (equation 5), C_yj =
    max(1, σ_j / σ_y)^q with σ the softmax, through which no gradient flows, holds back those that
    it is taken for (equation 6). ``settings.mitigation`` is p, ``settings.compensation`` q. Sizes
    are those of the training set, where the authors count the molecules seen. Parameters and result
    as in `cross_entropy`.
    """
    own = is_true_class(batch.labels, batch.logits.shape[1])
    counts = batch.counts.to(batch.logits.dtype).clamp(min=1).log()
    mine = (counts * own).sum(dim=1, keepdim=True)
    mitigation = settings.mitigation * (counts - mine).clamp(max=0)
    said = batch.logits.detach().log_softmax(dim=1)
    true = said.where(own, 0.0).sum(dim=1, keepdim=True)
    compensation = settings.compensation * (said - true).clamp(min=0)
    return negative_log_likelihood(batch.logits + mitigation + compensation, batch.labels)


@LOSSES.register("gaussian_clouded")
def gaussian_clouded(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropy of scale · (cos θ_c − a δ_c |ε|), less the margin at the true class.

    Gaussian clouded logits (GCL; Li, Cheung, Lu, CVPR 2022, arXiv:2305.11733): δ_c = log n_max −
    log n_c, scaled to a maximum of 1, and ε normal with standard deviation 1/3, cut at ±1, drawn
    for each molecule and class, so that rare classes occupy more of the sphere.
    ``settings.noise`` is a, ``settings.margin`` that of their code. It needs a cosine last layer.
    The second training of the classifier on class-balanced samples is left out. Parameters and
    result as in `cross_entropy`.
    """
    counts = batch.counts.to(batch.logits.dtype).clamp(min=1).log()
    rarity = counts.max() - counts
    amplitude = settings.noise * rarity / rarity.max().clamp(min=torch.finfo(counts.dtype).eps)
    # A normal number by its distribution's inverse; numbers belong to classes by their size.
    uniform = batch.draws.uniform(*batch.logits.shape)[:, batch.counts.argsort().argsort()]
    noise = (torch.special.ndtri(uniform.clamp(1e-6, 1 - 1e-6)) / 3).clamp(-1, 1).abs()
    own = is_true_class(batch.labels, batch.logits.shape[1])
    clouded = batch.logits - batch.scale * (amplitude * noise + settings.margin * own)
    return negative_log_likelihood(clouded, batch.labels)


@LOSSES.register("distribution_disentangling")
def distribution_disentangling(settings: Any, batch: Outcome) -> Tensor:
    """`balanced_softmax`, plus a bound that makes logits log-densities under even shares (LADE).

    Hong et al., CVPR 2021, arXiv:2012.00321, in the form of their code: for each class c the
    regularised Donsker-Varadhan bound R_c = mean of s_c over its molecules of the batch − Z_c −
    λ Z_c², Z_c = log of the batch's mean of exp(s_c − log π_c − log C); −a Σ_c π_c R_c is added to
    every molecule's loss, so that the batch's mean has it once. ``settings.weight`` is a,
    ``settings.regularisation`` λ. The first mean of a class that the batch lacks is 0. Parameters
    and result as in `cross_entropy`.
    """
    classes = batch.logits.shape[1]
    own = is_true_class(batch.labels, classes)
    here = own.to(batch.logits.dtype).sum(dim=0)
    mean = batch.logits.where(own, 0.0).sum(dim=0) / here.clamp(min=1)
    prior = batch.prior.clamp(min=torch.finfo(batch.logits.dtype).tiny)
    even = batch.logits - prior.log() - math.log(classes)
    normaliser = even.logsumexp(dim=0) - math.log(len(batch.labels))
    bound = mean - normaliser - settings.regularisation * normaliser**2
    found: Tensor = settings.weight * (batch.prior * bound).sum()
    return balanced_softmax(settings, batch) - found


def negative_log_likelihood(logits: Tensor, labels: Tensor) -> Tensor:
    """−log softmax(s)_y of each molecule, [B], from logits [B, C] and labels int64 [B]."""
    # What PyTorch's own function becomes when mapped over seeds has a gradient that is scattered,
    # which takes a GPU a sort to do in order.
    own = is_true_class(labels, logits.shape[1])
    return logits.logsumexp(dim=1) - logits.where(own, 0.0).sum(dim=1)


def is_true_class(labels: Tensor, classes: int) -> Tensor:
    """Return a mask of each molecule's own class, bool [B, C]."""
    return labels[:, None] == torch.arange(classes, device=labels.device)


def with_margins(logits: Tensor, batch: Outcome, margin: float) -> Tensor:
    """Logits [..., B, C] with the margins of `ldam` taken off at the true class."""
    counts = batch.counts.to(logits.dtype)
    relative = (counts / counts.where(counts > 0, torch.inf).min()) ** -0.25
    own = is_true_class(batch.labels, len(counts))
    # A class without training molecules is nobody's own.
    return logits - batch.scale * margin * relative.where(counts > 0, 0.0) * own


def scaled_log_prior(batch: Outcome, tau: float) -> Tensor:
    """τ log π, [C]; −∞ for a class without training molecules, also where τ is 0."""
    prior = batch.prior.log()
    return torch.where(batch.counts > 0, tau * prior, prior)


def _relative_size(batch: Outcome) -> Tensor:
    """n_c / n_max, [C]."""
    counts = batch.counts.to(batch.logits.dtype)
    return counts / counts.max()


# ---------------------------------------------------------------------------------- experts

# RIDE (Wang et al., ICLR 2021) and TLC (Li, Han, Li, Fu, Zhang, CVPR 2022) give every expert the
# last block of a residual network of its own. Here the encoder is shared whole, and each expert has
# its own head: hidden layers and last layer.


@LOSSES.register("experts_cross_entropy")
def experts_cross_entropy(settings: Any, batch: Outcome) -> Tensor:
    """Σ_e −log softmax(s_e)_y: the control of methods that push experts apart.

    Parameters and result as in `cross_entropy`.
    """
    own = is_true_class(batch.labels, len(batch.counts))
    return -(batch.experts.log_softmax(dim=2) * own).sum(dim=2).sum(dim=0)


@LOSSES.register("prior_experts")
def prior_experts(settings: Any, batch: Outcome) -> Tensor:
    """Σ_e cross-entropy of s_e + τ_e log π (BalPoE; Sanchez Aimar et al., CVPR 2023).

    Each expert e learns under class shares ∝ π^(1−τ_e): the data's with τ = 0, even ones with 1,
    the tail's with 2 (their λ is 1 − τ). The mean of their logits is that of even shares if the
    mean τ is 1. ``settings.strengths`` are the τ_e. The authors add mixup, which the recipe leaves
    out. Parameters and result as in `cross_entropy`.
    """
    each = [
        negative_log_likelihood(expert + scaled_log_prior(batch, tau), batch.labels)
        for expert, tau in zip(batch.experts, settings.strengths, strict=True)
    ]
    return torch.stack(each).sum(dim=0)


@LOSSES.register("skill_diverse_experts")
def skill_diverse_experts(settings: Any, batch: Outcome) -> Tensor:
    """Cross-entropies of s_1, of s_2 + log π, and of s_3 + log π − λ log π̄ (SADE).

    Zhang, Hooi, Hong, Feng, NeurIPS 2022, arXiv:2107.09249, equations 3 to 5: π̄ has the shares of
    the classes in inverse order, the rarest class that of the largest. ``settings.inverse`` is λ.
    The weights of the experts that the authors learn on test molecules are left out: every method
    here sees a test molecule once, and alone. Parameters and result as in `cross_entropy`.
    """
    log_prior = batch.prior.log()
    order = batch.counts.argsort()
    place = order.argsort()
    inverse = log_prior[order.flip(0)][place]
    shifts = (torch.zeros_like(log_prior), log_prior, log_prior - settings.inverse * inverse)
    each = [
        negative_log_likelihood(expert + shift, batch.labels)
        for expert, shift in zip(batch.experts, shifts, strict=True)
    ]
    return torch.stack(each).sum(dim=0)


@LOSSES.register("diverse_experts")
def diverse_experts(settings: Any, batch: Outcome) -> Tensor:
    """Σ_e [ margin loss of expert e − λ T̄² KL(mean ‖ e) ], RIDE (Wang et al., ICLR 2021).

    The margin loss is that of `ldam` where the last layer is a cosine, else with a scale of 1.
    Experts are compared at a temperature per class, T_c ∝ 1 − ρ + ρ C π_c with maximum 1 and mean
    T̄: lower for rare classes, on which experts shall differ more. No gradient flows into the mean.
    ``settings.diversity`` is λ, ``settings.spread`` ρ. As in the authors' configurations, the
    recipe adds the class weights of `ldam_drw` for the last fifth of the epochs, which weigh the
    margin losses and not the divergence; here temperatures differ from the first epoch on.

    Changed for molecules: experts share the whole encoder, since three graph convolutions leave no
    last block to give each of its own. Of their two stages only the first is taken: the router that
    saves experts at prediction does not change what they learn. Parameters and result as in
    `cross_entropy`.
    """
    own = is_true_class(batch.labels, len(batch.counts))
    adjusted = with_margins(batch.experts, batch, settings.margin)
    losses = -(adjusted.log_softmax(dim=2) * own).sum(dim=2)
    temperature = 1 - settings.spread + settings.spread * len(batch.counts) * batch.prior
    temperature = temperature / temperature.max()
    mean = (batch.experts.mean(dim=0) / temperature).log_softmax(dim=1).detach()
    each = (batch.experts / temperature).log_softmax(dim=2)
    divergence = (mean.exp() * (mean - each)).sum(dim=2)
    apart: Tensor = settings.diversity * temperature.mean() ** 2 * divergence
    return (batch.weights * losses - apart).sum(dim=0)


@LOSSES.register("trustworthy_experts")
def trustworthy_experts(settings: Any, batch: Outcome) -> Tensor:
    """Σ_e [w_e > θ max_B w_e] · ( −log softmax(s)_y + a · KL(Dir(α̃) ‖ Dir(1)) ), TLC.

    Li, Han, Li, Fu, Zhang, CVPR 2022, with the margins of `ldam` on the logits s of an expert. α̃ is
    exp(s) + 1 for wrong classes and 1 for the true one, so that the second term drives the evidence
    of wrong classes to none; a grows from 0 to ``settings.divergence`` with the epochs, 0.015 being
    what the authors' 200 epochs end with. Weights w are those of `trust`; an expert learns a
    molecule only where its weight is above ``settings.threshold`` = θ of the batch's largest, and
    its loss is the mean over those. The recipe's class weights are those of `diverse_experts` and
    weigh the first term alone. Left out is the divergence from the experts' mean that the
    authors' code subtracts with a factor of 0.01.

    The first term takes exp(s) for the evidence. With exp(s) + 1, as in the uncertainty, it has no
    gradient where there is no evidence for any class: the loss is flat at log C.
    Changed for molecules: experts share the whole encoder, as in `diverse_experts`. Parameters and
    result as in `cross_entropy`.
    """
    own = is_true_class(batch.labels, len(batch.counts))
    weight = trust(batch.experts.detach()).weight
    learned = weight > settings.threshold * weight.amax(dim=1, keepdim=True)
    logits = with_margins(batch.experts, batch, settings.margin)
    likelihood = -(logits.log_softmax(dim=2) * own).sum(dim=2)
    wrong = torch.where(own, 1.0, logits.exp() + 1)
    each = (
        batch.weights * likelihood
        + settings.divergence * batch.progress * divergence_from_uniform(wrong)
    )
    share = learned / learned.to(each.dtype).mean(dim=1, keepdim=True)
    total: Tensor = (share * each).sum(dim=0)
    return total


def divergence_from_uniform(alpha: Tensor) -> Tensor:
    """KL( Dir(α) ‖ Dir(1, …, 1) ), [...], of α, [..., C].

    log Γ(S) − log Γ(C) − Σ log Γ(α_c) + Σ (α_c − 1)(ψ(α_c) − ψ(S)) (Sensoy et al., NeurIPS 2018).
    """
    # Differences of large numbers.
    double = alpha.double()
    total = double.sum(dim=-1, keepdim=True)
    normal = total.lgamma()[..., 0] - double.lgamma().sum(dim=-1) - math.lgamma(alpha.shape[-1])
    rest = ((double - 1) * (double.digamma() - total.digamma())).sum(dim=-1)
    return (normal + rest).to(alpha.dtype)
