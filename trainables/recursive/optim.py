"""The optimizers Adam-atan2 and sign-SGD, the moving average, and the learning rate's schedule."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import get_ema_multi_avg_fn

from leadline.curriculum import StageClock
from trainables.recursive.config import RecursiveConfig

__all__ = ["EMA", "AdamATan2", "SignSGD", "rate", "schedule"]

BLOCK = 2**17
"""How many numbers of a parameter the CPU updates at a time.

Parameter, gradient and moments then stay in its caches.
"""


class _ByParameter(torch.optim.Optimizer):
    """An optimizer that updates each parameter with a gradient on its own."""

    def __init__(self, parameters: Iterable[nn.Parameter], **defaults: Any) -> None:
        for name in ("lr", "weight_decay"):
            if not defaults[name] >= 0:
                raise ValueError(f"{name}: must be at least 0 (got {defaults[name]})")
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Makes one update and returns the closure's loss, if there is one."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)
        return loss

    def _update(self, parameter: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        raise NotImplementedError


class AdamATan2(_ByParameter):
    """Adam whose quotient is an arc tangent (Everett et al. 2024, arXiv 2407.05872).

    It needs no epsilon and does not depend on the gradient's scale: p *= 1 - lr * weight_decay; m
    and v as in Adam; p -= lr / (1 - beta1^t) * atan2(m, sqrt(v / (1 - beta2^t))). As in the package
    adam-atan2 0.0.3, the first moment is corrected outside of the arc tangent and nothing else is
    scaled. atan2(0, 0) is 0.

    Raises:
        ValueError: if lr or weight_decay is negative, or a beta is outside of [0, 1).
        RuntimeError: at a step with a sparse gradient.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        *,
        lr: float,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.0,
    ) -> None:
        if not all(0 <= beta < 1 for beta in betas):
            raise ValueError(f"betas: must be at least 0 and below 1 (got {betas})")
        super().__init__(parameters, lr=lr, betas=betas, weight_decay=weight_decay)

    def _update(self, parameter: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        if gradient.is_sparse:
            raise RuntimeError("AdamATan2 has no use for sparse gradients; SignSGD has")
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        lr = group["lr"]
        step = float(state["step"])
        kept = 1 - lr * group["weight_decay"]
        rate = lr / (1 - beta1**step)
        spread = math.sqrt(1 - beta2**step)
        for p, g, m, v in _pieces(parameter, gradient, state["exp_avg"], state["exp_avg_sq"]):
            p.mul_(kept)
            m.lerp_(g, 1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            root = v.sqrt().div_(spread)
            p.sub_(torch.atan2(m, root, out=root), alpha=rate)


def _pieces(*tensors: Tensor) -> Iterable[tuple[Tensor, ...]]:
    """Divides tensors of one shape into blocks, where that is faster."""
    first = tensors[0]
    if first.numel() <= BLOCK or first.device.type != "cpu" or not all(tensor.is_contiguous() for tensor in tensors):
        return [tensors]
    return zip(*(torch.split(tensor.view(-1), BLOCK) for tensor in tensors), strict=True)


class SignSGD(_ByParameter):
    """Sign-SGD on those rows of an embedding table that the step has looked up.

    HRM and TRM train their puzzle embeddings with it. The update is w := w * (1 - lr *
    weight_decay) - lr * sign(g), g summed over all look-ups of a row. A row that was looked up
    decays even where its gradient is 0; the others are left as they are. The gradient must be that
    of `nn.Embedding(..., sparse=True)`, whose indices are the rows looked up; micro-batches and
    segments add to it.

    Raises:
        ValueError: if lr or weight_decay is negative.
        RuntimeError: at a step with a dense gradient, which does not say what was looked up.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float = 0.0) -> None:
        super().__init__(parameters, lr=lr, weight_decay=weight_decay)

    def _update(self, parameter: Tensor, gradient: Tensor, group: Mapping[str, Any]) -> None:
        if not gradient.is_sparse:
            raise RuntimeError("SignSGD needs the gradient of nn.Embedding(..., sparse=True)")
        summed = gradient.coalesce()
        (rows,) = summed.indices()
        moved = (
            parameter[rows]
            .mul_(1 - group["lr"] * group["weight_decay"])
            .sub_(summed.values().sign(), alpha=group["lr"])
        )
        parameter.index_copy_(0, rows, moved)


class EMA:
    """The moving average of a module's parameters, begun at their first values.

    Formula: average = decay * average + (1 - decay) * parameter.

    Args:
        module: its parameters are averaged, its buffers are not.
        decay: in [0, 1).
        without: beginnings of names of parameters that are not averaged either (HRM, TRM: the
            puzzle embedding).

    Raises:
        ValueError: if the decay is outside of [0, 1).
    """

    def __init__(self, module: nn.Module, decay: float, without: tuple[str, ...] = ()) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay: must be at least 0 and below 1 (got {decay})")
        self._parameters = {
            name: parameter for name, parameter in module.named_parameters() if not name.startswith(without)
        }
        self._averages = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        self._average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Updates the averages; it is to be called once after each optimizer step."""
        with torch.no_grad():
            self._average(list(self._averages.values()), list(self._parameters.values()), None)

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Puts the averages in place of the parameters, and at the end the parameters back."""
        held = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        try:
            self._put(self._averages)
            yield
        finally:
            self._put(held)

    def _put(self, values: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, parameter in self._parameters.items():
                parameter.copy_(values[name])

    def state_dict(self) -> dict[str, Tensor]:
        """Returns the averages by name: the tensors themselves, as torch's modules do."""
        return dict(self._averages)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """The inverse of `state_dict`.

        Raises:
            ValueError: if the state has averages of other parameters.
        """
        if state.keys() != self._averages.keys():
            raise ValueError(
                f"ema: averages of other parameters: {', '.join(sorted(state.keys() ^ self._averages.keys()))}"
            )
        for name, average in self._averages.items():
            average.copy_(state[name])


def rate(step: int, steps: int, warmup: int, schedule: Literal["constant", "cosine"], lr_min: float) -> float:
    """Returns the factor on the learning rate of optimizer step `step` (HRM, TRM).

    The first step is 1. The factor is step/warmup before `warmup`; then 1, or half a cosine from 1
    down to `lr_min` at `steps`, where it stays.
    """
    if step < warmup:
        return step / warmup
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return lr_min + (1 - lr_min) * 0.5 * (1 + math.cos(math.pi * progress))


def schedule(optimizer: torch.optim.Optimizer, config: RecursiveConfig, clock: StageClock | None = None) -> LambdaLR:
    """Sets the learning rates by `rate`, times that of the stage.

    Its `step` is to be called once after each optimizer step.
    """
    warmup = round(config.warmup * config.steps)

    def factor(done: int) -> float:
        staged = clock.at(done).rate if clock else 1.0
        return staged * rate(done + 1, config.steps, warmup, config.schedule, config.lr_min)

    return LambdaLR(optimizer, factor)
