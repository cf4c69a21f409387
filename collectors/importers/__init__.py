"""Measurements that other tools made, as batches of the wire; one module a format, found by being there."""

import importlib
import pkgutil

from collectors.importers.importer import Importer


def importers() -> dict[str, Importer]:
    """Return every importer by the name of its format."""
    modules = (importlib.import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__))
    found = [module.IMPORTER for module in modules if hasattr(module, "IMPORTER")]
    return {importer.format: importer for importer in found}
