"""The keys of a consumer: how a load balancer knows which of its pools calls."""

from lbctl.config import checks
from lbctl.config.atoms import HEADER
from lbctl.config.composite import Key, Section
from lbctl.config.hostkinds import Endpoint
from lbctl.config.kinds import Choice
from lbctl.model.topology import PinKind

CONSUMER = Section(
    {
        "pin": Key(
            kind=Choice(tuple(PinKind)),
            required=True,
            doc="What tells its pools apart: a `listener` for each, the `source` address, or a `header` passed on.",
        ),
        "blue": Key(
            kind=Endpoint("address", listens=True),
            doc="Pin `listener`: where its blue servers call this service, whichever pool of it answers.",
        ),
        "green": Key(
            kind=Endpoint("address", listens=True),
            doc="Pin `listener`: where its green servers call this service, whichever pool of it answers.",
        ),
        "header": Key(kind=HEADER, doc="Pin `header`: its name. Nobody else may be able to send it."),
    },
    (checks.consumer,),
)
