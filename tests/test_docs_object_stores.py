"""docs/object-stores.md: its commands run on a server of this machine, with a small index and a model that ships."""

from __future__ import annotations

import csv
import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from docs_page import ran
from object_store import BUCKET, ENVIRONMENT, object_store
from support import done, rows

INSTEAD = {
    "ViT-L-14/laion2b_s32b_b82k": "clipdb-tiny/scenes",
    "photos/dog.jpg": "photos/scene-00001.png",
    "L11.H3": "L3.H0",
    "general": "scenes",
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory, scenes: Path) -> Iterator[dict[str, str]]:
    folder = tmp_path_factory.mktemp("page")
    pictures = sorted(scenes.glob("*.png"))[:12]
    with object_store() as store, pytest.MonkeyPatch.context() as patch:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": store.endpoint, "HOME": str(folder)}.items():
            patch.setenv(name, value)
        for name, part in (("photos", pictures[:4]), ("more-photos", pictures[4:6])):
            (folder / name).mkdir()
            for file in part:
                shutil.copy(file, folder / name)
        some = folder / "some.txt"
        some.write_text("\n".join(map(str, pictures)))
        index = folder / "clipdb-demo/demo.clipdb"
        index.parent.mkdir()
        done("ingest", "images", some, "--model", "clipdb-tiny/scenes", "-i", index)
        done("span", "--pool", "scenes", "-i", index)
        shard = io.BytesIO()
        with tarfile.open(fileobj=shard, mode="w") as archive:
            for file in pictures[:4]:
                archive.add(file, file.name)
        store.client.put_object(Bucket=BUCKET, Key="shards/0.tar", Body=shard.getvalue())
        for file in pictures[4:8]:
            store.client.upload_file(str(file), BUCKET, f"photos/{file.name}")
        table = io.StringIO()
        csv.writer(table).writerows([["path", "label"], *([f"photos/{file.name}", "scene"] for file in pictures[4:8])])
        store.client.put_object(Bucket=BUCKET, Key="photos.csv", Body=table.getvalue().encode())

        def here(arguments: list[str]) -> list[str]:
            return [INSTEAD.get(one, one).replace("my-bucket", BUCKET) for one in arguments]

        with ran("object-stores.md", folder, here) as outputs:
            yield outputs


def test_the_copy_is_asked(printed: dict[str, str]) -> None:
    said = {line.split(" s3://")[0].split(" -i")[0]: output for line, output in printed.items()}
    assert "sent" in said["clipdb export index"]
    assert "clipdb-tiny/scenes" in said["clipdb info"] and "L3.H0" in said["clipdb query heads"]
    assert "scene-0000" in said["clipdb query neighbours scene-00001.png --head L3.H0"]


def test_a_copy_comes_back_and_vectors_are_in_the_store(printed: dict[str, str]) -> None:
    assert rows(Path("mine.clipdb"), "select count(*) from images") == [(12,)]
    assert rows(Path("far.clipdb"), "select count(*) from images") == [(6,)]
    assert not any(Path("far.clipdb", "vectors").iterdir())
    assert rows(Path("far.clipdb"), "select place from clipdb_vectors") == [(f"s3://{BUCKET}/far",)]


def test_images_of_the_store_are_in(printed: dict[str, str]) -> None:
    assert rows(Path("stored.clipdb"), "select count(*), count(label) from images") == [(8, 4)]
    assert rows(Path("stored.clipdb"), "select count(*) from images where starts_with(uri, 's3://')") == [(8,)]
