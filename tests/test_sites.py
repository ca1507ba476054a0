from arviz_resampler.sites import Site, Sites, name_axes


def test_sites_are_a_dict_that_prints_a_line_for_each():
    x = Site("x", "latent", ("school", "x_dim_0"), (8, 2), 1, "float32", False)
    sites = Sites({"x": x, "n": Site("n", "predictive", (), (), 0, "int64", True)})
    assert sites == {"x": x, "n": sites["n"]}
    assert isinstance(sites, dict)
    assert [line.split() for line in repr(sites).splitlines()] == [
        ["x", "latent", "(school:", "8,", "x_dim_0:", "2)", "float32"],
        ["n", "predictive", "()", "int64"],
    ]
    assert "<td>(school: 8, x_dim_0: 2)</td>" in sites._repr_html_()


def test_axes_without_a_plate_are_counted_by_site():
    assert name_axes("x", ["school", None, None]) == ("school", "x_dim_0", "x_dim_1")
    assert name_axes("x", [None, "school", None]) == ("x_dim_0", "school", "x_dim_1")
