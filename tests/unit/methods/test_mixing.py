"""Mixing."""

import pytest
import torch
from scipy.stats import kstest

from drugtail.config.components.mixing import Mixup, Remix
from drugtail.methods.mixing import MIXING
from drugtail.runtime.draws import Draws


def test_mixup_shares_are_uniform_and_the_labels_shares_are_the_same() -> None:
    share, label_share = MIXING["mixup"](
        Mixup(name="mixup"), torch.ones(20_000), torch.ones(20_000), Draws(torch.tensor(1))
    )
    assert torch.equal(share, label_share)
    assert kstest(share.numpy(), "uniform").pvalue > 1e-3, "Beta(1, 1)"


@pytest.mark.parametrize(("kappa", "tau"), [(3.0, 0.5), (1.0, 0.9), (10.0, 0.2)])
def test_remix_gives_the_label_by_the_papers_three_cases(kappa: float, tau: float) -> None:
    own = torch.tensor([100, 100, 10, 10, 33, 30, 1]).repeat(500)
    other = torch.tensor([10, 100, 100, 10, 10, 10, 1000]).repeat(500)
    part = Remix(name="remix", kappa=kappa, tau=tau)
    share, label_share = MIXING["remix"](part, own, other, Draws(torch.tensor(2)))
    cases = set()
    for n, m, s, found in zip(*(t.tolist() for t in (own, other, share, label_share)), strict=True):
        if n / m >= kappa and s < tau:
            wanted = 0.0
        elif n / m <= 1 / kappa and 1 - s < tau:
            wanted = 1.0
        else:
            wanted = s
        if kappa > 1 or n != m:
            assert found == wanted
        cases.add("own" if found == 1 else "other" if found == 0 else "shared")
    assert cases == {"own", "other", "shared"}


def test_bilateral_share_falls_from_one_by_the_square_of_the_time() -> None:
    assert [MIXING["bilateral"](None, torch.tensor(t)).item() for t in (0.0, 0.5, 1.0)] == [
        1.0,
        0.75,
        0.0,
    ]
