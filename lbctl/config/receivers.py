"""The key `alerts`: who is told, by which service. Secrets are references; what is no secret stands in the config."""

import ipaddress
import re
from typing import Any
from urllib.parse import urlsplit

from lbctl.config.atoms import NAME
from lbctl.config.composite import Items, Key, Section, Values
from lbctl.config.hostkinds import Argv
from lbctl.config.kinds import Choice, Text
from lbctl.config.place import BAD
from lbctl.config.secret import Secret, SecretRef, url_fault
from lbctl.config.settings import (
    Alert,
    AlertmanagerAlert,
    AppriseAlert,
    ChatHookAlert,
    ExecAlert,
    OtlpAlert,
    PagerDutyAlert,
    SlackAlert,
    TeamsAlert,
    WebhookAlert,
)
from lbctl.config.words import ALERT_DEFAULT, ALERT_WORDS

ENDS = frozenset({"finished", "cancelled", "rollback"})
"""What a trace is made of: the end of a release."""
WAYS = ("exec", "webhook", "slack", "teams", "pagerduty", "alertmanager", "apprise", "otlp")
"""Each alert has one of these."""
SLACK_API = "https://slack.com/api"
PAGERDUTY_APIS = {"us": "https://events.pagerduty.com", "eu": "https://events.eu.pagerduty.com"}

_API = Text("an address", r"https?://[A-Za-z0-9._:\[\]-]+(/[A-Za-z0-9._~/-]*)?", "write it as https://HOST/PATH")
_ROOM = Text(
    "a channel",
    r"#[^\s#@<>&,]{1,80}|[CGD][A-Z0-9]{6,20}",
    'write its name in quotes, as "#deploys", or its id, as C0123456789',
)
_OLD_CONNECTOR = re.compile(
    r"https?://([^/@]*@)?(([a-z0-9-]+\.)*webhook\.office\.com|outlook\.office(365)?\.com)([:/?#]|$)", re.IGNORECASE
)
_WHERE = "write the whole URL into it"


def alerts_of(items: list[Values]) -> tuple[Alert, ...]:
    """Return the alerts; nothing can be wrong with them any more."""
    return tuple(_alert(values) for values in items)


def _alert(values: Values) -> Alert:
    way = next(key for key in WAYS if values.given(key))
    name, on, given = values["name"], frozenset(values["on"]), values[way]
    match way:
        case "exec":
            return ExecAlert(name=name, argv=given, on=on)
        case "webhook":
            return WebhookAlert(name=name, url=given["url"], secret=given["secret"], on=on)
        case "pagerduty":
            api = given["api"] or PAGERDUTY_APIS[given["region"]]
            return PagerDutyAlert(name=name, routing_key=given["routing_key"], api=api, on=on)
        case "alertmanager":
            return AlertmanagerAlert(name=name, url=given["url"], authorization=given["authorization"], on=on)
        case "apprise":
            return AppriseAlert(name=name, url=given["url"], on=on)
        case "otlp":
            return OtlpAlert(name=name, url=given["url"], authorization=given["authorization"], on=ENDS)
        case "teams":
            return TeamsAlert(name=name, url=given["url"], on=on)
        case _ if given.given("webhook"):
            return ChatHookAlert(name=name, url=given["webhook"], on=on)
        case _:
            return SlackAlert(name=name, token=given["token"], channel=given["channel"], api=given["api"], on=on)


def _one_way(values: Values) -> None:
    """An alert goes one way."""
    ways = [key for key in WAYS if values.given(key)]
    if len(ways) != 1 and not (values.refused and not ways):
        what = " and ".join(ways) + " at once" if ways else "no receiver"
        values.place.fault(what, f"give one of {', '.join(WAYS)}")


def _traces(values: Values) -> None:
    """A trace is sent when a release has ended, and at no other time."""
    if not values.given("otlp"):
        return
    values.hidden = frozenset({"on"})
    if values.given("on"):
        values.at("on").fault("a trace is sent for every release that ends", "delete on")


def _webhook(values: Values) -> None:
    """The URL is one."""
    _url(values, "url")


def _url(values: Values, key: str) -> None:
    problem = url_fault(values[key])
    if problem:
        values.at(key).fault(problem, _WHERE)
    elif isinstance(values[key], Secret):
        _open(values, key, values[key].value)


def _open(values: Values, key: str, url: Any) -> None:
    """Warn of a secret that anybody on the way can read."""
    if _is_readable(url):
        values.at(key).warn("a secret goes there unencrypted", "use https://")


def _sealed(values: Values, whose: str) -> None:
    """A key that opens a whole account leaves this host only encrypted."""
    if _is_readable(values["api"]):
        then = "use https://; http:// is only for a proxy on this host, as in http://127.0.0.1:8080"
        values.at("api").fault(f"{whose} would go there unencrypted", then)


def _is_readable(url: Any) -> bool:
    """Whether anybody on the way can read what goes there."""
    if not isinstance(url, str) or not url.lower().startswith("http://"):
        return False
    try:
        host = urlsplit(url).hostname or ""
        return host != "localhost" and not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return True


def _slack(values: Values) -> None:
    """A bot or an incoming webhook. The token is one that may write, neither of another kind nor an address."""
    if values.given("webhook"):
        _url(values, "webhook")
        for key in ("token", "channel", "api"):
            if values.given(key):
                values.at(key).fault("a key of a bot, beside webhook", "delete it, or delete webhook")
        values.hidden = frozenset({"api"})
        return
    for key in ("token", "channel"):
        if not values.given(key) and not values.refused:
            values.place.fault(f"the key {key} is missing", "give token and channel of a bot, or webhook alone")
    _sealed(values, "the token")
    _fits(values, "token", r"xox[bp]-\S+", "no bot token of Slack", "install the app and take its Bot User OAuth Token")


def _pagerduty(values: Values) -> None:
    """The key is of the form that PagerDuty gives out: a wrong one is taken by it and comes to nothing."""
    what, then = "no integration key", "take the key of an Events API v2 integration: 32 letters and digits"
    _sealed(values, "the routing key")
    _fits(values, "routing_key", r"[0-9A-Za-z]{32}", what, then)


def _alertmanager(values: Values) -> None:
    """The header names its scheme."""
    then = "write `Bearer TOKEN` or `Basic BASE64` into it"
    if values.given("authorization"):
        _open(values, "url", values["url"])
    _fits(values, "authorization", r"[A-Za-z]+ [!-~]+", "no value of an Authorization header", then)


def _teams(values: Values) -> None:
    """Addresses of the old connectors are refused: Microsoft has switched them off."""
    _url(values, "url")
    url: Any = values["url"]
    if isinstance(url, Secret) and _OLD_CONNECTOR.match(url.value):
        what = f"{url.source} holds the address of an Office 365 connector, which Microsoft has switched off"
        values.at("url").fault(what, "in Teams make a workflow `Send webhook alerts to a channel` and take its address")


def _apprise(values: Values) -> None:
    """The address is one, and not that of a file with more of them."""
    then = "write one address into it, as in tgram://TOKEN/CHAT"
    _fits(values, "url", r"(?!file:)[a-z][a-z0-9]{1,30}://\S+", "no address of apprise", then)


def _fits(values: Values, key: str, pattern: str, what: str, then: str) -> None:
    """Refuse a secret of the wrong shape, without showing it. An empty one was not read: that is checked elsewhere."""
    secret: Any = values[key]
    if secret is BAD or secret is None or not isinstance(secret, Secret) or not secret.value:
        return
    if not re.fullmatch(pattern, secret.value):
        values.at(key).fault(f"{secret.source} holds {what}", then)


_SIGNED = Section(
    {
        "url": Key(kind=SecretRef(), required=True, doc="Where to POST."),
        "secret": Key(kind=SecretRef(), required=True, doc="The key of the signature."),
    },
    (_webhook,),
)
_SLACK = Section(
    {
        "token": Key(kind=SecretRef(), doc="The app's Bot User OAuth Token, `xoxb-…`; with channel."),
        "channel": Key(kind=_ROOM, doc="A channel that the bot is a member of."),
        "api": Key(kind=_API, default=SLACK_API, doc="Where Slack's Web API is; others only for a proxy or GovSlack."),
        "webhook": Key(kind=SecretRef(), doc="Instead of a bot: the URL of an incoming webhook, Mattermost's too."),
    },
    (_slack,),
)
_PAGERDUTY = Section(
    {
        "routing_key": Key(kind=SecretRef(), required=True, doc="The integration key of an Events API v2 integration."),
        "region": Key(kind=Choice(tuple(PAGERDUTY_APIS)), default="us", doc="Where the account is."),
        "api": Key(kind=_API, doc="Where the Events API is, instead of the region's; only for a proxy."),
    },
    (_pagerduty,),
)
_ALERTMANAGER = Section(
    {
        "url": Key(kind=_API, required=True, doc="Where it is, as in http://127.0.0.1:9093."),
        "authorization": Key(kind=SecretRef(), doc="The whole value of the Authorization header, as in `Bearer …`."),
    },
    (_alertmanager,),
)
_TEAMS = Section(
    {"url": Key(kind=SecretRef(), required=True, doc="The address of a workflow that posts what it is sent.")},
    (_teams,),
)
_APPRISE = Section(
    {"url": Key(kind=SecretRef(), required=True, doc="One address as apprise writes it, as in `tgram://…`.")},
    (_apprise,),
)

_OTLP = Section(
    {
        "url": Key(kind=_API, required=True, doc="Where the receiver is, as in http://127.0.0.1:4318."),
        "authorization": Key(kind=SecretRef(), doc="The whole value of the Authorization header, as in `Bearer …`."),
    },
    (_alertmanager,),
)

ALERT = Section(
    {
        "name": Key(kind=NAME, required=True, doc="For `lbctl notify test NAME`."),
        "exec": Key(kind=Argv(), doc=f"Run a program with the alert on its stdin. One of {', '.join(WAYS)}."),
        "webhook": Key(kind=_SIGNED, doc="POST signed JSON."),
        "slack": Key(
            kind=_SLACK,
            doc="A bot with one message for each release, or an incoming webhook.",
        ),
        "teams": Key(kind=_TEAMS, doc="A card in Microsoft Teams by a workflow."),
        "pagerduty": Key(kind=_PAGERDUTY, doc="What needs a person is an incident until it is over."),
        "alertmanager": Key(kind=_ALERTMANAGER, doc="What needs a person fires until it is over."),
        "apprise": Key(kind=_APPRISE, doc="All other services, by apprise (the extra `notify`)."),
        "otlp": Key(
            kind=_OTLP, doc="A trace of every release that ended, to an OpenTelemetry receiver (the extra `otel`)."
        ),
        "on": Key(
            kind=Items(Choice(ALERT_WORDS), "[rollback, held, page]", "name what it is told of", 1, len(ALERT_WORDS)),
            default=list(ALERT_DEFAULT),
            doc="What it is told of; `page`: everything a person must act on.",
        ),
    },
    (_one_way, _traces),
)
