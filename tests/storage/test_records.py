"""Records of batches."""

import pytest

from arviz_resampler.storage.records import batch_of, dump, load, record_name

RECORD = {"batch": 3, "rows": 5, "crc32": {"values/y": 12}, "sum": 1, "seconds": 0.1, "text": 'ö", "sum": 3}'}


def test_a_record_comes_back():
    assert load(dump(RECORD), 3, 5, {"values/y"}) == RECORD
    assert load(dump({**RECORD, "missing": float("inf")}), 3, 5, {"values/y"})["missing"] == float("inf")


def test_every_truncation_and_every_flipped_bit_is_noticed():
    content = dump(RECORD)
    for end in range(len(content)):
        with pytest.raises(ValueError, match="are cut short or damaged"):
            load(content[:end], 3, 5, {"values/y"})
    for bit in range(8 * len(content)):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="are cut short or damaged"):
            load(bytes(flipped), 3, 5, {"values/y"})


@pytest.mark.parametrize(
    ("batch", "rows", "nodes", "message"),
    [
        (4, 5, {"values/y"}, "of another store: batch is 3, not 4"),
        (3, 6, {"values/y"}, "of another store: rows is 5, not 6"),
        (3, 5, {"values/z"}, "of another store: it names other arrays"),
        (3, 5, {"values/y", "values/z"}, "it names other arrays"),
    ],
)
def test_the_record_of_something_else_is_refused(batch, rows, nodes, message):
    with pytest.raises(ValueError, match=message):
        load(dump(RECORD), batch, rows, nodes)


def test_only_names_that_a_record_has_are_numbers_of_batches():
    assert [batch_of(record_name(b).removeprefix("records/")) for b in (0, 7, 12345)] == [0, 7, 12345]
    odd = [
        ".lock-all",
        "..ab.partial",
        "1.json~",
        "-1.json",
        "01.json",
        "x.json",
        "1.JSON",
        "٣.json",
        "1.json\n",
    ]
    assert [batch_of(name) for name in odd] == [None] * len(odd)
