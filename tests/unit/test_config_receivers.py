"""The key `alerts`: every way to tell, every wrong one refused with its place and the next step, no secret shown."""

import re
from pathlib import Path
from typing import Any

import pytest

import lbctl
from lbctl.config.fault import ConfigError
from lbctl.config.settings import (
    AlertmanagerAlert,
    AppriseAlert,
    ChatHookAlert,
    Config,
    OtlpAlert,
    PagerDutyAlert,
    SlackAlert,
    TeamsAlert,
)
from lbctl.config.show import config_text
from tests.unit.config_texts import VALID, changed, config

CHAT = Path(lbctl.__file__).parents[1] / "docs" / "how-to" / "chat.md"
OLD = "exec: /usr/local/bin/page-ops"
CANARY = "c4nary-0123456789"


def read(tmp_path: Path, way: str, **secrets: str) -> Config:
    """Read a config whose only alert goes this way; the secrets are credentials."""
    for name, value in secrets.items():
        file = tmp_path / name
        file.write_text(value)
        file.chmod(0o600)
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    return config(changed((OLD, way)), environ=environ, file=tmp_path / "lbctl.yaml")


def refused(tmp_path: Path, way: str, **secrets: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, way, **secrets)
    text = caught.value.render()
    assert CANARY not in text
    return text


SLACK = 'slack: {token: {credential: token}, channel: "#deploys"}'


def test_slack_is_a_token_and_a_channel(tmp_path: Path) -> None:
    loaded = read(tmp_path, SLACK, token=f"xoxb-{CANARY}\n")
    (alert,) = loaded.alerts
    assert isinstance(alert, SlackAlert)
    assert (alert.token.value, alert.channel, alert.api) == (f"xoxb-{CANARY}", "#deploys", "https://slack.com/api")
    assert CANARY not in f"{loaded} {loaded!r} {alert!r} {loaded.effective}{config_text(loaded)}"
    assert "credential: token" in config_text(loaded)


PAGER = "pagerduty: {routing_key: {credential: key}}"


SHOWN = re.findall(r"^```yaml\n(.*?)^```$", CHAT.read_text(), re.MULTILINE | re.DOTALL)
SECRETS = {
    "slack-token": f"xoxb-{CANARY}",
    "chat-url": "https://chat.example/x",
    "teams-url": "https://teams.example/x",
    "pagerduty-key": "k" * 32,
    "alertmanager-auth": "Bearer x",
    "apprise-url": "tgram://x/y",
    "otlp-auth": "Bearer x",
}


@pytest.mark.parametrize("shown", SHOWN, ids=lambda text: re.findall(r"name: (\S+)", text)[0])
def test_what_the_page_shows_is_taken_as_it_stands(tmp_path: Path, shown: str) -> None:
    for name, value in SECRETS.items():
        (tmp_path / name).write_text(value)
        (tmp_path / name).chmod(0o600)
    text = VALID[: VALID.index("alerts:\n")] + shown
    loaded = config(text, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, file=tmp_path / "lbctl.yaml")
    assert len(loaded.alerts) == 1


@pytest.mark.parametrize(
    ("way", "api"),
    [
        (PAGER, "https://events.pagerduty.com"),
        (PAGER[:-1] + ", region: eu}", "https://events.eu.pagerduty.com"),
        (PAGER[:-1] + ", api: 'http://127.0.0.1:8080'}", "http://127.0.0.1:8080"),
    ],
)
def test_pagerduty_is_a_key_and_a_region(tmp_path: Path, way: str, api: str) -> None:
    loaded = read(tmp_path, way, key=CANARY.replace("-", "").ljust(32, "0"))
    (alert,) = loaded.alerts
    assert isinstance(alert, PagerDutyAlert)
    assert alert.api == api
    assert CANARY[:6] not in f"{loaded!r} {config_text(loaded)}"


AM = "alertmanager: {url: 'http://127.0.0.1:9093/am', authorization: {credential: auth}}"


def test_alertmanager_is_an_address_and_perhaps_a_password(tmp_path: Path) -> None:
    loaded = read(tmp_path, AM, auth=f"Bearer {CANARY}")
    (alert,) = loaded.alerts
    assert isinstance(alert, AlertmanagerAlert)
    assert alert.authorization is not None
    assert (alert.url, alert.authorization.value) == ("http://127.0.0.1:9093/am", f"Bearer {CANARY}")
    assert CANARY not in f"{loaded!r} {config_text(loaded)}"
    (open_one,) = read(tmp_path, "alertmanager: {url: 'http://am:9093'}").alerts
    assert isinstance(open_one, AlertmanagerAlert)
    assert open_one.authorization is None


TEAMS = "teams: {url: {credential: url}}"
CONNECTORS = (
    f"https://contoso.webhook.office.com/webhookb2/{CANARY}",
    f"https://CONTOSO.Webhook.Office.com:443/webhookb2/{CANARY}",
    f"https://outlook.office.com/webhook/{CANARY}",
    f"https://outlook.office365.com/webhook/{CANARY}",
    f"https://x@outlook.office.com/webhook/{CANARY}",
)


@pytest.mark.parametrize(
    "url",
    [
        f"https://prod-1.westeurope.logic.azure.com:443/workflows/ab/triggers/manual/paths/invoke?sig={CANARY}",
        f"https://a.b.environment.api.powerplatform.com:443/powerautomate/x?sig={CANARY}",
        f"https://proxy.example/webhook.office.com/{CANARY}",
    ],
)
def test_teams_is_the_address_of_a_workflow(tmp_path: Path, url: str) -> None:
    loaded = read(tmp_path, TEAMS, url=url)
    (alert,) = loaded.alerts
    assert isinstance(alert, TeamsAlert)
    assert alert.url.value == url
    assert CANARY not in f"{loaded!r} {config_text(loaded)}"


APPRISE = "apprise: {url: {credential: url}}"


def test_apprise_is_one_address(tmp_path: Path) -> None:
    loaded = read(tmp_path, APPRISE, url=f"tgram://{CANARY}/1")
    (alert,) = loaded.alerts
    assert isinstance(alert, AppriseAlert)
    assert CANARY not in f"{loaded!r} {config_text(loaded)}"


OTLP = "otlp: {url: 'http://127.0.0.1:4318', authorization: {credential: auth}}"


def test_traces_have_an_address_and_are_sent_at_every_end(tmp_path: Path) -> None:
    (tmp_path / "auth").write_text(f"Bearer {CANARY}")
    text = changed((f"{OLD}, on: [rollback, held, page]", OTLP))
    loaded = config(text, environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, file=tmp_path / "lbctl.yaml")
    (alert,) = loaded.alerts
    assert isinstance(alert, OtlpAlert)
    assert (alert.url, alert.on) == ("http://127.0.0.1:4318", {"finished", "cancelled", "rollback"})
    assert CANARY not in f"{loaded!r} {config_text(loaded)}"
    assert "  on:" not in config_text(loaded), "what is shown can be loaded again"


HOOK = "slack: {webhook: {credential: url}}"


def test_an_incoming_webhook_is_its_address_alone(tmp_path: Path) -> None:
    loaded = read(tmp_path, HOOK, url=f"https://chat.example/hooks/{CANARY}")
    (alert,) = loaded.alerts
    assert isinstance(alert, ChatHookAlert)
    assert CANARY not in f"{loaded!r} {config_text(loaded)}"
    assert "slack.com" not in config_text(loaded)


@pytest.mark.parametrize(
    ("way", "secrets", "warned"),
    [
        (HOOK, {"url": "http://chat.example/x"}, True),
        (HOOK, {"url": "http://127.0.0.1/x"}, False),
        (HOOK, {"url": "http://localhost.example/x"}, True),
        (HOOK, {"url": "http://127.example/x"}, True),
        (HOOK, {"url": "http://[::1]:9/x"}, False),
        (PAGER[:-1] + ", api: 'http://localhost:1'}", {"key": "k" * 32}, False),
        ("alertmanager: {url: 'http://am', authorization: {credential: auth}}", {"auth": "Bearer x"}, True),
        ("alertmanager: {url: 'http://am'}", {}, False),
    ],
)
def test_a_secret_that_goes_unencrypted_is_warned_of(
    tmp_path: Path, way: str, secrets: dict[str, Any], warned: bool
) -> None:
    found = read(tmp_path, way, **secrets).warnings
    assert [line.endswith("a secret goes there unencrypted; use https://") for line in found] == [True] * warned


@pytest.mark.parametrize(
    ("way", "secrets", "said"),
    [
        ("slack: {token: xoxb-1, channel: '#x'}", {}, "slack.token: a secret is written in the config; put it into"),
        (SLACK, {"token": f"xapp-{CANARY}"}, "credential token holds no bot token of Slack; install the app"),
        (SLACK, {"token": f"https://hooks.example/{CANARY}"}, "holds no bot token of Slack"),
        (SLACK.replace('"#deploys"', "deploys"), {"token": "xoxb-1"}, "'deploys' is not a channel; write its name"),
        (SLACK.replace('"#deploys"', '"#a b"'), {"token": "xoxb-1"}, "is not a channel"),
        (SLACK.replace('"#deploys"', '"<!channel>"'), {"token": "xoxb-1"}, "is not a channel"),
        (SLACK.replace("}}", "}}", 1)[:-1] + ", api: ftp://x}", {"token": "xoxb-1"}, "slack.api: "),
        (SLACK[:-1] + ", api: 'https://u:p@x/'}", {"token": "xoxb-1"}, "slack.api: "),
        (
            SLACK[:-1] + ", api: 'http://proxy/x'}",
            {"token": "xoxb-1"},
            "slack.api: the token would go there unencrypted",
        ),
        (
            SLACK[:-1] + ", api: 'http://127.0.0.1.example'}",
            {"token": "xoxb-1"},
            "unencrypted; use https://; http:// is",
        ),
        (PAGER[:-1] + ", api: 'http://10.0.0.9'}", {"key": "k" * 32}, "pagerduty.api: the routing key would go there"),
        (HOOK, {"url": f"chat.example/{CANARY}"}, "credential url holds no http:// or https:// address"),
        (HOOK[:-1] + ", channel: '#x'}", {"url": "https://x"}, "slack.channel: a key of a bot, beside webhook; delete"),
        ("slack: {channel: '#x'}", {}, "the key token is missing; give token and channel of a bot, or webhook alone"),
        ("slack: {}", {}, "the key channel is missing"),
        (PAGER, {"key": CANARY}, "credential key holds no integration key; take the key of an Events API v2"),
        (PAGER[:-1] + ", region: asia}", {"key": "k" * 32}, "pagerduty.region: expected us or eu"),
        ("alertmanager: {url: 'http://u:p@am:9093'}", {}, "alertmanager.url: "),
        ("alertmanager: {url: 'http://am/?x=1'}", {}, "alertmanager.url: "),
        (AM, {"auth": CANARY}, "credential auth holds no value of an Authorization header; write `Bearer TOKEN`"),
        (TEAMS, {"url": "teams.example"}, "credential url holds no http:// or https:// address"),
        *((TEAMS, {"url": old}, "which Microsoft has switched off; in Teams make a workflow") for old in CONNECTORS),
        (OTLP, {"auth": CANARY}, "credential auth holds no value of an Authorization header; write `Bearer TOKEN`"),
        (OTLP, {"auth": "Bearer x"}, "alerts[0].on: a trace is sent for every release that ends; delete on"),
        ("otlp: {url: 'ftp://x'}", {}, "otlp.url: "),
        (APPRISE, {"url": f"{CANARY}"}, "credential url holds no address of apprise; write one address into it"),
        (APPRISE, {"url": f"file:///etc/{CANARY}"}, "credential url holds no address of apprise"),
        (SLACK + ", exec: /bin/true", {"token": "xoxb-1"}, "exec and slack at once; give one of exec, webhook, slack"),
    ],
)
def test_what_cannot_be_is_refused_with_the_next_step(
    tmp_path: Path, way: str, secrets: dict[str, Any], said: str
) -> None:
    assert said in refused(tmp_path, way, **secrets)
