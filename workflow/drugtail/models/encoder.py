"""Encoders: their registry, and modules of one seed computed one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from drugtail.config.encoder import EncoderSettings
from drugtail.features.batch import Batch, InputShape
from drugtail.models.stacked import stack
from drugtail.runtime.errors import DrugtailError, fault_in, file_of
from drugtail.runtime.registry import Registry

# Makes the module of one seed from its settings and what it gets. A module says the ``width`` D of
# its embeddings. Where the settings declare ``batched``, it has a first dimension of seeds
# (`drugtail.models.stacked`) and maps a batch to [S, B, D]; else it maps what `Batch.of_seed` gives
# to [B, D].
ENCODERS: Registry[Callable[[Any, InputShape], nn.Module]] = Registry(
    "encoder", "drugtail.models.encoders"
)


def make_encoder(settings: EncoderSettings, shape: InputShape) -> nn.Module:
    """Make the module of one seed, with fresh weights from PyTorch's global random state.

    Raises
    ------
    DrugtailError
        If it is no module, or does not say its width.
    """
    module = ENCODERS.guarded(settings.kind)(settings, shape)
    where = f"encoder {settings.kind!r} ({file_of(ENCODERS[settings.kind])})"
    if not isinstance(module, nn.Module):
        raise DrugtailError(f"{where}: gives {type(module).__name__}; it must be a torch.nn.Module")
    if not isinstance(getattr(module, "width", None), int):
        raise DrugtailError(
            f"{where}: does not say how wide its embeddings are; set self.width, an int"
        )
    return module


def join_seeds(settings: EncoderSettings, modules: Sequence[nn.Module]) -> nn.Module:
    """Join the modules of several seeds to one that computes them all.

    A class that has a method ``join`` of settings and modules does it by itself.
    """
    join = getattr(type(modules[0]), "join", None)
    if join is not None:
        joined: nn.Module = join(settings, modules)
        return joined
    return stack(modules) if settings.batched else SeedBySeed(modules, settings.kind)


class SeedBySeed(nn.Module):
    """Modules of the same shape, one per seed, computed one after the other.

    Parameters and buffers of all seeds stand in one tensor each, with a first dimension of seeds,
    as those of modules that compute all seeds together. Layers that draw (dropout) draw from the
    seed's own source, so that the numbers of one seed do not depend on the others.

    Parameters
    ----------
    modules
        One per seed.
    kind
        Name of the encoder, for messages.
    """

    def __init__(self, modules: Sequence[nn.Module], kind: str) -> None:
        super().__init__()
        # Not as a submodule: its parameters only say names and shapes.
        self.__dict__["module"] = modules[0]
        self.kind, self.seeds = kind, len(modules)
        self._file = file_of(type(modules[0]))
        self.width = cast(int, modules[0].width)
        self._names: dict[str, str] = {}
        for name, _ in modules[0].named_parameters():
            each = [dict(module.named_parameters())[name].detach() for module in modules]
            self.register_parameter(self._kept(name), nn.Parameter(torch.stack(each)))
        for name, _ in modules[0].named_buffers():
            each = [dict(module.named_buffers())[name] for module in modules]
            self.register_buffer(self._kept(name), torch.stack(each))

    def _kept(self, name: str) -> str:
        """Name under which a parameter or buffer is kept: one without points."""
        self._names[name] = name.replace(".", "/")
        return self._names[name]

    def train(self, mode: bool = True) -> SeedBySeed:
        """Set training or evaluation mode, also of the module that stands for all."""
        self.__dict__["module"].train(mode)
        super().train(mode)
        return self

    def forward(self, batch: Batch, keys: Tensor | None = None) -> Tensor:
        """Return one embedding per molecule, [S, B, width].

        Parameters
        ----------
        batch
            The molecules of S seeds.
        keys
            Source of randomness of each seed, int64 [S]; None where nothing is drawn.
        """
        found = self._each(batch, keys)
        wanted = [batch.molecules, self.width]
        for embedding in found:
            if list(embedding.shape) != wanted:
                raise DrugtailError(
                    f"encoder {self.kind!r} ({self._file}): gives embeddings of shape "
                    f"{list(embedding.shape)} for {batch.molecules} molecules; it must give "
                    f"{wanted}, a row for each molecule as wide as self.width, {self.width}; mend "
                    "`forward` or `self.width`"
                )
        return torch.stack(found)

    def atoms(self, batch: Batch) -> Tensor:
        """Features of every atom, [S, atoms, width], of which sums are taken."""
        found = self._each(batch, None, atoms=True)
        return nn.utils.rnn.pad_sequence(found, batch_first=True)

    def _each(self, batch: Batch, keys: Tensor | None, *, atoms: bool = False) -> list[Tensor]:
        state = {name: getattr(self, kept).unbind() for name, kept in self._names.items()}
        called = _Calls(self.__dict__["module"], "atoms" if atoms else "forward")
        found = []
        for seed in range(self.seeds):
            own = {f"module.{name}": each[seed] for name, each in state.items()}
            with torch.random.fork_rng(enabled=keys is not None):
                if keys is not None:
                    torch.manual_seed(int(keys[seed]))
                found.append(self._called(called, own, batch.of_seed(seed)))
        return found

    def _called(self, module: nn.Module, state: dict[str, Tensor], given: Any) -> Tensor:
        try:
            result: Tensor = functional_call(module, state, (given,))
        except torch.OutOfMemoryError:
            raise
        except Exception as error:
            fault = fault_in(type(self.__dict__["module"]), error)
            raise DrugtailError(f"encoder {self.kind!r}: {fault}") from error
        return result


class _Calls(nn.Module):
    """A module that calls one method of another."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module, self.method = module, method

    def forward(self, given: Any) -> Tensor:
        result: Tensor = getattr(self.module, self.method)(given)
        return result
