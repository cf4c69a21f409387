"""OpenAPI for bodies that endpoints decode themselves."""

from typing import Any

import msgspec


def request_body(type_: type, media_type: str = "application/json") -> dict[str, Any]:
    """Return the `openapi_extra` of an endpoint whose body is a `type_`, with every reference filled in."""
    (schema,), components = msgspec.json.schema_components((type_,), ref_template="{name}")
    content = {media_type: {"schema": _filled_in(schema, components)}}
    return {"requestBody": {"required": True, "content": content}}


def _filled_in(schema: Any, components: dict[str, Any]) -> Any:  # noqa: ANN401
    if isinstance(schema, list):
        return [_filled_in(item, components) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _filled_in(components[schema["$ref"]], components)
    return {name: _filled_in(value, components) for name, value in schema.items()}
