"""Search spaces of the study `plateau`: what breaks the 71 % that a constant scores?"""
