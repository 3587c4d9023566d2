"""The first words of lines in a proxy that lbctl has an opinion of, or knows to be no concern of a split. Pure."""

from collections.abc import Iterator

from lbctl.dataplane.haproxy.existing.sections import Document, Remark

READ = frozenset(
    {
        "bind", "mode", "balance", "cookie", "server", "server-template", "default-server", "use_backend",
        "default_backend", "option", "http-check", "timeout", "stick", "stick-table", "load-server-state-from-file",
        "server-state-file-name", "no", "default", "force-persist", "ignore-persist", "use-server", "description",
    }
)  # fmt: skip
NO_CONCERN = frozenset(
    {
        "acl", "http-request", "http-response", "http-after-response", "tcp-request", "tcp-response", "log",
        "log-format", "log-format-sd", "log-tag", "log-steps", "error-log-format", "errorfile", "errorfiles",
        "errorloc", "errorloc302", "errorloc303", "http-error", "capture", "compression", "filter", "id", "guid",
        "maxconn",
        "fullconn", "retries", "retry-on", "rate-limit", "redirect", "monitor-uri", "monitor", "monitor-net", "stats",
        "source", "http-reuse", "hash-type", "hash-balance-factor", "hash-preserve-affinity", "backlog", "declare",
        "email-alert", "enabled", "grace", "max-keep-alive-queue", "max-session-srv-conns", "unique-id-format",
        "unique-id-header", "http-send-name-header", "external-check", "tcp-check", "clitcpka-cnt", "clitcpka-idle",
        "clitcpka-intvl", "srvtcpka-cnt", "srvtcpka-idle", "srvtcpka-intvl", "persist", "rdp-cookie", "use-fcgi-app",
        "quic-initial", "tune", "log-profile", "bind-process", "crt",
    }
)  # fmt: skip


def strangers(document: Document) -> Iterator[Remark]:
    """Yield every line of a proxy or of its defaults that lbctl does not know."""
    for section in document.of("defaults", "frontend", "listen", "backend"):
        for line in section.lines:
            if line.key == "disabled":
                yield Remark(line.place, f"{section.kind} {section.name} is `disabled`: it takes no traffic")
            elif line.key not in READ | NO_CONCERN:
                text = f"`{line.key}` in {section.kind} {section.name}: lbctl does not know it"
                yield Remark(line.place, f"{text}: does it choose servers or backends?")
