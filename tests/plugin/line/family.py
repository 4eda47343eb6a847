"""The smallest family: fit a noisy line. What else it brings is named here and loaded when it is asked for."""

import numpy as np
import torch

from leadline import ConfigError, Family, Finding, Metric, Task, TrialConfig, configuration, knob, mean_over_units


@configuration
class LineConfig(TrialConfig):
    """y = 3x + noise; `steps`, `eval_every` and `seed` are there already."""

    lr: float = knob(0.1, "SGD learning rate", gt=0, le=10)
    batch: int = knob(8, "rows of a step", unit="rows", ge=1, le=256)


class LineTask(Task):
    def __init__(self, config, data, device):
        self.config, self.data, self.model = config, data, LINE.model(config).to(device)
        self.optimizers = [torch.optim.SGD(self.model.parameters(), lr=config.lr)]

    def batch(self, step):  # drawn by (seed, step), so that a resumed trial sees the same rows
        rows = np.random.default_rng([self.config.seed, step]).integers(0, 256, self.config.batch)
        return {name: torch.tensor(part[rows]) for name, part in zip("xy", self.data["train"], strict=True)}

    def losses(self, model, batch, progress):
        return {"mse": torch.mean((model(batch["x"]) - batch["y"]) ** 2)}

    def evaluate(self, split):
        x, y = self.data[split]
        return {"mse": mean_over_units((self.model(torch.tensor(x)).numpy() - y)[:, 0] ** 2, (0.0, np.inf))}


class Line(Family[LineConfig]):
    """A straight line through noisy points."""

    name, Config, objective = "line", LineConfig, "mse"
    metrics = (Metric("mse", "min", "rows", "mean squared error"),)
    commands = {"slope": "line.commands:SLOPE", "ablation": "line.commands:SLOPE"}
    claims = "line.claims:CLAIMS"
    studies = {"batch_size": "line.batch_size:STUDY"}
    figures = "line.figures:figures"

    def build_data(self, config):
        draws = np.random.default_rng(0).normal(size=(3, 2, 256, 1)).astype(np.float32)
        return {
            split: (x, 3 * x + noise / 10)
            for split, (x, noise) in zip(("train", "validation", "test"), draws, strict=True)
        }

    def audit(self, config, data):
        shared = np.isin(data["train"][0], [data["validation"][0], data["test"][0]]).sum()
        return [Finding("overlap", bool(shared), float(shared), f"{shared} training rows are also scored")]

    def baselines(self, config, data, split):
        return {"mean": {"mse": mean_over_units((data[split][1] - data["train"][1].mean())[:, 0] ** 2)}}

    def task(self, config, data, device):
        return LineTask(config, data, device)

    def model(self, config):
        torch.manual_seed(config.seed)
        return torch.nn.Linear(1, 1)

    def predict(self, model, inputs, config):  # from x to y
        if not isinstance(inputs, int | float):
            raise ConfigError(f"inputs: must be a number (got {inputs!r})")
        return model(torch.tensor([float(inputs)])).item()

    def example(self, config):
        return 0.5


LINE = Line()
