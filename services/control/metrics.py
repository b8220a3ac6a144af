"""What control counts."""

from prometheus_client import Counter, Gauge

CLIENTS = Gauge("headworks_xds_clients", "ADS streams that are open.", ["kind"])
PUSHES = Counter("headworks_xds_pushes_total", "xDS responses sent.", ["type"])
ACKS = Counter("headworks_xds_acks_total", "xDS responses that a client accepted.", ["type"])
NACKS = Counter("headworks_xds_nacks_total", "xDS responses that a client refused.", ["type"])
REFUSED = Counter("headworks_xds_snapshots_refused_total", "Snapshots that were inconsistent and not served.")
VERSION = Gauge("headworks_topology_version", "Version of the topology that is served.")
REPLICAS = Gauge("headworks_topology_replicas", "Replicas in the topology.", ["service"])
