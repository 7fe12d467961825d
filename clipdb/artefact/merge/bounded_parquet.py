"""Read Parquet files that anybody may have written: what a file would unpack to is bounded before it is unpacked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from clipdb._util.text import first_line
from clipdb.artefact.format import File
from clipdb.artefact.merge.verified_files import Artefact
from clipdb.errors import ClipdbError

# A footer takes some 150 bytes a column and row group. Parsed, it takes a hundred times its bytes: so one that is out
# of proportion is not parsed.
_FOOTER_BASE, _FOOTER_COLUMN, _FOOTER_SHARE = 2**20, 4096, 1 / 16
_MOST_ITEMS = 10_000  # of any list in a footer: columns, row groups
_MOST_STRING = 8 * 2**20
_MOST_NAME = 100  # letters of a column's name
_TAIL = 8  # the footer's length, then four letters
# Real relations shrink to a hundredth at most; zeros to a twenty-thousandth.
_UNPACKED_BASE, _UNPACKED_TIMES = 64 * 2**20, 1000

_BROKEN = (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError)


def open_parquet(artefact: Artefact, file: File, columns: int) -> pq.ParquetFile:
    """Open a file after a look at its footer.

    Parameters
    ----------
    columns
        About how many columns it may have.

    Raises
    ------
    ClipdbError
        If it is not Parquet, is nested deeply, has another number of rows than the manifest says, or would unpack to
        far more than it is.
    """
    path = artefact.path(file)
    most = int(_FOOTER_BASE + _FOOTER_COLUMN * columns + _FOOTER_SHARE * file.bytes)
    try:
        with path.open("rb") as opened:
            opened.seek(-_TAIL, 2)
            tail = opened.read(_TAIL)
        if tail[4:] != b"PAR1" or int.from_bytes(tail[:4], "little") > most:
            raise refused(artefact, file, "its end is not that of a Parquet file of this size")
        parquet = pq.ParquetFile(
            path,
            pre_buffer=False,
            thrift_string_size_limit=_MOST_STRING,
            thrift_container_size_limit=_MOST_ITEMS + 4 * columns,
        )
        metadata = parquet.metadata
        groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
        unpacked, rows = sum(group.total_byte_size for group in groups), sum(group.num_rows for group in groups)
    except _BROKEN as error:
        raise refused(artefact, file, _reason(error)) from error
    if not metadata.num_rows == rows == file.rows:
        raise refused(artefact, file, f"it has {metadata.num_rows} rows, and the manifest says {file.rows}")
    if unpacked > most_unpacked(file):
        raise refused(artefact, file, f"it would unpack to {unpacked} bytes")
    return parquet


def arrow_schema(artefact: Artefact, file: File, parquet: pq.ParquetFile) -> pa.Schema:
    """Read the columns of a file.

    Raises
    ------
    ClipdbError
        If they can't be read, or have names that are longer than any of ours.
    """
    try:
        schema = parquet.schema_arrow
    except _BROKEN as error:
        raise refused(artefact, file, _reason(error)) from error
    if long := [name for name in schema.names if len(name) > _MOST_NAME]:
        raise refused(artefact, file, f"it has a column {_short(long[0])}")
    return schema


def most_unpacked(file: File) -> int:
    """Return how many bytes a file may unpack to."""
    return _UNPACKED_BASE + _UNPACKED_TIMES * file.bytes


def require_schema(artefact: Artefact, file: File, parquet: pq.ParquetFile, expected: pa.Schema) -> None:
    """Check that a file has exactly the columns that it should.

    Raises
    ------
    ClipdbError
        Naming the first column that is another.
    """
    found = arrow_schema(artefact, file, parquet)
    names = expected.names
    if found.names != names:
        odd = sorted(set(found.names) ^ set(names))
        detail = (
            f"it has columns {', '.join(map(_short, odd[:3]))} too many or too few" if odd else "columns in disorder"
        )
        raise refused(artefact, file, detail)
    for name in names:
        ours, theirs = plain(expected.field(name).type), plain(found.field(name).type)
        if ours != theirs:
            raise refused(artefact, file, f"its column {name} is {_short(theirs)}, not {ours}")


def read_batches(
    artefact: Artefact,
    file: File,
    parquet: pq.ParquetFile,
    rows: int,
    columns: Sequence[str],
) -> Iterator[pa.RecordBatch]:
    """Read columns of a file, some rows at a time, in order.

    Nothing is unpacked before its length is known: texts are read as a dictionary, which is no longer than in the file.

    Raises
    ------
    ClipdbError
        If it can't be decoded, or unpacks to far more than it is.
    """
    unpacked, count = 0, 0
    texts = [field.name for field in parquet.schema_arrow if pa.types.is_string(plain(field.type))]
    encoded = pq.ParquetFile(artefact.path(file), metadata=parquet.metadata, read_dictionary=texts, pre_buffer=False)
    batches = encoded.iter_batches(batch_size=rows, columns=list(columns))
    while True:
        try:
            batch = next(batches)
            batch.validate(full=True)
        except StopIteration:
            break
        except _BROKEN as error:
            raise refused(artefact, file, _reason(error)) from error
        count += len(batch)
        unpacked += sum(_size(column) for column in batch.columns)
        if unpacked > most_unpacked(file):
            raise refused(artefact, file, "it unpacks to more than it can hold")
        yield pa.record_batch([_plain(column) for column in batch.columns], list(columns))
    if count != file.rows:
        raise refused(artefact, file, f"it has {count} rows, and its footer says {file.rows}")


def plain(kind: pa.DataType) -> pa.DataType:
    """Return a type without what doesn't matter: extensions, dictionaries, names and nullability of elements."""
    if isinstance(kind, pa.BaseExtensionType):
        return plain(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return plain(kind.value_type)
    if pa.types.is_fixed_size_list(kind) and kind.list_size > 0:  # a footer may say anything
        return pa.list_(plain(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(plain(kind.value_type))
    return kind


def _plain(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _size(column: pa.Array) -> int:
    """Return how many bytes a column takes, its dictionary undone."""
    if not pa.types.is_dictionary(column.type):
        return int(column.nbytes)
    import pyarrow.compute as pc

    lengths = pc.binary_length(column.dictionary).take(column.indices)
    return int(pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)


def refused(artefact: Artefact, file: File, reason: str) -> ClipdbError:
    """Make the error that says why a file is none of ours."""
    return ClipdbError(f"{artefact.path(file)} is not what `clipdb export` writes: {reason}")


def _reason(error: BaseException) -> str:
    return _short(first_line(error))


def _short(value: object) -> str:
    text = str(value).encode("ascii", "backslashreplace").decode()
    return text if len(text) <= 120 else f"{text[:117]}..."
