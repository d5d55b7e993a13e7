"""Compare what the server answers with what its API document says of that answer."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.routing import Match


@cache
def adapter(model: Any) -> TypeAdapter[Any]:
    """The reader of a model; made once, as that takes longer than a request."""
    return TypeAdapter(model)


def api_routes(app: Any) -> Iterator[APIRoute]:
    """The routes of an app within its middleware; FastAPI 0.165 keeps those of an included router with that router."""
    while not hasattr(app, "routes"):
        app = getattr(app, "app", None)
        if app is None:  # the console and the API behind one function
            return
    for route in app.routes:
        for one in getattr(getattr(route, "original_router", None), "routes", [route]):
            if isinstance(one, APIRoute):
                yield one


def check_answer(app: Any, method: str, path: str, status: int, answer: Any) -> bool:
    """Whether there is a model to compare an answer with. Raises ValidationError where the answer has a field that it
    does not name, lacks one, or has another type.
    """
    scope = {"type": "http", "path": path.partition("?")[0], "method": method, "headers": []}
    found = next((route for route in api_routes(app) if route.matches(scope)[0] is Match.FULL), None)
    model = found and found.responses.get(status, {}).get("model")
    if model:
        is_open = getattr(model, "model_config", {}).get("extra") == "allow"  # a protocol of others, with more fields
        adapter(model).validate_python(answer, extra=None if is_open else "forbid")
    return bool(model)
