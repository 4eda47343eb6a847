"""The arrays, what rules are trained on, the audit and the trivial predictors."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from leadline.config import ConfigError
from trainables.scan.audit import audit
from trainables.scan.data import Answers, ScanData, build
from trainables.scan.grammar import END, PAD, actions, commands, number
from trainables.scan.interpreter import interpret
from trainables.scan.rule_split import KINDS
from trainables.scan.rules import DEFAULT, combination
from trainables.scan.splits import Parts
from trainables.scan.trivial import interpreted, most_frequent, nearest, nearest_commands, unmodified

I8 = npt.NDArray[np.int8]
EVERY = np.arange(len(commands()))


@pytest.fixture(scope="module")
def data() -> ScanData:
    return build()


def equal(one: I8, other: I8) -> npt.NDArray[np.bool_]:
    width = max(one.shape[1], other.shape[1])
    same: npt.NDArray[np.bool_] = (
        np.pad(one, ((0, 0), (0, width - one.shape[1]))) == np.pad(other, ((0, 0), (0, width - other.shape[1])))
    ).all(1)
    return same


def test_answers_are_the_interpreters(data: ScanData) -> None:
    base = data.answers(0, EVERY)
    assert base.shape == (20_910, 49)  # 48 actions and END
    assert all(actions(row) == interpret(command) for row, command in zip(base, commands(), strict=True))
    generator = np.random.default_rng(0)
    rules, chosen = generator.integers(len(data.rules), size=3000), generator.integers(len(EVERY), size=3000)
    rows = data.answers(rules, chosen)
    for row, rule, place in zip(rows, rules, chosen, strict=True):
        length = data.answers.lengths[rule, place]
        assert actions(row) == interpret(commands()[place], data.rules[rule])
        assert row[length] == END
        assert (row[length + 1 :] == PAD).all()
        assert (row[:length] > END).all()
    assert rows.shape[1] == data.answers.lengths[rules, chosen].max() + 1
    assert data.answers.longest == 120  # rewrites make four actions of one


def test_no_rows(data: ScanData) -> None:
    assert data.answers(0, np.zeros(0, dtype=np.int64)).shape[0] == 0


def test_changed(data: ScanData) -> None:
    """Nor may the answer under two rules be that of one of them alone."""
    for rule in range(0, len(data.rules), 3):
        alone = [0, *(data.names.index(part.name) for part in data.rules[rule] if len(data.rules[rule]) > 1)]
        same = [equal(data.answers(rule, EVERY), data.answers(other, EVERY)) for other in alone]
        assert np.array_equal(data.changed[rule], ~np.any(same, axis=0))
    assert not data.changed[0].any()
    shares = 1 - data.changed[1 : 1 + len(DEFAULT)].mean(1)
    # Copying the base answer scores .014 to .63 over all commands, by rule.
    assert shares.min() == pytest.approx(0.014, abs=0.001)
    assert shares.max() == pytest.approx(0.631, abs=0.001)


def test_two_sentences_may_change_and_the_answer_not() -> None:
    """Of "walk twice and walk thrice", both sentences change, and together they say five times WALK."""
    made = Answers([(), combination("twice<->thrice")])
    place = number("walk twice and walk thrice")
    assert interpret("walk twice and walk thrice", combination("twice<->thrice")) == ("I_WALK",) * 5
    assert not made.changed(1)[place]
    assert made.changed(1)[number("walk twice and run thrice")]


def test_groups(data: ScanData) -> None:
    counts = {name: data.groups.count(name) for name in data.groups}
    assert counts == {"base": 1, "simple": 6, "complex": 5, "novel": 38, "held_out": 12}
    assert data.names[0] == "base"
    assert len({tuple(row) for row in data.rule_tokens.tolist()}) == len(data.rules)
    assert data.rule_tokens[0].tolist() == [0, 0]


def test_what_is_unseen(data: ScanData) -> None:
    tasks = data.tasks
    train = np.unique(data.train)
    assert tasks.trained[0, train].all()
    assert tasks.trained.sum(1)[tasks.held].max() == 0
    assert not tasks.trained[:, np.concatenate([data.validation, data.test])].any()
    for split in ("validation", "test"):
        seen = {kind: tasks.scored(kind, split) for kind in KINDS}
        assert not any((mask & tasks.trained).any() for mask in seen.values())
        # Unseen commands under rules that are trained; unseen pairs, whose command and rule are.
        assert not seen["commands"][tasks.held].any()
        assert seen["rules"][tasks.held].any(1).all()
        assert not seen["rules"][~tasks.held].any()
        rules, chosen = np.nonzero(seen["pairs"])
        assert np.isin(chosen, train).all()
        assert not tasks.held[rules].any()
        share = len(rules) / ((~tasks.held).sum() - 1) / len(train)
        assert share == pytest.approx(0.05, abs=0.005)
    for kind in KINDS:
        assert not (tasks.scored(kind, "validation") & tasks.scored(kind, "test")).any()
    pairs = [rule for rule, held in zip(data.rules, tasks.held, strict=True) if len(rule) > 1 and not held]
    trained = {part.name for rule in pairs for part in rule}
    assert trained == set(DEFAULT)


def test_no_pair_is_held_out_whose_parts_are_in_no_other() -> None:
    star = [f"jump->walk+{name}" for name in ("walk->run", "run->jump", "left<->right", "twice=once")]
    for seed in range(5):
        assert not build(seed=seed, names=star).tasks.held.any()


def test_a_cell_is_held_out() -> None:
    data = build(names=("left<->right", "jump->walk", "left<->right+jump->walk"), cells=(("left<->right", "run"),))
    run = np.array(["run" in command for command in commands()])
    assert not data.tasks.trained[1, run].any()
    assert not data.tasks.trained[3, run].any()
    assert data.tasks.trained[2, run].any()
    assert data.tasks.trained[0, run].sum() == run[np.unique(data.train)].sum()
    assert data.tasks.scored("pairs", "test")[1][run].sum() == run[np.unique(data.train)].sum()


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ([("left<->rihgt", "run")], "cells: no rule 'left<->rihgt' is used; did you mean left<->right?"),
        ([("twice=once", "run")], "cells: no rule 'twice=once' is used; there are jump->walk, left<->right"),
        ([("jump->walk", "hop")], "cells: no word 'hop'; there are walk, look"),
        ([("jump->walk", word) for word in ("walk", "look", "run", "jump", "turn")], "cells: they leave jump->walk no"),
    ],
)
def test_a_cell_that_is_none(cells: Sequence[tuple[str, str]], words: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(names=("left<->right", "jump->walk"), cells=cells)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


def test_seeds(data: ScanData) -> None:
    again, other = build(), build(seed=1)
    assert np.array_equal(again.tasks.trained, data.tasks.trained)
    assert again.groups == data.groups
    assert not np.array_equal(other.tasks.trained, data.tasks.trained)
    assert other.groups != data.groups


@pytest.mark.parametrize("split", ["simple", "addprim_jump", "template_around_right"])
def test_audit_passes(split: str) -> None:
    found = {finding.guard: finding for finding in audit(build(split))}
    assert not any(finding.failed for finding in found.values())
    assert [name for name in found if name.startswith("overlap")] == [
        "overlap_validation_commands",
        "overlap_test_commands",
        "overlap_validation_pairs",
        "overlap_test_pairs",
    ]
    if split == "simple":  # without validation; 85 % with it
        assert found["same_answers"].number == pytest.approx(0.78, abs=0.02)


def test_audit_refuses_the_pooled_split_but_for_the_logged_protocol() -> None:
    data = build("pooled", names=())
    refused = {finding.guard: finding for finding in audit(data)}
    assert [name for name, finding in refused.items() if finding.failed] == [
        "overlap_validation_commands",
        "overlap_test_commands",
    ]
    assert "only protocol=logged" in refused["overlap_test_commands"].sentence
    allowed = {finding.guard: finding for finding in audit(data, "logged")}
    assert not any(finding.failed for finding in allowed.values())
    assert allowed["overlap_test_commands"].number == refused["overlap_test_commands"].number > 7000
    assert "which protocol=logged allows" in allowed["overlap_test_commands"].sentence


def test_audit_finds_one_command(data: ScanData) -> None:
    parts = Parts(np.append(data.train, data.test[0]), data.validation, data.test)
    failed = [finding for finding in audit(dataclasses.replace(data, parts=parts)) if finding.failed]
    assert [(finding.guard, finding.number) for finding in failed] == [("overlap_test_commands", 1)]


def test_audit_finds_one_pair(data: ScanData) -> None:
    trained = data.tasks.trained.copy()
    rule, command = np.argwhere(data.tasks.scored("rules", "test"))[0]
    trained[rule, command] = True
    tasks = dataclasses.replace(data.tasks, trained=trained)
    failed = [finding for finding in audit(dataclasses.replace(data, tasks=tasks)) if finding.failed]
    assert [(finding.guard, finding.number) for finding in failed] == [("overlap_test_pairs", 1)]


def test_audit_finds_wrong_answers_and_numbers(data: ScanData) -> None:
    wrong = dataclasses.replace(data, answers=Answers([combination("jump->walk"), *data.rules[1:]]))
    assert [finding.guard for finding in audit(wrong) if finding.failed] == ["answers"]
    twice = data.commands.copy()
    twice[data.test[1]] = twice[data.test[0]]
    found = {finding.guard for finding in audit(dataclasses.replace(data, commands=twice)) if finding.failed}
    assert "numbering" in found


def test_a_protocol_that_is_none(data: ScanData) -> None:
    with pytest.raises(ConfigError, match=r"^protocol: no protocol 'loged'; did you mean logged\?$"):
        audit(data, "loged")  # type: ignore[arg-type]


def test_trivial_predictors(data: ScanData) -> None:
    scored = data.tasks.scored("commands", "test") & data.changed
    rules, chosen = (places[::97] for places in np.nonzero(scored))
    wanted = data.answers(rules, chosen)
    assert equal(interpreted(data, rules, chosen), wanted).all()
    assert not equal(unmodified(data, rules, chosen), wanted).any()
    assert equal(unmodified(data, rules, chosen), data.answers(0, chosen)).all()
    assert equal(most_frequent(data, rules, chosen), wanted).mean() < 0.05
    assert equal(nearest(data, rules, chosen), wanted).mean() < 0.2
    base = np.zeros_like(rules)
    assert equal(interpreted(data, base, chosen), data.answers(0, chosen)).all()


def test_the_most_frequent_answer_counts_repeats() -> None:
    data = build("addprim_jump", names=())
    found = most_frequent(data, np.zeros(2, np.int64), data.test[:2])
    assert [actions(row) for row in found] == [("I_JUMP",)] * 2


def test_the_nearest_command() -> None:
    known = [number(command) for command in ("walk", "jump left twice", "run and look", "turn left after run thrice")]
    asked = [number(command) for command in ("jump left thrice", "walk", "run and look twice", "walk twice")]
    found = nearest_commands(np.array(known), np.array(asked))
    assert [" ".join(commands()[place]) for place in found] == ["jump left twice", "walk", "run and look", "walk"]
    some = EVERY[::5]
    assert np.array_equal(nearest_commands(some, some), some)


def test_nearest_answers_by_the_rule_only_where_that_was_trained() -> None:
    data = build(names=("jump->walk", "left<->right", "jump->walk+left<->right"))
    train = np.unique(data.train)
    pairs = data.tasks.trained[1]
    jump = np.array([row for row in train if data.changed[1, row]])
    known, unknown = jump[pairs[jump]], jump[~pairs[jump]]
    one = np.ones(len(jump), dtype=np.int64)
    assert equal(nearest(data, one[: len(known)], known), data.answers(1, known)).all()
    assert equal(nearest(data, one[: len(unknown)], unknown), data.answers(0, unknown)).all()
