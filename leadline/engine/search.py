"""The searcher, which uses Optuna by ask and tell and knows no Ray.

A proposal is a pure function of the study's seed, the trial's number and the history: the sampler
is seeded anew for every number, and replaying a history leaves the study as it was.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import optuna
from optuna.trial import Trial as OptunaTrial
from optuna.trial import TrialState

from leadline.config import ConfigError
from leadline.engine.optuna_private import forget_unused_draws
from leadline.engine.recorded_params import Recorded
from leadline.errors import calling
from leadline.plain import plain, type_of

__all__ = ["SPACE", "Outcome", "Pinned", "Search", "Space", "seed_of"]

SPACE = "space"
"""The word with which an error about the search space itself begins."""

optuna.logging.set_verbosity(optuna.logging.ERROR)

Space = Callable[[Any, str], dict[str, Any]]
"""A define-by-run search space: (trial with `suggest_*`, scale) -> configuration fields.

Parameters have the names of the fields that they set, so that a field that the user fixes is not
searched. A space whose parameters have other names reads the trial's `fixed`, the fields that the
user or the stratum fixes, and asks for nothing that they settle.
"""

Outcome = Literal["finished", "stopped", "failed"]
"""How a trial ended."""

_UNUSED = optuna.samplers.RandomSampler(seed=0)
"""The sampler to set where no parameter is left to sample."""


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
    """One stratum's Optuna study, in memory; the ledger is its storage.

    Args:
        space: what is searched.
        scale: passed on to the space.
        sampler: "tpe" (multivariate, constant liar) or "random", the control.
        seed: the study's seed.
        mode: whether smaller or larger values are better.
        startup: trials drawn at random before TPE begins.
        pinned: fields that the user fixed; they are not searched.
    """

    def __init__(
        self,
        space: Space,
        scale: str,
        *,
        sampler: Literal["tpe", "random"],
        seed: int,
        mode: Literal["min", "max"],
        startup: int,
        pinned: Mapping[str, Any],
    ) -> None:
        self._space = space
        self._scale = scale
        self._sampler = sampler
        self._seed = seed
        self._startup = startup
        self._pinned = dict(pinned)
        self._mode = mode
        self._asked: dict[int, dict[str, Any]] = {}
        self._told: dict[int, tuple[Outcome, Sequence[tuple[int, float]]]] = {}
        self._begin()

    def _begin(self) -> None:
        self._storage = optuna.storages.InMemoryStorage()
        self.study = optuna.create_study(
            direction="minimize" if self._mode == "min" else "maximize", storage=self._storage
        )
        self._trials: dict[int, OptunaTrial] = {}

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
                the parameters that the space had asked for: see `params`.
        """
        self.study.sampler = self._new_sampler(number)
        if given:
            self.study.enqueue_trial(dict(given))
        trial = self.study.ask()
        try:
            fields = self._fields(trial, given or {})
        finally:
            forget_unused_draws(self.study, trial, self._storage)
            self._open(number, trial)
        for name in [name for name in given or {} if name in fields and name not in trial.params]:
            raise ConfigError(
                f"{name}: is set by the search space, whose parameters are {', '.join(trial.params) or 'none'}"
            )
        return dict(trial.params), {**fields, **self._pinned}

    def params(self, number: int) -> dict[str, Any]:
        """The parameters that the space has asked for in a proposal."""
        return dict(self._asked[number])

    def _open(self, number: int, trial: OptunaTrial) -> None:
        trial.set_user_attr("trial", number)
        self._trials[number] = trial
        self._asked[number] = dict(trial.params)

    def replay(self, number: int, params: Mapping[str, Any], *, feasible: bool = True) -> dict[str, Any]:
        """Takes over a recorded proposal, so that the study is as if it had just been made.

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
        self.study.sampler = _UNUSED
        if taken := {name: value for name, value in params.items() if name in known.distributions}:
            self.study.enqueue_trial(taken)
        self._open(number, self.study.ask(dict(known.distributions)))
        return {**fields, **self._pinned}

    def reopen(self, numbers: Collection[int]) -> None:
        """Lets trials that have ended go on.

        Optuna cannot take back the end of a trial, so the study is built anew from all that it was
        asked and told, without the ends of these trials.
        """
        asked = self._asked
        told = self._told
        self._asked = {}
        self._told = {}
        self._begin()
        for number, params in asked.items():
            self.replay(number, params, feasible=False)  # those that were feasible still are
            if number in told and number not in numbers:
                self.tell(number, *told[number])

    def distributions(self, number: int) -> dict[str, str]:
        """The distributions of an open trial's parameters, by name, as Optuna's JSON."""
        found = self._trials[number].distributions
        return {name: optuna.distributions.distribution_to_json(distribution) for name, distribution in found.items()}

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

    def tell(self, number: int, outcome: Outcome, curve: Sequence[tuple[int, float]]) -> None:
        """Ends a trial in the study.

        A finished trial ends as COMPLETE, a stopped one as PRUNED with its curve, a failed one as
        FAIL. A curve that ends in NaN or infinity is told as PRUNED without any value, which TPE
        ranks last: so TPE avoids the region, whereas a FAIL would teach it nothing. Values are told
        only at the end, because TPE does not read those of running trials and Optuna cannot take
        one back.

        Args:
            number: the trial's number.
            outcome: how the trial ended.
            curve: (step, value) of every report, in order.
        """
        trial = self._trials.pop(number)
        self._told[number] = outcome, list(curve)
        if outcome == "failed":
            self.study.tell(trial, state=TrialState.FAIL)
            return
        diverged = not curve or not math.isfinite(curve[-1][1])
        for step, value in [] if diverged else curve:
            trial.report(value, step)
        if outcome == "finished" and not diverged:
            self.study.tell(trial, curve[-1][1])
        else:
            self.study.tell(trial, state=TrialState.PRUNED)

    def _new_sampler(self, number: int) -> optuna.samplers.BaseSampler:
        seed = seed_of(self._seed, number) % 2**32
        if self._sampler == "random":
            return optuna.samplers.RandomSampler(seed=seed)
        return optuna.samplers.TPESampler(
            seed=seed, multivariate=True, constant_liar=True, n_startup_trials=self._startup
        )
