"""Runs partition plans for real: sub-models cut from an ONNX file, one pinned thread a processor."""
