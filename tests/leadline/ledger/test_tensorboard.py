from __future__ import annotations

from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboardX.proto.plugin_hparams_pb2 import HParamsPluginData

from leadline.ledger import tensorboard
from leadline.ledger.history import History
from leadline.storage import Folder
from tests.leadline.engine.test_director import BASE, Simulation


def written(history: History, folder: Path, run: str) -> tuple[dict[str, Any], list[str]]:
    """The hyperparameters of a run, and the names of its values."""
    tensorboard.write(history, Folder.at(str(folder)))
    found = EventAccumulator(str(folder / run / "hparams"))
    found.Reload()
    content = HParamsPluginData.FromString(found.PluginTagToContent("hparams")["_hparams_/session_start_info"])
    held = content.session_start_info.hparams
    return {name: getattr(one, one.WhichOneof("kind")) for name, one in held.items()}, found.Tags()["scalars"]


def test_an_integer_that_no_float_holds_keeps_its_digits(tmp_path: Path) -> None:
    history = Simulation(BASE).run().director.history
    history.trials[0].config |= {"seed": 2**63 - 1, "small": 2**53, "widths": [2, 0.12345678901], "none": None}
    held, _ = written(history, tmp_path, "trial-0000")
    assert {name: held[name] for name in ("seed", "small", "widths", "none")} == {
        "seed": "9223372036854775807",
        "small": 2.0**53,
        "widths": "2,0.12345678901",
        "none": "None",
    }


def test_a_trial_without_a_value_has_its_hyperparameters(tmp_path: Path) -> None:
    history = Simulation(BASE).run().director.history
    assert written(history, tmp_path, "trial-0000")[1] == ["validation/error"]
    history.trials[0].reports.clear()
    held, values = written(history, tmp_path, "trial-0000")
    assert held["lr"] == history.trials[0].config["lr"]
    assert values == []
