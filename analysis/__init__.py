"""The laboratory's analysis of a sweep: open it, rank its trials, load the best one, report.

from analysis import Sweep

sweep = Sweep.open("results/lookahead-20260101-120000")
model = sweep.best(lookahead=100).load()
"""

from leadline.analysis.sweep import Sweep, TrialView

__all__ = ["Sweep", "TrialView"]
