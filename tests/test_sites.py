from arviz_resampler.sites import name_axes


def test_axes_without_a_plate_are_counted_by_site():
    assert name_axes("x", ["school", None, None]) == ("school", "x_dim_0", "x_dim_1")
    assert name_axes("x", [None, "school", None]) == ("x_dim_0", "school", "x_dim_1")
