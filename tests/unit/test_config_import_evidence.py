"""`lbctl config import` takes two pools for colours of one service only with evidence; else it asks, and says why."""

from pathlib import Path

import pytest

from tests.unit.test_config_import import HEAD, Captured, imported

TWO = """
frontend www
  bind *:80
{choices}
backend {blue}
  {more}
  server s1 10.0.0.1:80 check
backend {green}
  server s2 10.0.0.2:80 check {word}
"""
BY_HOST = "  use_backend {0} if {{ hdr(host) -i a.example }}\n  use_backend {1} if {{ hdr(host) -i b.example }}"
BY_PATH = "  acl old path_beg /v1/\n  use_backend {0} if old\n  default_backend {1}"
BY_COOKIE = "  use_backend {1} if {{ req.cook(next) 1 }}\n  default_backend {0}"
BY_COLOUR = "  use_backend {1} if {{ req.cook(c) green }}\n  use_backend {0} if {{ req.cook(c) blue }}"
WITHIN = "  acl shop hdr(host) -i a.example\n  use_backend {1} if shop {{ src 10.9.0.0/16 }}\n  use_backend {0} if shop"
ONE = "  default_backend {1}"
ELSEWHERE = "  default_backend {0}\nfrontend next\n  bind *:81\n  default_backend {1}"


def two(names: str, choices: str, more: str = "", word: str = "") -> str:
    blue, green = names.split()
    return HEAD + TWO.format(choices=choices.format(blue, green), blue=blue, green=green, more=more, word=word)


@pytest.mark.parametrize(
    "text",
    [
        two("web_blue web_green", BY_COOKIE),
        two("web_blue web_green", BY_COLOUR),
        two("web_blue web_green", WITHIN),
        two("web_stable web_canary", BY_COOKIE),
        two("web_blue web_green", ONE, more="http-request set-header X-Pool web_blue").replace(
            "  server s2", "  http-request set-header X-Pool web_green\n  server s2"
        ),
        two("web_a web_b", ONE),
        two("web_old web_new", ONE),
        HEAD + "listen web\n  bind :80\n  server w-old 10.0.0.1:80\n  server w-new 10.0.0.2:80 disabled\n",
    ],
)
def test_pools_between_which_a_request_has_the_choice_are_one_service(
    tmp_path: Path, capsys: Captured, text: str
) -> None:
    code, found = imported(tmp_path, capsys, text)
    assert (code, found["fill_in"]) == (0, [])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (two("tenant_a tenant_b", BY_HOST), "h.cfg:12: services.tenant: is tenant_b its other pool? tenant_a and"),
        (two("tenant_a tenant_b", BY_PATH), "a/b alone is no colour"),
        (two("api_old api_new", BY_PATH), "old/new alone is no colour"),
        (two("web_a web_b", BY_COOKIE), "a/b alone is no colour"),
        (two("shop_blue shop_green", BY_HOST), "are for different requests"),
        (two("api_blue api_green", BY_PATH), "are for different requests"),
        (two("web_blue web_green", ELSEWHERE), "which gets traffic elsewhere"),
        (two("web_blue web_green", ONE, word="backup"), "s2 is a `backup`"),
        (two("web_blue web_green", ONE, more="http-request set-path /v2"), "is in web_blue, and not in web_green"),
        (two("web_old web_new", "  use_backend {0} if {{ nbsrv({1}) eq 0 }}\n  default_backend {1}"), "is no colour"),
        (two("web_a web_b", "  use_backend %[req.hdr(x)]\n  default_backend {0}"), "is computed here"),
        (
            HEAD + "listen db\n  mode tcp\n  bind :5432\n  server pg_a 10.0.0.3:1\n  server pg_b 10.0.0.4:1\n",
            "one pool",
        ),
        (
            HEAD + "listen kv\n  mode tcp\n  bind :1\n  tcp-check expect string role:master\n"
            "  server kv_blue 10.0.0.3:1 check\n  server kv_green 10.0.0.4:1 check\n",
            "asks which of them leads",
        ),
    ],
)
def test_names_alone_are_asked_about_and_the_second_pool_stays_empty(
    tmp_path: Path, capsys: Captured, text: str, why: str
) -> None:
    code, found = imported(tmp_path, capsys, text)
    assert (code, found["complete"]) == (4, False)
    assert any(why in line for line in found["fill_in"]), found["fill_in"]
    serves = next((one["active"] for one in found["services"]), None)
    doubted = "blue" if serves == "green" else "green"
    assert any(f"pools.{doubted}: the pool is empty" in line for line in found["fill_in"])
    assert not any(f"pools.{serves}: the pool is empty" in line for line in found["fill_in"])


def test_who_serves_is_not_known_where_the_choice_is_computed(tmp_path: Path, capsys: Captured) -> None:
    text = two("web_blue web_green", "  use_backend %[req.hdr(host),map(/h.map)]\n  default_backend {0}")
    assert imported(tmp_path, capsys, text)[1]["services"][0]["active"] is None
