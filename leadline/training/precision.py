"""The precision of matrix products, and activations that are computed again: for any family.

A family declares the two fields, and its task and its network use one line each:

    precision: Precision = knob("float32", PRECISION)
    recompute: bool = knob(False, RECOMPUTE)

    with mixed(config.precision, device):              # around the forward pass
        x = through(block, x, again=config.recompute)  # instead of block(x)

Weights, gradients and optimizer stay in float32 in either precision. Both are counted by
`leadline.training.memory_plan`, which takes the steps that the task takes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeVar

if TYPE_CHECKING:
    import torch

__all__ = ["PRECISION", "RECOMPUTE", "Precision", "mixed", "through"]

Precision = Literal["float32", "bfloat16"]
"""The type of the field `precision`."""
PRECISION = "of matrix products, by autocast; weights, gradients and optimizer stay in float32"
"""What the field `precision` means."""
RECOMPUTE = "compute the inside of each block again in the backward pass instead of keeping it: less memory, more time"
"""What the field `recompute` means (Chen et al. 2016, arXiv 1604.06174)."""

T = TypeVar("T")


def mixed(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """A context in which matrix products are of that precision, for a forward pass with its losses.

    The backward pass stands outside of it, and follows the forward pass. What rounds badly, such as
    norms and losses, autocast leaves in float32. A state that is carried on, or a small noise that
    is added, must be float32 by the family's own doing: of a number near 1, bfloat16 keeps 8 bits.
    Evaluation uses the same context, so that a score is that of the model as it was trained and
    will be used; families whose scores are differences of nearly equal numbers leave it out.
    """
    import torch

    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")


def through(block: Callable[..., T], *inputs: Any, again: bool) -> T:
    """The block's outputs, whose inside is computed again in the backward pass if `again`.

    Dropout then drops the same values again, since torch's generators are put back for it. The
    gradients are those of the same operations on the same numbers, and therefore equal bit by bit
    on the CPU. Without gradients nothing is kept, and so nothing is computed again.

    Args:
        block: a module or function; whatever else it reads must not change until the backward pass.
        inputs: what it is called with.
        again: whether its inside is computed again.
    """
    if not again:  # called for each block of each cycle, so that nothing is imported before
        return block(*inputs)
    import torch
    from torch.utils.checkpoint import checkpoint

    if not torch.is_grad_enabled():
        return block(*inputs)
    found: T = checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=True)
    return found
