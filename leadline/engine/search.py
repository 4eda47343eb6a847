"""The searcher, which uses Optuna by ask and tell and knows no Ray.

A proposal is a pure function of the study's seed, the trial's number and what was observed: a
sampler is made and seeded anew for each, and told of all trials before it.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import FrozenTrial
from optuna.trial import Trial as OptunaTrial

from leadline.config import ConfigError
from leadline.engine.observations import Observations
from leadline.engine.optuna_private import study_of
from leadline.engine.recorded_params import Recorded
from leadline.errors import calling
from leadline.plain import plain, type_of

__all__ = ["SPACE", "Pinned", "Search", "Space", "seed_of"]

SPACE = "space"
"""The word with which an error about the search space itself begins."""

optuna.logging.set_verbosity(optuna.logging.ERROR)

Space = Callable[[Any, str], dict[str, Any]]
"""A define-by-run search space: (trial with `suggest_*`, scale) -> configuration fields.

Parameters have the names of the fields that they set, so that a field that the user fixes is not
searched. A space whose parameters have other names reads the trial's `fixed`, the fields that the
user or the stratum fixes, and asks for nothing that they settle.
"""


def seed_of(*parts: int) -> int:
    """A 63-bit seed from numbers, by numpy's SeedSequence."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Pinned:
    """A trial on which some parameters are given.

    Asking for a given parameter returns its value, and the sampler never sees that parameter.
    Bounds and choices may be numpy's numbers; Optuna, and the ledger, get plain ones.
    """

    def __init__(self, trial: Any, given: Mapping[str, Any]) -> None:
        self._trial = trial
        self._given = given

    @property
    def fixed(self) -> Mapping[str, Any]:
        """The parameters that are given, by name."""
        return self._given

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._trial, name)
        if not name.startswith("suggest_"):
            return method

        def suggest(parameter: str, *args: Any, **kwargs: Any) -> Any:
            if parameter in self._given:
                return self._given[parameter]
            place = f"{SPACE}: {parameter}"
            return method(parameter, *plain(args, place), **plain(kwargs, place))

        return suggest


class Search:
    """The search of one stratum.

    Args:
        space: what is searched.
        scale: passed on to the space.
        sampler: "tpe" (multivariate, constant liar) or "random", the control.
        seed: the seed of the stratum's proposals.
        startup: trials drawn at random before TPE begins.
        pinned: fields that the user fixed; they are not searched.
        mode: whether smaller or larger values are better.
        ranked: whether TPE is told the stratum's trials by their ranks, those that have not
            finished too; else as Optuna itself would hold them. See `leadline.engine.observations`.
    """

    def __init__(
        self,
        space: Space,
        scale: str,
        *,
        sampler: Literal["tpe", "random"],
        seed: int,
        startup: int,
        pinned: Mapping[str, Any],
        mode: Literal["min", "max"] = "min",
        ranked: bool = False,
    ) -> None:
        self._space = space
        self._scale = scale
        self._sampler = sampler
        self._seed = seed
        self._startup = startup
        self._pinned = dict(pinned)
        self.observations = Observations(mode)
        self._ranked = ranked

    def told(self) -> list[FrozenTrial]:
        """The trials that the sampler is told for the next proposal, in the order of their numbers.

        Their values are smaller where they are better, whatever the metric's mode.
        """
        if self._ranked:
            return self.observations.ranked()
        return self.observations.as_optuna()

    def ask(self, number: int, given: Mapping[str, Any] | None = None) -> tuple[dict[str, Any], dict[str, Any]]:
        """Proposes trial `number`.

        Args:
            number: the trial's number.
            given: parameters of an enqueued configuration, which are taken instead of sampled.

        Returns:
            the searched parameters and the configuration's fields.

        Raises:
            ConfigError: if a given parameter lies outside the space, the space sets a given field
                without asking for it, or the space fails. The proposal is made all the same, with
                the parameters that the space had asked for: see `Observations.params`.
        """
        study = study_of(self.told() if self._sampler == "tpe" else [])
        study.sampler = self._new_sampler(number)
        if given:
            study.enqueue_trial(dict(given))
        trial = study.ask()
        try:
            fields = self._fields(trial, given or {})
        finally:
            self.observations.proposed(number, trial.params, trial.distributions)
        for name in [name for name in given or {} if name in fields and name not in trial.params]:
            raise ConfigError(
                f"{name}: is set by the search space, whose parameters are {', '.join(trial.params) or 'none'}"
            )
        return dict(trial.params), {**fields, **self._pinned}

    def replay(self, number: int, params: Mapping[str, Any], *, feasible: bool = True) -> dict[str, Any]:
        """Takes over a recorded proposal, as if it had just been made.

        Nothing is sampled.

        Args:
            number: the trial's number.
            params: its recorded parameters.
            feasible: whether it could be trained. One that could not need not fit the space, which
                may have failed then, or have been mended since.

        Returns:
            the configuration's fields, as the space makes them of the parameters now.

        Raises:
            ConfigError: naming the parameter, if the space has changed and the proposal does not
                fit it any more.
        """
        known = Recorded(dict(params), number)
        fields: dict[str, Any] = {}
        try:
            fields = self._run(known)
            known.complete()
        except ConfigError:
            if feasible:
                raise
        asked = {name: value for name, value in params.items() if name in known.distributions}
        self.observations.proposed(number, asked, known.distributions)
        return {**fields, **self._pinned}

    def _run(self, trial: Any) -> dict[str, Any]:
        """Runs the space on a trial and returns the fields that it sets, as plain values.

        Raises:
            ConfigError: beginning with `space`, if it raises or does not return such fields.
        """
        with calling(SPACE):
            fields = self._space(Pinned(trial, self._pinned), self._scale)
        if not isinstance(fields, Mapping):
            hint = ": is its `return` missing?" if fields is None else ""
            raise ConfigError(f"{SPACE}: returned {type_of(fields)}; it must return a dict of fields{hint}")
        found: dict[str, Any] = plain(fields, SPACE)
        return found

    def _fields(self, trial: OptunaTrial, given: Mapping[str, Any]) -> dict[str, Any]:
        """Runs the space and returns the fields that it sets.

        Optuna takes a given value outside its range with a warning; here it is refused.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Fixed parameter", UserWarning)
            # Choices that are no plain values are refused, as the ledger could not keep them.
            warnings.filterwarnings("error", "Choices for a categorical", UserWarning)
            try:
                return self._run(trial)
            except ConfigError as failed:
                error = failed.__cause__
                names = [
                    name
                    for name in given
                    if isinstance(error, UserWarning | ValueError)
                    and re.search(rf"\b{re.escape(name)}\b|{re.escape(repr(given[name]))}", str(error))
                ]
                if not names:
                    raise
                raise ConfigError(f"{', '.join(names)}: outside the search space: {error}") from None

    def _new_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = seed_of(self._seed, number) % 2**32
        if self._sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        with warnings.catch_warnings():
            # `gamma` goes with Optuna 6, which pyproject.toml therefore excludes.
            warnings.simplefilter("ignore", FutureWarning)
            return optuna.samplers.TPESampler(
                seed=seed,
                multivariate=True,
                constant_liar=True,
                n_startup_trials=self._startup,
                gamma=_good if self._ranked else None,
            )


def _good(told: int) -> int:
    """How many of the trials TPE takes for good.

    Optuna takes a tenth, hyperopt 0.25 sqrt(n) (Bergstra et al. 2011). Where all trials are told by
    rank, fewer than a tenth were better with many trainings and 0.25 sqrt(n) too few with 30 where
    rungs predict the end: docs/search.md.
    """
    return math.ceil(0.4 * math.sqrt(told))
