"""The planner: what a plan will see of a fault at today's traffic, beforehand. Pure.

It speaks of a fault that begins with a step: seen with 90 % power within the time it names. It never guesses: where
the traffic is not known it says so.
"""

from lbctl.core.planner.better import Better
from lbctl.core.planner.cut import Forecast, cut, forecast, objection, way_out
from lbctl.core.planner.outlook import Outlook
from lbctl.core.planner.traffic import Aim, Source, Traffic, traffic

__all__ = [
    "Aim",
    "Better",
    "Forecast",
    "Outlook",
    "Source",
    "Traffic",
    "cut",
    "forecast",
    "objection",
    "traffic",
    "way_out",
]
