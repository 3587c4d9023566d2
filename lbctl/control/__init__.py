"""The control API: HTTP/JSON and SSE on a unix socket, every request authorised by who its peer is."""
