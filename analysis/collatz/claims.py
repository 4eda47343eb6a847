"""The claims of the experiment log that the Collatz family comes from.

The log's numbers stand in `trainables.collatz.presets`, and nowhere here.
"""

from __future__ import annotations

from leadline.analysis.claims import Ask, Claim, Outcome, arms, fall, reached
from leadline.analysis.sweep import Sweep
from leadline.ledger.history import Trial
from leadline.ledger.verdicts import Verdict
from trainables.collatz.presets import LOGGED_RESULTS, LOGGED_STEPS, RUNS, STEPS

__all__ = ["CLAIMS"]

DEAD = 1e-3
"""The share of its highest value below which a learning rate trains nothing any more."""


def _in(field: str, ask: Ask) -> Ask:
    """Asks only sweeps that are stratified by a field."""
    return lambda sweep: ask(sweep) if sweep.settings.stratify == field else None


def _died(trial: Trial) -> bool:
    """Tells whether the plateau schedule has ended a trial's learning rate."""
    rates = [report.facts["learning_rate"] for report in trial.reports if "learning_rate" in report.facts]
    return bool(rates) and min(rates) < DEAD * max(rates) and trial.config.get("schedule") == "plateau"


def _learning_rate(sweep: Sweep) -> Outcome | None:
    """Judges the log's claim that runs plateau because seeds are exhausted.

    A learning rate that has died is another cause that fits, so that neither is shown.
    """
    used = [
        trial
        for trial in sweep.history.trials.values()
        if trial.config.get("schedule") == "plateau" and trial.status == "finished"
    ]
    if not used:
        return None
    dead = sum(map(_died, used))
    words = (
        f"the learning rate of {dead} of {len(used)} finished trials with the plateau schedule "
        "fell below a thousandth of its highest"
    )
    return Outcome(words, Verdict.CONFOUNDED if dead else Verdict.NOT_TOLD_APART)


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values))


_LOG = "Collatz log"
_LOOKED = (5, 6, 7)
"""The log's runs that differ in their lookahead alone."""
_AHEAD = [RUNS[run]["lookahead"] for run in _LOOKED]
_STRATA = tuple(map(str, _AHEAD))
_AT = f"at lookahead {_listed(_AHEAD)}"
_COUNTS = {run: result.violations for run, result in LOGGED_RESULTS.items()}
_ALL_STEPS = sum(LOGGED_STEPS.values())
_LAST = LOGGED_RESULTS[_LOOKED[-1]]
"""The run that looks ahead farthest."""

_SOLVED = 703
_SOLVED_SAID = f"{_LAST.each[_SOLVED]} of {LOGGED_STEPS[_SOLVED]} steps at lookahead {_AHEAD[-1]}"
_IMPROVED = 626331
_IMPROVED_COUNTS = [LOGGED_RESULTS[run].each[_IMPROVED] for run in _LOOKED]
_WORST = {run: f"{LOGGED_RESULTS[run].worst_margin:.2f}" for run in (3, 4)}
_MIXED = f"worst margin {_WORST[4]} with it, {_WORST[3]} without"

CLAIMS = (
    Claim(
        f"{_LOG}, runs 5 to 7",
        "Violations fall with lookahead.",
        f"{_listed([_COUNTS[run] for run in _LOOKED])} of {_ALL_STEPS} steps {_AT}",
        "a sweep over lookahead with 10 and 100",
        _in("lookahead", fall("logged_violations", _STRATA, _LAST.violations)),
    ),
    Claim(
        f"{_LOG}, run 7",
        "No ceiling observed yet.",
        f"nothing above lookahead {max(_AHEAD)} was tried",
        "a sweep over lookahead with 100 and 200",
        _in("lookahead", fall("violations", (str(max(_AHEAD)), "200"))),
    ),
    Claim(
        f"{_LOG}, run 7",
        f"{_SOLVED} completely solved.",
        f"{_SOLVED_SAID}, all of them on training orbits",
        "a sweep over lookahead with 100",
        _in("lookahead", reached(f"logged_{_SOLVED}", _STRATA[-1], _LAST.each[_SOLVED])),
    ),
    Claim(
        f"{_LOG}, run 7",
        f"{_IMPROVED} greatly improved.",
        f"{_listed(_IMPROVED_COUNTS)} of {LOGGED_STEPS[_IMPROVED]} steps {_AT}",
        "a sweep over lookahead with 10 and 100",
        _in("lookahead", fall(f"logged_{_IMPROVED}", _STRATA, _LAST.each[_IMPROVED])),
    ),
    Claim(
        f"{_LOG}, run 5",
        "Mining was hurting, not helping.",
        f"{_COUNTS[3]} and {_COUNTS[4]} violations with mining, {_COUNTS[5]} without",
        "a sweep of curriculum_length with and without mining",
        arms("curriculum_length", "ramp", "ramp + mining"),
    ),
    Claim(
        f"{_LOG}, run 3",
        "A faster curriculum helped.",
        f"{_COUNTS[3]} violations with a ramp of half the budget, {_COUNTS[2]} with a ramp of the whole",
        "a sweep of curriculum_length; the fastest ramp is no ramp",
        arms("curriculum_length", "all from the start", "ramp"),
    ),
    Claim(
        f"{_LOG}, run 4",
        "The constraint T4: mixed results.",
        f"{_COUNTS[4]} violations with it, {_COUNTS[3]} without; {_MIXED}",
        "a sweep over the loss terms",
        lambda sweep: None,
    ),
    Claim(
        f"{_LOG}, runs 2 to 6",
        "All runs plateau after the seeds are exhausted.",
        f"no change from about step 40,000 to {STEPS:,}",
        "the logged protocol with its plateau schedule",
        _learning_rate,
    ),
)
