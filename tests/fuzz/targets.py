"""The list: every parser of foreign bytes, what it may raise, and how long it may take for 64 KiB."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from lbctl.cli.counterlines import Fault
from lbctl.config.fault import ConfigError
from lbctl.gate.attest import NoVersion
from lbctl.model.errors import Garbled, Refused, Unreachable
from lbctl.probe.answer import NotHttp
from lbctl.probe.frames import FrameError
from lbctl.store.codec import Damaged, Foreign
from lbctl.store.recording import Unreadable
from tests.fuzz import balancers, socket_peer, strangers

CORPUS = Path(__file__).parent / "corpus"
IN_LOOP_MS = 10.0
"""What runs in the daemon's event loop keeps it busy no longer than this."""
BESIDE_MS = 1_000.0
"""What runs in a thread, or in the command line, may take its time, but no more of it than the text is long."""


@dataclass(frozen=True, slots=True)
class Target:
    """One parser. It returns something, or raises one of `refusals`; `most_ms` is CPU time for 64 KiB."""

    name: str
    parse: Callable[[bytes], object]
    refusals: tuple[type[Exception], ...] = ()
    most_ms: float = IN_LOOP_MS

    @property
    def corpus(self) -> list[bytes]:
        """What it is tried with first: samples of the real thing, and what once broke it."""
        return [one.read_bytes() for one in sorted((CORPUS / self.name).iterdir())]

    def fed(self, data: bytes) -> bool:
        """Parse; return whether it was taken. Anything but a refusal by name is a finding, and gets out of here."""
        try:
            self.parse(data)
        except self.refusals:
            return False
        return True


_LIST = (
    Target("haproxy_answers", balancers.answers, (Garbled, Unreachable)),
    Target("haproxy_stat", balancers.show_stat, (Garbled,)),
    Target("haproxy_stat_weights", balancers.show_stat_weights, (Garbled,)),
    Target("haproxy_look_map", balancers.look_in_map, (Garbled, Unreachable)),
    Target("haproxy_look_weights", balancers.look_in_weights, (Garbled, Unreachable)),
    Target("haproxy_info", balancers.show_info, (Garbled,)),
    Target("haproxy_proc", balancers.show_proc),
    Target("haproxy_map", balancers.show_map),
    Target("haproxy_sess", balancers.show_sess),
    Target("haproxy_table", balancers.show_table),
    Target("haproxy_servers_state", balancers.servers_state),
    Target("haproxy_config", balancers.haproxy_config, (Garbled,), BESIDE_MS),
    Target("envoy_admin", balancers.admin_answer, (Garbled, OSError, asyncio.IncompleteReadError)),
    Target("envoy_server_info", balancers.server_info, (Garbled,)),
    Target("envoy_clusters", balancers.clusters, (Garbled,)),
    Target("envoy_stats", balancers.stats),
    Target("envoy_histograms", balancers.histograms),
    Target("envoy_config_dump", balancers.config_dump, (Garbled,)),
    Target("envoy_sessions", balancers.session_counters),
    Target("envoy_route_file", balancers.route_file),
    Target("request_log", balancers.request_log),
    Target("control_server", socket_peer.control_server),
    Target("control_frames", strangers.control_frames),
    Target("control_bodies", strangers.control_bodies),
    Target("control_queries", strangers.control_queries),
    Target("control_contracts", strangers.contracts, (Refused,)),
    Target("control_freezes", strangers.freeze_texts, (Refused,)),
    Target("probe_answer", strangers.probe_answer, (NotHttp,)),
    Target("prober_report", strangers.prober_report, (FrameError,)),
    Target("prober_targets", strangers.prober_targets, (FrameError,), BESIDE_MS),
    Target("version_text", strangers.version_text, (NoVersion,)),
    Target("version_json", strangers.version_json, (NoVersion,)),
    Target("hook_words", strangers.hook_words),
    Target("chat_reply", strangers.chat_reply),
    Target("apprise_complaint", strangers.apprise_complaint, (), BESIDE_MS),
    Target("text_for_people", strangers.text_for_people),
    Target("netlink", strangers.netlink, (), BESIDE_MS),
    Target("config", strangers.config, (ConfigError,), BESIDE_MS),
    Target("journal_record", strangers.journal_record, (Damaged, Foreign), BESIDE_MS),
    Target("journal_release", strangers.journal_release, (Damaged, Foreign), BESIDE_MS),
    Target("journal_entry", strangers.journal_entry, (Damaged, Foreign), BESIDE_MS),
    Target("kept_file", strangers.kept_file, (), BESIDE_MS),
    Target("judges_account", strangers.judges_account, (ValueError, msgspec.DecodeError, RecursionError), BESIDE_MS),
    Target("recording", strangers.recording, (Unreadable, ValueError, ArithmeticError), BESIDE_MS),
    Target("judge_lines", strangers.counter_lines, (Fault,), BESIDE_MS),
)
TARGETS = {one.name: one for one in _LIST}
