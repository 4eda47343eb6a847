"""What a paper says of lines, to be set beside what a sweep has measured."""

from leadline import Claim
from leadline.analysis.claims import Outcome
from leadline.ledger.verdicts import Verdict


def best(sweep):
    """The best confirmed error, beside the noise that no line can explain."""
    row = next(iter(sweep.leaderboard()["confirmed"]), None)
    return row and Outcome(f"mean squared error {row['value']:.4g}", Verdict.AGREES)


CLAIMS = (Claim("a textbook", "A line fits a line.", "0.01, the variance of the noise", "any finished sweep", best),)
