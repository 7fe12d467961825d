"""Names of models: what they are called in file names, and that SQL takes the same names as Python."""

from __future__ import annotations

import duckdb
import pytest

from clipdb.errors import ClipdbError
from clipdb.schema.names import MODEL_NAME, model_slug

GOOD = {
    "ViT-B-32/openai": "ViT-B-32__openai",
    "hf--a/b": "hf--a__b",
    "hf:openai/clip-vit": "hf--openai--clip-vit",
    "hf:a/b@0123": "hf--a--b--0123",
    "hf-hub:a/b__c___d": "hf-hub--a--b_.._c_.._.._d",
}
BAD = ("a__b/c", "a/b@c", "a/b/c", "hf:a", "hf:a/b--c", "hf:a/b..c", "hf:a/b@refs/pr/1", "x:a/b", "hf:/b", "a/b\n")


@pytest.mark.parametrize("name", [*GOOD, *BAD])
def test_python_and_sql_take_the_same_names(name: str) -> None:
    sql = f"select {MODEL_NAME.format(column='name')} from (select ? as name)"
    assert duckdb.execute(sql, [name]).fetchall() == [(name in GOOD,)]
    if name in GOOD:
        assert model_slug(name) == GOOD[name]
    else:
        with pytest.raises(ClipdbError, match="is not a model name"):
            model_slug(name)
