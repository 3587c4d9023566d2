"""A release before it happens: the user's own config, the real core, made-up traffic with made-up faults.

Unlike the rest of `lbctl.sim` this is not a proof but an answer to a question: what would lbctl do if the candidate
failed so? Nothing here meets a fault that was not asked for. Read in this order: script, setting, dice, edge, crowd,
weather, shell, rehearse.
"""
