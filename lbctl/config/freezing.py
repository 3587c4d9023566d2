"""The keys of a freeze window: when nothing goes forward, by the week or once."""

from datetime import datetime
from zoneinfo import ZoneInfo

from lbctl.config.atoms import REASON, WHEN, ZONE
from lbctl.config.composite import Items, Key, Section, Values
from lbctl.config.kinds import Choice
from lbctl.config.place import Place

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WEEKLY = len("18:00")


def window(values: Values) -> None:
    """By the week it has days and times of day; once it has two dates, the later one last. Its zone is known."""
    if not values.good("days", "from", "until", "zone"):
        return
    start, end = values["from"], values["until"]
    if (len(start) == WEEKLY) != (len(end) == WEEKLY) or (len(start) == WEEKLY) != bool(values["days"]):
        what = "neither times of day with days, nor two dates"
        weekly, once = '{days: [fri], from: "16:00", until: "24:00"}', '{from: "2026-12-20 18:00", until: …}'
        values.place.fault(what, f"write {weekly} or {once}")
        return
    if len(start) != WEEKLY and _dates(values, start, end) and end <= start:
        values.at("until").fault(f"{end} is not after {start}", "exchange them")
    if start == "24:00":
        values.at("from").fault("24:00 is the end of a day", 'write "00:00" of the next day')
    try:
        ZoneInfo(values["zone"])
    except (KeyError, OSError, ValueError):
        values.at("zone").fault(
            f"this host knows no time zone {values['zone']}", "write it as in Europe/Berlin, or UTC"
        )


def _dates(values: Values, *texts: str) -> bool:
    for key, text in zip(("from", "until"), texts, strict=True):
        try:
            datetime.fromisoformat(text)
        except ValueError:
            values.at(key).fault(f"there is no such date: {text}", "write it as 2026-12-20 18:00")
            return False
    return True


def some_days(found: list[str], places: list[Place]) -> None:
    """No day twice."""
    for index, day in enumerate(found):
        if day in found[:index]:
            places[index].fault(f"{day} twice", "delete one of them")


FREEZE = Items(
    Section(
        {
            "days": Key(
                kind=Items(Choice(DAYS), "[mon, …]", "name a day, as in [fri, sat]", 1, 7, check=some_days),
                doc="By the week: the days on which it begins.",
            ),
            "from": Key(kind=WHEN, required=True, doc='`"16:00"` with `days`, else `"2026-12-20 18:00"`.'),
            "until": Key(
                kind=WHEN,
                required=True,
                doc="As `from`. A time of day that is not later than `from` is that of the next day.",
            ),
            "zone": Key(kind=ZONE, default="UTC", doc="Whose time that is, as `Europe/Berlin`."),
            "reason": Key(kind=REASON, doc="For people."),
        },
        (window,),
    ),
    "[{days: [fri], from: TIME, until: TIME}, …]",
    "write a list of windows, or delete the key",
    0,
    100,
)
