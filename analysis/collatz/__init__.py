"""Questions to a trained Collatz network: where it fails, which inputs matter, what it uses, and what further sight would bring.

Each module computes one answer from a `subject.Subject` and knows nothing of terminals; `commands` asks them for `leadline`.
"""
