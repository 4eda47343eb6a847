"""Collatz Lyapunov networks."""
