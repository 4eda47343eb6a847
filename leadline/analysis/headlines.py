"""Headlines of the logs that the families come from, as data for `leadline.analysis.verdicts`."""

from __future__ import annotations

from leadline.analysis.sweep import Sweep
from leadline.analysis.verdicts import Ask, Headline, Outcome, arms, fall, no_gain, reached
from leadline.ledger.history import Trial

__all__ = ["of_family"]

DEAD = 1e-3
"""Share of its highest value below which a learning rate trains nothing any more."""


def of_family(family: str) -> tuple[Headline, ...]:
    """The headlines of a family's log; none for a family without one."""
    return _BY_FAMILY.get(family, ())


def _in(field: str, ask: Ask) -> Ask:
    return lambda sweep: ask(sweep) if sweep.settings.stratify == field else None


def _died(trial: Trial) -> bool:
    rates = [report.facts["learning_rate"] for report in trial.reports if "learning_rate" in report.facts]
    return bool(rates) and min(rates) < DEAD * max(rates) and trial.config.get("schedule") == "plateau"


def _learning_rate(sweep: Sweep) -> Outcome | None:
    """The log names exhausted seeds as the cause; a learning rate that has died is another that fits, so that neither is shown."""
    used = [
        trial
        for trial in sweep.history.trials.values()
        if trial.config.get("schedule") == "plateau" and trial.status == "finished"
    ]
    if not used:
        return None
    dead = sum(map(_died, used))
    words = f"the learning rate of {dead} of {len(used)} finished trials with the plateau schedule fell below a thousandth of its highest"
    return words, "confounded" if dead else "not told apart"


_LOG = "Collatz log"

COLLATZ = (
    Headline(
        f"{_LOG}, runs 5 to 7",
        "Violations fall with lookahead.",
        "64, 58, 14 of 429 steps at lookahead 10, 20, 100",
        "a sweep over lookahead with 10 and 100",
        _in("lookahead", fall("logged_violations", ("10", "20", "100"), 14)),
    ),
    Headline(
        f"{_LOG}, run 7",
        "No ceiling observed yet.",
        "nothing above lookahead 100 was tried",
        "a sweep over lookahead with 100 and 200",
        _in("lookahead", fall("violations", ("100", "200"))),
    ),
    Headline(
        f"{_LOG}, run 7",
        "703 completely solved.",
        "0 of 62 steps at lookahead 100, all of them on training orbits",
        "a sweep over lookahead with 100",
        _in("lookahead", reached("logged_703", "100", 0)),
    ),
    Headline(
        f"{_LOG}, run 7",
        "626331 greatly improved.",
        "37, 32, 13 of 189 steps at lookahead 10, 20, 100",
        "a sweep over lookahead with 10 and 100",
        _in("lookahead", fall("logged_626331", ("10", "20", "100"), 13)),
    ),
    Headline(
        f"{_LOG}, run 5",
        "Mining was hurting, not helping.",
        "80 and 73 violations with mining, 64 without",
        "a sweep of curriculum_length with and without mining",
        arms("curriculum_length", "ramp", "ramp + mining"),
    ),
    Headline(
        f"{_LOG}, run 3",
        "A faster curriculum helped.",
        "80 violations with a ramp of half the budget, 87 with a ramp of the whole",
        "a sweep of curriculum_length; the fastest ramp is no ramp",
        arms("curriculum_length", "all from the start", "ramp"),
    ),
    Headline(
        f"{_LOG}, run 4",
        "The constraint T4: mixed results.",
        "73 violations with it, 80 without; worst margin -1.22 with it, -0.66 without",
        "a sweep over the loss terms",
        lambda sweep: None,
    ),
    Headline(
        f"{_LOG}, runs 2 to 6",
        "All runs plateau after the seeds are exhausted.",
        "no change from about step 40,000 to 100,000",
        "the logged protocol with its plateau schedule",
        _learning_rate,
    ),
)

_NOTES = "trajectory augmentation notes"
_PAIR = ("sigma_bands", "sigma band (parallel_fixed)", "no noise (parallel_fixed)")
_NEEDS = "a sigma_bands sweep of this family with noise and control under parallel_fixed"
_DECAY = "runs that go on long after their best, from half-trained models"

TRM = (
    Headline(
        f"{_NOTES}, TRM",
        "Noise got a higher best.",
        "exact accuracy 0.6084 against 0.5947: each the best of 20 evaluations of one run on 1024 boards, less than a standard error apart",
        _NEEDS,
        arms(*_PAIR, "exact"),
    ),
    Headline(
        f"{_NOTES}, TRM",
        "Noise got a much less bad final decay.",
        "0.6084 to 0.5508 against 0.5947 to 0.4971",
        _DECAY,
        lambda sweep: None,
    ),
)

HRM = (
    Headline(
        f"{_NOTES}, HRM",
        "Noise got no gain in best accuracy.",
        "exact accuracy 0.6250 against 0.6328: each the best of 20 evaluations of one run on 1024 boards, less than a standard error apart",
        _NEEDS,
        no_gain(*_PAIR, "exact", 0.01),
    ),
    Headline(
        f"{_NOTES}, HRM",
        "Under noise final accuracy decayed slightly less.",
        "0.6250 to 0.5889 against 0.6328 to 0.5801",
        _DECAY,
        lambda sweep: None,
    ),
)

_BY_FAMILY = {"collatz": COLLATZ, "hrm": HRM, "trm": TRM}
