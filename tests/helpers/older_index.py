"""Indexes as older versions of clipdb laid them out."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb

from clipdb.schema.snapshots import CATALOG, SNAPSHOTS, WORK

# The catalog as version 1 had it: bases in `heads`, and no labels' scores.
_VERSION_1 = """
create temp table kept_heads as select * exclude (partition, size, tail, written) from heads;
create temp table kept_images as from images;
drop view heads;
create table heads (model_id text, layer integer, head integer, name text, basis float[], mean float[],
    total_variance double, effective_rank double, primary key (model_id, layer, head));
drop table bases; drop table head_statistics; drop table label_scores; drop table head_pairs; drop table aligners;
drop table pairs; drop table effects; drop table directions;
drop table property_indexes; drop table property_index_parts;
alter table models drop column config; alter table models drop column tensors_sha256;
alter table models drop column base;
alter table models drop column pool_heads; alter table models drop column logit_bias;
alter table models drop column storage_error;
drop table images;
create table images (image_id text primary key, uri text not null, width integer, height integer, format text,
    split text, label text, metadata json);
delete from clipdb_schema; insert into clipdb_schema values (1, '0.1.0', timestamptz '2026-01-01 00:00:00+00');
insert into heads by name from kept_heads;
insert into images by name from kept_images;
"""


def without_snapshots(index: Path) -> None:
    """Lay an index out as before there were snapshots: its catalog is a file, which readers and writers share."""
    (index / WORK).replace(index / CATALOG)
    shutil.rmtree(index / SNAPSHOTS)
    for tags in index.glob("vectors/*/_refs"):
        shutil.rmtree(tags)


def make_older(index: Path) -> None:
    """Make an index what the first version would have made."""
    without_snapshots(index)
    with duckdb.connect(str(index / CATALOG)) as connection:
        connection.execute(_VERSION_1)
