"""Search spaces of the study `encoder`: does an encoder of demonstrations learn rules, or tasks?"""
