"""Questions to a trained Collatz network.

They are where it fails, which inputs matter, what it uses, and what further sight would bring. Each
module computes one answer from a `subject.Subject` and knows nothing of terminals; `commands` makes
them commands of `leadline`.
"""
