"""What is in a store, and what is refused."""

import json
import pickle

import numpy as np
import pytest

from arviz_resampler import errors
from arviz_resampler.storage import ArraySpec, Store

NODE = "values/y"


def change(store, edit):
    """Edit the root's metadata."""
    path = store.path / "zarr.json"
    root = json.loads(path.read_text())
    root = edit(root) or root
    path.write_text(json.dumps(root))


def node(root, name=NODE):
    return root["consolidated_metadata"]["metadata"][name]


def test_a_store_comes_back_as_it_was_made(make):
    store, _ = make()
    again = Store.open(store.path)
    assert (again.attrs, again.batch_size, again.num_batches) == ({"seed": 1}, 5, 4)
    assert again.arrays == store.arrays
    assert again == store


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("object", "object"),
        ("datetime64[ns]", "datetime64"),
        ("<U3", "<U3"),
        ("float128", "float128"),
        ("f4", "f4"),
    ],
)
def test_other_dtypes_are_refused(make, name, dtype):
    with pytest.raises(
        errors.StoreError, match=r"site 'y' of group 'values' has dtype .*: a store takes truth"
    ):
        make({("values", "y"): ArraySpec((), name, ())})


@pytest.mark.parametrize(
    ("shape", "dims"), [((3,), ()), ((), ("a",)), ((3, 3), ("a", "a")), ((3,), ("particle",))]
)
def test_axes_without_names_of_their_own_are_refused(make, shape, dims):
    with pytest.raises(errors.StoreError, match="each axis needs a name of its own, other than 'particle'"):
        make({("values", "y"): ArraySpec(shape, "int8", dims)})


@pytest.mark.parametrize("group", ["records", "", "a/b", "..", "Values", "values\n", "__x"])
def test_groups_that_are_no_names_are_refused(make, group):
    with pytest.raises(errors.StoreError, match="a group needs a name of lower-case letters"):
        make({(group, "y"): ArraySpec((), "int8", ())})


def test_what_xarray_could_not_open_is_refused(make):
    arrays = {("values", n): ArraySpec((i,), "int8", ("d",)) for i, n in enumerate("xy")}
    with pytest.raises(errors.StoreError, match=r"site 'y' .* has size 1 in the dim 'd', site 'x' .* has 0"):
        make(arrays)
    make({("values", "x"): arrays["values", "x"], ("log_q", "y"): arrays["values", "y"]})


def test_attributes_data_and_numbers_that_are_taken_or_senseless_are_refused(make, tmp_path):
    arrays = {("values", "y"): ArraySpec((), "int8", ())}

    def create(data=None, **changes):
        options = {"batch_size": 1, "num_batches": 1, "attrs": {}, **changes}
        return Store.create(tmp_path / "q", arrays, data=data, **options)

    with pytest.raises(errors.StoreError, match="attributes 'schema' are the store's own"):
        create(attrs={"schema": 3})
    with pytest.raises(errors.StoreError, match="batch_size must be a positive integer, got 0"):
        create(batch_size=0)
    with pytest.raises(errors.StoreError, match="num_batches must be a positive integer, got -1"):
        create(num_batches=-1)
    with pytest.raises(
        errors.StoreError, match="site 'y' of group 'values' is an array of particles and data"
    ):
        create({("values", "y"): ((), np.array(1))})
    with pytest.raises(errors.StoreError, match="'z' of group 'observed' has dtype str"):
        create({("observed", "z"): ((), np.array("text"))})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("schema", [0, 2, "1", None])
def test_another_schema_is_named(make, schema):
    store, _ = make()
    change(store, lambda root: root["attributes"].update(schema=schema))
    with pytest.raises(errors.StoreError, match=rf"has schema {schema!r}, this version .* reads schema 1"):
        Store.open(store.path)
    assert Store.is_store(store.path)


EDITS = {
    "has zarr's format 2, not 3": lambda r: r.update(zarr_format=2),
    "has zarr's format None, not 3": lambda r: [r],
    "its attributes lack 'batch_size', 'num_batches', 'schema'": lambda r: r.update(attributes={}),
    "is no store of particles: its attributes lack": lambda r: r.update(attributes=[1]),
    "num_batches is 4.0": lambda r: r["attributes"].update(num_batches=4.0),
    "batch_size must be a positive integer, got 0": lambda r: r["attributes"].update(batch_size=0),
    "its zarr.json is damaged: KeyError": lambda r: r.pop("consolidated_metadata") and None,
    "its zarr.json is damaged: TypeError": lambda r: r.update(consolidated_metadata=None),
    "damaged: KeyError..shape": lambda r: node(r).pop("shape") and None,
    "array 'values/y' has dtype 'object'": lambda r: node(r).update(data_type="object"),
    "array 'values/mu' has dtype 'float128'": lambda r: node(r, "values/mu").update(data_type="float128"),
    "its zarr.json is damaged: TypeError.*unhashable": lambda r: node(r).update(data_type={"name": "x"}),
    r"has codecs \['bytes', 'pickle'\]": lambda r: node(r)["codecs"].append({"name": "pickle"}),
    r"has codecs \['numcodecs.pickle'\]": lambda r: node(r).update(codecs=[{"name": "numcodecs.pickle"}]),
    r"has codecs \['zstd', 'bytes'\]": lambda r: node(r, "values/x")["codecs"].reverse(),
    "its zarr.json is damaged: IndexError": lambda r: node(r).update(shape=[], dimension_names=["particle"]),
    "array 'values' has no name": lambda r: r["consolidated_metadata"]["metadata"].update(
        values={**node(r), "attributes": {"site": "q"}}
    ),
    r"has codecs \[\]": lambda r: node(r).update(codecs=[]),
    "array 'values/y' has codecs .*'big'": lambda r: node(r)["codecs"][0]["configuration"].update(
        endian="big"
    ),
    r"has shape \[20, -1, 3\]": lambda r: node(r).update(shape=[20, -1, 3]),
    r"has shape \[20, True, 3\]": lambda r: node(r).update(shape=[20, True, 3]),
    "array 'values/y' has chunk_grid": lambda r: node(r)["chunk_grid"]["configuration"].update(
        chunk_shape=[4, 8, 3]
    ),
    "has chunk_key_encoding": lambda r: node(r)["chunk_key_encoding"]["configuration"].update(separator="."),
    "has zarr_format 2, not 3": lambda r: node(r).update(zarr_format=2),
    r"has storage_transformers \['x'\]": lambda r: node(r).update(storage_transformers=["x"]),
    "has extension 1, not None": lambda r: node(r).update(extension=1),
    "has 19 rows, but 4 batches of 5 are 20": lambda r: node(r).update(shape=[19, 8, 3]),
    "shape .8, 3. and dims .'school'": lambda r: node(r).update(dimension_names=["particle", "school"]),
    "array 'values/y' has no name that this package gives": lambda r: node(r)["attributes"].update(site="z"),
    "array 'values/../../y' has no name": lambda r: r["consolidated_metadata"]["metadata"].update(
        {"values/../../y": {**node(r), "attributes": {"site": "../../y"}}}
    ),
    "a group needs a name": lambda r: r["consolidated_metadata"]["metadata"].update({"../y": node(r)}),
}


@pytest.mark.parametrize("message", EDITS)
def test_metadata_that_this_package_does_not_write_are_refused(make, message):
    store, _ = make()
    change(store, EDITS[message])
    with pytest.raises(errors.StoreError, match=message):
        Store.open(store.path)


def test_what_readers_may_change_without_harm_is_read(make):
    store, values = make()

    def edit(root):
        node(root)["attributes"]["units"] = "m"
        node(root, "values/mu")["fill_value"] = 0.0
        root["attributes"]["note"] = "mine"

    change(store, edit)
    again = Store.open(store.path)
    assert again.attrs == {"seed": 1, "note": "mine"}
    np.testing.assert_array_equal(again.read(("values", "y"), range(4)), values["values", "y"])


def test_single_bytes_may_have_an_order(make):
    store, values = make({("values", "y"): ArraySpec((2,), "bool", ("k",))})
    change(store, lambda root: node(root)["codecs"][0].update(configuration={"endian": "little"}))
    np.testing.assert_array_equal(
        Store.open(store.path).read(("values", "y"), [3]), values["values", "y"][15:]
    )


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"null"])
def test_a_root_that_is_no_metadata_is_refused(make, content):
    store, _ = make()
    (store.path / "zarr.json").write_bytes(content)
    with pytest.raises(errors.StoreError, match=r"its zarr\.json is damaged|is no store of particles"):
        Store.open(store.path)
    assert not Store.is_store(store.path)


class Planted:
    """Makes a file when it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.mark.parametrize("codec", ["pickle", "numcodecs.pickle"])
def test_planted_pickles_of_version_3_are_refused_and_do_not_run(make, tmp_path, codec):
    store, _ = make()
    marker = tmp_path / "marker"
    (store.path / "values/y/c/0/0/0").write_bytes(pickle.dumps(Planted(marker)))
    change(store, lambda root: node(root).update(codecs=[{"name": codec}]))
    with pytest.raises(errors.StoreError, match="array 'values/y' has codecs"):
        Store.open(store.path)
    assert not marker.exists()


def test_planted_pickles_of_version_2_are_not_read(make, tmp_path):
    store, _ = make()
    marker = tmp_path / "marker"
    evil = {"zarr_format": 2, "shape": [1], "chunks": [1], "dtype": "|O", "filters": [{"id": "pickle"}]}
    evil |= {"compressor": None, "fill_value": None, "order": "C"}
    (store.path / "values/evil").mkdir()
    (store.path / "values/evil/.zarray").write_text(json.dumps(evil))
    (store.path / "values/evil/0").write_bytes(pickle.dumps(Planted(marker)))
    again = Store.open(store.path)
    assert again.arrays == store.arrays
    again.check(again.done())
    change(store, lambda root: root["consolidated_metadata"]["metadata"].update({"values/evil": evil}))
    with pytest.raises(errors.StoreError, match=r"its zarr\.json is damaged"):
        Store.open(store.path)
    assert not marker.exists()
