"""Who is in flight at an old pool, in words: the few who stay are named, and how many others there are is said."""

from lbctl.core.emptiness import _in_flight
from lbctl.model.names import Colour, Generation, InstanceName, ServerName, ServiceName
from lbctl.model.reading import Holder, InstanceReading, PoolReading, ServiceReading
from lbctl.model.route import Route
from lbctl.model.units import Instant, Span

WEB, LB1 = ServiceName("web"), InstanceName("edge/lb1")
LIFE = Generation("1@0")


def words(count: int, *ages: int) -> str:
    holders = tuple(
        Holder(client=f"10.0.0.{n}:5", server=ServerName("blue-2"), age=Span(age), generation=LIFE)
        for n, age in enumerate(ages)
    )
    pool = PoolReading(servers={}, requests=0, errors=0, in_flight=count, holders=holders)
    seen = ServiceReading({LIFE: Route(0)}, Route(0), {Colour.BLUE: pool})
    return _in_flight(InstanceReading(Instant(0), LIFE, {WEB: seen}), WEB, Colour.BLUE, LB1, count)


def test_of_three_in_flight_the_one_that_stays_is_named_and_the_others_are_counted() -> None:
    head = "3 requests or connections are in flight at blue of web on edge/lb1"
    assert words(3, 62_000, 200) == f"{head}: 10.0.0.0:5 at blue-2 for 1m02s, and 2 for less than 1s or not named"
    assert words(3) == head


def test_of_many_who_stay_three_are_named() -> None:
    assert words(5, *[9_000] * 5).endswith("10.0.0.2:5 at blue-2 for 9s, and 2 more like these")
