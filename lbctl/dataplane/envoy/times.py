"""Times of requests from Envoy's own histograms: `upstream_rq_time` of each pool, as sketches that grow.

Checked on the real process: it counts every answer that came whole from a server, whatever its status, from the end of
the request to the last byte of the answer. It counts no WebSocket, however it ends, nothing that Envoy answers itself,
and no attempt that was repeated. An access log would tell nothing more that is judged, so there is none. Histograms are
merged at each flush (`stats_flush_interval`: 0.2 s as lbctl renders it, 5 s by default), so a time shows up later.
"""

from collections.abc import Mapping

from lbctl.dataplane.envoy.layout import cluster_name
from lbctl.model.digits import count
from lbctl.model.names import Colour, Generation
from lbctl.model.reading import Timing
from lbctl.model.sketch import Buckets, bucket_of
from lbctl.model.topology import Service
from lbctl.model.units import Instant

HISTOGRAM = "upstream_rq_time"
DETAILED = "&histogram_buckets=detailed"
"""Envoy's own bins, exact for whole milliseconds below 100 and 10 % wide or less above; their number is bounded."""
_TOTALS = "  totals="

Histograms = Mapping[str, Buckets]


def read_histograms(body: bytes) -> Histograms:
    """Return name → sketch of a text answer of `/stats` with detailed histograms; what is damaged is left out."""
    found: dict[str, Buckets] = {}
    name = ""
    for line in body.decode("utf-8", "replace").splitlines():
        if line.startswith(_TOTALS):
            found[name] = _sketch(line.removeprefix(_TOTALS))
        elif not line.startswith(" "):
            name = line.rstrip(":")
    return found


def timing(service: Service, generation: Generation, taken_at: Instant, histograms: Histograms) -> Timing:
    """Return what the requests of a service took since this Envoy began."""
    pools = {
        colour: histograms.get(f"cluster.{cluster_name(service.name, colour)}.{HISTOGRAM}", {}) for colour in Colour
    }
    return Timing(source=f"envoy {generation}", taken_at=taken_at, pools=pools)


def _sketch(totals: str) -> Buckets:
    """`30,1:2, 200,10:5`: 2 from 30 up to 31 ms, 5 from 200 up to 210. All of a bin counts as its middle."""
    buckets: dict[int, int] = {}
    for part in totals.split(", "):
        try:
            bin_, number = part.rsplit(":", 1)
            lower, width = map(float, bin_.split(","))
            bucket, found = bucket_of(lower + (width / 2 if width > 1 else 0.0)), count(number)
        except ValueError:
            continue
        buckets[bucket] = buckets.get(bucket, 0) + found
    return buckets
