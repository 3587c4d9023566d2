"""The decision core: what was seen and asked goes in, decisions and operations come out.

Sans-IO: no I/O, no clock, no randomness, no asyncio; `now` is an argument. `machine.step` is the only door, and both
the daemon and the simulator drive it. Read in this order: transitions, targets, reconcile, wellness, evidence, holds,
rules, requests, machine.
"""
