"""Every private name of Optuna that Leadline uses, and what it is needed for.

All of them were read in Optuna 5.0.0. To take a newer version, read this file beside it;
tests/leadline/engine/test_search.py and tests/leadline/engine/test_extension.py fail where one of
these names has changed its meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial

__all__ = ["KnownTrial", "holds", "study_of"]


def study_of(trials: Sequence[FrozenTrial]) -> optuna.Study:
    """A study that minimises and holds exactly these trials, which are numbered anew from 0.

    `Study.add_trial` copies each trial and takes ten times as long, and no trial can be changed
    once it has ended, whereas what is believed of a stopped one changes with those that finish.

    Optuna 5.0, `optuna.storages.InMemoryStorage`: `_studies` holds the trials of each study in the
    order of their numbers, and a new one gets the next.
    """
    storage = InMemoryStorage()
    study = optuna.create_study(storage=storage)
    for number, trial in enumerate(trials):
        trial.number = number
    storage._studies[storage.get_study_id_from_name(study.study_name)].trials = list(trials)
    return study


def holds(distribution: BaseDistribution, value: Any) -> bool:
    """Whether a distribution could have given a value.

    Optuna 5.0, `optuna.distributions.BaseDistribution`: `_contains` takes what `to_internal_repr`
    makes of the value, which raises TypeError or ValueError for a value of another kind.
    """
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (TypeError, ValueError):
        return False


class KnownTrial(optuna.trial.FixedTrial):
    """A trial whose parameters are given; `known` is called before each of them is handed out.

    Optuna 5.0, `optuna.trial.FixedTrial`: all `suggest_...` methods end in `_suggest`, and
    `_params` holds what was given.
    """

    @property
    def given(self) -> dict[str, Any]:
        """The parameters that were given, whether the space asked for them or not."""
        params: dict[str, Any] = self._params
        return params

    def known(self, name: str, distribution: BaseDistribution) -> None:
        """Raises where the parameter cannot be handed out."""
        raise NotImplementedError

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        self.known(name, distribution)
        return super()._suggest(name, distribution)
