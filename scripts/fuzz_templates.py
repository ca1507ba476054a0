"""Statements of random programs, with letters for the values that they take."""

# Distributions by kind of value: from a location ``{t}`` between -1 and 1 and a positive scale ``{s}``.
REAL = (
    "Normal({t}, {s})",
    "Normal({t}, 0.05 * {s})",  # narrow: a value beside its location shows
    "Normal(loc={t}, scale=0.05 * {s})",
    "StudentT(4.0, {t}, {s})",
    "Laplace({t}, {s})",
    "Gumbel({t}, {s})",
    "LogNormal({t}, 0.5 * {s})",
    "Gamma(1.0 + {s}, {t}.exp())",
    "InverseGamma(3.0 + {s}, {t}.exp())",
    "Exponential({t}.exp() / {s})",
    "HalfNormal({t}.exp() * {s})",
    "Beta(2.0 * {t}.exp(), torch.tensor(2.0) + {s})",
    "Kumaraswamy(2.0 * {t}.exp(), 1.0 + {s} + 0 * {t})",
    "Uniform({t} - {s}, {t} + 1.0 + {s})",
    "VonMises({t}, torch.tensor(1.0) / {s})",
    "Weibull({t}.exp() * {s}, 1.5)",
    "Logistic({t}, {s})",
    "SoftLaplace({t}, {s})",
    "AsymmetricLaplace({t}, {s}, {t}.exp())",
    "Chi2(3.0 * {t}.exp())",
    "FoldedDistribution(dist.Normal({t}, {s}))",
    "ZeroInflatedPoisson({t}.exp() * {s}, gate=torch.tensor(0.3))",
    "Bernoulli(logits={t} / {s})",
    "Bernoulli({t}.sigmoid())",
    "Poisson({t}.exp() * {s})",
    "Geometric(logits={t} / {s})",
    "Binomial(3, logits={t} / {s})",
    "NegativeBinomial(2.0, logits={t} / {s})",
    "MixtureSameFamily(dist.Categorical(logits=0 * {t}[..., None] + torch.zeros(2)), "
    "dist.Normal({t}[..., None] + torch.tensor([-1.0, 1.0]), {s}))",
    "TransformedDistribution(dist.Normal({t}, {s}), [T.AffineTransform({t}, 0.5), T.TanhTransform()])",
    "TransformedDistribution(dist.Normal(0 * {t}, {s}), [T.ExpTransform(), T.AffineTransform({t}, 2.0)])",
)
VECTORS = (
    "MultivariateNormal({t}[..., None] + torch.zeros(3), {s} * (torch.eye(3) + 0.2))",
    "MultivariateNormal(torch.zeros(3), scale_tril=0.5 * {s} * torch.eye(3) + 0 * {t}[..., None, None])",
    "MultivariateNormal(torch.zeros(3), precision_matrix=torch.eye(3) + {t}[..., None, None].abs())",
    "LowRankMultivariateNormal({t}[..., None] * torch.ones(3), {t}[..., None, None] + torch.ones(3, 2), "
    "{s} * torch.ones(3))",
    "Dirichlet(({t}[..., None] + torch.zeros(3)).exp() + {s})",
    "Multinomial(4, logits={t}[..., None] * torch.tensor([1.0, 0.0, -1.0]) / {s})",
    "OneHotCategorical(logits={t}[..., None] * torch.tensor([1.0, 0.0, -1.0]) / {s})",
    "MixtureSameFamily(dist.Categorical(logits=torch.zeros(2) + 0 * {t}[..., None]), "
    "dist.Normal({t}[..., None, None] + torch.ones(2, 3), {s}).to_event(1))",
)
INDEX = (
    "Categorical(logits={t}[..., None] * torch.linspace(-1, 1, {k}) / {s})",
    "Categorical(torch.softmax({t}[..., None] + torch.arange(float({k})), -1))",
    "Categorical(torch.ones({k}) / {k})",
)

# What is computed from real tensors v and w, an index z, and a data matrix of fitting size.
EXPRESSIONS = (
    *("v.tanh()", "v.abs()", "-v", "v ** 2", "v.exp().clamp(max=3.0)", "torch.relu(v)", "v * 1.5 - 0.5"),
    *("v.sum()", "v.mean()", "v.sum({d})", "v.mean({d}, keepdim=True)", "v.logsumexp({d})", "v.max()"),
    *(
        "v.cumsum({d})",
        "v.prod({d})",
        "v.norm()",
        "v.sort({d}).values",
        "v.max({d}).values",
        "v.softmax({d})",
    ),
    *("v.std({d}, unbiased=False)", "v.diff(dim={d})", "v.amin({d})", "v.median()", "v.var(unbiased=False)"),
    *("v[{i}]", "v[-1]", "v[..., {i}]", "v[:, {i}]", "v[{i}, {j}]", "v[None]", "v[..., None]", "v[{i}:]"),
    *("v[..., :-1]", "v[::2]", "v[torch.tensor({places})]", "v[..., torch.tensor({places})]", "v[{places}]"),
    *("v[:, torch.tensor({places})]", "v[torch.tensor({places}), torch.tensor({places})]"),
    *("v[torch.tensor({places}), :, torch.tensor({places})]", "v[torch.arange(v.shape[0]) > 0]"),
    *("v[z]", "v[..., z]", "v[:, z]", "v[z, torch.arange(z.shape[0])]", "v[z, ..., {i}]", "v[{i}, z]"),
    *("v.index_select({d}, torch.tensor({places}))", "v.gather({d}, torch.zeros_like(v).long())"),
    *("v.take_along_dim(v.argsort({d}), {d})", "Vindex(v)[..., z]", "Vindex(v)[z, {i}]"),
    *("torch.nn.functional.one_hot(z, {k}).float() * w", "(z == {i}).float() + w", "z.float() * 0.5"),
    *("v.T", "v.mT", "v.reshape(-1)", "v.flatten()", "v.unsqueeze({d})", "v.squeeze()", "v.squeeze(-1)"),
    *("v.expand(2, *v.shape)", "v.transpose(0, -1)", "v.permute(*range(v.dim() - 1, -1, -1))"),
    *("v.view(*v.shape, 1)", "v.repeat(2)", "v.flip(0)", "v.roll(1, {d})", "torch.cat([v, w], {d})"),
    *("torch.cat([v.reshape(-1), w.reshape(-1)])", "torch.stack([v, w], {d})", "torch.stack([*v])"),
    *("v + w", "v * w", "v - 2 * w", "torch.where(v > 0, v, w)", "torch.maximum(v, w)", "v / (1 + w.abs())"),
    *("v @ w", "torch.mv(v, w)", "torch.mm(v, w)", "torch.outer(v, w)", "v.dot(w)", "v[..., None] * w"),
    *("data(4, v.shape[0]) @ v", "v @ data(v.shape[-1], 2)", "torch.einsum('i,j->ij', v, w)"),
    *("torch.einsum('...i,...i->...', v, w)", "torch.addmm(v, w, w.T)", "torch.nn.functional.pad(v, (1, 0))"),
    *("torch.nn.functional.linear(v, w)", "torch.nn.functional.linear(data(2, v.shape[-1]), v)"),
    *("torch.tensor([v, w])", "torch.tensor([[v, 0.5], [1.0, w]])", "torch.stack([v, w, v * w])"),
    *("torch.zeros(3) + v", "v * torch.arange(3.0)", "torch.ones_like(v) * w", "torch.full_like(v, 0.5) + w"),
    *("v.new_zeros(2) + w", "sum(v)", "sum([v, w])", "torch.diag(v)", "torch.diag_embed(v)", "v.tril()"),
    *("torch.linalg.cholesky(positive(v))", "torch.inverse(positive(v))", "torch.logdet(positive(v))"),
    *("torch.linalg.solve(positive(v), w)", "torch.linalg.eigvalsh(positive(v))", "torch.det(positive(v))"),
    *("v.double().float()", "v.clone()", "v.contiguous()", "v.unbind({d})[{i}]", "v.chunk(2)[0]"),
    *("torch.vmap(lambda x: x * w)(v)", "torch.meshgrid(v, w, indexing='ij')[0]", "torch.cdist(v, w)"),
    *("torch.lerp(v, w, 0.3)", "torch.clamp(v, -1.0, 1.0)", "v.masked_fill(v > 0, 0.5)", "torch.atan2(v, w)"),
    *("v.unfold(0, 2, 1)", "torch.tensordot(v, w, 1)", "torch.kron(v, w)", "torch.bmm(v, w)", "v.trace()"),
    *("(v > w).float()", "v.sign()", "v.round()", "v.argmax({d}).float()", "v.split(1)[-1]"),
    *("torch.bucketize(v, torch.zeros(1)).float()", "torch.nn.functional.layer_norm(v, v.shape[-1:])"),
)
# What is then changed in place: a copy, new memory, or the value itself.
STARTS = (
    *("v", "v.clone()", "v * 1.0", "torch.zeros_like(v)", "torch.zeros(3)", "torch.ones(2, 3)"),
    *(
        "torch.empty(3).fill_(0.1)",
        "v.new_ones(4)",
        "data(3, 3)",
        "torch.arange(4.0)",
        "torch.zeros(3, 3, 3)",
    ),
    # Views, or copies, of the value.
    *(
        "v[0]",
        "v[:, 0]",
        "v.T",
        "v.reshape(-1)",
        "v.flatten()",
        "v.T.reshape(-1)",
        "v[..., None]",
        "v.view(-1)",
    ),
    *("v.detach()", "v.data", "v.squeeze()", "v.contiguous()", "v.T.contiguous()", "v.float()", "v[1:]"),
    *(
        "v.expand(2, *v.shape).contiguous()",
        "v.diagonal()",
        "v.unbind(0)[0]",
        "v.movedim(0, -1)",
        "v[[0, 1]]",
    ),
    *(
        "torch.as_tensor(v)",
        "v.broadcast_to(v.shape)",
        "v.unsqueeze(0)",
        "v.chunk(2)[0]",
        "v.swapaxes(0, -1)",
    ),
)
CHANGES = (
    *("v[{i}] = w", "v[{i}] = 0.5", "v[..., {i}] = w", "v[:, {i}] = w", "v += 1.0", "v *= w", "v -= w"),
    *("v[{i}] += w", "v[{i}:] = 0.0", "v[torch.tensor({places})] = w", "v[torch.tensor({places})] = 0.5"),
    *("v[v > 0] = 0.5", "v[v < w] = -0.5", "v.clamp_(-1.0, 1.0)", "v.clamp_min_(0.0)", "v.fill_(0.5)"),
    *("v.copy_(w)", "v.zero_()", "v.mul_(0.5)", "v.add_(w)", "v[z] = 0.5", "v[..., z] = w.sum()"),
    # One index: where two are equal, it is not defined which value stays.
    *("v[z.reshape(-1)[0]] = w", "v[..., z.reshape(-1)[0]] = w", "v[z.reshape(-1)[0], {i}] += w.sum()"),
    *("v[torch.tensor({places}), :, torch.tensor({places})] = w", "v[{i}, {j}] = w", "v[..., -1] *= 2"),
    *("v.index_fill_(0, torch.tensor([{i}]), 0.5)", "v.masked_fill_(v > 0, 0.5)", "v.relu_()", "v.neg_()"),
    *(
        "v.reshape(-1)[{i}] = w.sum()",
        "v.T[0] = w",
        "v[0][0] = 0.5",
        "v[None].mul_(2.0)",
        "v.squeeze().add_(w)",
    ),
    *("v.diagonal().fill_(0.5)", "v.unbind(0)[0].add_(1.0)", "v.contiguous().add_(1.0)", "v.data.add_(w)"),
    *(
        "v.flatten()[{i}] = 0.5",
        "v.float().add_(1.0)",
        "v.narrow(0, 0, 1).fill_(0.5)",
        "v.T.reshape(-1)[0] = 0.5",
    ),
    *("v.detach().mul_(w)", "v.to(torch.float32).mul_(2.0)", "v[1:][0] = w", "v.unsqueeze(-1)[0] += 1.0"),
    *(
        "v.index_add_(0, torch.tensor([{i}]), w)",
        "v[torch.arange(len(v)) > 0] = w",
        "v[:] = w.clone()",
        "v[...] = w.clone()",
    ),
)
# Statements with a site, or a value, a step. Named x, with sites named y, from a number t and a scale s.
LOOPS = (
    "{x} = {t}\n"
    "for i in range(3):\n"
    '    {x} = pyro.sample(f"{y}_{{i}}", dist.Normal(torch.tanh({x}), {s}))',
    "{x} = {t}\n"
    'for i in pyro.plate("{y}", 2):\n'
    '    {x} = {x} + pyro.sample(f"{y}_{{i}}", dist.Normal(torch.tanh({x}), {s}))',
    "{x} = torch.zeros(4)\n"
    "for i in range(1, 4):\n"
    "    {x}[i] = 0.5 * {x}[i - 1] + {t}",
    "{x} = torch.zeros(3)\n"
    "for i in range(3):\n"
    '    {x}[i] = pyro.sample(f"{y}_{{i}}", dist.Normal(torch.tanh({x}.sum()), {s}))',
    "z, {x} = 0, 0.0\n"
    "for i in pyro.markov(range(3)):\n"
    "    probs = torch.softmax(torch.eye(2) * {t}, -1)\n"
    '    z = pyro.sample(f"{y}_{{i}}", dist.Categorical(probs[z]))\n'
    "    {x} = {x} + torch.tensor([-1.0, 1.0])[z]",
    "{x} = torch.stack([{t} * i for i in range(3)])",
)  # fmt: skip
MASKS = ("torch.tensor(False)", "False", "torch.tensor(s > 0.5)", "{t} > 0")
# What only one particle at a time can do.
SINGLE = (
    "{new} = v * 2 if v.sum() > 0 else v - 1",
    "{new} = torch.tensor(float(v.sum()))",
    "{new} = torch.tensor(v.mean().item()) + w",
    "{new} = torch.from_numpy(np.tanh(v.numpy()))",
    "{new} = torch.tensor(math.tanh(v.sum()))",
    "{new} = v * len(range(int(z.sum())))",
    "{new} = v[v > 0].sum()",
    "{new} = torch.tensor(v.tolist())",
)
