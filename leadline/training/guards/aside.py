"""Calling a model in training on the side, so that nothing is left of the call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from leadline.training.guards.guard import generators_kept, gpus

__all__ = ["aside"]


@contextlib.contextmanager
def aside(model: nn.Module, *, training: bool) -> Iterator[None]:
    """Puts the model in training or evaluation mode, and all that a call changes back at the end.

    That is every submodule's mode, attributes and buffers, and torch's generators.

    A buffer that the call did not change is not written to, so that a graph that is still alive
    stays valid. What is changed inside an attribute, as an entry of a list, stays changed.
    """
    kept = [
        (module, dict(vars(module)), dict(vars(module).get("_buffers", {})), module.training)
        for module in model.modules()
    ]
    values = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with generators_kept(gpus(model)):
        try:
            model.train(training)
            yield
        finally:
            for module, attributes, buffers, mode in kept:
                vars(module).clear()
                vars(module).update(attributes)
                module.training = mode  # A scripted module keeps it elsewhere than in `vars`.
                vars(module).get("_buffers", {}).clear()
                vars(module).get("_buffers", {}).update(buffers)
            for buffer, before in values:
                if not torch.equal(buffer, before):
                    buffer.data.copy_(before)
