"""The first screen of a report: one sentence, its figure, and the winners, as the ledger has them."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from leadline import Sweep
from leadline.analysis import pairwise, planned, scores
from leadline.analysis.report import answers, document, first, forest, over_strata, short, tables, trade
from leadline.ledger import leaderboard
from leadline.ledger.history import Baseline, History
from leadline.ledger.ranges import edges
from leadline.ledger.verdicts import Verdict
from leadline.measure import Measure
from tests.leadline.analysis import packed
from tests.leadline.analysis.test_answers import with_violations

Build = Any
CONTRAST = {"a": "100", "b": "10", "margins": {"hinge": 0.01}}


@pytest.fixture
def sweep(finished: Path) -> Sweep:
    return Sweep.open(finished)


def said(sweep: Sweep) -> str:
    found = answers.answers(sweep.history, "orbits")
    return first.sentence(sweep, found, planned.planned(sweep), pairwise.pairwise(sweep))


def changed(sweep: Sweep, **settings: Any) -> Sweep:
    sweep.history.opened = dataclasses.replace(sweep.settings, **settings)
    return sweep


def read(words: str) -> list[float]:
    """The numbers of a text."""
    found = re.findall(r"[−-]?[\d,]*\d(?:\.\d+)?", words)
    return [float(one.replace("−", "-").replace(",", "")) for one in found]


@pytest.mark.parametrize(
    ("value", "low", "high", "words"),
    [
        (-0.01538, -0.03282, 0.003016, "−0.015 [−0.033, 0.003]"),
        (0.538, 0.4951, 0.577, "0.538 [0.495, 0.577]"),
        (8.664e-06, -5e-06, 1.2e-05, "(0.9 [−0.5, 1.2])·10⁻⁵"),
        (-12.34, -15.2, -9.91, "−12.3 [−15.2, −9.9]"),
        (1234, 1200, 1300, "1,230 [1,200, 1,300]"),
        (-0.3, -0.5, -0.0003, "−0.30 [−0.50, −0.0003]"),
        (0.5, 0.5, 0.5, "0.5"),
        (0, 0, 0, "0"),
        (5e-324, 5e-324, 5e-324, "0"),
        (2.5e12, 1e12, 4e12, "(2.5 [1.0, 4.0])·10¹²"),
        (1e300, -1e308, 1e308, "(0.0 [−1.0, 1.0])·10³⁰⁸"),
        (float("nan"), 0, 0, "-"),
    ],
)
def test_numbers_have_two_or_three_digits(value: float, low: float, high: float, words: str) -> None:
    """An interval that excludes 0 has no end that is written as 0."""
    assert short.interval(Measure(value, 9, low, high)) == words


class Cells(HTMLParser):
    """The cells of the table of winners, and the labels of the figures' lines."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.rows: list[list[dict[str, str]]] = []
        self.lines: list[str] = []
        self._inside = False
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "table":
            self._inside = given.get("class") == "winners"
        elif self._inside and tag == "tr":
            self.rows.append([])
        elif self._inside and tag == "td":
            self.rows[-1].append({**given, "text": ""})
        elif self._inside and tag == "button":
            self.rows[-1][-1]["copy"] = given["data-copy"]
        elif tag == "svg" and given.get("class") == "bar":
            self.lines.append(given["aria-label"])

    def handle_data(self, data: str) -> None:
        if self._inside and self.rows and self.rows[-1]:
            self.rows[-1][-1]["text"] += data


def test_the_values_are_the_ledger_s(sweep: Sweep) -> None:
    found = Cells(document.page(sweep))
    rows = [row for row in found.rows if row]
    for row, stratum in zip(rows, ("10", "100"), strict=True):
        winner, *_ = leaderboard.confirmations(sweep.history, stratum)
        (against,) = [one for one in winner["against"] if one["metric"] == "hinge"]
        name, own, verdict, difference, trial, chosen = ({**cell, "text": cell["text"].strip()} for cell in row)
        assert (name["text"], verdict["text"]) == (stratum, "better")
        value, by_luck = own["text"].split(" luck of the best of ")
        assert read(value) == pytest.approx([winner[key] for key in ("value", "low", "high")], rel=0.05)
        luck = answers.winners_luck(sweep.history, stratum)
        assert luck is not None
        assert read(by_luck) == pytest.approx([luck.looked, luck.expected], rel=0.05)
        expected = [against["difference"][key] for key in ("value", "low", "high")]
        assert [float(difference[f"data-{key}"]) for key in ("value", "low", "high")] == expected
        assert read(difference["text"]) == pytest.approx(expected, abs=0.001)
        assert f"lookahead {stratum}: {difference['text']}" in found.lines
        assert trial["text"].startswith(f"trial {winner['trial']} ")
        params = sweep.trial(winner["trial"]).trial.params
        assert [float(value) for value in re.findall(r"lr ([\d.e-]+)", chosen["text"])] == [
            pytest.approx(params["lr"], rel=0.005)
        ]


def test_the_command_loads_the_winner(sweep: Sweep) -> None:
    for row in first.rows(sweep, answers.answers(sweep.history, "orbits")):
        assert row.trial is not None
        names: dict[str, Any] = {}
        assert row.command.endswith(".load()")
        exec(row.command.removesuffix(".load()"), names)
        assert names["model"].number == row.trial.number
        best = sweep.best(lookahead=row.stratum)
        named = f"best(lookahead={row.stratum})" in row.command
        assert named == (best.number == row.trial.number), "else the trial is named, as best() is another"
    opened = f'from leadline import Sweep; model = Sweep.open("{sweep.folder}")'
    ahead = leaderboard.finalists(sweep.history, "10", 2)
    assert first.command(sweep, ahead[0]) == f"{opened}.best(lookahead=10).load()"
    assert first.command(sweep, ahead[1]) == f"{opened}.trial({ahead[1].number}).load()"
    changed(sweep, strata=("10",))
    assert first.command(sweep, ahead[0]) == f"{opened}.best().load()"


def test_the_command_holds_any_name(sweep: Sweep) -> None:
    name, (trial,) = 'a "quoted" \\ \N{PARTY POPPER}', leaderboard.finalists(sweep.history, "10", 1)
    trial.stratum = name
    changed(sweep, strata=(name, "100"))
    elsewhere = dataclasses.replace(sweep, folder=sweep.folder / name)

    class Opened:
        @staticmethod
        def open(place: str) -> Any:
            assert place == str(elsewhere.folder)
            return type("Found", (), {"best": lambda self, **where: where})()

    expression = first.command(elsewhere, trial).removesuffix(".load()").partition("model = ")[2]
    assert eval(expression, {"Sweep": Opened}) == {"lookahead": name}


def test_what_is_confirmed_without_a_predictor_to_compare_with_is_not_unknown(sweep: Sweep) -> None:
    sweep.history.baselines.clear()
    assert re.fullmatch(
        r"Nothing is claimed, as no predictor that learns nothing has a value on test; "
        r"there hinge is at lookahead 10 [\d.]+, at lookahead 100 [\d.]+\.",
        said(sweep),
    )


def test_a_sentence_for_strata_that_are_not_compared(sweep: Sweep) -> None:
    found = answers.answers(sweep.history, "orbits")
    sizes = [abs(one.versus.difference.value) for one in found if one.versus and one.versus.difference]
    matched = re.fullmatch(
        r"At lookahead 10 and 100 the trained model is better than the best predictor that learns nothing "
        r"\(hinge (.*) lower\)\.",
        said(sweep),
    )
    assert matched
    assert read(matched[1]) == pytest.approx(sorted(sizes), rel=0.05)
    with_violations(sweep.history, 0.01)
    assert re.fullmatch(
        r"At lookahead 100 the trained model is better than the best predictor that learns nothing \(hinge [\d.]+ "
        r"lower\); at 10 it is better than it \(hinge [\d.]+ lower\) but worse by violations\.",
        said(sweep),
    )


def test_a_sentence_for_planned_comparisons(sweep: Sweep) -> None:
    (one,) = planned.planned(changed(sweep, contrasts=(CONTRAST,)))
    assert one.difference is not None
    assert one.verdict is Verdict.BETTER
    size = f"{abs(one.difference.value):.2g}"
    planned_part = f"100 is better than 10 by hinge ({size} lower)"
    both = "by hinge, both are better than the best predictor that learns nothing"
    assert said(sweep) == f"{planned_part}; {both}."
    first_line = Cells(document.page(sweep)).lines[0]
    label, difference = first_line.split(": ")
    assert re.fullmatch(r"100 [\d.]+ \[[\d., ]+\] less 10 [\d.]+ \[[\d., ]+\]", label)
    arms = [scores.confirmed(sweep.history, stratum, "hinge") for stratum in ("100", "10")]
    values = [[arm.measure.value, arm.measure.low, arm.measure.high] for arm in arms if arm]
    numbers = read(label)
    assert [numbers[1:4], numbers[5:]] == [pytest.approx(of, rel=0.05) for of in values]
    expected = [one.difference.value, one.difference.low, one.difference.high]
    assert read(difference) == pytest.approx(expected, abs=0.001)
    with_violations(sweep.history, 0.01)
    assert said(sweep) == f"{planned_part}; {both}; by violations, lookahead 10 is worse than it."
    (drawn,) = forest.between([one])
    assert (drawn.lines[0].margin, drawn.lower_is_better) == (0.01, True)


def test_a_sentence_for_strata_that_are_compared(sweep: Sweep) -> None:
    assert re.fullmatch(
        r"Lookahead 100 has the best mean hinge: better than 10 \(hinge [\d.]+ lower\); "
        r"by hinge, both are better than .*\.",
        said(changed(sweep, comparable=True)),
    )


def beaten(history: History, stratum: str) -> None:
    """Gives a stratum a trivial predictor that no model beats by the objective."""
    best = Measure(1e-6, 128, 1e-6, 1e-6, (1e-6,) * 128)
    history.baselines.append(Baseline("tiny", stratum, {"test/hinge": best}))


def like_the_model(history: History, stratum: str) -> None:
    """Gives a stratum no other trivial predictor than one that its confirmed best is not told apart from."""
    runs = history.replicates(leaderboard.confirmed(history, stratum)[0].number)
    scores = [run.reports[-1].metrics["test/hinge"].units for run in runs]
    units = tuple(sum(of) / len(of) for of in zip(*scores, strict=True))
    history.baselines = [line for line in history.baselines if line.stratum != stratum]
    alike = Measure(sum(units) / 128, 128, min(units), max(units), units)
    history.baselines.append(Baseline("alike", stratum, {"test/hinge": alike}))


def test_each_metric_has_a_verdict_of_its_own_on_each_stratum(sweep: Sweep) -> None:
    """What is worse by the objective, too, needs no other metric; nothing is said of both at once."""
    changed(sweep, comparable=True)
    with_violations(sweep.history, 0.01)
    beaten(sweep.history, "100")
    untrained = "the best predictor that learns nothing"
    assert said(sweep).endswith(
        f"; by hinge, lookahead 10 is better than {untrained}, lookahead 100 is worse than it; "
        "by violations, lookahead 10 is worse than it."
    )
    beaten(sweep.history, "10")
    assert said(sweep).endswith(f"; by hinge, both are worse than {untrained}.")


def test_strata_that_are_worse_by_different_metrics_are_not_merged(sweep: Sweep) -> None:
    with_violations(sweep.history, 0.01)
    one, other = answers.answers(sweep.history, "orbits")
    (by_violations,) = one.besides
    besides = (dataclasses.replace(by_violations, metric="coverage"), dataclasses.replace(by_violations, metric="q"))
    parts = first._in_short(sweep, [one, dataclasses.replace(other, besides=besides)])
    assert parts[1:] == [
        "by violations, lookahead 10 is worse than it",
        "by coverage and q, lookahead 100 is worse than it",
    ]
    both = [dataclasses.replace(of, besides=(by_violations,)) for of in (one, other)]
    assert first._in_short(sweep, both)[1:] == ["by violations, both are worse than it"]


def test_who_is_not_told_apart_by_the_objective_may_be_worse_by_another_metric(sweep: Sweep) -> None:
    like_the_model(sweep.history, "10")
    with_violations(sweep.history, 0.01)
    assert said(sweep).endswith("; at 10 it is not told apart from it by hinge but worse by violations.")
    row, _ = first.rows(sweep, answers.answers(sweep.history, "orbits"))
    assert row.verdict == "not told apart; worse by violations"


def test_many_strata_are_counted_and_few_are_named(sweep: Sweep) -> None:
    of, *_ = answers.answers(sweep.history, "orbits")
    nine = [dataclasses.replace(of, stratum=str(place)) for place in range(9)]
    assert first._who(sweep, nine[:2], nine) == "lookahead 0 and 1 are"
    assert first._who(sweep, nine[:5], nine) == "5 of 9 are"
    assert [first._who(sweep, nine[:count], nine[:count]) for count in (1, 2, 3)] == ["it is", "both are", "all are"]


def test_a_sentence_before_anything_is_confirmed(build: Build) -> None:
    made = build()
    made.baselines()
    made.train(9)
    sweep = Sweep.open(made.close(""))
    assert re.match(r"Not known yet: \d+ of 12 trials have ended and none is confirmed", said(sweep))
    assert not re.search("better|worse", said(sweep))
    for row in first.rows(sweep, answers.answers(sweep.history, "orbits")):
        assert row.verdict in ("not confirmed", "nothing finished")
    empty = Sweep.open(build("empty").close(""))
    assert said(empty).endswith("none is confirmed, and no trial has finished with a finite value.")
    assert "Nothing is claimed" in said(Sweep.open(build("off", confirm=0).close()))


def test_what_is_known_so_far_is_drawn_beside_the_trivial_predictor(sweep: Sweep) -> None:
    """Values on validation are no differences: their axis has no line at 0."""
    (drawn,) = forest.so_far(sweep)
    assert not drawn.zero
    for line, stratum in zip(drawn.lines, ("10", "100"), strict=True):
        assert line.label == f"lookahead {stratum}"
        assert line.measure == sweep.best(lookahead=stratum).trial.measure("validation/hinge")
        trivial = leaderboard.best_trivial(sweep.history, stratum, "validation/hinge")
        assert trivial is not None
        assert line.mark == trivial.metrics["validation/hinge"].value
        assert drawn.axis.low <= line.measure.low <= line.mark <= drawn.axis.high


def test_too_few_replicates_are_said(build: Build) -> None:
    made = build(replicates=1)
    made.baselines()
    made.train()
    sweep = Sweep.open(made.close())
    few = "only 1 of 5 replicates"
    assert f"without a claim against the best predictor that learns nothing ({few})" in said(sweep)
    first_of_all = f"Nothing is claimed of 100 against 10 ({few})"
    second = "nothing is claimed against the best predictor that learns nothing."
    assert said(changed(sweep, contrasts=(CONTRAST,))) == f"{first_of_all}; {second}"


def tiny(history: History, stratum: str, value: float) -> None:
    """Makes all that is measured in a stratum smaller by a factor."""
    for trial in history.trials.values():
        if trial.stratum == stratum:
            trial.reports = [
                dataclasses.replace(one, metrics={name: scaled(of, value) for name, of in one.metrics.items()})
                for one in trial.reports
            ]
    history.baselines = [
        Baseline(line.name, line.stratum, {name: scaled(of, value) for name, of in line.metrics.items()})
        if line.stratum == stratum
        else line
        for line in history.baselines
    ]


def scaled(measure: Measure, by: float) -> Measure:
    units = tuple(by * unit for unit in measure.units)
    return Measure(by * measure.value, measure.n, by * measure.low, by * measure.high, units)


def test_differences_over_decades_are_relative(sweep: Sweep) -> None:
    """As shares of the trivial predictor's value they can all be seen."""
    (before,) = forest.against_trivial(sweep, answers.answers(sweep.history, "orbits"))
    assert "%" not in before.unit
    tiny(sweep.history, "100", 1e-3)
    found = answers.answers(sweep.history, "orbits")
    (drawn,) = forest.against_trivial(sweep, found)
    assert "in % of the trivial predictor's value" in drawn.unit
    for line, answer in zip(drawn.lines, found, strict=True):
        assert answer.versus is not None
        assert answer.versus.difference is not None
        expected = 100 * answer.versus.difference.value / answer.versus.b.measure.value
        assert line.measure.value == pytest.approx(expected)
        assert line.words.endswith(" %")
        assert drawn.axis.at(line.measure.high) - drawn.axis.at(line.measure.low) > 1, "percent of the width"
    assert drawn.lines[1].measure.value == pytest.approx(before.lines[1].measure.value / 0.09 * 100, rel=0.2)


def test_an_axis_keeps_what_is_far_out_at_its_end() -> None:
    lines = [
        forest.Line("", Measure(value, 9, value - 0.1, value + 0.1), "", Verdict.BETTER) for value in (-1, -1.2, -900)
    ]
    axis = forest.Forest("", "", True, lines).axis
    assert -20 < axis.low < -1.3
    assert axis.high == 0
    assert axis.at(-900) == axis.at(axis.low) < axis.at(-1.2) < axis.at(-1) < axis.at(0)
    assert len(axis.ticks) >= 3


def test_the_curve_has_every_stratum(sweep: Sweep) -> None:
    drawn = over_strata.curve(sweep)
    assert drawn is not None
    assert [point.stratum for point in drawn.points] == ["10", "100"]
    one, other = drawn.points
    assert one.value is not None
    assert other.value is not None
    assert one.trivial is not None
    assert other.value > one.value > one.trivial, "pixels grow downwards, as values shrink"
    assert len(one.replicates) == 5
    assert over_strata.curve(changed(sweep, strata=("some", "more"))) is None


def test_the_search_space_and_what_is_at_its_edge(sweep: Sweep) -> None:
    best = leaderboard.confirmed(sweep.history, "10")[0]
    best.params["margin"] = 0.499
    assert edges(best)["margin"] == "upper"
    rows = {name: (words, cells) for name, words, cells in tables.space(sweep)}
    assert rows["margin"][0] == "[0.01, 0.5]"
    assert rows["lr"][0] == "[0.0001, 0.01] log"
    assert rows["margin"][1][0] == ("0.499", "upper")
    page = document.page(sweep)
    assert '<mark title="at the upper edge of its range">0.499 (at the edge)</mark>' in page
    assert '<td class="keep">[0.0001, 0.01] log</td>' in page
    assert page.count('data-sort="0.499"') == 1, "the leaderboard's column"


def test_the_trade_off_is_shown_where_metrics_disagree(sweep: Sweep) -> None:
    assert trade.trade(sweep, []) is None, "no other metric on validation"
    with_violations(sweep.history, 0.01)
    for trial in sweep.history.search_trials():
        trial.reports = [
            dataclasses.replace(one, metrics={**one.metrics, "validation/violations": Measure.exact(1 / one.step)})
            for one in trial.reports
        ]
    both = {f"validation/{name}": Measure.exact(0.5) for name in ("hinge", "violations")}
    sweep.history.baselines += [Baseline("line", "10", both), Baseline("oracle: x", "10", both)]
    found = trade.trade(sweep, answers.answers(sweep.history, "orbits"))
    assert found is not None
    assert (found.other, found.contrary) == ("violations", ["10"])
    assert found.words == (
        "The winner is better than the best trivial predictor by hinge and worse by violations at lookahead 10."
    )
    (figure,) = found.figures
    assert [trace.text for trace in figure.data if trace.text] == [("line",)], "oracles are left out"
    dots = next(trace for trace in figure.data if trace.mode == "markers")
    reported = [trial for trial in sweep.history.search_trials() if trial.stratum == "10" and trial.reports]
    assert {said.split(",")[0] for said in dots.hovertext} <= {f"trial {trial.number}" for trial in reported}
    assert '<section id="trade">' in document.page(sweep)


def test_a_front_has_what_no_other_beats_by_both() -> None:
    points = [(1.0, 5.0), (2.0, 3.0), (3.0, 4.0), (2.0, 6.0), (4.0, 1.0)]
    assert trade.front(points, (1, 1)) == [(1.0, 5.0), (2.0, 3.0), (4.0, 1.0)]
    assert trade.front(points, (1, -1)) == [(1.0, 5.0), (2.0, 6.0)]


def test_long_tables_are_shown_in_parts_and_none_of_it_is_lost(sweep: Sweep, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = document.page(sweep)
    numbers = re.compile(r'<tr[^>]*><td>\d+</td><td class="num">(\d+)</td><td>(?:finished|stopped|failed)')
    assert len(numbers.findall(whole)) == 12
    assert packed.rows(whole) == []
    monkeypatch.setattr(document, "SHOWN", 5)
    parts = document.page(sweep)
    (rest,) = [rows for rows in packed.rows(parts) if numbers.search(rows)]
    assert len(numbers.findall(parts)) == 5
    assert numbers.findall(parts) + numbers.findall(rest) == numbers.findall(whole)


def test_a_page_of_few_trials_is_small(sweep: Sweep) -> None:
    """Most of it is Plotly's script, without its maps' worker."""
    page = document.page(sweep)
    assert len(page) < 2e6
    assert packed.figures(page)
