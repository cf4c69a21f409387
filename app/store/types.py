"""Column types that both databases share."""

import uuid
from typing import Any

from sqlalchemy import BigInteger, Dialect, Integer, LargeBinary, Uuid
from sqlalchemy.types import TypeDecorator, TypeEngine

BigKey = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit key; on SQLite the rowid itself."""


class Uuid16(TypeDecorator[uuid.UUID]):
    """A UUID in 16 bytes on both databases (SQLAlchemy's own takes 32 characters on SQLite)."""

    impl = LargeBinary(16)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Return the native type where there is one."""
        return dialect.type_descriptor(Uuid() if dialect.name == "postgresql" else LargeBinary(16))

    def process_bind_param(self, value: uuid.UUID | None, dialect: Dialect) -> Any:  # noqa: ANN401
        """Turn a UUID into what the driver stores."""
        return value if value is None or dialect.name == "postgresql" else value.bytes

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:  # noqa: ANN401
        """Turn what the driver stores into a UUID."""
        return value if value is None or dialect.name == "postgresql" else uuid.UUID(bytes=value)
