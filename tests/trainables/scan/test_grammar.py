"""The grammar, the interpreter and the changed rules, against published pairs and by hand."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from leadline.config import ConfigError
from trainables.scan import grammar
from trainables.scan.grammar import ACTIONS, END, PAD, SPECIALS, WORDS, commands, number, tokens
from trainables.scan.interpreter import interpret
from trainables.scan.rules import DEFAULT, RULES, changes, combination, group, pairs, token

GOLDEN = Path(__file__).parents[2] / "golden" / "scan.npz"


def said(command: str, rules: str = "base") -> str:
    """An answer in few letters: W, K for look, R for run, J, < and > for the turns."""
    return "".join("WKRJ<>"[ACTIONS.index(action)] for action in interpret(command, combination(rules)))


def test_counts() -> None:
    assert len(WORDS) == 13
    assert len(ACTIONS) == 6
    assert len(grammar.SENTENCES) == 102
    assert len(set(commands())) == len(commands()) == 102 + 2 * 102**2 == 20_910
    assert max(map(len, commands())) == tokens().shape[1] == 9
    assert {word for command in commands() for word in command} == set(WORDS)
    answers = [interpret(command) for command in commands()]
    assert max(map(len, answers)) == 48
    assert {action for answer in answers for action in answer} == set(ACTIONS)


def test_golden_pairs() -> None:
    stored = np.load(GOLDEN)
    assert len(stored["commands"]) == 200
    for command, answer in zip(stored["commands"], stored["actions"], strict=True):
        assert " ".join(interpret(str(command))) == answer
        assert " ".join(commands()[number(str(command))]) == command


def test_all_published_pairs_by_hash() -> None:
    stored = np.load(GOLDEN)
    lines = sorted(f"IN: {' '.join(command)} OUT: {' '.join(interpret(command))}\n".encode() for command in commands())
    place = stored["files"].tolist().index("tasks.txt")
    assert hashlib.sha256(b"".join(lines)).hexdigest() == stored["sha256_sorted_all"][place]


def test_tokens_are_the_words() -> None:
    table = (*SPECIALS, *WORDS)
    for row, command in zip(tokens().tolist(), commands(), strict=True):
        assert [table[token] for token in row if token != PAD] == list(command)
    assert grammar.actions([9, 4, END, 4, PAD]) == ("I_TURN_RIGHT", "I_WALK")
    assert grammar.actions([5, PAD, 4]) == ("I_LOOK",)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("walk", "W"),
        ("turn left", "<"),
        ("look right", ">K"),
        ("run opposite left", "<<R"),
        ("turn opposite right", ">>"),
        ("jump around right", ">J>J>J>J"),
        ("turn around left", "<<<<"),
        ("jump left thrice", "<J<J<J"),
        ("walk twice and run", "WWR"),
        ("walk twice after run", "RWW"),
    ],
)
def test_semantics(command: str, answer: str) -> None:
    assert said(command) == answer


@pytest.mark.parametrize(
    ("rules", "command", "answer"),
    [
        ("jump->walk", "jump and walk", "WW"),
        ("walk->run", "walk left and run", "<RR"),
        ("run->jump", "run twice and jump", "JJJ"),
        ("look->turn_left", "look right and look", "><<"),
        ("left<->right", "walk left and walk opposite right", ">W<<W"),
        ("twice<->thrice", "walk twice and run thrice", "WWWRR"),
        ("jump=turn_left*4", "jump right", "><<<<"),
        ("look=walk,turn_left*2,walk", "look twice", "W<<WW<<W"),
        ("run=walk*2", "run around left", "<WW<WW<WW<WW"),
        ("reversed", "turn left and look opposite right", "><<K"),
        ("twice=once", "walk twice and run thrice", "WRRR"),
        ("jump<->walk", "jump and walk", "WJ"),
        ("walk<->run", "walk and run", "RW"),
        ("run<->jump", "run left and jump", "<JR"),
        ("left<->right+twice<->thrice", "walk left twice", ">W>W>W"),
        ("jump->walk+walk->run", "jump and walk", "WR"),
        ("twice=once+jump=turn_left*4", "jump twice", "<<<<"),
    ],
)
def test_rules(rules: str, command: str, answer: str) -> None:
    assert said(command, rules) == answer
    assert changes(combination(rules), command) is (said(command) != answer)


def test_every_rule_leaves_commands_without_its_words() -> None:
    for rule in RULES.values():
        some = commands()[::11]
        touched = [changes((rule,), command) for command in some if set(rule.words) & set(command)]
        assert sum(touched) > 0.9 * len(touched)
        assert not any(changes((rule,), command) for command in some if not set(rule.words) & set(command))


@pytest.mark.parametrize("name", ["left<->right", "twice<->thrice", "jump<->walk", "walk<->run", "run<->jump"])
def test_a_two_way_swap_undoes_itself(name: str) -> None:
    """Swapping the words of the command as well gives the base answer."""
    one, other = RULES[name].words
    other_word = {one: other, other: one}
    differ = 0
    for command in commands()[::7]:
        swapped = [other_word.get(word, word) for word in command]
        assert interpret(swapped, combination(name)) == interpret(command)
        differ += interpret(command, combination(name)) != interpret(command)
    assert differ > 1000


def test_twice_means_once_changes_the_answer() -> None:
    """The log kept the answer of these rows, and of those with twice and thrice swapped."""
    for command in commands():
        shorter = len(interpret(command, combination("twice=once"))) < len(interpret(command))
        assert shorter is ("twice" in command)


def test_reversal_comes_last() -> None:
    """It reverses turns that a rewrite brings in; a swap of left and right does not."""
    alone = [
        interpret(command, combination("reversed")) == interpret(command, combination("left<->right"))
        for command in commands()
    ]
    assert all(alone)
    assert said("jump left", "jump=turn_left*4+reversed") == ">>>>>"
    assert said("jump left", "left<->right+jump=turn_left*4") == "><<<<"


def test_order_of_parts_does_not_matter() -> None:
    for name in pairs(DEFAULT):
        one, other = name.split("+")
        for command in commands()[::499]:
            assert interpret(command, combination(name)) == interpret(command, combination(f"{other}+{one}"))


def test_groups_and_pairs() -> None:
    assert [group(combination(name)) for name in DEFAULT] == ["simple"] * 6 + ["complex"] * 5
    assert group(combination("base")) == "base"
    assert {group(combination(name)) for name in pairs(DEFAULT)} == {"novel"}
    # Of 55 pairs, five touch one word: of jump, look, run, left and right, and twice.
    assert len(pairs(DEFAULT)) == 50
    assert sorted(map(token, RULES.values())) == list(range(1, len(RULES) + 1))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("jump->wlak", "rules: no rule 'jump->wlak'; did you mean jump->walk?"),
        ("sideways", "rules: no rule 'sideways'; there are jump->walk, walk->run, "),
        ("jump->walk+", "rules: no rule ''; there are jump->walk"),
        ("jump->walk+jump=turn_left*4", "rules: jump->walk and jump=turn_left*4 both change 'jump'"),
        ("left<->right+left<->right", "rules: left<->right and left<->right both change 'left'"),
    ],
)
def test_a_rule_that_is_none(name: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        combination(name)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("jmup twice", "command: no word 'jmup'; did you mean jump?"),
        ("fly", "command: no word 'fly'; there are walk, look"),
        ("turn", "command: the grammar does not make 'turn'; it makes"),
        ("walk and run and jump", "command: the grammar does not make 'walk and run and jump'"),
        ("walk thrice twice", "command: the grammar does not make"),
        ("", "command: the grammar does not make ''"),
    ],
)
def test_a_command_that_is_none(command: str, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        interpret(command)
    assert str(error.value).startswith(words)
    assert "\n" not in str(error.value)
