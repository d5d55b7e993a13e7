"""The examples of the OpenAPI document are requests that the server takes."""

from pathlib import Path
from typing import Any

from serve_helpers import released, serving

from promolift.shop.configuration.configuration import Config


def test_each_json_request_of_the_document_has_an_example_that_the_server_takes(
    shop: tuple[Path, Config], folder: Path
) -> None:
    with serving(folder, shop[1]) as api:
        released(api)
        document = api.client.app.openapi()
        schemas = document["components"]["schemas"]
        without: list[str] = []
        refused: dict[str, Any] = {}
        for path, operations in document["paths"].items():
            for method, operation in operations.items():
                content = operation.get("requestBody", {}).get("content", {}).get("application/json")
                if content is None:
                    continue
                schema = content["schema"]
                name = schema.get("$ref", "").rpartition("/")[2]
                examples = (schemas[name] if name else schema).get("examples", ())
                if not examples:
                    without.append(f"{method} {path}")
                at = path
                for each in operation.get("parameters", ()):
                    at = at.replace(f"{{{each['name']}}}", "x1")
                for body in examples:
                    reply = api.client.request(
                        method.upper(), at, json=body, headers={"authorization": f"Bearer {api.key}"}
                    )
                    told = reply.json() if reply.content else {}
                    if reply.status_code >= 500 or told.get("code") in ("invalid", "json_invalid"):
                        refused[f"{method} {path}"] = (reply.status_code, told)
        assert not without
        assert not refused, list(refused)
