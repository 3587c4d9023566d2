"""The judge: is the candidate worse than active, so that traffic must go back now?

Pure functions over counters. Every tick the loop hands in one `Sample` and gets a new `Account` and a
`Verdict`; nothing here reads a clock, draws a random number or remembers anything outside the account.
"""

from lbctl.core.judge.account import Account, new_step
from lbctl.core.judge.decision import judge
from lbctl.core.judge.learned import Learned
from lbctl.core.judge.terms import Counts, Pair, Sample, Settings, Stream, Terms, Verdict, Window, Word

__all__ = [
    "Account",
    "Counts",
    "Learned",
    "Pair",
    "Sample",
    "Settings",
    "Stream",
    "Terms",
    "Verdict",
    "Window",
    "Word",
    "judge",
    "new_step",
]
