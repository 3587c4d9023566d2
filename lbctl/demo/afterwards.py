"""What can be done with the files that `lbctl demo --keep DIR` leaves: commands to copy, as they must be typed."""

import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from lbctl.demo.proxy import Proxy


def next_lines(directory: Path, proxy: Proxy, active: Mapping[str, str]) -> list[str]:
    """Return the lines to print: commands are indented, each works where it is pasted, in this order.

    `active`: the colour that serves, by service.
    The toy servers and the load balancer have ended with the demo; its config, record and logs are there.
    """
    config = shlex.quote(str(directory / "lbctl.yaml"))
    ask = f"{program('lbctl')} --socket {shlex.quote(str(directory / 'run' / 'control.sock'))}"
    render = f"{program('lbctl')} config render {proxy.driver} --config {config}"
    serving = "".join(f" --active {service}={colour}" for service, colour in active.items())
    lines = [
        f"kept in {directory}; its toy servers have ended with the demo",
        "the config with every default, and what the load balancer was given:",
        f"  {program('lbctl')} config show {config}",
        f"  {render}{serving}" if proxy.lbctl_starts_it else f"  {render}",
        "the record of both releases: start the daemon here, ask it from another terminal, end it with Ctrl-C",
        f"  {program('lbctld')} --config {config}",
        f"  {ask} history",
        f"  {ask} explain 2",
    ]
    if proxy.lbctl_starts_it:
        lines += [
            f"{proxy.name} outlives lbctld on purpose; end it last",
            f"  {program('lbctl')} envoy stop --config {config}",
        ]
    return lines


def program(name: str) -> str:
    """Return how a program of this installation is called: by name only where the shell finds this very one."""
    here = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if not here.exists() or (found is not None and Path(found).resolve() == here.resolve()):
        return name
    return shlex.quote(str(here))
