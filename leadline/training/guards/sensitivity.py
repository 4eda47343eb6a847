"""The guard on input sensitivity: distinct inputs must have distinct outputs.

A model that says the same of all inputs has learnt nothing, whatever it scores.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from leadline.finding import Finding
from leadline.task import Batch
from leadline.training.guards.aside import aside
from leadline.training.guards.guard import Guard, Interval, News

__all__ = ["InputSensitivity", "distinct"]

FEWEST_SHARE = 0.1
"""Distinct outputs per distinct input row below which they are too few.

Healthy real outputs are near 1.
"""
CONSTANT = 1e-6
"""Difference of real outputs, as a share of their root mean square, up to which they are equal."""
COMPARED = {True: 100, False: 6}
"""Input rows that are needed before anything is said of labels (True) or real outputs (False).

The first row of each look does not count, as it has none to be compared with.
"""
ROWS = 256
"""The most rows of a batch that are looked at, and of an interval before looks are over.

Each look costs a forward pass.
"""
REST = 64
"""Steps without a look after that many rows.

Where intervals are short and batches large, a look in each would cost too much.
"""


def _tensors(value: Any) -> Iterator[Tensor]:
    """Yields the tensors inside tuples, lists, mappings and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)
    elif dataclasses.is_dataclass(value):
        yield from _tensors([getattr(value, field.name) for field in dataclasses.fields(value)])


def _bits(tensor: Tensor) -> Tensor:
    """Turns numbers into integers, equal ones for equal numbers: int64 [rows, values]."""
    flat = tensor.detach().reshape(len(tensor), -1)
    if flat.is_complex():
        flat = torch.view_as_real(flat).flatten(1)
    if not flat.is_floating_point():
        return flat.long()
    flat = flat if flat.dtype == torch.float64 else flat.float()
    zeros_alike = flat + 0.0  # makes -0.0 the same as 0.0
    return zeros_alike.view(torch.int64 if flat.dtype == torch.float64 else torch.int32).long()


def _fingerprints(tensors: Iterable[Tensor]) -> Tensor:
    """Computes a number for each row, int64 [rows], equal for equal rows.

    Other rows have different ones, but for chances of 2^-40. The number is the sum of the values
    times odd pseudo-random multipliers, modulo 2^64 (multilinear hashing, Carter and Wegman 1979).
    """
    bits = torch.cat([_bits(tensor) for tensor in tensors], 1)
    multipliers = torch.arange(1, bits.shape[1] + 1, device=bits.device) * -7046029254386353131
    multipliers = (multipliers ^ (multipliers >> 31)) * -4658895280553007687
    return (bits * ((multipliers ^ (multipliers >> 29)) | 1)).sum(1)


def _changes(ordered: Tensor) -> Tensor:
    """Marks where a sorted tensor [rows] has another value than in the row before, bool [rows]."""
    return torch.cat([torch.ones_like(ordered[:1], dtype=torch.bool), ordered[1:] != ordered[:-1]])


def distinct(inputs: Iterable[Tensor], output: Tensor) -> Tensor:
    """Counts distinct input rows, and the distinct outputs that they have.

    Args:
        inputs: tensors [rows, ...]; rows are equal where they are equal in all.
        output: [rows, ...]. Real numbers that all lie within 1e-6 of their root mean square are one
            output; if one of them is not finite, nothing is counted.

    Returns:
        Both counts, int64 [2], on the output's device.
    """
    taken, order = _fingerprints(inputs).sort()
    first = _changes(taken)
    said = _fingerprints([output])[order]
    said = torch.where(first, said, said[0]).sort().values
    counts = torch.stack([first.sum(), _changes(said).sum()])
    if output.is_floating_point():
        flat = output.detach().reshape(len(output), -1).double()
        constant = (flat - flat[0]).abs().max() <= CONSTANT * flat.square().mean().sqrt()
        counts[1] = torch.where(constant, torch.ones_like(counts[1]), counts[1])
        counts = counts * flat.isfinite().all()
    return counts


def _coarse(output: Tensor) -> bool:
    """Whether outputs may tie by their nature: labels, and half precision."""
    return not output.is_floating_point() or torch.finfo(output.dtype).eps > 1e-4


class InputSensitivity(Guard):
    """Demands that distinct input rows have distinct outputs in evaluation mode.

    It looks at some training batches of each interval.

    It fires on a constant; on real outputs (not on labels) also where fewer than a tenth of the
    distinct inputs have distinct ones. What of the output counts, `Task.predictions` says. The
    inputs are those of the real forward pass, which the model gets once more after the backward
    pass: in training mode dropout would make the outputs of equal inputs differ, and a constant
    would hide behind it.
    """

    name = "input_sensitivity"
    looks: ClassVar[int] = 4

    def __init__(self) -> None:
        self._hook: RemovableHandle | None = None
        self._passed: tuple[tuple[Any, ...], dict[str, Any]] | None = None
        self._looked: list[Tensor] = []
        self._rows = 0
        """Rows looked at since the last report."""
        self._rest = 0
        """Step before which there is no further look."""
        self._coarse = False
        self._useless = ""
        """Why the guard cannot judge this model; empty while it can."""
        self._said_useless = False
        self._window: list[list[int]] = []
        self._news = News()

    def before_forward(self, step: int) -> None:
        """Listens to the forward pass that follows.

        An untrained model may well be a constant, so the first two steps do not count.
        """
        if step >= max(2, self._rest) and not self._useless and self._rows < ROWS:
            self._hook = self.task.model.register_forward_hook(self._keep, with_kwargs=True)

    def _keep(self, model: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        """Keeps the inputs of the first call."""
        self._passed = self._passed or (inputs, named)

    def before_backward(self, step: int, batch: Batch, terms: Mapping[str, Tensor]) -> None:
        """Stops listening: the first micro-batch has passed, and others are not looked at."""
        if self._hook is not None:
            self._hook.remove()
            if self._passed is None:
                self._useless = (
                    "the loss does not call the model itself, whose inputs and outputs are therefore unknown"
                )

    def before_update(self, step: int) -> None:
        """Calls the model once more and counts, on the device; the loss's graph is spent by now."""
        passed = self._passed
        self._hook = None
        self._passed = None
        if passed is None:
            return
        with torch.no_grad(), aside(self.task.model, training=False):
            self._look(passed, self.task.model(*passed[0], **passed[1]))
        if self._rows >= ROWS:
            self._rest = step + REST

    def _look(self, passed: tuple[tuple[Any, ...], dict[str, Any]], said: Any) -> None:
        """Counts what one call says of its inputs, or finds that this cannot be done."""
        try:
            output = self.task.predictions(said)
        except TypeError as error:
            self._useless = str(error)
            return
        inputs = [
            tensor[:ROWS] for tensor in _tensors(passed) if tensor.dim() and output.dim() and len(tensor) == len(output)
        ]
        if not inputs:
            self._useless = f"no input of the model has as many rows as its output, {list(output.shape)}"
            return
        self._rows += len(inputs[0])
        self._coarse = _coarse(output)
        self._looked.append(distinct(inputs, output[:ROWS]))

    def report(self, interval: Interval) -> Iterable[Finding]:
        """Judges what was looked at since the last judgement, once that is enough."""
        if self._useless and not self._said_useless:
            self._said_useless = True
            return [Finding(self.name, False, math.nan, f"Not applicable: {self._useless}.", "not applicable")]
        if self._looked:
            counts: list[list[int]] = torch.stack(self._looked).tolist()
            self._window += [count for count in counts if count[0] > 1]
            self._looked.clear()
            self._rows = 0
        if sum(inputs - 1 for inputs, _ in self._window) < COMPARED[self._coarse]:
            return ()
        window, self._window = self._window, []
        return self._news.of([self._finding(window)])

    def _finding(self, window: list[list[int]]) -> Finding:
        """The finding on the counts of several looks."""
        inputs, outputs = (sum(count[i] for count in window) for i in (0, 1))
        constant = all(count[1] == 1 for count in window)
        failed = constant or (not self._coarse and outputs < FEWEST_SHARE * inputs)
        sentence = f"{inputs} distinct inputs had {outputs} distinct outputs on the {len(window)} steps looked at"
        return Finding(
            self.name, failed, outputs / inputs, sentence + (": the model says the same of all." if constant else ".")
        )

    def state_dict(self) -> dict[str, Any]:
        """Returns the counts not yet judged, until when it rests, and what was said."""
        return {
            "window": self._window,
            "rest": self._rest,
            "coarse": self._coarse,
            "told": self._news.told,
            "said_useless": self._said_useless,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._window = [list(count) for count in state["window"]]
        self._coarse = state["coarse"]
        self._rest = state.get("rest", 0)
        self._news.told = dict(state["told"])
        self._said_useless = state["said_useless"]
