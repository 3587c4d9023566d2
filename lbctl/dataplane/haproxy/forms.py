"""Which form a service has on an HAProxy: the one place that knows all of them."""

from collections.abc import Sequence

from lbctl.dataplane.haproxy.form import Form
from lbctl.dataplane.haproxy.mapform import MapForm
from lbctl.dataplane.haproxy.weightsform import WeightsForm
from lbctl.model.errors import Garbled
from lbctl.model.topology import HaproxyForm, Instance, Service


def form_of(instance: Instance, service: Service, services: Sequence[Service]) -> Form:
    """Return how this instance holds the service's route, beside `services`. Raises Garbled."""
    if service.haproxy is None:
        raise Garbled(f"services.{service.name}.haproxy is missing: write which backends are its pools")
    match service.haproxy.form:
        case HaproxyForm.MAP:
            return MapForm(instance, service, service.haproxy, services)
        case HaproxyForm.WEIGHTS:
            return WeightsForm(instance, service, service.haproxy, services)
