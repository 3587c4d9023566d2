"""Backends that are looked up in a map file: which they may be is in the file."""

import os
from pathlib import Path

import pytest

from lbctl.cli.app import main
from lbctl.dataplane.haproxy.existing.mapfiles import file_of, named, values
from lbctl.dataplane.haproxy.existing.merging import merged
from lbctl.dataplane.haproxy.existing.sections import read
from tests.unit.test_merged_again import LB, service

FILE = "/etc/haproxy/tenants.map"
CONFIG = """\
defaults
  mode http

frontend www
  bind :80
  acl tenant hdr(host),map({file}) -m found
  use_backend %[hdr(host),field(1,:),lower,map({file})] if tenant
  use_backend web_blue if {{ hdr(host) www.example.org }}
  default_backend sorry

backend web_blue
  cookie SRV insert indirect nocache
  server b1 10.0.0.1:80 cookie x1

backend web_green
  cookie SRV insert indirect nocache
  server g1 10.0.0.2:80 cookie x2

backend tenant_a
  server a1 10.0.0.3:80

backend sorry
  server s1 10.0.0.4:80
"""


@pytest.mark.parametrize(
    ("target", "file"),
    [
        (f"%[hdr(host),lower,map({FILE})]", FILE),
        (f"%[req.hdr(X-Team),lower,map_str({FILE},shop_blue)]", FILE),
        (f"%[path,map_beg({FILE},sorry)]", FILE),
        (f"%[src,map_ip({FILE})]", FILE),
        (f"%[hdr(host),map({FILE}),lower]", ""),
        (f"pool_%[hdr(host),map({FILE})]", ""),
        ("%[hdr(host),map(tenants.map)]", ""),
        ("%[hdr(host),lower]", ""),
        (f"%[hdr(host),map_regm({FILE})]", ""),
        ("web_blue", ""),
    ],
)
def test_a_backend_is_known_from_a_map_file_where_the_map_says_it_last_and_alone(target: str, file: str) -> None:
    assert file_of(target) == file


def test_the_values_of_a_map_file_are_read_as_haproxy_reads_them() -> None:
    found = values("# tenants\n\na.example.org tenant_a\n  b.example.org\t tenant_b  \nnothing\n")
    assert found == {"tenant_a", "tenant_b"}
    assert values("  #a pool_a\n#b pool_b\nc\x0bd pool_c \t\r\ne\u00a0f pool_d\ng  \nh pool\u2028h\ni pool_i\0x\n") == {
        "pool_a", "pool_c", "pool_d", "pool\u2028h", "pool_i"
    }  # fmt: skip
    assert named(f"%[hdr(host),map({FILE},sorry)]", {FILE: found}) == {"tenant_a", "tenant_b", "sorry"}
    assert named(f"%[hdr(host),map({FILE})]", {}) is None


@pytest.mark.parametrize(("rows", "ours"), [("a tenant_a\n", False), ("a tenant_a\nb web_green\n", True)])
def test_a_merge_warns_of_a_map_that_may_name_a_pool_and_of_no_other(rows: str, ours: bool) -> None:
    text = CONFIG.format(file=FILE)
    document = read([("haproxy.cfg", text)])
    document.maps[FILE] = values(rows)
    told = "\n".join(merged(text, document, LB, [service("web")])[1])
    assert ("haproxy.cfg:7: `use_backend" in told) is ours
    document.maps.clear()
    assert "may name a pool itself" in "\n".join(merged(text, document, LB, [service("web")])[1])


@pytest.mark.parametrize(
    ("rows", "active"),
    [
        ("a tenant_a\n", "active blue: haproxy.cfg:8 names web_blue alone"),
        ("a web_green\n", "active not known: haproxy.cfg:7 may name either"),
        (None, "active not known: haproxy.cfg:7 may name either"),
    ],
)
def test_import_reads_the_map_before_it_says_who_serves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], rows: str | None, active: str
) -> None:
    file, cfg = tmp_path / "tenants.map", tmp_path / "haproxy.cfg"
    cfg.write_text(CONFIG.format(file=file))
    if rows is not None:
        file.write_text(rows)
    main(["config", "import", str(cfg)])
    said = capsys.readouterr().err
    assert active in said
    assert ("is computed while HAProxy runs" in said) is (rows is None)
    beside = f"map({file})]` names web_green, past lbctl's split"
    assert (beside in said) is (rows == "a web_green\n"), "a map that names a pool is said as loudly as one not known"


@pytest.mark.parametrize("what", ["a pipe", "a directory", "a loop", "a device", "no text"])
def test_a_map_file_that_is_none_is_not_known_and_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    file, cfg = tmp_path / "tenants.map", tmp_path / "haproxy.cfg"
    cfg.write_text(CONFIG.format(file=file))
    made = {
        "a pipe": lambda: os.mkfifo(file),
        "a directory": file.mkdir,
        "a loop": lambda: file.symlink_to(file),
        "a device": lambda: file.symlink_to("/dev/zero"),
        "no text": lambda: file.write_bytes(b"\xff\0" * 1_000),
    }
    made[what]()
    main(["config", "import", str(cfg)])
    assert ("is computed while HAProxy runs" in capsys.readouterr().err) is (what != "no text")


def test_import_of_a_merged_file_says_who_knows_who_serves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = tmp_path / "haproxy.cfg"
    text = CONFIG.format(file=FILE)
    text = text.replace(next(line for line in text.splitlines() if "use_backend %[" in line), "")
    cfg.write_text(merged(text, read([("haproxy.cfg", text)]), LB, [service("web")])[0])
    main(["config", "import", str(cfg)])
    assert "is lbctl's own rule: lbctl status knows it" in capsys.readouterr().err
