"""The keys of a unit: which services are released together, and how."""

from lbctl.config.atoms import NAME
from lbctl.config.composite import Items, Key, Section
from lbctl.config.kinds import Choice
from lbctl.config.services import PLAN_KEYS
from lbctl.core.board import MEMBERS_MAX
from lbctl.model.topology import Rendezvous

UNIT = Section(
    {
        "services": Key(
            kind=Items(NAME, "[SERVICE, SERVICE, …]", "name at least two services", 1, MEMBERS_MAX),
            required=True,
            doc="The services; the one that no other of them calls carries the split. Their plan is the unit's.",
        ),
        "rendezvous": Key(
            kind=Choice(tuple(Rendezvous)),
            default_words="contract where every ready version declares one, else all",
            doc="Which ready versions go together: by `contract`, `all` services of the unit, or `none`: each alone, "
            "unchecked.",
        ),
        **PLAN_KEYS,
    }
)
