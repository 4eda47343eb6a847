"""State dicts of the log's network.

Its modules have the names of ours, so that only what wraps them is taken off: `_orig_mod.`, which
torch.compile adds, and `module.`, which data-parallel training adds. It also saves its table of
positions, which is a formula here: a tensor of whatever name with those numbers is passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from leadline.config import ConfigError
from trainables.arc_hrm.model import ArcHRM

__all__ = ["load_reference", "our_name"]

WRAPPERS = re.compile(r"^(?:_orig_mod\.|module\.)+")
ROUNDING = 1e-3
"""The largest difference of a table of positions from ours: an angle of 5000 rounds by 5e-4."""


def our_name(name: str) -> str:
    """Returns our name of a tensor in the log's state dict."""
    return WRAPPERS.sub("", name)


def _is_table(model: ArcHRM, tensor: Tensor) -> bool:
    """Tells whether a tensor is the table of positions, perhaps with dimensions of size 1."""
    table = model.places.cpu()
    if tensor.squeeze().shape != table.shape or not tensor.is_floating_point():
        return False
    return bool((tensor.squeeze().to(table) - table).abs().max() <= ROUNDING)


def load_reference(model: ArcHRM, state: Mapping[str, Tensor]) -> None:
    """Loads a state dict of the log's network.

    Raises:
        ConfigError: naming the first tensor that is missing, unknown or of another shape.
    """
    own = model.state_dict()
    found = {our_name(name): tensor for name, tensor in state.items()}
    found = {name: tensor for name, tensor in found.items() if name in own or not _is_table(model, tensor)}
    for name in [*sorted(found.keys() - own.keys()), *sorted(own.keys() - found.keys())]:
        raise ConfigError(f"start: {name} is {'no part of this architecture' if name in found else 'missing'}")
    for name, tensor in found.items():
        if tensor.shape != own[name].shape:
            raise ConfigError(
                f"start: {name} has shape {list(tensor.shape)}; this architecture needs {list(own[name].shape)}"
            )
    with torch.no_grad():
        model.load_state_dict(found)
