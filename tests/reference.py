"""Plain Pyro as a reference: one run after the other, without a map and without the package."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor

# What `pyro.sample(name, ..., obs_mask=...)` adds to the name of a site that it splits in two.
_PARTS = ("_observed", "_unobserved")


class One(NamedTuple):
    """One particle in plain Pyro: its log density by stochastic site, and what the program computes."""

    log_prob: dict[str, float]
    deterministic: dict[str, Tensor]
    trace: poutine.Trace


def draw_one_by_one(program: Callable, n: int, seed: int) -> dict[str, Tensor]:
    """Values of ``n`` runs by site, shape ``(n, ...)``; sites with ``obs=`` are drawn as well."""
    pyro.set_rng_seed(seed)
    draws = []
    for _ in range(n):
        with torch.no_grad(), _Drawn() as drawn:
            program()
        draws.append(drawn.values)
    names = [name for name in draws[0] if _whole_of(name, draws[0]) == name]
    return {name: torch.stack([draw[name] for draw in draws]) for name in names}


def run_one(
    program: Callable, values: Mapping[str, Tensor], *, scales: bool = True, masks: bool = True
) -> One:
    """A trace of one particle with these values at its stochastic sites.

    Parameters
    ----------
    program : callable
        What to trace.
    values : mapping of str to Tensor
        By site, with as many elements as the program's own site has; other sites are drawn.
    scales, masks : bool
        Whether they count. They do not change what is drawn.
    """
    with torch.no_grad(), _Fixed(values, scales, masks) as fixed:
        trace = poutine.trace(program).get_trace()
    stochastic = {}
    for name, node in trace.nodes.items():
        if node["type"] != "sample" or _is_of_pyro(node):
            continue
        if not _is_computed(node):
            stochastic[name] = node
            if _whole_of(name, values) in values:  # the program may have changed it in place
                node["value"] = _placed(node, values)
    trace.compute_log_prob()
    log_prob: dict[str, float] = {}
    for name, node in stochastic.items():
        whole = _whole_of(name, values)
        log_prob[whole] = log_prob.get(whole, 0.0) + node["log_prob"].double().sum().item()
    return One(log_prob, fixed.computed, trace)


def score_one(program: Callable, values: Mapping[str, Tensor], **counts: bool) -> dict[str, float]:
    """Log density of one particle by site, with ``scales`` and ``masks`` unless they do not count."""
    return run_one(program, values, **counts).log_prob


class _Drawn(Messenger):
    """Draws what carries ``obs=``, and keeps each draw before the program can change it in place."""

    def __init__(self) -> None:
        super().__init__()
        self.values: dict[str, Tensor] = {}

    def _pyro_sample(self, msg: dict) -> None:
        if msg["is_observed"] and not (_is_computed(msg) or _is_of_pyro(msg)):
            msg["value"], msg["is_observed"], msg["done"] = None, False, False

    def _pyro_post_sample(self, msg: dict) -> None:
        if not _is_of_pyro(msg):
            self.values[msg["name"]] = msg["value"].clone()


class _Fixed(Messenger):
    """Gives each stochastic site its value, whether it carries ``obs=`` or not.

    Outermost: sees a site after plates, reparametrizations, scales and masks of the program.
    """

    def __init__(self, values: Mapping[str, Tensor], scales: bool, masks: bool) -> None:
        super().__init__()
        self.values = values
        self.scales = scales
        self.masks = masks
        self.computed: dict[str, Tensor] = {}

    def _pyro_sample(self, msg: dict) -> None:
        if _is_computed(msg) or _is_of_pyro(msg) or _whole_of(msg["name"], self.values) not in self.values:
            return
        msg["value"] = _placed(msg, self.values)
        msg["done"], msg["is_observed"] = True, False
        # Pyro lets a subsample of a plate count for all of its rows; what is drawn are these.
        for frame in msg["cond_indep_stack"]:
            msg["scale"] = msg["scale"] * frame.size / (frame.full_size or frame.size)
        if not self.scales:
            msg["scale"] = 1.0
        # The mask of `obs_mask=` says which of two sites an element belongs to.
        if not self.masks and _whole_of(msg["name"], self.values) == msg["name"]:
            msg["mask"] = None

    def _pyro_post_sample(self, msg: dict) -> None:
        if _is_computed(msg):  # the program may change it in place later
            self.computed[msg["name"]] = msg["value"].clone()


def _placed(msg: Mapping, values: Mapping[str, Tensor]) -> Tensor:
    """The value of a site in the shape that the program expects: a copy."""
    return values[_whole_of(msg["name"], values)].reshape(msg["fn"].shape()).clone()


def _is_of_pyro(msg: Mapping) -> bool:
    """Whether a site is a subsample of a plate or a factor."""
    return type(msg["fn"]).__name__ in ("_Subsample", "Unit")


def _is_computed(msg: Mapping) -> bool:
    """Whether a site holds a value that the program, or a reparametrization in it, has computed."""
    fn = msg["fn"]
    while type(fn).__name__ in ("Independent", "MaskedDistribution", "ExpandedDistribution"):
        fn = fn.base_dist
    return bool(msg["infer"].get("_deterministic") or (msg["is_observed"] and type(fn).__name__ == "Delta"))


def _whole_of(name: str, names: Iterable[str]) -> str:
    """The site that ``obs_mask=`` made a site a part of, or its own name."""
    for part in _PARTS:
        if name.endswith(part) and name.removesuffix(part) in names:
            return name.removesuffix(part)
    return name
