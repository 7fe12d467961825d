"""Run an ingest on a cluster, from joining it to the end of its last actor."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from clipdb._util.notes import note
from clipdb.ingest.images.cluster.connection import cluster
from clipdb.ingest.images.cluster.moments import halves_on
from clipdb.ingest.images.cluster.nodes import alive, marked, to_be_seen
from clipdb.ingest.images.cluster.protocol import Task
from clipdb.ingest.images.cluster.ray_options import RayOptions, described, plan
from clipdb.ingest.images.cluster.shards import Shards
from clipdb.ingest.images.embedded import vector_schema
from clipdb.ingest.images.session import Session
from clipdb.ingest.images.sources import Sources
from clipdb.models.model_config import Named


def run_on(options: RayOptions, session: Session, model: Named, sources: Sources) -> tuple[list[str], int]:
    """Have a cluster embed what the index lacks of sources, and take the moments of all; the session is closed.

    Parameters
    ----------
    options
        The cluster.
    session
        Commits; its model is on the CPU of this machine.
    model
        The model as actors load it.
    sources
        Images.

    Returns
    -------
    given_up, left_out
        Shards over which actors died, by name; how many links, pipes and devices there are in tar shards.

    Raises
    ------
    ClipdbError
        One line that says what to do: a cluster that isn't there or whose nodes differ, or what an actor said.
    """
    writer, table = session.writer, session.table
    with cluster(options), marked(writer.index) as marker:
        from clipdb.ingest.images.cluster.actors import Actors
        from clipdb.ingest.images.cluster.driver import Driver

        chosen = plan([node["Resources"] for node in alive()], options, session.options.device)
        note(f"ray: {described(chosen)}", warns=False)
        table.begin(vector_schema(session.decomposer, session.cut.bases))
        task = Task(
            table=table.path.absolute() if isinstance(table.path, Path) else table.path,
            schema=table.schema,
            run=table.run,
            marker=marker.absolute() if isinstance(table.path, Path) else None,
            sources=to_be_seen(sources),
            model=model,
            weights_sha256=session.model.weights_sha256,
            layers=session.decomposer.layers,
            components=session.decomposer.components,
            bases=session.decomposer.bases,
            cut=session.cut,
            options=replace(session.options, workers=min(session.options.workers, chosen.threads)),
            threads=chosen.threads,
        )
        shards = Shards(sources)
        actors = Actors(task, chosen)
        writer.fragments_under_way = True
        driver = Driver(session, actors, shards)
        try:
            driver.run()
        finally:
            actors.stop()
            table.drop_if_empty()
        writer.fragments_under_way = False
        session.close(halves_on(chosen, marker))
    return [shard.name for shard in shards.given_up], driver.left_out
