"""A figure for the report: error against learning rate, a point for each trial."""

import plotly.graph_objects as go

from leadline.analysis.report.figures import Figure


def figures(sweep):
    """All figures of this family for a sweep."""
    ended = [trial for trial in sweep.trials if trial.reports]
    points = go.Scatter(
        x=[trial.config["lr"] for trial in ended],
        y=[trial.reports[-1].value("validation/mse") for trial in ended],
        mode="markers",
    )
    return [Figure("Error against learning rate", "Each point is the last report of a trial.", go.Figure(points))]
