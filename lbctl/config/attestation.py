"""The key `version` of a service: how its servers are asked what they run."""

from lbctl.config.atoms import HEADER, HOST, URL_PATH
from lbctl.config.composite import Key, Section, Values
from lbctl.config.kinds import Flag, Text, Whole
from lbctl.model.attested import VersionCheck, VersionIn

_WAYS = ("http", "https")
_PLACES = tuple(VersionIn)
FIELD = Text(
    "a field of the answer",
    r"[A-Za-z0-9_-]{1,64}(\.[A-Za-z0-9_-]{1,64}){0,7}",
    "write its name, as in version, or build.version for one inside another",
)


def _version(values: Values) -> None:
    """One way to ask, and one place in the answer."""
    _only(values, _WAYS, "way to ask", "one of http, https, as in {http: /version, json: version}")
    _only(values, _PLACES, "place of the version", "one of json, header, text, as in {http: /version, json: version}")


def _only(values: Values, keys: tuple[str, ...], what: str, then: str) -> None:
    given = [key for key in keys if values.given(key)]
    if len(given) > 1 or not (given or values.refused):
        values.place.fault(f"{', '.join(given)} at once" if given else f"no {what}", f"give {then}")


VERSION = Section(
    {
        "http": Key(kind=URL_PATH, doc="GET this path over plain HTTP. One of http, https."),
        "https": Key(kind=URL_PATH, doc="GET this path over TLS; see `tls`."),
        "json": Key(kind=FIELD, doc="The version is in this field of a JSON answer. One of json, header, text."),
        "header": Key(kind=HEADER, doc="The version is in this header of the answer."),
        "text": Key(kind=Flag(only=True, words="`true`"), doc="The version is the whole body."),
        "port": Key(
            kind=Whole(words="1..65535", lowest=1, highest=65_535),
            default_words="the server's own",
            doc="Port to ask.",
        ),
        "host": Key(kind=HOST, default_words="the server's address", doc="The Host header of a question."),
    },
    (_version,),
)


def version_check(values: Values | None) -> VersionCheck | None:
    """Return how servers are asked; None if they are not."""
    if values is None:
        return None
    where = next(one for one in VersionIn if values.given(one))
    return VersionCheck(
        path=values["http"] or values["https"],
        tls=values.given("https"),
        where=where,
        name="" if where is VersionIn.TEXT else values[where],
        port=values["port"],
        host=values["host"],
    )
