"""Every private name of Optuna that Leadline uses, and what it is needed for.

All of them were read in Optuna 5.0.0. To take a newer version, read this file beside it;
tests/leadline/engine/test_search.py and tests/leadline/engine/test_extension.py fail where one of
these names has changed its meaning.
"""

from __future__ import annotations

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import BaseStorage
from optuna.trial import Trial

__all__ = ["KnownTrial", "forget_unused_draws", "holds"]

_RELATIVE_PARAMS = "tpe:relative_params:0"
"""The system attribute of a trial in which TPE stores every value that it drew.

Optuna 5.0, `optuna.samplers._tpe.sampler`: the values are JSON in parts of limited length, and this
is the name of the first part.
"""


def forget_unused_draws(study: optuna.Study, trial: Trial, storage: BaseStorage) -> None:
    """Clears the values that TPE stored on a running trial.

    TPE stores every value it drew there, even unused ones. The ledger keeps only the used ones, so
    we clear them; otherwise a study that is replayed from it would differ.

    Optuna 5.0, `optuna.storages.BaseStorage`: `get_study_id_from_name`,
    `get_trial_id_from_study_id_trial_number` and `set_trial_system_attr` are meant for samplers and
    storages alone.
    """
    study_id = storage.get_study_id_from_name(study.study_name)
    trial_id = storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
    storage.set_trial_system_attr(trial_id, _RELATIVE_PARAMS, "")


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
