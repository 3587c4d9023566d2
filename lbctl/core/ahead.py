"""What a release that were cut now would see: the planner, at the traffic of this moment. Pure."""

from lbctl.core.judge import Learned
from lbctl.core.planner import Forecast, forecast, traffic
from lbctl.core.state import State
from lbctl.model.topology import Plan, Service


def ahead(state: State, service: Service, plan: Plan) -> Forecast:
    """Return what `plan` will see of a fault, by what was learned of active up to now."""
    known = state.learned.get(service.name, Learned())
    return forecast(plan, service.judge, traffic(known, service.judge))
