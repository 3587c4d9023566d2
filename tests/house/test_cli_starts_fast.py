"""The command line imports neither a web framework nor a logging framework: its start is felt at every call."""

import subprocess
import sys

HEAVY = ("aiohttp", "structlog", "psutil", "prometheus_client", "sqlite3", "lbctl.daemon", "lbctl.core")


def test_the_command_line_imports_nothing_heavy() -> None:
    script = f"import sys, lbctl.cli.app; print([one for one in {HEAVY!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"


def test_the_judge_alone_imports_the_judge_alone() -> None:
    heavy = (*(one for one in HEAVY if one != "lbctl.core"), "yaml", "lbctl.config", "lbctl.core.machine", "asyncio")
    script = "import sys, lbctl.cli.app as app; app.main(['judge', '/dev/null'])"
    script += f"; print([one for one in {heavy!r} if one in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "[]"
