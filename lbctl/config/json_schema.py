"""JSON Schema of the config, for editors: from the same table as everything else."""

from typing import Any

from lbctl.config.schema import ROOT


def json_schema() -> dict[str, Any]:
    """Return the schema, draft 2020-12. It knows each key; what must fit together only `config validate` knows."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "lbctl config",
        **ROOT.json(),
    }
