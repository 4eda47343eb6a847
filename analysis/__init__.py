"""What is learnt: open a sweep, rank, load the best checkpoint, report.

from analysis import Sweep

sweep = Sweep.open("results/lookahead-20260101-120000")
model = sweep.best(lookahead=100).load()
"""

from leadline.analysis.sweep import Sweep, TrialView

__all__ = ["Sweep", "TrialView"]
