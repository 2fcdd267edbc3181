"""Points spread evenly on the sphere, and which class is drawn to which of them.

Li et al., "Targeted Supervised Contrastive Learning for Long-Tailed Recognition", CVPR 2022.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

STEPS = 1000
RATE = 0.5


def spread_points(number: int, dimensions: int, seed: int = 0) -> Tensor:
    """Points on the unit sphere that repel each other, float32 [number, dimensions].

    They minimise mean_i log Σ_{j≠i} exp(t_i·t_j / τ) (equation 2 with τ = 1) by gradient descent
    from random points. Up to D + 1 of them end in the corners of a regular simplex.
    """
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(number, dimensions, generator=generator, dtype=torch.float64)
    points = F.normalize(points, dim=1)
    itself = torch.eye(number, dtype=torch.bool)
    for _ in range(STEPS if number > 1 else 0):
        # The gradient of the sum over i is twice that of one side, by symmetry.
        share = (points @ points.T).masked_fill(itself, -torch.inf).softmax(dim=1)
        points = F.normalize(points - RATE * (share + share.T) @ points, dim=1)
    return points.float()


def assign_points(points: Tensor, centroids: Tensor) -> Tensor:
    """Give each class the point that lies towards its centroid, as well as all can have it.

    Parameters
    ----------
    points
        [C, D].
    centroids
        Of the classes' embeddings, [C, D].

    Returns
    -------
    Tensor
        Point of each class, [C, D]: the assignment with the least sum of squared distances
        (equation 4), found by the Hungarian method.
    """
    # Here, as it takes a quarter of a second to import, and few methods need it.
    from scipy.optimize import linear_sum_assignment

    similarity = F.normalize(centroids, dim=1) @ points.to(centroids.dtype).T
    _, chosen = linear_sum_assignment(-similarity.cpu().double().numpy())
    return points[torch.from_numpy(chosen).to(points.device)]
