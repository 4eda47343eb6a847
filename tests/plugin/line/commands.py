"""`leadline slope SWEEP NUMBER`: the slope that a trial has learnt. The sweep decides whose command it is."""

from leadline import Command, Sweep


def arguments(parser):
    """A sweep of this family, and one of its trials."""
    parser.add_argument("sweep", metavar="SWEEP")
    parser.add_argument("number", type=int, metavar="NUMBER")


def run(given):
    """Prints the slope, which is 3 in truth."""
    model = Sweep.open(given.sweep).trial(given.number).load()
    print(f"slope {model.weight.item():.3f} of 3")


SLOPE = Command("the slope that a trial has learnt", arguments, run)
