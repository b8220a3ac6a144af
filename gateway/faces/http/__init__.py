"""HTTP, served by the gateway itself: routes, requests, statuses, errors and server-sent events."""
