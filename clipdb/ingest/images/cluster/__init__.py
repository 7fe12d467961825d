"""Ingest on a Ray cluster: actors embed and write fragments, and the driver alone commits them.

An actor reads a window of a shard and tells the driver the images' ids. The driver says which of them are new, and
claims them, so that an image that two shards have is embedded once. The actor embeds those, writes them as a Lance
fragment beside the table, has the disk keep it, and returns what belongs to it. Fragments become part of the index with
the driver's next commit, which is that of an ingest on one machine. So an actor's death loses nothing but windows that
were under way: their shard is handed out again from there.
"""
