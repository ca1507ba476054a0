import copy
import pickle

import pytest

from arviz_resampler.frozen import FrozenMapping


def test_a_frozen_mapping_is_what_it_was_made_of_and_cannot_be_changed():
    values = {"a": 1, "b": 2}
    frozen = FrozenMapping(values)
    values["a"] = 3
    assert dict(frozen) == {"a": 1, "b": 2}
    assert frozen == {"a": 1, "b": 2}
    assert repr(frozen) == "{'a': 1, 'b': 2}"
    assert {**frozen} == {"a": 1, "b": 2}
    assert frozen._ipython_key_completions_() == ["a", "b"]
    with pytest.raises(TypeError):
        frozen["a"] = 0


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_frozen_mapping_survives_copies(again):
    assert again(FrozenMapping({"a": [1]})) == {"a": [1]}
