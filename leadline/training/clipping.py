"""A bound on the gradient, applied where all micro-batches of a step have been added up."""

from __future__ import annotations

from typing import Any, Literal

from torch import nn
from torch.optim import Optimizer

__all__ = ["clip_at_step"]


def clip_at_step(optimizer: Optimizer, bound: float, by: Literal["norm", "value"] = "norm") -> None:
    """Bounds the gradient of an optimizer's parameters at the beginning of each of its steps.

    A task's losses are of one micro-batch, so that only the step sees the whole gradient.

    Args:
        optimizer: the optimizer, whose steps are hooked.
        bound: the largest norm of all its gradients together, or the largest value of each of their
            elements; 0 for none.
        by: which of the two.
    """
    if not bound:
        return
    trained: list[nn.Parameter] = [tensor for group in optimizer.param_groups for tensor in group["params"]]
    clip: Any = nn.utils.clip_grad_norm_ if by == "norm" else nn.utils.clip_grad_value_

    def hook(*_: Any) -> None:
        clip(trained, bound)

    optimizer.register_step_pre_hook(hook)
