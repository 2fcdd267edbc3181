"""Targets of classes."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from drugtail.geometry.targets import assign_points, spread_points


def normal(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("number", "dimensions"), [(2, 3), (4, 3), (12, 16), (12, 128)])
def test_few_points_are_spread_to_the_corners_of_a_simplex(number: int, dimensions: int) -> None:
    points = spread_points(number, dimensions).double()
    torch.testing.assert_close(points.norm(dim=1), torch.ones(number).double(), rtol=0, atol=1e-6)
    cosines = points @ points.T
    apart = cosines[~torch.eye(number, dtype=torch.bool)]
    torch.testing.assert_close(apart, torch.full_like(apart, -1 / (number - 1)), rtol=0, atol=1e-3)


def test_more_points_than_fit_a_simplex_are_still_far_apart() -> None:
    points = spread_points(6, 3).double()
    cosines = (points @ points.T)[~torch.eye(6, dtype=torch.bool)]
    # The corners of an octahedron are the best that six points can do.
    assert cosines.max() < 0.05


def test_one_class_alone_has_a_target_too() -> None:
    assert spread_points(1, 4).norm().item() == pytest.approx(1)


def test_points_are_assigned_to_classes_with_the_least_sum_of_distances() -> None:
    from itertools import permutations

    points = spread_points(4, 5).double()
    centroids = normal(4, 5, seed=9)
    found = assign_points(points, centroids)
    unit = normalize(centroids, dim=1)
    best = min(
        permutations(range(4)),
        key=lambda order: float((unit - points[list(order)]).norm(dim=1).square().sum()),
    )
    torch.testing.assert_close(found, points[list(best)])
