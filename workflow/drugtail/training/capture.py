"""Replaying a step of training as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
from torch import Tensor


class Captured:
    """A function of tensors, recorded on its second call on a GPU and replayed from then on.

    A replay starts all kernels of a step at once, where starting them one by one takes longer than
    they run. The function must work on the same tensors with the same shapes at every call of one
    kind, must not wait for the device, and returns nothing: what it computes, it writes into
    tensors that stay. Elsewhere than on a GPU it is simply called.

    The GPU part has not been run yet: no GPU was at hand.

    Parameters
    ----------
    function
        Works on its arguments, tensors on the device.
    device
        Where.
    """

    def __init__(self, function: Callable[..., None], device: torch.device) -> None:
        self._function = function
        self._graphs: dict[Hashable, torch.cuda.CUDAGraph] = {}
        self._inputs: dict[Hashable, tuple[Tensor, ...]] = {}
        on_gpu = device.type == "cuda"
        self._stream = torch.cuda.Stream(device) if on_gpu else None
        # One for all: replays follow one another and leave nothing behind in it.
        self._pool = torch.cuda.graph_pool_handle() if on_gpu else None

    def __call__(self, kind: Hashable, *inputs: Tensor) -> None:
        """Call the function.

        Parameters
        ----------
        kind
            Calls of one kind run the same operations on the same shapes.
        inputs
            Arguments of the function.
        """
        if self._stream is None:
            self._function(*inputs)
            return
        if kind not in self._inputs:
            # Libraries choose kernels and take memory at the first call, which is not recorded.
            self._inputs[kind] = tuple(tensor.clone() for tensor in inputs)
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                self._function(*inputs)
            torch.cuda.current_stream().wait_stream(self._stream)
            return
        for place, tensor in zip(self._inputs[kind], inputs, strict=True):
            place.copy_(tensor)
        if kind not in self._graphs:
            self._graphs[kind] = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graphs[kind], self._pool, self._stream):
                self._function(*self._inputs[kind])
        self._graphs[kind].replay()
