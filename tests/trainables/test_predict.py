"""From a person's input to an answer: the hook of every family, and of Collatz numbers of any length."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

from leadline.checkpoint import CheckpointStore
from leadline.config import ConfigError, make
from leadline.family import Family
from leadline.storage import Folder
from leadline.testing import FamilyContract, train
from leadline.training.loop import Loop
from tests.plugin.line import family as plugin
from trainables.collatz.config import CollatzConfig
from trainables.collatz.family import COLLATZ, CollatzFamily
from trainables.collatz.features import of_numbers
from trainables.collatz.orbits import iterate
from trainables.collatz.split import LOGGED_SEEDS

TINY: dict[str, Any] = {
    "layers": "16",
    "lookahead": 20,
    "batch": 64,
    "pool": 2048,
    "steps": 60,
    "eval_every": 20,
    "start_seeds": 20,
}

LINE: Family[Any] = plugin.LINE
"""The plugin has no types of its own."""


class Mute(CollatzFamily):
    """A family that says nothing of single inputs."""

    name = "mute"
    predict = Family.predict
    example = Family.example


def test_a_family_without_predict_says_so() -> None:
    config = make(CollatzConfig, TINY)
    with pytest.raises(ConfigError, match=r"^family: mute has no predict$"):
        Mute().predict(Mute().model(config), 27, config)
    assert Mute().example(config) is None


def test_the_smallest_family_predicts_what_it_is_scored_by(tmp_path: Path) -> None:
    line: Family[Any] = LINE

    class Contract(FamilyContract):
        family = line
        small: ClassVar[Mapping[str, Any]] = {"steps": 30, "eval_every": 10}
        bad_inputs = ("1", None)

    config = Contract.config()
    data = line.build_data(config)
    whole = train(line, config, data, CheckpointStore(Folder.at(str(tmp_path))))
    Contract().test_predicts(data, whole)
    model = line.model(config)
    model.load_state_dict(line.scored_weights(whole.checkpoint.state))
    x, y = data["validation"]
    errors = [
        (line.predict(model, float(here), config) - there) ** 2 for here, there in zip(x[:, 0], y[:, 0], strict=True)
    ]
    assert sum(errors) / len(errors) == pytest.approx(whole.reports[-1].metrics["validation/mse"].value, rel=1e-5)


@pytest.fixture(scope="module", params=["full", "k_only_shifted"])
def trained(request: pytest.FixtureRequest) -> Loop:
    config = make(CollatzConfig, {**TINY, "features": request.param})
    loop = Loop(COLLATZ, config, COLLATZ.build_data(config))
    list(loop.run())
    loop.task.model.eval()
    return loop


def test_violations_are_the_steps_on_which_v_does_not_fall(trained: Loop) -> None:
    """On the 429 steps of the logged seeds, one number at a time."""
    config: Any = trained.config
    with torch.no_grad():
        counted = trained.task.evaluate("validation")
    for seed in LOGGED_SEEDS:
        number, rising = seed, 0
        while number > 1:
            step = COLLATZ.predict(trained.task.model, number, config)
            assert (step.number, step.following) == (number, iterate(number, 1))
            rising += not step.falls
            number = step.following
        assert rising == counted[f"logged_{seed}"].value
    assert 0 < counted["logged_violations"].value < 429


def test_the_network_sees_the_same_as_in_training(trained: Loop) -> None:
    config: Any = trained.config
    numbers = [1, 3, 27, 626331, 2**89 - 1, 2**120 + 39]
    with torch.no_grad():
        expected = trained.task.model(torch.from_numpy(of_numbers(numbers, config.lookahead, config.features))).tolist()
    found = [COLLATZ.predict(trained.task.model, number, config).value for number in numbers]
    assert found == pytest.approx(expected, rel=1e-6)
    assert COLLATZ.predict(trained.task.model, "626331", config) == COLLATZ.predict(trained.task.model, 626331, config)
    stays = COLLATZ.predict(trained.task.model, 1, config)
    assert (stays.following, stays.falls) == (1, False)


def test_a_number_may_be_of_any_length(trained: Loop) -> None:
    """Also longer than the arithmetic of training holds, and with a step that halves more often than a byte counts."""
    config: Any = trained.config
    for number in (2**1000 - 1, (4**200 - 1) // 3, 10**5000 + 1):
        step = COLLATZ.predict(trained.task.model, number, config)
        assert math.isfinite(step.value)
        assert math.isfinite(step.following_value)
        assert step.following == iterate(number, 1)
    assert COLLATZ.predict(trained.task.model, (4**200 - 1) // 3, config).following == 1


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (0, "must be an odd whole number of at least 1 \\(got 0\\)"),
        (-1, "must be .* \\(got -1\\)"),
        (2.5, "must be .* \\(got 2.5\\)"),
        ("many", "must be .* \\(got 'many'\\)"),
        (28, "T takes odd numbers, and halving leads to 7 \\(got 28\\)"),
        (2**20000, "T takes odd numbers, and halving leads to 1 \\(got a number of 20001 bits\\)"),
    ],
    ids=["zero", "below", "half", "text", "even", "even and long"],
)
def test_what_is_no_odd_number_is_refused(inputs: Any, message: str) -> None:
    config = make(CollatzConfig, TINY)
    with pytest.raises(ConfigError, match=f"^inputs: {message}"):
        COLLATZ.predict(COLLATZ.model(config), inputs, config)
