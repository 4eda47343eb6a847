"""How a study is run: options, plan, search, decisions, the driver and its parent. `ray` alone knows Ray.

This file imports nothing: a trial's process imports modules of this package and needs no driver.
"""
