"""Wire types, one module a resource; the published JSON Schema and OpenAPI come from here."""
