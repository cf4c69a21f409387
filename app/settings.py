"""Settings of the service: environment variables `SOCAST_…`, each also an option of the command line."""

from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.errors import SocastError


class WrongSettingError(SocastError):
    """A setting has a value that cannot be used."""

    title = "Wrong setting"


class Settings(BaseSettings):
    """Everything that can be set; defaults suit one machine with embedded SQLite."""

    model_config = SettingsConfigDict(env_prefix="SOCAST_", extra="ignore", frozen=True)

    database: str = Field(
        default="sqlite:///socast.db", description="SQLAlchemy URL: `sqlite:///FILE` or `postgresql://…`."
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8321, ge=0, le=65535, description="Port to listen on; 0 picks a free one.")
    open: bool = Field(
        default=False, description="Run without keys and rate limits; only on a loopback address."
    )
    no_learner: bool = Field(default=False, description="Do not run the learner beside the server.")
    shutdown_grace_s: int = Field(
        default=10, ge=1, description="How long requests in flight may take to finish on shutdown."
    )

    sqlite_synchronous: Literal["FULL", "NORMAL"] = Field(
        default="FULL", description="SQLite only. NORMAL may lose the last answered batches when power fails."
    )
    partition_days: int = Field(
        default=7, ge=1, le=366, description="PostgreSQL only: days of receipt in one partition."
    )

    max_body_bytes: int = Field(default=16 * 2**20, ge=1024, description="Largest request body as sent.")
    max_decoded_bytes: int = Field(
        default=64 * 2**20, ge=1024, description="Largest request body after decompression."
    )
    max_model_bytes: int = Field(default=256 * 2**20, ge=1024, description="Largest model file.")
    max_held_bytes: int = Field(
        default=128 * 2**20, ge=4096, description="What all requests together may hold before 429."
    )
    body_timeout_s: float = Field(default=30, gt=0, description="How long a request body may take to arrive.")
    rate_limit: str = Field(
        default="100/second", description="Requests that each key may make (`limits` notation)."
    )

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level to log."
    )
    log_format: Literal["console", "json"] = Field(default="console", description="How log lines look.")

    otlp_endpoint: str | None = Field(
        default=None,
        description="OpenTelemetry collector to send traces to (OTLP over HTTP), such as "
        "`http://127.0.0.1:4318`; needs the extra `tracing`. Unset: no traces.",
    )

    @classmethod
    def load(cls, **given: object) -> Self:
        """Return the environment's settings, replaced by those `given`; raise `WrongSettingError`."""
        try:
            return cls(**given)  # type: ignore[arg-type]
        except ValidationError as error:
            faults = (f"SOCAST_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
            raise WrongSettingError("; ".join(faults)) from error

    @model_validator(mode="after")
    def _one_request_fits(self) -> Self:
        if self.max_body_bytes + self.max_decoded_bytes > self.max_held_bytes:
            raise ValueError("max_held_bytes must be at least max_body_bytes + max_decoded_bytes")
        return self
