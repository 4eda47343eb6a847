"""The engine that runs a study: options, plan, search, decisions, the driver and its parent.

Only the package `ray` in it uses Ray. This file imports nothing, because a trial's process imports
modules of this package and needs no driver.
"""
