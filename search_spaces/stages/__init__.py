"""Search spaces of the study `stages`: does a staged curriculum beat joint training?"""
