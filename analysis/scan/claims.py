"""The claims of the experiment log that the SCAN family comes from.

The log's numbers stand in `trainables.scan.presets`, and nowhere here.
"""

from __future__ import annotations

from functools import cache

from leadline.analysis import scores
from leadline.analysis.claims import Ask, Claim, Outcome, arms
from leadline.analysis.scores import Reading
from leadline.analysis.sweep import Sweep
from leadline.ledger.confirmed import lost
from leadline.ledger.history import Trial
from leadline.ledger.verdicts import Verdict
from leadline.statistics import lacking
from trainables.scan.grammar import ACTIONS, SPECIALS, WORDS
from trainables.scan.presets import LOGGED_RESULTS as LOGGED
from trainables.scan.presets import STEPS, logged
from trainables.scan.shape import Shape
from trainables.scan.task import network
from trainables.scan.transformer import parameter_count

__all__ = ["CLAIMS"]

STAGES, STAGED, JOINT = "stages", "staged", "joint"
BATCHES = "batch_size"
OVERLAPS = ("overlap_validation_commands", "overlap_test_commands")
"""The audits that count the scored commands that are trained on."""


def _leak(sweep: Sweep) -> Outcome | None:
    """Judges that no split leaks by the audit's count; a split without overlap is not the log's."""
    found = {one["guard"]: one for one in sweep.history.findings if one["guard"] in OVERLAPS and one["number"] > 0}
    if not found:
        return None
    return Outcome(" ".join(str(one["sentence"]) for one in found.values()), Verdict.DISAGREES)


def _staged(sweep: Sweep, metric: str) -> Reading | None:
    """Returns the confirmed scores of the staged arm of a study of stages, if there are any."""
    if sweep.settings.study != STAGES or STAGED not in sweep.strata:
        return None
    return scores.confirmed(sweep.history, STAGED, metric)


def _missing(sweep: Sweep, one: Reading, metric: str) -> str:
    few = lacking(len(one.scores), one.measure.n, "commands")
    return "; ".join([*lost(sweep.history, one.trial, f"test/{metric}"), *([f"only {few}"] if few else [])])


def _above(one: Reading, target: float) -> Verdict:
    """Returns the verdict on a claim that a score is above a target, by the score's interval."""
    if one.measure.low > target:
        return Verdict.AGREES
    return Verdict.DISAGREES if one.measure.high < target else Verdict.NOT_TOLD_APART


def _target(metric: str, target: float) -> Ask:
    """Asks whether the staged arm reaches the target of a stage."""

    def ask(sweep: Sweep) -> Outcome | None:
        found = _staged(sweep, metric)
        if found is None:
            return None
        words = f"{metric}: arm {STAGED}: {found.words}"
        trivial = scores.trivial(sweep.history, STAGED, metric, found.split)
        if trivial:
            words += f", {trivial[0]} {trivial[1].value:.4g}"
            if trivial[1].value > target:
                return Outcome(words, Verdict.EXPLAINED)
        if missing := _missing(sweep, found, metric):
            return Outcome(f"{words} ({missing})", Verdict.NO_CLAIM)
        return Outcome(words, _above(found, target))

    return ask


def _converged(sweep: Sweep) -> Outcome | None:
    """Judges whether a training loss as low as the log's says that the mappings were learnt.

    They were where the arm reaches the last stage's target on pairs of rules that it never trained.
    """
    metric, loss = "held_out", LOGGED.losses[-1]
    found = _staged(sweep, metric)
    losses = [run.reports[-1].facts["loss"] for run in found.runs if "loss" in run.reports[-1].facts] if found else []
    if found is None or not losses:
        return None
    words = f"arm {STAGED}: training loss {min(losses):.3g} to {max(losses):.3g}, {metric} {found.words}"
    if missing := _missing(sweep, found, metric):
        return Outcome(f"{words} ({missing})", Verdict.NO_CLAIM)
    if max(losses) > loss:
        return Outcome(f"{words}; a loss of {loss:g} was not reached in each", Verdict.NOT_TOLD_APART)
    return Outcome(words, _above(found, LOGGED.targets["novel"]))


def _larger(sweep: Sweep) -> Outcome | None:
    """Judges whether the largest batch is better than the largest as small as the log's."""
    if sweep.settings.study != BATCHES:
        return None
    sizes = sorted(int(stratum) for stratum in sweep.strata if stratum.isdigit())
    small, large = [size for size in sizes if size <= _BATCH], [size for size in sizes if size >= LOGGED.wider]
    return arms(BATCHES, str(large[-1]), str(small[-1]), "exact")(sweep) if small and large else None


def _as_large(trial: Trial) -> bool:
    """Tells whether a trial trained whole batches that the log could not fit, or larger ones."""
    used = trial.trained_config
    return (
        trial.status == "finished"
        and used.get("model") == "transformer"
        and not used.get("micro_batch")
        and any(used["batch"] >= rung.batch and used["width"] >= rung.width for rung in LOGGED.ladder[:-1])
    )


def _ladder(sweep: Sweep) -> Outcome | None:
    """Judges whether memory forces the log's batches down, by trials of the sizes that failed."""
    found = [trial for trial in sweep.history.trials.values() if _as_large(trial)]
    if not found:
        return None
    largest = max(found, key=lambda trial: (trial.config["width"], trial.config["batch"]))
    words = f"trial {largest.number} trained {largest.config['batch']} rows at a width of {largest.config['width']}"
    return Outcome(f"{words}, all at once, without running out of memory", Verdict.DISAGREES)


def _planned(sweep: Sweep) -> Outcome:
    """Judges the transformer's size by the formula; any sweep may say it."""
    shape = Shape.of(_WIDTH)
    count = parameter_count(shape, len(SPECIALS + WORDS), len(SPECIALS + WORDS), len(SPECIALS + ACTIONS))
    words = (
        f"an encoder and a decoder of {shape.layers} layers, {shape.heads} heads and expansion {shape.expansion}, "
        f"as the log has them at width {_WIDTH}, have {count:,} by formula"
    )
    return Outcome(words, _agreement(abs(count / _RUNGS[0].parameters - 1) < 0.1))


def _agreement(agrees: bool) -> Verdict:
    return Verdict.AGREES if agrees else Verdict.DISAGREES


@cache
def _trained_parameters() -> int:
    """Returns the number of parameters that the log's LSTM trains."""
    return sum(one.numel() for one in network(logged("log")).parameters() if one.requires_grad)


def _counted(sweep: Sweep) -> Outcome:
    """Judges the LSTM's size by counting; any sweep may say it."""
    count = _trained_parameters()
    words = f"{count:,} are trained: its code adds the path for rules after the count"
    return Outcome(words, _agreement(count == LOGGED.parameters))


_LOG = "SCAN log"
_NEEDS = "a sweep of stages with the staged arm, confirmed"
_RUNGS = LOGGED.ladder
_WIDTH = _RUNGS[0].width
_BATCH = logged("log").batch
_FIRST, _LAST = LOGGED.losses
_NO_ACCURACY = "no accuracy was recorded"
_LOST = ", ".join(f"{one.batch} at width {one.width} ({one.ended:g} %)" for one in _RUNGS)


def _stage(number: int, claim: str, group: str, metric: str) -> Claim:
    """Returns the claim of a stage's target."""
    target = LOGGED.targets[group]
    said = f"a target above {100 * target:.0f} %; {_NO_ACCURACY}"
    return Claim(f"{_LOG}, stage {number}", claim, said, _NEEDS, _target(metric, target))


CLAIMS = (
    Claim(
        f"{_LOG}, data loader",
        "No data leakage between splits.",
        f"{LOGGED.samples:,} samples, {LOGGED.held:,} of them with unseen combinations of words",
        "a sweep with split=pooled protocol=logged",
        _leak,
    ),
    _stage(1, "Standard SCAN is learnt.", "base", "exact"),
    _stage(2, "Simple modifications are learnt.", "simple", "simple"),
    _stage(3, "Complex modifications are learnt.", "complex", "complex"),
    _stage(4, "Combinations are learnt: those that were trained, on new commands.", "novel", "novel"),
    _stage(4, "Combinations are learnt: those that never were trained.", "novel", "held_out"),
    Claim(
        f"{_LOG}, training",
        "Excellent convergence: the model learned the SCAN mappings well.",
        f"training loss {_FIRST:g} to {_LAST:g}; {_NO_ACCURACY}",
        _NEEDS,
        _converged,
    ),
    Claim(
        f"{_LOG}, achievements",
        "A progressive curriculum works for language.",
        f"four stages in {STEPS:,} steps; joint training was not run, {_NO_ACCURACY}",
        "a sweep of stages, staged and joint",
        arms(STAGES, STAGED, JOINT, "held_out"),
    ),
    Claim(
        f"{_LOG}, achievements",
        "Distribution invention is domain-agnostic.",
        f"one run of each domain; of language {_NO_ACCURACY}",
        "an arm that gains by its stages in sweeps of both families",
        lambda sweep: None,
    ),
    Claim(
        f"{_LOG}, GPU memory",
        "The batch has to come down for memory.",
        f"out of memory in the first epoch with batches of {_LOST}",
        "a transformer of a width and batch that failed in the log",
        _ladder,
    ),
    Claim(
        f"{_LOG}, GPU memory",
        f"A batch of {_RUNGS[-1].batch} is the minimum for stable training.",
        f"none below {_RUNGS[-1].batch} was tried",
        f"a sweep of batch_size with batch={_RUNGS[-1].batch // 2},{_RUNGS[-1].batch}",
        arms(BATCHES, str(_RUNGS[-1].batch), str(_RUNGS[-1].batch // 2), "exact"),
    ),
    Claim(
        f"{_LOG}, design",
        "The transformer has about 50M parameters.",
        f"{_RUNGS[0].parameters / 1e6:.0f}M at width {_WIDTH}",
        "no sweep",
        _planned,
    ),
    Claim(
        f"{_LOG}, training",
        f"The LSTM has {LOGGED.parameters:,} parameters.",
        f"{LOGGED.parameters:,}, counted before a rule was met",
        "no sweep",
        _counted,
    ),
    Claim(
        f"{_LOG}, next steps",
        "The GPU was underutilized: try larger batches.",
        f"{100 * LOGGED.use:.0f} % of the GPU at a batch of {_BATCH}; {LOGGED.wider} or more was not run",
        f"a sweep of batch_size with one of at most {_BATCH} and one of at least {LOGGED.wider}",
        _larger,
    ),
)
