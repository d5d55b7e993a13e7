"""Routes in, the OpenAPI 3.1 document out: plain endpoints described too, and every error a problem+json."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI

from promolift.serve.hot import Described

PROBLEM = {
    "description": "A problem (RFC 9457)",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
DRY_RUN = {"name": "dry_run", "in": "query", "required": False, "schema": {"type": "boolean"}}


def describe(app: FastAPI, plain: Sequence[Described]) -> None:
    """Replace the app's `openapi` by one that says what the app does."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = made()
            for each in plain:
                _add(document, each)
            for operations in document["paths"].values():
                for operation in operations.values():
                    operation["responses"].pop("422", None)
                    operation["responses"]["default"] = PROBLEM
            keys = {"type": "http", "scheme": "bearer"}, {"type": "http", "scheme": "basic"}
            document["components"]["securitySchemes"] = dict(zip(("key", "writeKey"), keys, strict=True))
            document["security"] = [{"key": []}, {"writeKey": []}]
        return dict(app.openapi_schema or {})

    app.openapi = openapi  # type: ignore[method-assign]


def _add(document: dict[str, Any], route: Described) -> None:
    path, model, status, text = route
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    document["components"]["schemas"] |= schema.pop("$defs", {}) | {model.__name__: schema}
    events = path != "/v1/decisions"
    body = {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}
    answer = {"application/json": {"schema": {"type": "object"}}}
    operation = {
        "summary": text,
        "operationId": path.strip("/").replace("/", "_"),
        "tags": ["events" if events else "decisions"],
        "parameters": [DRY_RUN] if events else [],
        "requestBody": {"required": True, "content": body},
        "responses": {str(status): {"description": text, "content": answer}},
    }
    document["paths"][path] = {"post": operation}
