"""The documentation says what the code does: generated pages, commands, codes and links are held against it."""

import ast
import importlib.util
import re
import shlex
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest

from lbctl.cli.app import lbctl
from lbctl.cli.failure import Exit
from lbctl.cli.reference import reference
from lbctl.config.load import load
from lbctl.config.words import ALERT_WORDS
from lbctl.control.routes import ROUTES
from lbctl.core.holds import UNKNOWN_CALLER
from lbctl.model.entry import Kind
from lbctl.notify.signature import headers

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
CODE = re.compile(r"([A-Z]{2,}(?:_[A-Z]+)+): ")
LINK = re.compile(r"\]\(([^)\s]+)\)")


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = _generator()


def _trees(*packages: str) -> Iterator[ast.Module]:
    for package in packages:
        for path in sorted((ROOT / "lbctl" / package).rglob("*.py")):
            yield ast.parse(path.read_text())


def _calls(*packages: str) -> Iterator[tuple[str, ast.Call]]:
    for tree in _trees(*packages):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                yield name, node


def _text(node: ast.expr | None) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _keyword(call: ast.Call, name: str) -> str | None:
    return next((_text(keyword.value) for keyword in call.keywords if keyword.arg == name), None)


def _codes_of_errors() -> set[str]:
    found: set[str | None] = set()
    for name, call in _calls("core", "control", "daemon", "dataplane"):
        if name in {"Refused", "_bad"}:
            found.add(_text(call.args[0]) if call.args else _keyword(call, "code"))
        elif name == "Problem":
            found.add(_keyword(call, "code"))
    for tree in _trees("core", "daemon"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Dict):
                literal = {_text(key): value for key, value in zip(node.keys, node.values, strict=True)}
                if "exit_code" in literal:
                    found.add(_text(literal.get("code")))
    return {code for code in found if code}


def _codes_of_holds() -> set[str]:
    found = {_text(call.args[0]) for name, call in _calls("core") if name == "Hold" and call.args}
    return {code for code in found if code}


def _codes_of_verdicts() -> set[str]:
    found: set[str | None] = set()
    for name, call in _calls("core/judge"):
        if name == "verdict" and len(call.args) > 1:
            found.add(_text(call.args[1]))
    for tree in _trees("core/judge"):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Tuple):
                names = [getattr(target, "id", "") for target in node.targets[0].elts]
                if "code" in names and isinstance(node.value, ast.Tuple):
                    found.add(_text(node.value.elts[names.index("code")]))
    return {code for code in found if code}


def _codes_of_lacks() -> set[str]:
    """What drivers and plan tell as `CODE: text`, and plan's own codes, which stand alone."""
    nodes = [node for tree in _trees("dataplane", "daemon", "model") for node in ast.walk(tree)]
    texts = [_text(node) for node in nodes if isinstance(node, ast.Constant)]
    found = {code[1] for text in texts if text is not None and (code := CODE.match(text))}
    found |= {_text(call.args[0]) or "" for name, call in _calls("daemon") if name == "_told"}
    # What the survey of an attached Envoy finds: the service, the code, the text.
    found |= {_text(call.args[1]) or "" for name, call in _calls("dataplane") if name == "lacks"}
    # Why the kernel's list of connections cannot be had: the code, the text.
    found |= {_text(call.args[0]) or "" for name, call in _calls("telemetry") if name == "Unusable"}
    return {code for code in found | _codes_of_dicts() if code.isupper()}


def _codes_of_dicts() -> set[str]:
    dicts = [node for tree in _trees("daemon") for node in ast.walk(tree) if isinstance(node, ast.Dict)]
    pairs = [pair for one in dicts for pair in zip(one.keys, one.values, strict=True)]
    return {_text(value) or "" for key, value in pairs if _text(key) == "code"}


def _first_cells(path: Path) -> set[str]:
    """The code words in the first cells of a page's tables."""
    rows = [line for line in path.read_text().splitlines() if line.startswith("| `")]
    return {word for row in rows for word in SPAN.findall(row.split("|")[1])}


@pytest.mark.parametrize("name", sorted(GENERATE.PAGES))
def test_a_generated_page_is_as_the_code_draws_it(name: str) -> None:
    assert (REFERENCE / name).read_text() == GENERATE.PAGES[name](), "run: python docs/generate.py"


def test_the_catalogue_of_the_journal_is_as_the_code_draws_it() -> None:
    assert GENERATE.CATALOG.read_text() == GENERATE.catalog(), "run: python docs/generate.py"


def test_every_kind_of_event_is_recorded_somewhere() -> None:
    used = {
        node.attr
        for tree in _trees("core", "daemon", "store")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "Kind"
    }
    assert used >= {kind.name for kind in Kind}


def test_every_error_code_is_explained_and_no_other() -> None:
    assert _first_cells(REFERENCE / "errors.md") == _codes_of_errors()


def test_every_hold_and_verdict_is_explained() -> None:
    codes = _codes_of_holds() | _codes_of_verdicts()
    assert {"token", "way_home", "shared_fault", "errors"} <= codes
    assert codes <= _first_cells(DOCS / "how-to" / "when-it-holds.md")


def test_every_code_of_plan_and_status_is_explained_and_no_other() -> None:
    told = _first_cells(REFERENCE / "limits.md") | _first_cells(DOCS / "how-to" / "plan.md")
    codes = {code for code in told if code.isupper()}
    assert {"NO_MASTER_SOCKET", "SHARE_FLOOR"} <= codes
    assert codes == _codes_of_lacks()


def test_every_finding_is_explained_and_no_other() -> None:
    found = {_text(call.args[0]) for name, call in _calls("dataplane", "doctor", "cli") if name == "Finding"}
    found |= {_text(call.args[0]) for name, call in _calls("cli") if name == "_fault"}
    found |= {_text(call.args[3]) for name, call in _calls("doctor") if name == "_too_small"}
    nodes = [node for tree in _trees("dataplane") for node in ast.walk(tree) if isinstance(node, ast.Assign)]
    found |= {_text(node.value) for node in nodes if getattr(node.targets[0], "id", "") == "CODE"}
    own = {code for code in found if code}
    assert own >= {"STALE_STATE_FILE", "OTHER_BALANCER", "QUEUE_SHORT"}
    assert own == _first_cells(REFERENCE / "doctor.md") | (own & _first_cells(REFERENCE / "limits.md"))


def test_every_exit_code_is_explained_and_no_other() -> None:
    rows = (REFERENCE / "exit-codes.md").read_text().splitlines()
    told = {int(found[1]) for row in rows if (found := re.match(r"\| (\d+) \|", row))}
    assert told == {int(code) for code in Exit}


def test_every_command_and_option_is_as_the_commands_say() -> None:
    assert (REFERENCE / "cli.md").read_text() == reference(), (
        "run: python -m lbctl.cli.reference > docs/reference/cli.md"
    )


def test_every_route_of_the_api_is_explained() -> None:
    page = (REFERENCE / "api.md").read_text()
    lacking = [
        route for route in ROUTES if route.path not in page and f"`…/{route.path.rsplit('/', 1)[1]}`" not in page
    ]
    assert [f"{route.method} {route.path}" for route in lacking] == []


def test_every_reason_to_wait_is_explained_by_its_code() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "lbctl" / "daemon").glob("*.py"))
    codes = {*re.findall(r"why_line\(\s*\"(\w+)\"", sources), UNKNOWN_CALLER}
    core = "".join(path.read_text() for path in (ROOT / "lbctl" / "core").glob("*.py"))
    holds = set(re.findall(r"Hold\(\s*\"(\w+)\"", core))
    api, held = (REFERENCE / "api.md").read_text(), (DOCS / "how-to" / "when-it-holds.md").read_text()
    assert len(codes) > 9
    assert sorted(code for code in codes if f"`{code}`" not in api.partition("/v1/why` has a `code`")[2]) == []
    assert sorted(code for code in holds if f"`{code}`" not in held) == []


def test_every_rule_for_prometheus_is_explained() -> None:
    rules = re.findall(r"- alert: (\w+)", (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    page = (DOCS / "how-to" / "metrics.md").read_text()
    assert [rule for rule in rules if f"`{rule}`" not in page] == []


def test_every_page_is_found_from_the_list_of_all() -> None:
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in LINK.findall((DOCS / "README.md").read_text())}
    pages = [page for page in DOCS.rglob("*.md") if page.parent.name != "decisions" and page != DOCS / "README.md"]
    assert [str(page.relative_to(DOCS)) for page in pages if page.resolve() not in listed] == []


def test_every_word_of_an_alert_is_named() -> None:
    page = (DOCS / "how-to" / "alerts.md").read_text()
    assert [word for word in ALERT_WORDS if f"`{word}`" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(page.read_text()) if "://" not in link]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


def _command_lines(page: Path) -> Iterator[tuple[str, bool]]:
    """Every `lbctl …` of a page, and whether it is a whole command line."""
    text = page.read_text()
    for language, block in FENCE.findall(text):
        if language not in {"", "bash"}:
            continue
        for line in block.replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|^sudo -u lbctl |\$\()lbctl ([^|>)&;#]+)", line)
            if found:
                yield found[1].strip(), "$" not in found[1]
    for span in SPAN.findall(FENCE.sub("", text)):
        if span.startswith("lbctl "):
            yield span.removeprefix("lbctl "), False


def _resolved(words: list[str]) -> tuple[click.Command, click.Context, list[str]]:
    command: click.Command = lbctl
    context = click.Context(lbctl, info_name="lbctl")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"there is no command {words[0]!r} in {context.command_path}"
        command, context, words = found, click.Context(found, info_name=words[0], parent=context), words[1:]
    return command, context, words


# cli.md is made from the commands themselves and shows synopses, not command lines.
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "cli.md"], ids=lambda page: page.name)
def test_commands_exist_and_take_what_is_written(page: Path) -> None:
    for line, whole in _command_lines(page):
        command, context, words = _resolved(shlex.split(line))
        known = {option for parameter in command.get_params(context) for option in parameter.opts}
        unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
        assert not unknown, f"lbctl {line}: {unknown}"
        if whole:
            command.make_context(command.name or "", words, parent=context.parent).close()


@pytest.mark.parametrize("config", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_the_configs_the_docs_start_from_are_valid(config: Path) -> None:
    assert load(str(config), uid=1_000, environ={"HOME": "/nonexistent"}).topology.services


def test_the_signature_check_shown_to_receivers_accepts_ours_and_nothing_else() -> None:
    blocks = dict(FENCE.findall((DOCS / "how-to" / "alerts.md").read_text()))
    shown: dict[str, Any] = {}
    exec(blocks["python"], shown)
    signed = headers("entry-1", b'{"a": 1}', "key", int(time.time()))
    assert shown["genuine"](signed, b'{"a": 1}', b"key")
    assert not shown["genuine"](signed, b'{"a": 2}', b"key")
    assert not shown["genuine"](headers("entry-1", b"{}", "key", int(time.time()) - 400), b"{}", b"key")


def test_the_readme_is_short_and_opens_with_its_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert re.findall(r"^make (\w+)", FENCE.findall(text)[0][1], re.MULTILINE) == ["demo", "test"]


def test_make_targets_in_the_docs_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {word for page in PAGES for word in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)}
    assert named <= targets


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_page_names_a_place_of_somebodys_machine(page: Path) -> None:
    assert not re.search(r"/work/|/tmp/|/home/[a-z]", page.read_text())
