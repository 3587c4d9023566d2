"""All tests of lbctl. How patient its property tests are is said here once, for all of them.

What an input costs to draw says nothing about lbctl: the first text of a fresh checkout makes Hypothesis build its
table of Unicode, seconds on a busy machine, which failed whichever test came first. The same for how long one example
takes: what must be fast is measured in `tests/bench`.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
