"""A stage of the demo with everything on that watches a daemon: metrics, dashboard, a chat."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lbctl.demo.ground import Daemon, directory_of, running
from lbctl.demo.ports import free_port
from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import Stage, configured
from lbctl.demo.toypool import ToyPool
from tests.integration.chat_services import SlackApi
from tests.integration.chat_services import running as serving

TOKEN = "xoxb-1-c4nary"


@dataclass(frozen=True, slots=True)
class Watched:
    """The stage, the chat that it tells, and where Prometheus and browsers look."""

    here: Stage
    chat: SlackApi
    metrics: int
    dashboard: int

    @property
    def daemon(self) -> Daemon:
        """The lbctld of the stage."""
        return self.here.daemon


def alerts(chat: SlackApi, directory: Path) -> str:
    """Return the config's list: one chat which is told everything."""
    token = directory / "slack-token"
    token.write_text(TOKEN)
    token.chmod(0o400)
    where = f'token: {{file: {token}}}, channel: "#deploys", api: "{chat.url}/api"'
    return f"[{{name: deploys, slack: {{{where}}}}}]"


def watching(text: str, metrics: int, dashboard: int) -> str:
    """Return a config with metrics and dashboard served."""
    keys = f"daemon:\n  metrics: 127.0.0.1:{metrics}\n  dashboard: 127.0.0.1:{dashboard}\n"
    return text.replace("daemon:\n", keys, 1)


@asynccontextmanager
async def watched(proxy: Proxy, plan: str, *, servers: int = 3, drain: str) -> AsyncIterator[Watched]:
    """Set it up; leave no process and no file."""
    async with AsyncExitStack() as stack:
        directory = directory_of(stack, None)
        chat = await stack.enter_async_context(serving(SlackApi(token=TOKEN)))
        pools = {
            colour: await stack.enter_async_context(await ToyPool.start(colour, version, servers=servers))
            for colour, version in (("blue", "1.0.0"), ("green", "2.0.0"))
        }
        port, metrics, dashboard = free_port(), free_port(), free_port()
        text = configured(directory, proxy, port, pools, plan, alerts=alerts(chat, directory), drain=drain)
        text = watching(text, metrics, dashboard)
        daemon, control = await stack.enter_async_context(running(directory, proxy, text))
        here = Stage(directory, directory / "lbctl.yaml", proxy, port, pools, control, daemon)
        yield Watched(here, chat, metrics, dashboard)
