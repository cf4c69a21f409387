"""Tables as downloads: streamed, so that a long one takes no more memory than a short one."""

from fastapi.responses import StreamingResponse

from app.schemas.reports import Format
from app.services.table_files import TableFile, csv_pieces, parquet_pieces

MEDIA_TYPES = {Format.CSV: "text/csv; charset=utf-8", Format.PARQUET: "application/vnd.apache.parquet"}


def table_response(table: TableFile, format_: Format, name: str) -> StreamingResponse:
    """Return a table as a CSV or Parquet download."""
    pieces = csv_pieces(table) if format_ is Format.CSV else parquet_pieces(table)
    headers = {"Content-Disposition": f'attachment; filename="{name}.{format_}"'}
    return StreamingResponse(pieces, media_type=MEDIA_TYPES[format_], headers=headers)
