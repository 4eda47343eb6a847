"""SCAN: commands in a small grammar, their answers, and rules that change the grammar."""
