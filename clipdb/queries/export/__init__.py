"""Write an index as an artefact: Parquet files, a manifest and a dataset card (`clipdb.schema.artefact`)."""

from clipdb.queries.export.artefact import Exported, Options, export_index

__all__ = ["Exported", "Options", "export_index"]
