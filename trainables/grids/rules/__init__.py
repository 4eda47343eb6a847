"""Rules on small coloured grids, with as many inputs as one asks for.

There is one class of rules, scenes that draw inputs on which a rule shows, modules of answers, a
list of all rules with those that are trained and those that are held out, and a search that knows
the list.
"""
