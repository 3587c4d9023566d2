"""The OpenAPI document, made from the route table and the forms. Pure."""

import re
from typing import Any

import msgspec

from lbctl.control.answers import ProblemAnswer
from lbctl.control.routes import ROUTES, Query, Route

Json = dict[str, Any]
_REF = "#/components/schemas/{name}"
_IN_PATH = re.compile(r"\{(\w+)\}")


def document(version: str) -> Json:
    """Return the document of this version of lbctl."""
    forms = list({form: None for route in ROUTES for form in (route.body, route.answer) if form is not None})
    _, components = msgspec.json.schema_components([*forms, ProblemAnswer], ref_template=_REF)
    paths: dict[str, Json] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "lbctl control socket", "version": version},
        "servers": [{"url": "http://lbctl", "description": "a unix socket; the host is not looked at"}],
        "paths": paths,
        "components": {"schemas": components},
    }


def _operation(route: Route) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": (route.handle.__doc__ or "").strip(),
        "description": f"Needs the role `{route.need.name.lower()}`.",
        "parameters": [*_path_parameters(route), *(_parameter(query) for query in route.query)],
        "responses": {
            str(route.status): _answer(route),
            "default": _content(ProblemAnswer, "application/problem+json"),
        },
    }
    if route.body is not None:
        operation["requestBody"] = _content(route.body, "application/json")
    return operation


def _answer(route: Route) -> Json:
    if route.answer is None:
        kind = "object" if route.media.endswith("yaml") else "string"
        return {"description": "text", "content": {route.media: {"schema": {"type": kind}}}}
    return _content(route.answer, "application/json")


def _content(form: type[msgspec.Struct], media: str) -> Json:
    words = " ".join((form.__doc__ or "").split())
    return {"description": words, "content": {media: {"schema": {"$ref": _REF.format(name=form.__name__)}}}}


def _path_parameters(route: Route) -> list[Json]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _IN_PATH.findall(route.path)
    ]


def _parameter(query: Query) -> Json:
    schema: Json = {"type": "string"}
    if query.low is not None:
        schema = {"type": "integer", "minimum": query.low, "maximum": query.high}
    return {"name": query.name, "in": "query", "description": query.doc, "schema": schema}
