"""Where answers are wrong: counts that add up, and networks whose mistakes are known."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from rich.console import Console
from torch import nn

from analysis.scan.failures import Bin, Failures, questioned
from analysis.scan.tables import failures_page
from leadline.measure import Measure
from tests.analysis.scan.subjects import Numberless, Scripted, config, data, trained
from trainables.scan import grammar
from trainables.scan.interpreter import interpret
from trainables.scan.rows import scored
from trainables.scan.rules import RULES

KNOWN = {"nothing": {"exact": Measure(0.0, 1, 0.0, 0.0)}}


def asked(model: nn.Module, examples: int = 2) -> Failures:
    return questioned("probe", config(), data(), model, examples, KNOWN)


def by_dimension(bins: list[Bin]) -> dict[str, dict[str, Bin]]:
    groups = itertools.groupby(bins, key=lambda line: line.by)
    return {name: {line.label: line for line in group} for name, group in groups}


def test_the_interpreter_is_never_wrong() -> None:
    found = asked(Scripted())
    assert all(line.wrong == 0 and line.exact.value == 1.0 for line in found.bins)
    assert found.examples == []
    assert found.confusions == []


@pytest.fixture(scope="module")
def walker() -> Failures:
    """Walks where it should jump."""
    return asked(Scripted(I_JUMP="I_WALK"), examples=3)


def rows() -> list[tuple[str, tuple[str, ...], tuple[str, ...], str]]:
    """Score, command, right answer and rule of each scored row, made from words alone."""
    return [
        (score, words, interpret(words, data().rules[name]), data().names[name])
        for score, part in scored(config(), data(), "test").items()
        for name, place in zip(part.names.tolist(), part.places.tolist(), strict=True)
        for words in [grammar.commands()[place]]
    ]


def test_a_known_fault_is_wrong_exactly_where_words_say_so(walker: Failures) -> None:
    bins, known = by_dimension(walker.bins), rows()

    def check(line: Bin, own: list[tuple[str, tuple[str, ...], tuple[str, ...], str]]) -> None:
        assert (line.rows, line.wrong) == (len(own), sum("I_JUMP" in answer for _, _, answer, _ in own))
        assert line.commands == len({words for _, words, _, _ in own})

    for score, line in bins["score"].items():
        check(line, [row for row in known if row[0] == score])
    check(bins["rule"]["base"], [row for row in known if row[3] == "base"])
    for rule in (*RULES,):
        if own := [row for row in known if rule in row[3].split("+")]:
            check(bins["rule"][rule], own)
    for word in ("walk", "look", "run", "jump", "turn"):
        check(bins["primitive, no rule"][f"{word}, no rule"], [r for r in known if word in r[1] and r[3] == "base"])
        check(bins["primitive, rules"][f"{word}, rules"], [r for r in known if word in r[1] and r[3] != "base"])
    short = [row for row in known if 12 <= len(row[2]) <= 22 and row[3] == "base"]
    check(bins["length, no rule"]["12 to 22, no rule"], short)
    assert bins["primitive, no rule"]["jump, no rule"].exact.value == 0.0
    assert bins["score"]["exact"].wrong > 0
    for end, count in (("no rule", bins["score"]["exact"].rows), ("rules", len(known) - bins["score"]["exact"].rows)):
        assert sum(line.rows for line in bins[f"length, {end}"].values()) == count


def test_the_first_wrong_token_is_where_words_say_so(walker: Failures) -> None:
    (confusion,) = walker.confusions
    wrong = [row for row in rows() if "I_JUMP" in row[2]]
    assert confusion == ("I_JUMP", "I_WALK", len(wrong))
    assert len(walker.examples) == 3 * 6, "three of each score"
    for one in walker.examples:
        expected = one.expected.split()
        assert one.position == 1 + expected.index("I_JUMP")
        assert (one.wanted_token, one.said_token) == ("I_JUMP", "I_WALK")
        assert one.said == one.expected.replace("I_JUMP", "I_WALK")
        parts = () if one.rule == "base" else tuple(RULES[part] for part in one.rule.split("+"))
        assert interpret(one.command.split(), parts) == tuple(expected)
    shortest = min(len(answer) for score, _, answer, _ in wrong if score == "exact")
    assert len(walker.examples[0].expected.split()) == shortest


def test_an_answer_without_numbers_is_wrong_from_its_first_token() -> None:
    found = asked(Numberless(), examples=1)
    assert all(line.wrong == line.rows for line in found.bins)
    assert {(one.position, one.said, one.said_token) for one in found.examples} == {(1, "none", "none")}


def test_scores_are_those_that_the_trial_reports() -> None:
    loop = trained(config())
    found = questioned("probe", config(), data(), loop.task.model)
    reported = loop.task.evaluate("test")
    for name, line in by_dimension(found.bins)["score"].items():
        assert line.exact.value == pytest.approx(reported[name].value)
        assert line.commands == line.rows == reported[name].n
    near = found.predictors["nearest training command"]
    for name, line in by_dimension(found.bins)["score"].items():
        assert line.nearest.value == pytest.approx(near[name].value)
    assert np.mean([line.wrong for line in found.bins]) > 0


def test_a_command_is_one_unit_however_many_rules_it_is_under() -> None:
    line = by_dimension(asked(Scripted()).bins)["primitive, rules"]["turn, rules"]
    assert line.rows > line.commands == line.exact.n


@pytest.mark.parametrize("width", [80, 140])
def test_the_page_fits_and_shows_the_first_wrong_token(walker: Failures, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(failures_page(walker))
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text, "no cell is cut"
    assert f"first wrong token: {walker.examples[0].position}, I_WALK for I_JUMP" in text
    assert "jump, no rule" in text
