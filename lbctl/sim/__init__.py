"""A small world on a virtual clock around the real decision core: load balancers, a disk, people, and every fault.

The world owns time and chance (one seed decides everything); the core in it is the one the daemon runs. `run.run`
gives one run, `python -m lbctl.sim` many. Read in this order: core, chance, balancer, disk, process, watch, people,
world, troubles, run.
"""
