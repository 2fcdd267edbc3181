"""Registries."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from drugtail.methods.losses import LOSSES, Outcome
from drugtail.runtime.draws import Draws
from drugtail.runtime.errors import DrugtailError
from drugtail.runtime.registry import Registry


def loss(
    name: str, settings: Any, logits: Tensor, labels: Tensor, counts: Tensor, **more: Any
) -> Tensor:
    """A registered loss, with whatever else it may know."""
    known = {
        "features": torch.ones(len(labels), 3, dtype=logits.dtype),
        "experts": logits[None],
        "scale": 1.0,
        "progress": torch.tensor(0.5),
        "draws": Draws(torch.tensor(0)),
        "weights": torch.ones(len(labels), dtype=logits.dtype),
    }
    batch = Outcome(logits=logits, labels=labels, counts=counts, **{**known, **more})
    return LOSSES[name](settings, batch)


def test_registry_finds_by_name_and_says_what_there_is_otherwise() -> None:
    registry: Registry = Registry("sampler")
    implementation = registry.register("b")(lambda: 1)
    registry.register("a")(lambda: 2)
    assert registry["b"] is implementation
    assert registry.names() == ["a", "b"]
    with pytest.raises(KeyError, match=r"sampler 'c' is not registered; there are: a, b"):
        registry["c"]


def test_a_name_cannot_be_registered_twice() -> None:
    registry: Registry = Registry("loss")
    registry.register("a")(lambda: 1)
    with pytest.raises(ValueError, match="loss 'a' is registered already"):
        registry.register("a")(lambda: 2)
    assert registry["a"]() == 1


def test_a_registry_of_a_package_imports_what_is_asked_for_alone() -> None:
    program = (
        "import sys; from drugtail.data.strategy import STRATEGIES as found\n"
        "loaded = lambda: {m.split('.')[-1] for m in sys.modules if 'data.strategies.' in m}\n"
        "print(found.names(), loaded(), found['random'].__name__, loaded())\n"
        "try: found.register('scaffold')(int)\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        "['butina', 'cv', 'fewshot', 'official', 'official_purged', 'random', 'scaffold', "
        "'standard', 'time'] "
        "set() Random {'random'}",
        "split strategy 'scaffold' is registered already, by the package; choose another name",
    ]


def test_an_error_in_a_function_of_ones_own_names_its_file_and_line() -> None:
    registry: Registry[Callable[..., float]] = Registry("loss")

    @registry.register("own")
    def own(says: str) -> float:
        if says:
            raise RuntimeError(says)
        return 1.0

    assert registry.guarded("own")("") == 1
    with pytest.raises(DrugtailError, match=r"loss 'own': .*test_registry.py: line \d+: Runtime"):
        registry.guarded("own")("wrong")
    # Whoever caught it before catches it still.
    with pytest.raises(RuntimeError, match="out of memory"):
        registry.guarded("own")("CUDA out of memory")
