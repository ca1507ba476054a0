"""Kinds of programs: those that are reparametrized, in the guide, in the model or in both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer import reparam

from .kind import Kind
from .programs import loc_scale, one, stable, transformed


def changed(program: Callable[[], Any], config: Any) -> Callable[[], Any]:
    """A program with another parametrization."""
    return poutine.reparam(program, config)


def reparametrized() -> list[Kind]:
    """Each strategy of Pyro."""
    decentered = {"x": reparam.LocScaleReparam(0.0)}
    half = {"x": reparam.LocScaleReparam(0.5)}
    undone = {"x": reparam.TransformReparam()}
    return [
        Kind(
            "LocScaleReparam in the model alone",
            loc_scale(2.0),
            changed(loc_scale(1.0), decentered),
            reference=loc_scale(1.0),
        ),
        Kind("LocScaleReparam in the guide alone", changed(loc_scale(2.0), decentered), loc_scale(1.0)),
        Kind(
            "LocScaleReparam in both",
            changed(loc_scale(2.0), decentered),
            changed(loc_scale(1.0), decentered),
        ),
        Kind(
            "LocScaleReparam in both, half way", changed(loc_scale(2.0), half), changed(loc_scale(1.0), half)
        ),
        Kind(
            "LocScaleReparam in both, differently",
            changed(loc_scale(2.0), decentered),
            changed(loc_scale(1.0), half),
        ),
        Kind(
            "TransformReparam in the model alone",
            transformed(1.0),
            changed(transformed(0.7), undone),
            reference=transformed(0.7),
        ),
        Kind("TransformReparam in the guide alone", changed(transformed(1.0), undone), transformed(0.7)),
        Kind(
            "TransformReparam in both", changed(transformed(1.0), undone), changed(transformed(0.7), undone)
        ),
        Kind(
            "ProjectedNormalReparam in the model alone",
            one(lambda: dist.ProjectedNormal(torch.zeros(2))),
            changed(
                one(lambda: dist.ProjectedNormal(torch.ones(2))), {"x": reparam.ProjectedNormalReparam()}
            ),
            reference=one(lambda: dist.ProjectedNormal(torch.ones(2))),
        ),
        Kind(
            "ProjectedNormalReparam in both",
            changed(
                one(lambda: dist.ProjectedNormal(torch.zeros(2))), {"x": reparam.ProjectedNormalReparam()}
            ),
            changed(
                one(lambda: dist.ProjectedNormal(0.5 * torch.ones(2))),
                {"x": reparam.ProjectedNormalReparam()},
            ),
        ),
        Kind(
            "SymmetricStableReparam in both",
            changed(stable(2.0), {"x": reparam.SymmetricStableReparam()}),
            changed(stable(1.0), {"x": reparam.SymmetricStableReparam()}),
            reference=stable(1.0),
        ),
        Kind(
            "LatentStableReparam in both",
            changed(stable(2.0), {"x": reparam.LatentStableReparam()}),
            changed(stable(1.5), {"x": reparam.LatentStableReparam()}),
            reference=stable(1.5),
        ),
        Kind(
            "StudentTReparam in both",
            changed(one(lambda: dist.StudentT(4.0, 0.0, 2.0)), {"x": reparam.StudentTReparam()}),
            changed(one(lambda: dist.StudentT(4.0, 0.0, 1.0)), {"x": reparam.StudentTReparam()}),
        ),
        Kind(
            "SplitReparam in the model alone",
            one(lambda: dist.Normal(0.0, 2.0).expand([4]).to_event(1)),
            changed(
                one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
                {"x": reparam.SplitReparam([2, 2], -1)},
            ),
            reference=one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
        ),
        Kind(
            "SplitReparam in both",
            changed(
                one(lambda: dist.Normal(0.0, 2.0).expand([4]).to_event(1)),
                {"x": reparam.SplitReparam([2, 2], -1)},
            ),
            changed(
                one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
                {"x": reparam.SplitReparam([2, 2], -1)},
            ),
        ),
        Kind(
            "HaarReparam in the model alone",
            one(lambda: dist.Normal(0.0, 2.0).expand([4]).to_event(1)),
            changed(
                one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)), {"x": reparam.HaarReparam(-1)}
            ),
            reference=one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)),
        ),
        Kind(
            "HaarReparam in both",
            changed(
                one(lambda: dist.Normal(0.0, 2.0).expand([4]).to_event(1)), {"x": reparam.HaarReparam(-1)}
            ),
            changed(
                one(lambda: dist.Normal(0.0, 1.0).expand([4]).to_event(1)), {"x": reparam.HaarReparam(-1)}
            ),
        ),
        Kind(
            "AutoReparam in the model alone",
            loc_scale(2.0),
            reparam.AutoReparam()(loc_scale(1.0)),
            reference=loc_scale(1.0),
        ),
        Kind(
            "AutoReparam in both",
            reparam.AutoReparam()(loc_scale(2.0)),
            reparam.AutoReparam()(loc_scale(1.0)),
            reference=loc_scale(1.0),
        ),
        Kind(
            "MinimalReparam in the model alone",
            loc_scale(2.0),
            reparam.MinimalReparam()(loc_scale(1.0)),
            reference=loc_scale(1.0),
        ),
    ]
