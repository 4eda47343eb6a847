"""Where violations fall: counts that add up, and functions V whose violations are known."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import torch
from rich.console import Console

from analysis.collatz.failures import Bin, failures, steps_of, tally, violations
from analysis.collatz.subject import Subject, sum_potential
from analysis.collatz.tables import failures_page
from tests.analysis.collatz.subjects import config, data, formula_network, trained
from trainables.collatz.baselines import potentials
from trainables.collatz.family import COLLATZ
from trainables.collatz.metrics import score
from trainables.collatz.model import LyapunovNet
from trainables.collatz.orbits import to_limbs
from trainables.collatz.split import LOGGED_SEEDS

LOOKAHEAD = 20


def by_dimension(bins: list[Bin]) -> dict[str, list[Bin]]:
    return {name: list(group) for name, group in itertools.groupby(bins, key=lambda line: line.by)}


def counted(split: str, name: str) -> dict[str, list[Bin]]:
    """Bins of a trivial predictor in the network's place, beside the zero-parameter sum."""
    named = violations(data(), split, potentials(data(), LOOKAHEAD)[name])
    summed = violations(data(), split, sum_potential(data(), LOOKAHEAD))
    return by_dimension(tally(steps_of(data(), split), named, summed, LOOKAHEAD))


def test_steps_of_a_known_orbit() -> None:
    steps = steps_of(data(), "logged")
    own = steps.seed == 27
    assert steps.place[own].tolist() == list(range(41))
    assert steps.remaining[own].tolist() == list(range(41, 0, -1))
    assert steps.log10[own][0] == pytest.approx(np.log10(27))
    assert steps.growth[own][:2].tolist() == [True, False]  # 27 -> 41 -> 31
    assert not steps.private[own].any()
    assert len(steps.place) == 429


@pytest.mark.parametrize("split", ["test", "logged"])
def test_the_oracle_never_fails(split: str) -> None:
    assert all(line.network == 0 for bins in counted(split, "oracle: steps to 1").values() for line in bins)


def test_a_constant_fails_everywhere() -> None:
    for bins in counted("test", "constant").values():
        assert all(line.network == line.steps for line in bins)
        assert all(line.both == line.formula for line in bins)


def test_the_logarithm_fails_exactly_where_it_grows() -> None:
    decay, growth = counted("test", "ln n")["kind"]
    assert (decay.label, growth.label) == ("decay steps", "growth steps")
    assert decay.network == 0
    assert growth.network == growth.steps > 0
    assert growth.share is not None
    assert growth.share.value == 1.0


def test_the_sum_never_fails_where_it_sees_the_end() -> None:
    near, far = counted("test", "sum of ln T^k")["remaining"]
    assert near.formula == 0 < near.steps
    assert far.formula > 0


def test_counts_add_up_to_what_the_trial_reports() -> None:
    loop = trained(config(lookahead=LOOKAHEAD))
    found = failures(Subject("probe", config(lookahead=LOOKAHEAD), data(), loop.task.model))
    reported = loop.task.evaluate("test")
    for bins in by_dimension(found.test).values():
        assert sum(line.network for line in bins) == reported["violation_count"].value > 0
    assert found.test[0].share is not None
    assert found.test[0].share.units == reported["violations"].units
    whole = sum(line.steps for line in found.logged_leaked if line.by == "all") + found.logged_unleaked[0].steps
    assert whole == 429
    for bins, name in ((found.logged_leaked, "logged_leaked"), (found.logged_unleaked, "logged_unleaked")):
        for own in by_dimension(bins).values():
            assert sum(line.network for line in own) == reported[name].value
        assert all(line.share is None for line in bins)
    seeds = {line.label: line.network for line in found.logged_leaked if line.by == "seed"}
    assert seeds["seed 703"] == reported["logged_703"].value


def test_overlap_of_two_violating_sets() -> None:
    steps = steps_of(data(), "logged")
    first, second = np.zeros((2, 429), dtype=np.bool_)
    first[:10], second[6:20] = True, True
    line = tally(steps, first, second, LOOKAHEAD)[0]
    assert (line.network, line.formula, line.both) == (10, 14, 4)


def test_a_margin_that_is_no_number_violates() -> None:
    assert violations(data(), "logged", lambda index: np.full(len(index), np.nan)).all()


def test_the_formula_as_a_network_fails_where_the_exact_sum_does_or_by_rounding() -> None:
    """The two differ by the "+1" terms and the clipped valuations alone, which matter for small numbers."""
    found = failures(formula_network(lookahead=LOOKAHEAD))
    whole = found.test[0]
    assert whole.both >= 0.9 * whole.formula > 0
    other = score(data(), "test", sum_potential(data(), LOOKAHEAD), LOOKAHEAD)
    assert found.predictors["sum of ln T^k"]["violations"] == other["violations"]


def syracuse(seed: int) -> list[int]:
    """Numbers from the seed to 1."""
    found = [seed]
    while found[-1] != 1:
        n = 3 * found[-1] + 1
        found.append(n // (n & -n))
    return found


def logarithm_network() -> Subject:
    """V grows with ln n and sees nothing else, so it is violated exactly where T(n) > n."""
    subject = formula_network(lookahead=LOOKAHEAD)
    assert isinstance(subject.model, LyapunovNet)
    assert subject.model.skip is not None
    with torch.no_grad():
        subject.model.skip.weight[0, 1:] = 0
    return subject


def test_a_network_of_the_logarithm_fails_where_integers_say_so() -> None:
    subject = logarithm_network()
    found = failures(subject)
    grown = [
        (seed, i, len(chain) - 1, n)
        for seed in LOGGED_SEEDS
        for chain in [syracuse(seed)]
        for i, n in enumerate(chain[:-1])
    ]
    grown = [row for row in grown if syracuse(row[3])[1] > row[3]]

    def counts(label: str) -> int:
        return sum(
            line.network
            for bins in (found.logged_unleaked, found.logged_leaked)
            for line in bins
            if line.label == label
        )

    for seed in LOGGED_SEEDS:
        assert counts(f"seed {seed}") == sum(row[0] == seed for row in grown) > 0
    for fifth in range(5):
        assert counts(f"fifth {fifth + 1} of 5") == sum(5 * place // steps == fifth for _, place, steps, _ in grown)
    assert counts(f"remaining > {LOOKAHEAD}") == sum(steps - place > LOOKAHEAD for _, place, steps, _ in grown)
    assert counts("log10(n) 0 to 3") == sum(n < 1000 for *_, n in grown)
    assert counts("decay steps") == 0
    assert counts("growth steps") == counts("all steps") == len(grown)


@pytest.fixture(scope="module")
def scored() -> Subject:
    """A configuration whose training may touch the logged seeds' private numbers."""
    chosen = config(guard="scored", lookahead=LOOKAHEAD)
    return Subject("probe", chosen, COLLATZ.build_data(chosen), COLLATZ.model(chosen).eval())


def test_the_guard_covers_all_private_steps_or_those_of_the_scored_splits(scored: Subject) -> None:
    for split in ("validation", "test"):
        for found in (steps_of(data(), split), steps_of(scored.data, split)):
            assert found.guarded.all()
            assert found.private.all()
    closed, open_ = steps_of(data(), "logged"), steps_of(scored.data, "logged")
    assert closed.guarded.tolist() == closed.private.tolist() == open_.private.tolist()
    assert 0 < closed.guarded.sum() < 429
    assert not open_.guarded.any()


def test_unguarded_steps_can_be_trained_on_and_guarded_ones_cannot(scored: Subject) -> None:
    """What the word means: with more orbits for training than these, any number but a guarded one may come up."""
    for found in (data(), scored.data):
        steps = steps_of(found, "logged")
        numbers = to_limbs([n for seed in LOGGED_SEEDS for n in syracuse(seed)[:-1]])
        assert found.guarded(numbers).tolist() == steps.guarded.tolist()


def test_the_table_says_whether_they_are_guarded(scored: Subject) -> None:
    def page(subject: Subject) -> str:
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(failures_page(failures(subject), 120))
        return " ".join(console.export_text().split())

    private, unguarded = (
        "private steps (training touches none of them)",
        "unguarded steps (on no other orbit, yet training may touch them",
    )
    closed, open_ = page(formula_network(lookahead=LOOKAHEAD)), page(scored)
    assert (private in closed, unguarded in closed) == (True, False)
    assert (private in open_, unguarded in open_) == (False, True)
    for text in (closed, open_):
        assert "share of the test split's private steps violated" in text
