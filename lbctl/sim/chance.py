"""How often what goes wrong. Every rate is a probability per tick, or per occasion where that is said."""

from dataclasses import dataclass, fields, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """All zero is a world without faults and without people."""

    crash: float = 0.0
    """Per boundary of an effect: the process dies there."""
    idle_crash: float = 0.0
    """Per tick: the process dies between two steps."""
    reboot: float = 0.0
    """Per crash: the whole host goes down, tokens are gone, load balancers restart."""
    late: float = 0.0
    """Per operation: it takes some ticks."""
    lost: float = 0.0
    """Per operation: it never lands."""
    mute: float = 0.0
    """Per operation: it lands, nobody hears of it."""
    stuck: float = 0.0
    """Per operation: it lands seconds later, in order."""
    refused: float = 0.0
    """Per operation: the load balancer refuses it."""
    unreadable: float = 0.0
    """Per tick and instance: it cannot be read for a while."""
    skipped: float = 0.0
    """Per tick and instance: no reading in this tick."""
    reload: float = 0.0
    restart: float = 0.0
    untold: float = 0.0
    """Per reload: the new life is read for a while before it tells its routes."""
    edit: float = 0.0
    """Per tick: a person changes a route by hand."""
    edit_boot: float = 0.0
    """Per tick: config management changes the boot value."""
    full: float = 0.0
    """Per tick: the disk is full for a while."""
    slow: float = 0.0
    """Per write: it takes long."""
    server_dies: float = 0.0
    pool_dies: float = 0.0
    errors: float = 0.0
    """Per tick: one pool or both begin to fail for a while."""
    checker: float = 0.0
    """Per tick: the health checker is late for a while, or suspect."""
    keeps_no_fence: float = 0.0
    """Per run: load balancers whose fence dies with the process."""
    person: float = 0.0
    """Per tick: somebody asks for something."""
    visit: float = 0.0
    """Per tick, generation and pool that would take it: a request of somebody who stays there."""
    stays: float = 0.0
    """Per visit: it lasts."""
    stray: float = 0.0
    """Per tick, instance and pool: a request comes by a way that lbctl does not steer."""
    leaves: float = 0.0
    """Per tick and instance: everybody leaves."""
    hooks: float = 0.0
    """Per run: the service has hooks before and after each step."""
    hook_fails: float = 0.0
    """Per question: it says no, or wants to go back, or answers late, or never."""
    cut_off: float = 0.0
    """Per tick: all users with a session but one cannot come for a while."""
    suspended: float = 0.0
    """Per tick: the whole host sleeps for a while, and everything goes on as if no time had passed."""
    torn: float = 0.0
    """Per reboot: the last record is damaged."""
    set_back: float = 0.0
    """Per reboot: the clock goes back to the last record."""
    jobs: float = 0.0
    """Per tick: a CI job claims, gives back, says ready or withdraws."""
    take_over: float = 0.0
    """Of a unit, per job: a person ends the other jobs of its service and it takes their claim over."""
    job_dies: float = 0.0
    """Of a unit, per tick and job: it is killed."""
    ready_late: float = 0.0
    ready_twice: float = 0.0
    """Of a unit, per job: it says so late, or once more than needed."""
    stops_old: float = 0.0
    """Of a unit, per tick and pool: CI stops an old pool that is certified."""
    meddles: float = 0.0
    """Of a unit, per tick and service: somebody withdraws what is ready, or gives back what is claimed."""
    regret: float = 0.0
    """Per tick while a release retires: somebody wants a rollback."""
    heal: float = 0.0
    """Per tick: one trouble ends."""

    def times(self, factor: float) -> "Rates":
        """Return all rates multiplied, for a gentler or rougher world."""
        return replace(self, **{one.name: getattr(self, one.name) * factor for one in fields(self)})


NONE = Rates()
FAULTS = Rates(
    crash=0.004,
    idle_crash=0.001,
    reboot=0.15,
    late=0.2,
    lost=0.02,
    mute=0.02,
    stuck=0.02,
    refused=0.01,
    unreadable=0.002,
    skipped=0.1,
    reload=0.003,
    restart=0.001,
    edit=0.002,
    edit_boot=0.0005,
    full=0.002,
    slow=0.05,
    server_dies=0.001,
    pool_dies=0.0005,
    errors=0.001,
    checker=0.001,
    keeps_no_fence=0.5,
    person=0.03,
    visit=0.03,
    stays=0.2,
    stray=0.003,
    leaves=0.03,
    regret=0.1,
    heal=0.06,
)
"""Enough of everything that most releases meet some of it, and little enough that many still end well."""
EVERYTHING = replace(FAULTS, hooks=0.4, hook_fails=0.2, suspended=0.001, untold=0.3, torn=0.5, set_back=0.5, jobs=0.01)
"""The same, with what the world can do besides: the planted mutants are looked for without it."""
TEAMS = replace(
    NONE,
    jobs=0.05,
    take_over=0.1,
    job_dies=0.01,
    ready_late=0.2,
    ready_twice=0.1,
    stops_old=0.05,
    meddles=0.003,
    visit=0.03,
    stays=0.2,
    leaves=0.03,
    heal=0.06,
)
"""Two teams at work on a unit whose load balancers, servers and daemon never fail."""
_MILD = FAULTS.times(0.4)
UNIT = replace(
    TEAMS,
    untold=0.3,
    suspended=0.001,
    **{
        one.name: getattr(_MILD, one.name)
        for one in fields(FAULTS)
        if getattr(FAULTS, one.name) and not getattr(TEAMS, one.name)
    },
)
"""All faults of one service for a unit, and less of each: it takes longer to go over, and still often does."""
