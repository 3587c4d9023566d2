"""The effective config as YAML: every default filled in, secrets only by their reference."""

import json
from typing import Any

import yaml

from lbctl.config.nodes import core_scalar
from lbctl.config.settings import Config


class _Dumper(yaml.SafeDumper):
    """Lists stay indented under their key, and nothing is written as an alias."""

    def ignore_aliases(self, data: object) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Quote what YAML 1.1 and 1.2 read differently, so that any reader sees a text."""
    plain = yaml.SafeLoader.yaml_implicit_resolvers.get(value[:1], [])
    quoted = any(pattern.match(value) for _, pattern in plain) or not isinstance(core_scalar(value), str)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def config_text(config: Config) -> str:
    """Return the config as `lbctl config show` prints it. It can be loaded again and means the same."""
    header = f"# {config.path} with all defaults\n"
    plain: Any = json.loads(json.dumps(config.effective))
    return header + yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1_000)
