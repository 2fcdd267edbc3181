"""Changes of the logits after training."""

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from sklearn.metrics.pairwise import cosine_similarity
from torch import Tensor

from drugtail.methods.posthoc import log_prior_shift, nearest_class_mean, tau_normalised


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_the_shift_of_posthoc_adjustment_is_minus_tau_log_prior() -> None:
    found = log_prior_shift(torch.tensor([90, 9, 1]), 0.5)
    assert found.tolist() == pytest.approx([-0.5 * math.log(n / 100) for n in (90, 9, 1)])
    equal = log_prior_shift(torch.tensor([7, 7, 7]), 1.0)
    assert equal.tolist() == pytest.approx([math.log(3)] * 3), "the same for all: nothing changes"


def test_tau_is_the_one_of_best_balanced_accuracy_and_divides_by_a_power_of_the_length() -> None:
    weight, features = normal(3, 6) * torch.tensor([[5.0], [1.0], [0.2]]), normal(400, 6, seed=1)
    labels = (features @ weight.T * torch.tensor([0.2, 1.0, 5.0]) ** 0.7).argmax(1)
    found, bias = tau_normalised(weight, torch.ones(3), features, labels, steps=20)
    assert bias.tolist() == [0, 0, 0]
    scores = {}
    for step in range(21):
        tau = step / 20
        scaled = torch.stack([w / w.norm() ** tau for w in weight])
        said = (features @ scaled.T).argmax(1)
        scores[tau] = balanced_accuracy_score(labels.numpy(), said.numpy())
    said = (features @ found.T).argmax(1).numpy()
    assert balanced_accuracy_score(labels.numpy(), said) == pytest.approx(max(scores.values()))
    assert max(scores.values()) > scores[0.0] + 0.05
    # Rows still point where they did.
    cosines = torch.nn.functional.cosine_similarity(found, weight)
    torch.testing.assert_close(cosines, torch.ones(3).double())


def test_nearest_class_mean_is_the_class_whose_mean_has_the_largest_cosine() -> None:
    features, labels = normal(60, 5), torch.arange(60) % 4
    weight, bias = nearest_class_mean(features, labels, 4)
    new = normal(50, 5, seed=2)
    logits = new @ weight.T + bias
    means = torch.stack([features[labels == c].mean(0) for c in range(4)])
    assert means.norm(dim=1).max() > 1.2 * means.norm(dim=1).min(), "lengths would matter"
    similarity = cosine_similarity(new.numpy(), means.numpy())
    assert logits.argmax(1).tolist() == similarity.argmax(1).tolist()
    np.testing.assert_allclose(logits / new.norm(dim=1, keepdim=True), similarity, atol=1e-12)
