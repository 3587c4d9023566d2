"""The processes that deliver for lbctld, in the sandbox of its unit: the kernel refuses them what the unit refuses."""

import json
import os
import platform
import subprocess
import sys

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

# What `SystemCallFilter=~@resources` with `SystemCallErrorNumber=EPERM` makes of setpriority (number 141 on x86-64).
SANDBOXED = """
import ctypes, os, runpy, struct, sys
LOAD, IF_EQUAL, RETURN, REFUSED, ALLOWED = 0x20, 0x15, 0x06, 0x00050001, 0x7FFF0000
rules = [(LOAD, 0, 0, 0), (IF_EQUAL, 0, 1, 141), (RETURN, 0, 0, REFUSED), (RETURN, 0, 0, ALLOWED)]
program = b"".join(struct.pack("HBBI", *rule) for rule in rules)
whole = struct.pack("HxxxxxxP", len(rules), ctypes.addressof(kept := ctypes.create_string_buffer(program)))
assert ctypes.CDLL(None).prctl(38, 1, 0, 0, 0) == 0 and ctypes.CDLL(None).prctl(22, 2, whole) == 0
try:
    os.nice(1)
except PermissionError:
    runpy.run_module(sys.argv[1], run_name="__main__")
"""
SPAN = {"number": 0, "name": "x", "start_ms": 1, "end_ms": 2, "failed": "", "attributes": {}, "events": []}


def sandboxed(module: str, asked: object) -> "subprocess.CompletedProcess[bytes]":
    if platform.machine() != "x86_64" or sys.platform != "linux":
        pytest.skip("the filter is written for Linux on x86-64")
    call = [sys.executable, "-c", SANDBOXED, module]
    quiet = {"PATH": os.environ["PATH"]}
    return subprocess.run(
        call, input=json.dumps(asked).encode(), capture_output=True, timeout=60, env=quiet, check=False
    )


def test_a_trace_is_written_though_the_priority_cannot_be_lowered() -> None:
    asked = {"trace_id": "0" * 31 + "1", "wall": "2026-05-01T10:00:00Z", "resource": {}, "spans": [SPAN]}
    done = sandboxed("lbctl.notify.otlp_child", asked)
    assert (done.returncode, done.stderr) == (0, b"")
    assert ExportTraceServiceRequest.FromString(done.stdout).resource_spans


def test_apprise_answers_though_the_priority_cannot_be_lowered() -> None:
    done = sandboxed("lbctl.notify.apprise_child", {"url": "nosuch://x/", "title": "", "body": "", "type": "info"})
    assert done.returncode == 4
    assert b"apprise cannot read the url" in done.stderr
