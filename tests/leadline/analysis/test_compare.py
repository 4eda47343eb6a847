"""Comparisons of two sweeps and of two arms: what is found, what is not claimed, what is refused."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from leadline import Sweep
from leadline.analysis import comparison
from leadline.analysis.commands.compare import arms, table
from leadline.analysis.comparison import Finalist, compare
from leadline.commands.dispatch import main
from leadline.config import ConfigError
from leadline.ledger.settings import Settings
from leadline.ledger.verdicts import Comparison
from leadline.measure import Measure
from leadline.statistics import TwoWay, mean_over_units

Build = Any
Numbers = np.ndarray


@pytest.fixture
def pair(finished: Path) -> tuple[Finalist, Finalist]:
    """Two arms of one sweep, whose replicates' test scores a test may replace by `scored`."""
    sweep = Sweep.open(finished)
    return Finalist.of(sweep, "10"), Finalist.of(sweep, "100")


def scored(arm: Finalist, values: Numbers) -> None:
    """Gives the arm's replicates these values per unit on test, [replicates, units]."""
    for run, row in zip(arm.runs, values, strict=True):
        measures = {**run.reports[-1].metrics, "test/hinge": mean_over_units(row)}
        run.reports[-1] = dataclasses.replace(run.reports[-1], metrics=measures)


def scores(shift: float, noise: float = 0.02, seed: int = 0) -> Numbers:
    """Units of a spread of 10, the same for every call, and a little noise: [5, 128]."""
    units = 10 * np.random.default_rng(99).normal(size=128)
    return np.asarray(units + shift + noise * np.random.default_rng(seed).normal(size=(5, 128)))


def estimate(found: Comparison) -> TwoWay:
    assert found.estimate is not None
    return found.estimate


def test_a_tiny_constant_difference_is_found_under_a_large_spread(pair: tuple[Finalist, Finalist]) -> None:
    a, b = pair
    scored(a, scores(0.0, seed=1))
    scored(b, scores(0.02, seed=2))
    found = compare(a, b, "hinge")
    low, high = estimate(found).interval()
    assert low < -0.02 < high < 0
    assert (found.sentence, found.ahead, found.missing) == ("A is better", "A", "")
    assert found.a.measure.low < found.b.measure.value < found.a.measure.high, "the arms' own intervals cannot tell"
    assert compare(b, a, "hinge").sentence == "B is better"
    assert estimate(compare(b, a, "hinge")).value == pytest.approx(-estimate(found).value)


def test_no_difference_needs_a_margin_that_the_interval_keeps(pair: tuple[Finalist, Finalist]) -> None:
    a, b = pair
    scored(a, scores(0.0, noise=0.1, seed=1))
    scored(b, scores(0.0, noise=0.1, seed=2))
    plain = compare(a, b, "hinge")
    assert plain.sentence == f"not told apart: a difference below {plain.detectable:.4g} could not have been seen"
    low, high = estimate(plain).interval(0.9)
    edge = max(-low, high)
    assert compare(a, b, "hinge", margin=1.01 * edge).sentence.startswith(
        "no difference: the 90 % interval lies within the margin of "
    )
    assert compare(a, b, "hinge", margin=0.99 * edge).sentence == plain.sentence


def test_a_difference_can_be_sure_and_too_small_to_matter(pair: tuple[Finalist, Finalist]) -> None:
    a, b = pair
    scored(a, scores(0.0, seed=1))
    scored(b, scores(0.02, seed=2))
    assert compare(a, b, "hinge", margin=0.5).sentence.startswith("A is better, by less than would matter")


def test_a_handful_of_units_does_not_put_an_arm_ahead(pair: tuple[Finalist, Finalist]) -> None:
    a, b = pair
    base = scores(0.0, noise=0.0)
    scored(a, base)
    scored(b, base + 0.3 * (np.arange(128) < 5) + 0.001 * np.arange(5)[:, None] * (np.arange(128) < 5))
    found = compare(a, b, "hinge")
    assert estimate(found).interval()[1] < 0
    assert (found.ahead, found.sentence) == ("", "not told apart: the arms differ on 5 of 128 orbits, too few to tell")


def test_arms_that_are_equal_everywhere_are_not_called_equal(pair: tuple[Finalist, Finalist]) -> None:
    for arm in pair:
        scored(arm, np.zeros((5, 128)))
    found = compare(*pair, "hinge", margin=0.1)
    assert (
        found.sentence == "not told apart: equal on all 128 orbits, which leaves room for up to 2.3 % (rule of three)"
    )
    assert math.isnan(found.detectable)


def margins(found: Comparison) -> list[str]:
    """The rows `margin` of the table, one space between words."""
    with Console(file=io.StringIO(), width=400, record=True) as console:
        console.print(table(found))
    return [" ".join(line.split()) for line in console.export_text().splitlines() if line.startswith("margin ")]


def test_a_margin_that_is_given_has_a_row_whether_kept_or_not(pair: tuple[Finalist, Finalist]) -> None:
    a, b = pair
    scored(a, scores(0.0, noise=0.1, seed=1))
    scored(b, scores(0.0, noise=0.1, seed=2))
    low, high = estimate(compare(a, b, "hinge")).interval(0.9)
    interval = f"the 90 % interval [{low:.4g}, {high:.4g}]"
    assert margins(compare(a, b, "hinge")) == []
    assert margins(compare(a, b, "hinge", margin=9.0)) == [f"margin 9: {interval} lies within it"]
    assert margins(compare(a, b, "hinge", margin=1e-5)) == [f"margin 1e-05: {interval} does not lie within it"]
    for arm in pair:
        scored(arm, np.zeros((5, 128)))
    assert margins(compare(a, b, "hinge", margin=9.0)) == [
        "margin 9: nothing varies, so there is no interval to lie within it"
    ]


INFORMED = (
    "A and B differ in lookahead, which is information: this says what more of it brings, not which network is better"
)


def test_strata_of_other_information_are_said_to_be(
    pair: tuple[Finalist, Finalist], sweeps: tuple[Path, Path, Path]
) -> None:
    assert compare(*pair, "hinge").notes[-1] == INFORMED
    one, two, _ = map(str, sweeps)
    assert INFORMED in compare(*arms(f"{one}:10", f"{two}:100")[0], "hinge").notes
    assert INFORMED not in compare(*arms(f"{one}:10", f"{two}:10")[0], "hinge").notes


@pytest.mark.parametrize("means", [{"comparable": True}, {"arms": {"10": {}, "100": {}}}])
def test_strata_that_are_meant_to_be_compared_have_no_such_note(
    pair: tuple[Finalist, Finalist], means: dict[str, Any]
) -> None:
    """Where an older ledger does not say whether they are, those of arms are."""
    history = pair[0].sweep.history
    older = {name: value for name, value in history.settings.to_dict().items() if name != "comparable"}
    history.opened = Settings.from_dict({**older, **means})
    assert INFORMED not in compare(*pair, "hinge").notes


@pytest.mark.parametrize("mode", ["min", "max"])
def test_which_side_is_better_follows_the_metric(
    pair: tuple[Finalist, Finalist], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "mode_and_unit", lambda settings, metric: (mode, "orbits"))
    assert compare(*pair, "hinge").sentence == ("B is better" if mode == "min" else "A is better")


def test_nothing_is_claimed_from_few_replicates(build: Build) -> None:
    made = build("few", replicates=3)
    made.baselines()
    made.train()
    sweep = Sweep.open(made.close())
    found = compare(Finalist.of(sweep, "10"), Finalist.of(sweep, "100"), "hinge", margin=9.0)
    assert found.sentence == "no claim: only 3 of 5 replicates; the interval excludes 0 in favour of B"
    assert math.isfinite(found.detectable)


def test_nothing_is_claimed_from_few_units_or_without_them(pair: tuple[Finalist, Finalist]) -> None:
    for arm, shift in zip(pair, (0.0, 0.0), strict=True):
        scored(arm, scores(shift)[:, :99])
    with pytest.raises(ConfigError, match="units"):
        compare(pair[0], Finalist.of(Sweep.open(pair[0].sweep.folder), "100"), "hinge")
    assert compare(*pair, "hinge").sentence.startswith("no claim: only 99 test orbits where 100 are needed")
    for arm in pair:
        for run in arm.runs:
            metrics = {**run.reports[-1].metrics, "test/hinge": Measure(1.0 + run.number, 128, 0.5, 9.0)}
            run.reports[-1] = dataclasses.replace(run.reports[-1], metrics=metrics)
    found = compare(*pair, "hinge")
    assert found.sentence.startswith("no claim: the ledger has no values per unit")
    assert "the 128 orbits are not resampled" in found.pairing


def test_one_replicate_is_one(pair: tuple[Finalist, Finalist]) -> None:
    for arm in pair:
        for run in arm.sweep.history.replicates(arm.trial.number)[1:]:
            run.status = "failed"
    assert "paired, x 1 replicate, paired by seed" in compare(*pair, "hinge").pairing


@pytest.fixture
def sweeps(build: Build) -> tuple[Path, Path, Path]:
    """The sweeps `one`, `two` (the same seed) and `three` (another seed)."""
    folders = []
    for name, seed, replicates in (("one", 0, 5), ("two", 0, 6), ("three", 7, 5)):
        made = build(name, seed=seed, replicates=replicates, confirm=1)
        made.baselines()
        made.train()
        folders.append(made.close())
    return folders[0], folders[1], folders[2]


def test_two_sweeps_are_compared_in_every_stratum_and_pair_by_seed(sweeps: tuple[Path, Path, Path]) -> None:
    one, two, three = map(str, sweeps)
    found = [compare(a, b, "hinge") for a, b in arms(one, two)]
    assert [(entry.a.label, entry.b.label) for entry in found] == [("one:10", "two:10"), ("one:100", "two:100")]
    assert [(entry.a.replicates, entry.b.replicates) for entry in found] == [(5, 5), (5, 5)], "the sixth has no partner"
    assert all("paired by seed" in entry.pairing and not entry.notes for entry in found)
    other = compare(*arms(f"{one}:10", f"{three}:10")[0], "hinge")
    assert "5 and 5 replicates, whose seeds do not pair and which are drawn separately" in other.pairing
    assert arms(f"{one}:10", two)[0][1].label == "two:10"


def test_other_rows_are_refused(sweeps: tuple[Path, Path, Path], build: Build) -> None:
    made = build("other", fields={"pool": 64, "data_seed": 1}, confirm=1)
    made.baselines(rows=8)
    made.train()
    a, b = arms(f"{sweeps[0]}:10", f"{made.close()}:10")[0]
    with pytest.raises(
        ConfigError,
        match=r"^units: one:10 and other:10 have other data, and no predictor scores the same on the rows of both, so "
        r"their rows do not pair$",
    ):
        compare(a, b, "hinge")
    b.sweep.history.opened = dataclasses.replace(b.sweep.settings, family="elsewhere")
    with pytest.raises(
        ConfigError, match=r"^units: one:10 is of family tests\.leadline\.analysis\.demo:DEMO, other:10 of elsewhere$"
    ):
        compare(a, b, "hinge")


def test_arms_of_other_data_pair_by_what_the_same_rows_are_scored_alike_in(
    sweeps: tuple[Path, Path, Path], build: Build
) -> None:
    """By a metric that is relative to something else in each arm they do not, though one predictor hides it."""
    made = build("other", fields={"pool": 64, "data_seed": 1}, confirm=1)
    made.baselines()
    made.train()
    a, b = arms(f"{sweeps[0]}:10", f"{made.close()}:10")[0]
    for arm, over in ((a, 2.0), (b, 3.0)):
        for run in arm.runs:
            metrics = {**run.reports[-1].metrics, "test/margin_p5": run.reports[-1].metrics["test/hinge"]}
            run.reports[-1] = dataclasses.replace(run.reports[-1], metrics=metrics)
        lines = arm.sweep.history.baselines
        for index, line in enumerate(lines):
            hinge = line.metrics["test/hinge"]
            relative = hinge if line.name.startswith("oracle") else mean_over_units(1 - np.array(hinge.units) / over)
            lines[index] = dataclasses.replace(line, metrics={**line.metrics, "test/margin_p5": relative})
    assert compare(a, b, "hinge").notes == ()
    with pytest.raises(
        ConfigError,
        match=r"^metric: margin_p5 is relative to something that differs between one:10 and other:10: on the same "
        r"rows, constant scores the same by hinge and not by margin_p5$",
    ):
        compare(a, b, "margin_p5")


def test_rows_are_taken_on_trust_only_with_a_note(sweeps: tuple[Path, Path, Path]) -> None:
    a, b = arms(f"{sweeps[0]}:10", f"{sweeps[1]}:10")[0]
    lines = b.sweep.history.baselines
    for index, line in enumerate(lines):
        metrics = {
            name: dataclasses.replace(measure, units=measure.units[::-1]) for name, measure in line.metrics.items()
        }
        lines[index] = dataclasses.replace(line, metrics=metrics)
    assert "taken to be the same because the data are" in compare(a, b, "hinge").notes[0]


@pytest.mark.parametrize(("at", "place"), [("time", "4 training seconds"), ("samples", "12,800 samples")])
def test_equal_time_and_samples_compare_validation_over_replicates_alone(
    pair: tuple[Finalist, Finalist], at: Any, place: str
) -> None:
    found = compare(*pair, "hinge", "validation", at)
    assert found.at == place
    assert found.sentence.startswith("no claim: both arms were chosen on the validation split")
    assert found.pairing == "5 replicates alone, paired by seed; the 96 orbits are not resampled"


def test_the_slower_arm_is_read_where_it_had_come_by_the_same_time(pair: tuple[Finalist, Finalist]) -> None:
    a, b = pair
    for run in a.runs:
        run.reports[:] = [dataclasses.replace(report, seconds=2 * report.seconds) for report in run.reports]
    found = compare(a, b, "hinge", "validation", "time")
    assert found.at == "4 training seconds"
    half = np.mean([run.reports[1].metrics["validation/hinge"].value for run in a.runs])
    whole = np.mean([run.reports[-1].metrics["validation/hinge"].value for run in b.runs])
    assert estimate(found).value == pytest.approx(half - whole)
    for run in a.runs:
        run.reports[:] = [dataclasses.replace(report, seconds=100 * report.seconds) for report in run.reports]
    with pytest.raises(ConfigError, match=r"^at: trial \d+ of demo:10 reported for the first time after"):
        compare(a, b, "hinge", "validation", "time")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"step": 800},
            "equal samples in other steps: A spent 400 steps (12,800 samples), B 800 steps (12,800 samples)",
        ),
        ({"samples": 25600}, "the budgets differ: A spent 400 steps (12,800 samples), B 400 steps (25,600 samples)"),
        (
            {"step": 800, "samples": 25600},
            "the budgets differ: A spent 400 steps (12,800 samples), B 800 steps (25,600 samples)",
        ),
    ],
)
def test_budgets_that_differ_are_said(pair: tuple[Finalist, Finalist], changes: Any, said: str) -> None:
    for run in pair[1].runs:
        run.reports[-1] = dataclasses.replace(run.reports[-1], **changes)
    assert said in compare(*pair, "hinge").notes


def test_one_replicate_with_another_budget_is_said(pair: tuple[Finalist, Finalist]) -> None:
    last = pair[1].runs[-1].reports
    last[-1] = dataclasses.replace(last[-1], samples=25600)
    assert "B 400 steps (12,800 to 25,600 samples)" in " ".join(compare(*pair, "hinge").notes)


def test_equal_samples_are_the_last_count_at_which_all_reported(pair: tuple[Finalist, Finalist]) -> None:
    a, b = pair
    for run in b.runs:
        run.reports[:] = [dataclasses.replace(report, samples=3 * report.samples // 2) for report in run.reports]
    found = compare(a, b, "hinge", "validation", "samples")
    assert (found.at, found.notes[:1]) == (
        "9,600 samples",
        ("A was chosen among 3 finalists, B among 2, by validation, its search included",),
    )
    third = np.mean([run.reports[2].metrics["validation/hinge"].value for run in a.runs])
    second = np.mean([run.reports[1].metrics["validation/hinge"].value for run in b.runs])
    assert estimate(found).value == pytest.approx(third - second)


def test_where_no_count_is_common_it_is_said_where_each_was_read(pair: tuple[Finalist, Finalist]) -> None:
    for run in pair[1].runs:
        run.reports[:] = [dataclasses.replace(report, samples=report.samples + 1) for report in run.reports]
    found = compare(*pair, "hinge", "validation", "samples")
    assert "A was read after 12,800 samples, B after 9,601: the last reports before 12,800" in found.notes


def test_a_lost_replicate_is_named(pair: tuple[Finalist, Finalist]) -> None:
    a, b = pair
    run = a.sweep.history.replicates(b.trial.number)[0]
    run.status = "failed"
    assert compare(a, b, "hinge").sentence.startswith(
        f"no claim: replicate {run.number} failed of demo:100; only 4 of 5 replicates"
    )


def test_command(finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["compare", f"{finished}:10", f"{finished}:100"]) == 0
    out = capsys.readouterr().out
    assert "test/hinge, smaller is better, each at the end of its budget" in out
    assert re.search(r": [\d.]+ standard errors \(Bloom 1995\) *$", out, re.MULTILINE)
    for words in (
        "A - B",
        "128 orbits, paired, x 5 replicates, paired by seed",
        "80 % power",
        "Bloom 1995",
        "B is better",
    ):
        assert words in out
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["compare", f"{finished}:10", f"{finished}:100"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


def test_command_as_json(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", f"{finished}:10", f"{finished}:100", "--margin", "0.5", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["low"] < found["low90"] < found["difference"] < found["high90"] < found["high"]
    assert (found["n"], found["a"]["replicates"], found["claim"], found["ahead"], found["equivalent"]) == (
        128,
        5,
        True,
        "B",
        True,
    )
    assert found["difference"] == pytest.approx(found["a"]["value"] - found["b"]["value"])
    assert 2.7 < found["detectable"] / found["standard_error"] < 4


@pytest.mark.parametrize(
    ("words", "start"),
    [
        (["{0}:10", "{0}:10"], "b: it is the same as A"),
        (["{0}:10", "{0}:10.0"], "b: it is the same as A"),
        (["{0}", "{0}"], "b: it is the same as A"),
        (["{0}:10", "{0}:11"], "{0}:11: no stratum '11' in demo; it has 10, 100"),
        (["{0}:10", "{0}"], "b: it is the same as A"),
        (["{0}:10", "{0}:100", "--margin", "0"], "margin: must be a number above 0"),
        (["{0}:10", "{0}:100", "--at", "time", "--split", "test"], "split: test is scored once"),
        (["{0}:10", "{0}:100", "--metric", "beauty"], "metric: tests.leadline.analysis.demo:DEMO has no 'beauty'"),
        (["{0}:10", "{0}:100", "--metric", "violations"], "metric: demo:10 has no test/violations; it has test/hinge"),
        (["{0}:10", "{0}:100", "--metric", "logged_violations"], "metric: logged_violations is an exact count"),
        (["{0}:10", "{0}-gone"], "{0}-gone: there is no such folder"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(
    finished: Path, capsys: pytest.CaptureFixture[str], words: list[str], start: str
) -> None:
    assert main(["compare", *(word.format(finished) for word in words)]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith(f"error: {start.format(finished)}")


def test_what_is_not_confirmed_is_not_compared(build: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = build("unconfirmed", confirm=0)
    made.train()
    folder = made.close()
    assert main(["compare", f"{folder}:10", f"{folder}:100"]) == 2
    assert (
        capsys.readouterr().err
        == "error: unconfirmed:10: none of its trials has been confirmed, so there is nothing to compare\n"
    )
