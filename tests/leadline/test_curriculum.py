"""A curriculum as data: what is read, what is refused, and where a clock stands."""

import pytest

from leadline.curriculum import Curriculum, StageClock, Vocabulary
from leadline.errors import ConfigError
from leadline.measure import Measure

VOCABULARY = Vocabulary(
    numbers={"energy": (0.0, 10.0), "edge": (0.0, 1.0)},
    choices={"rules": ("base", "simple", "novel")},
    metrics=("exact",),
)
LOG = (
    "basic:1/4",
    "physics:1/4:energy=1:ramp=0.5:rate=0.5",
    "mixed:0.25:energy=2:rules=base+simple",
    "edge:1/4:edge=1",
)


def clock(*stages: str, steps: int = 100) -> StageClock:
    return StageClock(Curriculum.of(stages, VOCABULARY), steps)


@pytest.mark.parametrize(
    ("stages", "line"),
    [
        ((), "stages: expected at least one, such as joint:1"),
        (("basic",), "stages: basic: expected NAME:SHARE, such as basic:1/4"),
        (("",), "stages: an empty text: expected NAME:SHARE, such as basic:1/4"),
        (("basic:",), "stages: basic: expected a share of the budget, such as 1/4 (got '')"),
        (("basic:1/0",), "stages: basic: expected a share of the budget, such as 1/4 (got '1/0')"),
        (("a:1", "b:0"), "stages: b: a stage needs a share of the budget above 0, up to 1 (got 0)"),
        (("a:-1/2",), "stages: a: a stage needs a share of the budget above 0, up to 1 (got -1/2)"),
        (("a:1/2", "b:1/4"), "stages: the shares add up to 0.75, and should to 1"),
        (("a:1/2", "a:1/2"), "stages: a stands twice; each stage needs a name of its own"),
        (("a:1:energy",), "stages: a: expected KEY=VALUE (got 'energy'); commas stand between stages"),
        (("a:1:energy=1:energy=2",), "stages: a: energy is given twice"),
        (("a:1:enery=1",), "stages: a: no setting 'enery'; did you mean energy?"),
        (("a:1:energy=much",), "stages: a: energy: expected a number (got 'much')"),
        (("a:1:energy=11",), "stages: a: energy: expected 0 to 10 (got 11)"),
        (("a:1:energy=nan",), "stages: a: energy: expected 0 to 10 (got nan)"),
        (("a:1:ramp=2",), "stages: a: ramp: expected 0 to 1 (got 2)"),
        (
            ("a:1:rules=base+complex",),
            "stages: a: rules: no 'complex'; known: base, simple, novel, and several joined by +",
        ),
        (
            ("a:1/2", "b:1/2:until=exact>=0.5"),
            "stages: b: until: it is the last stage, which ends with the budget",
        ),
        (
            ("a:1/2:rules=base", "simple:energy=1", "b:1/2"),
            "stages: simple: expected a share of the budget, such as 1/4 (got 'energy=1'); "
            "is simple another word of the choice before it? These are joined by +",
        ),
        (
            ("a:1/2:rules=base", "simple", "b:1/2"),
            "stages: simple: expected NAME:SHARE, such as simple:1/4; "
            "is simple another word of the choice before it? These are joined by +",
        ),
        (("a:1:rate=0",), "stages: a: rate: a factor of 0 would train nothing"),
        (("a:1:until=exact",), "stages: a: until: expected METRIC>=BOUND or METRIC<=BOUND (got 'exact')"),
        (("a:1:until=exat>=1",), "stages: a: until: no metric 'exat'; did you mean exact?"),
        (("a:1:until=exact>=high",), "stages: a: until: expected a number (got 'high')"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(stages: tuple[str, ...], line: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        Curriculum.of(stages, VOCABULARY)
    assert str(refusal.value) == line


def test_a_stage_too_short_for_a_step_is_refused() -> None:
    with pytest.raises(ConfigError, match="stages: a has no step in a budget of 10 optimizer steps"):
        clock("a:1/100", "b:99/100", steps=10)


def test_stages_begin_where_their_shares_say() -> None:
    at = clock(*LOG).at
    assert [at(step).stage.name for step in (0, 24, 25, 49, 50, 74, 75, 99, 100)] == [
        *("basic", "basic", "physics", "physics", "mixed", "mixed", "edge", "edge", "edge")
    ]
    assert Curriculum.of(LOG, VOCABULARY).last_from == 0.75
    thirds = clock("a:1/3", "b:1/3", "c:1/3", steps=100)
    assert [thirds.next_end(step) for step in (0, 32, 33, 66, 67, 99)] == [33, 33, 67, 67, 100, 100]


def test_numbers_and_the_rate_follow_the_ramp() -> None:
    at = clock(*LOG, steps=400).at
    assert [at(step).number("energy") for step in (99, 100, 125, 150, 199, 200)] == [0, 0, 0.5, 1, 1, 2]
    assert [at(step).rate for step in (0, 99, 100, 125, 150, 200)] == [1, 1, 1, 0.75, 0.5, 1]
    assert at(150).choice("rules") == ("base",)
    assert at(250).choice("rules") == ("base", "simple")
    first = clock("a:1:ramp=0.5:energy=1:rate=0.5", steps=100).at
    assert [(first(step).number("energy"), first(step).rate) for step in (0, 25, 50)] == [
        (0, 0.5),
        (0.5, 0.5),
        (1, 0.5),
    ]


@pytest.mark.parametrize("steps", [3, 7, 1000, 10**6 + 3])
def test_a_share_of_the_budget_is_the_step_that_it_came_from(steps: int) -> None:
    found = clock("a:1/3", "b:1/3", "c:1/3", steps=steps)
    for step in {0, 1, 2, steps // 3, steps // 2, steps - 1}:
        assert found.during(step / steps) == found.at(step)


def test_a_rule_ends_a_stage_early_and_the_last_takes_what_is_left() -> None:
    found = clock("a:1/2:until=exact>=0.9", "b:1/4:until=exact>=0.99", "c:1/4")
    low, high = {"exact": Measure.exact(0.5)}, {"exact": Measure.exact(0.95)}
    assert not found.satisfied(20, low)
    assert found.satisfied(20, high)
    found.end(20)
    assert [found.at(step).stage.name for step in (19, 20, 44, 45, 99)] == ["a", "b", "b", "c", "c"]
    assert not found.satisfied(30, high), "the rule of b asks for more"
    found.end(30)
    assert [found.next_end(step) for step in (0, 20, 30)] == [20, 30, 100]
    again = clock("a:1/2:until=exact>=0.9", "b:1/4:until=exact>=0.99", "c:1/4")
    again.load_state_dict(found.state_dict())
    assert [again.at(step) for step in range(100)] == [found.at(step) for step in range(100)]


def test_a_later_rule_leaves_the_ends_before_it() -> None:
    found = clock("a:1/4", "b:1/2:until=exact>=0.9", "c:1/4")
    found.end(40)
    assert [found.next_end(step) for step in (0, 25, 40)] == [25, 40, 100]


def test_a_value_that_is_not_finite_ends_nothing() -> None:
    found = clock("a:1/2:until=exact<=1e9", "b:1/2")
    assert not found.satisfied(20, {"exact": Measure(float("-inf"), 0, 0, 1)})
    assert found.satisfied(20, {"exact": Measure.exact(0)})


def test_pretending_is_undone() -> None:
    found = clock(*LOG)
    with found.pretending(2):
        assert found.at(0).number("energy") == 2
        assert found.during(0.99).stage.name == "mixed"
    assert found.at(0).stage.name == "basic"
