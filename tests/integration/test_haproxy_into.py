"""lbctl's rules in a config of years: HAProxy takes it, without a warning that was not there before."""

import asyncio
import re
from pathlib import Path

import pytest

from lbctl.cli.app import main
from tests.conformance.haproxy_harness import require_haproxy

pytestmark = pytest.mark.haproxy
COMPLEX = Path(__file__).parents[1] / "existing" / "complex.cfg"
FILL_IN = re.compile(r"  # FILL IN, as 10\.0\.1\.21:8080")


async def checked(file: Path) -> tuple[int | None, list[str]]:
    """HAProxy's exit code and warnings, without their line numbers."""
    process = await asyncio.create_subprocess_exec(
        require_haproxy(), "-c", "-f", str(file), stderr=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL
    )
    _, err = await process.communicate()
    said = [line for line in err.decode().splitlines() if line.startswith(("[WARNING]", "[ALERT]"))]
    return process.returncode, sorted(re.sub(r"\(\d+\)|\[?[^ ]*\.cfg:\d+\]?", "", line) for line in said)


async def test_rules_for_three_services_of_a_config_of_years_are_valid(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "teams.map").write_text("a shop_blue\n")
    text = COMPLEX.read_text().replace("/etc/haproxy/teams.map", f"{tmp_path}/teams.map")
    text = re.sub(r"api-(blue|green)\.internal", "127.0.0.1", text)
    old, new = tmp_path / "old.cfg", tmp_path / "new.cfg"
    old.write_text(text)
    words = [str(old), "--map-dir", f"{tmp_path}/maps", "--only", "shop", "--only", "api", "--only", "mixed"]
    main(["config", "import", *words])
    numbers = iter(range(1, 100))
    config = tmp_path / "lbctl.yaml"
    proposal = re.sub(r'"127\.0\.0\.1:9000"', lambda _: f'"10.0.7.{next(numbers)}:9000"', capsys.readouterr().out)
    config.write_text(FILL_IN.sub(lambda _: f'"10.0.7.{next(numbers)}:9000"', proposal))
    actives = [word for name in ("shop", "api", "mixed") for word in ("--active", f"{name}=blue")]
    args = ["--config", str(config), "--into", str(old), "--write-maps", *actives]
    assert main(["config", "render", "haproxy", *args]) == 0, capsys.readouterr().err
    merged = capsys.readouterr().out
    new.write_text(merged)
    code, warnings = await checked(new)
    # The backend's number is not known before HAProxy has run: its servers go by their names.
    warnings = [line for line in warnings if "mixed': backend ID mismatch" not in line]
    before = [line for line in (await checked(old))[1] if "'mixed' configured to load server state file" not in line]
    assert (code, warnings) == (0, before), "its global state file was never there"
    kept = {line.strip() for line in merged.splitlines()}
    for line in text.splitlines():
        assert {line.strip(), f"# lbctl: was: {line.strip()}"} & kept, line
    assert main(["config", "render", "haproxy", *args[:3], str(new)]) == 0, "the config may change later"
    assert capsys.readouterr().out == merged, "its own lines are taken out first"
