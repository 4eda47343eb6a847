# mypy: allow-untyped-calls, disable-error-code="arg-type,override"
"""A family of odd habits, one for each arm, and a study that runs it as a user's script does."""

from __future__ import annotations

import datetime
import logging
import sys
import warnings
from typing import Any, ClassVar, Literal

import numpy as np
import torch

from leadline import Scale, Study, configuration, knob, main
from leadline.measure import Measure
from tests.plugin.line.family import Line, LineConfig, LineTask

__all__ = ["HABITS", "STUDY"]

HABITS = ("none", "warns", "prints", "numpy", "loader", "exits", "unreadable")
"""What a trial does that others do not; `exits` and `unreadable` end as failed trials, the rest trains."""


@configuration
class HabitConfig(LineConfig):
    """The line's, with a habit."""

    habit: Literal["none", "warns", "prints", "numpy", "loader", "exits", "unreadable"] = knob(
        "none", "habit of a trial"
    )


class HabitTask(LineTask):
    """The line's task, with the configuration's habit."""

    def __init__(self, config: HabitConfig, data: Any, device: torch.device) -> None:
        super().__init__(config, data, device)
        self.rows: Any = None
        if config.habit == "loader":
            loader: Any = torch.utils.data.DataLoader(torch.arange(256), batch_size=config.batch, num_workers=1)
            self.rows = list(loader)

    def batch(self, step: int) -> Any:
        if self.config.habit == "warns":
            warnings.warn(f"step {step}: this is deprecated", stacklevel=1)
        if self.config.habit == "prints":
            print(f"at step {step}")
            logging.getLogger("habits").warning("logged at step %d", step)
        if self.config.habit == "exits" and step == 3:
            sys.exit("my data went missing")
        if self.config.habit == "loader":
            rows = self.rows[step % len(self.rows)]
            x, y = self.data["train"]
            return {"x": torch.tensor(x[rows]), "y": torch.tensor(y[rows])}
        return super().batch(step)

    def evaluate(self, split: Any) -> Any:
        scores = super().evaluate(split)
        if self.config.habit != "numpy":
            return scores
        mse = scores["mse"]
        units = np.asarray(mse.units, np.float32)
        return {
            "mse": Measure(np.float32(mse.value), np.int64(mse.n), np.float32(mse.low), np.float32(mse.high), units)
        }

    def facts(self, step: int) -> Any:
        return {"size": np.int64(step), "share": torch.tensor(0.5)} if self.config.habit == "numpy" else {}

    def samples(self, batch: Any) -> Any:
        return np.int64(len(batch["x"])) if self.config.habit == "numpy" else super().samples(batch)

    def state_dict(self) -> Any:
        return {"seen": datetime.date(2026, 1, 2)} if self.config.habit == "unreadable" else {}


class Habits(Line):
    """The plugin's line with odd habits."""

    name, Config = "habits", HabitConfig
    commands: ClassVar[dict[str, str]] = {}
    claims = figures = ""
    studies: ClassVar[dict[str, str]] = {}

    def task(self, config: HabitConfig, data: Any, device: torch.device) -> HabitTask:
        return HabitTask(config, data, device)


FAMILY = Habits()


def space(trial: Any, scale: str) -> dict[str, Any]:
    return {"lr": trial.suggest_categorical("lr", [0.1])}


STUDY = Study(
    name="habits",
    family="tests.fuzz.habits:FAMILY",
    space=space,
    stratify="habit",
    arms={habit: {"habit": habit} for habit in HABITS},
    scales={"laptop": Scale(7, 40, 20, 2, confirm=0, replicates=1, strata=HABITS)},
)

if __name__ == "__main__":
    main(STUDY, __doc__ or "")
