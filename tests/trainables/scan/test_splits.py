"""The splits, against the published files by hash where a rule makes them, else by counts."""

import hashlib
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from leadline.config import ConfigError
from trainables.scan.grammar import commands, number
from trainables.scan.interpreter import interpret
from trainables.scan.splits import NAMES, POOLED, POOLED_HELD, POOLED_WORDS, make, published

GOLDEN = np.load(Path(__file__).parents[2] / "golden" / "scan.npz")
FILES = GOLDEN["files"].tolist()
# Drawn at random by their authors: all of simple, the complex jumps, and what few-shot splits are trained on.
RANDOM = re.compile("simple|complex|train_fewshot")
# Of these, repetitions have up to four rows fewer than they say.
SHORT = re.compile(r"train_fewshot_num(32_rep3|64_rep\d)\.txt")


def rows_of(file: str) -> tuple[str, np.ndarray]:
    """The split and the rows that a published file should hold."""
    found = re.fullmatch(r".*tasks_(train|test)_(\w+?)(?:_rep(\d))?\.txt", file)
    assert found
    return found[2], published(found[2], int(found[3] or 0))[found[1] == "test"]


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return [f"IN: {' '.join(command)} OUT: {' '.join(interpret(command))}\n".encode() for command in commands()]


def test_the_published_files(lines: list[bytes]) -> None:
    """208 files: 77 equal by hash, the others by their counts; `tasks.txt` is test_grammar's."""
    rank = np.argsort(sorted(range(len(lines)), key=lines.__getitem__))
    same, short = Counter[str](), 0
    for file, total, unique, digest in zip(
        FILES, GOLDEN["n_lines"].tolist(), GOLDEN["n_unique"].tolist(), GOLDEN["sha256_sorted_all"], strict=True
    ):
        if file == "tasks.txt":
            continue
        name, rows = rows_of(file)
        assert name in NAMES
        if SHORT.search(file):
            assert 0 < len(rows) - total <= 4
            short += 1
            continue
        assert (len(rows), np.count_nonzero(np.bincount(rows))) == (total, unique), file
        if not RANDOM.search(file):
            ordered = rows[np.argsort(rank[rows], kind="stable")]
            assert hashlib.sha256(b"".join(lines[row] for row in ordered)).hexdigest() == digest, file
            same[name] += 1
    assert sum(same.values()) == 77
    assert short == 6
    assert set(same) >= {"length", "addprim_jump", "addprim_turn_left", "template_around_right", "filler_num2"}


@pytest.mark.parametrize(
    ("name", "train", "distinct", "test"),
    [
        ("simple", 16_728, 16_728, 4_182),
        ("simple_p1", 209, 209, 20_701),
        ("simple_p64", 13_382, 13_382, 7_528),
        ("length", 16_990, 16_990, 3_920),
        ("addprim_jump", 14_670, 13_204, 7_706),
        ("addprim_turn_left", 21_890, 19_702, 1_208),
        ("addprim_complex_jump_num1", 14_671, 13_205, 7_705),
        ("addprim_complex_jump_num32", 14_655, 13_236, 7_674),
        ("template_around_right", 15_225, 15_225, 4_476),
        ("template_jump_around_right", 18_528, 18_528, 1_173),
        ("fewshot_num1024", 16_249, 16_249, 1_173),
    ],
)
def test_counts(name: str, train: int, distinct: int, test: int) -> None:
    trained, scored = published(name)
    assert (len(trained), len(np.unique(trained)), len(scored)) == (train, distinct, test)


def test_rules_of_members() -> None:
    lengths = np.array([len(interpret(command)) for command in commands()])
    train, test = published("length")
    assert lengths[train].max() == 22
    assert lengths[test].min() > 22
    train, _ = published("addprim_jump")
    assert (train == number("jump")).sum() == 1_467
    assert all("jump" not in commands()[row] for row in np.setdiff1d(train, [number("jump")]))
    assert (published("addprim_turn_left")[0] == number("turn left")).sum() == 2_189


@pytest.mark.parametrize("count", [1, 8, 1024])
def test_few_shots_are_those_of_around_right(count: int) -> None:
    """All that template_around_right trains on, and commands with "around right" beside."""
    train, test = published(f"fewshot_num{count}", 2)
    template, _ = published("template_around_right")
    assert len(template) == 15_225
    assert np.isin(template, train).all()
    others = np.setdiff1d(train, template)
    assert len(others) == count
    assert all("around right" in " ".join(commands()[row]) for row in others)
    assert np.array_equal(test, published("template_jump_around_right")[1])


@pytest.mark.parametrize("name", [name for name in NAMES if name != POOLED])
def test_no_command_is_in_two_parts(name: str) -> None:
    parts = make(name, 3)
    train, test = published(name, 3)
    assert not np.isin(parts.validation, parts.train).any()
    assert not np.isin(parts.test, parts.train).any()
    assert not np.isin(parts.test, parts.validation).any()
    assert np.array_equal(np.sort(np.concatenate([parts.train, parts.validation])), np.sort(train))
    assert np.array_equal(parts.test, test)
    assert len(parts.validation) == round(0.1 * len(np.unique(train)))


def test_what_is_repeated_stays_in_training() -> None:
    for seed in range(20):
        assert (make("addprim_jump", seed).train == number("jump")).sum() == 1_467


def test_seeds() -> None:
    assert all(np.array_equal(one, other) for one, other in zip(make("simple", 1), make("simple", 1), strict=True))
    assert not np.array_equal(make("simple", 1).test, make("simple", 2).test)
    assert np.array_equal(make("length", 1).test, make("length", 2).test)
    assert not np.array_equal(make("length", 1).validation, make("length", 2).validation)


def test_the_pooled_split_of_the_log() -> None:
    """Every command is thrice in the pool, so 1 - 0.3 squared of the scored ones are trained on."""
    for seed in range(2):
        train, validation, test, held = make(POOLED, seed)
        assert (len(train), len(validation), len(test), len(held)) == (39_708, 8_509, 8_510, 7_469)
        assert np.isin(validation, train).mean() == pytest.approx(0.91, abs=0.012)
        assert np.isin(test, train).mean() == pytest.approx(0.91, abs=0.012)
        assert not np.isin(held, train).any()
        lengths = np.array([len(interpret(commands()[row])) for row in np.unique(train)])
        assert lengths.max() == 48  # nothing is longer, so the log's test of length is empty


def test_the_pool_of_the_log() -> None:
    """All commands, at least thrice each, of 100 sets of words, of which ten are held out."""
    parts = make(POOLED)
    pool = np.concatenate(parts)
    times = np.bincount(pool, minlength=20_910)
    assert (len(pool), len(times), times.min()) == (64_196, 20_910, 3)
    sets = [POOLED_WORDS.intersection(command) for command in commands()]
    assert len(set(sets)) == 100
    assert len(POOLED_HELD) == len(set(map(frozenset, map(str.split, POOLED_HELD)))) == 10
    assert {sets[row] for row in parts.held} == {frozenset(words.split()) for words in POOLED_HELD}


def test_answers_of_simple_are_known() -> None:
    """Published members: 85.3 % of the test answers are also those of training commands."""
    train, test = published("simple")
    known = {interpret(commands()[row]) for row in train}
    assert np.mean([interpret(commands()[row]) in known for row in test]) == pytest.approx(0.85, abs=0.02)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("addprim_jmup", "split: no split 'addprim_jmup'; did you mean addprim_jump?"),
        ("simple_p3", "split: no split 'simple_p3'; did you mean simple_p"),
        ("random", "split: no split 'random'; there are simple, "),
        ("", "split: no split ''; there are simple, "),
    ],
)
def test_a_split_that_does_not_exist(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        make(name)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)
