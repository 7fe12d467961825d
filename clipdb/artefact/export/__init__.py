"""Write an index as an artefact: Parquet files, a manifest and a dataset card (`clipdb.artefact.format`)."""

from clipdb.artefact.export.exporting import Exported, Options, export_index

__all__ = ["Exported", "Options", "export_index"]
