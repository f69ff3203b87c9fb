"""Owns the two demo models' arithmetic: Qwen3, dense or Mixture-of-Experts, as plain functions over named weights.

Weights live in one dictionary of float32 masters, stacked over layers. A step derives from them the
tensors it computes with (bf16, fake-quantised when training is aware of 4-bit weights), so that the
cast and the rounding are paid once per step and not once per micro-batch.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F

QUANT_BLOCK = 32  # weights that share one scale in ggml's Q4_0 and Q8_0


@dataclass(frozen=True)
class Config:
    """The shape of a model; the names follow the published configuration files where they can."""

    vocab: int
    layers: int = 6
    hidden: int = 256
    ffn: int = 256
    experts: int = 0  # 0 means one dense feed-forward network
    top_k: int = 2
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    rope_theta: float = 10_000.0
    eps: float = 1e-6
    positions: int = 1024

    def to_dict(self):
        return asdict(self)


def initialise(config, generator):
    """Float32 masters. Projections that write into the residual stream start at zero."""
    c, e = config, max(config.experts, 1)
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim

    def normal(*shape, fan_in):
        return torch.randn(shape, generator=generator) * fan_in**-0.5

    w = {
        "embed": torch.randn((c.vocab, c.hidden), generator=generator) * 0.04,
        "norm": torch.ones(c.hidden),
        "attn_norm": torch.ones(c.layers, c.hidden),
        "ffn_norm": torch.ones(c.layers, c.hidden),
        "q_norm": torch.ones(c.layers, c.head_dim),
        "k_norm": torch.ones(c.layers, c.head_dim),
        "wq": normal(c.layers, q, c.hidden, fan_in=c.hidden),
        "wk": normal(c.layers, kv, c.hidden, fan_in=c.hidden),
        "wv": normal(c.layers, kv, c.hidden, fan_in=c.hidden),
        "wo": torch.zeros(c.layers, c.hidden, q),
        "gate_up": normal(c.layers, e, 2, c.ffn, c.hidden, fan_in=c.hidden),
        "down": torch.zeros(c.layers, e, c.hidden, c.ffn),
    }
    if c.experts:
        w["router"] = normal(c.layers, c.experts, c.hidden, fan_in=c.hidden)
    return w


def upcycle(fresh, start, renew, seed):
    """`start`'s weights in the shape of `fresh`: every expert begins as the dense network.

    The shares of the chosen experts add up to one, so the model begins as good as the dense one; a share of
    each expert's channels is drawn anew, so that the experts differ and have something to specialise in.
    """
    generator = torch.Generator().manual_seed(seed)
    out = {name: start.get(name, fresh[name]).clone() for name in fresh}
    experts = fresh["gate_up"].shape[1]
    if start["gate_up"].shape[1] == experts:
        return out
    gate_up = start["gate_up"].repeat(1, experts, 1, 1, 1)
    down = start["down"].repeat(1, experts, 1, 1)
    layers, _, _, ffn, _ = gate_up.shape
    drawn = torch.rand((layers, experts, ffn), generator=generator) < renew
    noise = torch.randn(gate_up.shape, generator=generator) * gate_up.std()
    out["gate_up"] = torch.where(drawn[:, :, None, :, None], noise, gate_up)
    noise = torch.randn(down.shape, generator=generator) * down.std()
    out["down"] = torch.where(drawn[:, :, None, :], noise, down)
    return out


# The tensors that a 4-bit file holds in 4 bits, and those it holds in float32.
QUANTISED = ("wq", "wk", "wv", "wo", "gate_up", "down")
FLOAT = ("norm", "attn_norm", "ffn_norm", "q_norm", "k_norm", "router")


def fake_q4_0(weight):
    """What remains of `weight` after ggml's Q4_0: a signed extreme / -8 as scale (f16), 16 levels."""
    blocks = weight.reshape(-1, QUANT_BLOCK)
    at = blocks.abs().argmax(dim=1, keepdim=True)
    scale = blocks.gather(1, at) / -8.0
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1.0 / scale)
    level = (blocks * inverse + 8.5).floor_().clamp_(0, 15)
    return ((level - 8.0) * scale.half().float()).view_as(weight)


def fake_q8_0(weight):
    """What remains of `weight` after ggml's Q8_0: the largest magnitude / 127 as scale (f16)."""
    blocks = weight.reshape(-1, QUANT_BLOCK)
    scale = blocks.abs().amax(dim=1, keepdim=True) / 127.0
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1.0 / scale)
    level = blocks * inverse
    level = level.sign() * (level.abs() + 0.5).floor_()  # half away from zero, as ggml rounds
    return (level * scale.half().float()).view_as(weight)


def compute_weights(masters, quantise, dtype=torch.bfloat16, train=True):
    """The tensors a step computes with: leaves, so that gradients pass the rounding unchanged."""
    out = {}
    for name, w in masters.items():
        if name not in FLOAT:
            if quantise:
                w = fake_q4_0(w) if name in QUANTISED else fake_q8_0(w)
            w = w.to(dtype)
        out[name] = w.detach().clone().requires_grad_(train) if train else w.detach()
    return out


def rotary(config, positions):
    """cos and sin of every position given, [..., head_dim / 2], float32."""
    half = config.head_dim // 2
    rate = config.rope_theta ** (-torch.arange(half, dtype=torch.float32) / half)
    angle = positions.float().unsqueeze(-1) * rate
    return angle.cos(), angle.sin()


class RmsNorm(torch.autograd.Function):
    """x / rms(x) * gain over the last axis, in float32, with its gradient written out."""

    @staticmethod
    def forward(ctx, x, gain, eps):
        x = x.float()
        scale = torch.rsqrt(torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps))
        unit = x * scale
        ctx.save_for_backward(unit, scale, gain)
        return unit * gain

    @staticmethod
    def backward(ctx, grad):
        unit, scale, gain = ctx.saved_tensors
        grad = grad.contiguous()
        product = grad * unit
        d_gain = product.view(-1, gain.shape[0]).sum(0)
        along = (product @ gain).unsqueeze(-1).div_(unit.shape[-1])
        return (grad * gain).addcmul_(unit, along, value=-1.0).mul_(scale), d_gain, None


def rms_norm(x, gain, eps):
    return RmsNorm.apply(x, gain, eps)


class Rotate(torch.autograd.Function):
    """Turns the halves of the last axis by an angle; the gradient turns back."""

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        return rotated(x, cos, sin)

    @staticmethod
    def backward(ctx, grad):
        cos, sin = ctx.saved_tensors
        return rotated(grad, cos, -sin), None, None


def rotated(x, cos, sin):
    out = torch.empty_like(x)
    a, b = x.chunk(2, dim=-1)
    left, right = out.chunk(2, dim=-1)
    torch.mul(a, cos, out=left).addcmul_(b, sin, value=-1.0)
    torch.mul(b, cos, out=right).addcmul_(a, sin)
    return out


def project_qkv(x, gains, wqkv, cos, sin, config):
    """Normalised, rotated queries and keys, and values: [rows, heads, time, head_dim]."""
    c = config
    attn_norm, q_norm, k_norm = gains
    rows, time, _ = x.shape
    h = rms_norm(x, attn_norm, c.eps).to(wqkv.dtype)
    qkv = (h.view(-1, c.hidden) @ wqkv.t()).view(rows, time, c.heads + 2 * c.kv_heads, c.head_dim)
    q, k, v = qkv.split((c.heads, c.kv_heads, c.kv_heads), dim=2)
    q = Rotate.apply(rms_norm(q, q_norm, c.eps), cos, sin).to(wqkv.dtype).transpose(1, 2)
    k = Rotate.apply(rms_norm(k, k_norm, c.eps), cos, sin).to(wqkv.dtype).transpose(1, 2)
    return q, k, v.transpose(1, 2)


def attend(q, k, v, bias, config):
    """Softmax attention written out: at these lengths it beats the fused CPU kernel in bf16."""
    rows, heads, time, dim = q.shape
    group = config.heads // config.kv_heads
    q = q.reshape(rows, config.kv_heads, group * time, dim)
    scores = (q @ k.transpose(-1, -2)).view(rows, config.kv_heads, group, time, k.shape[2])
    p = (scores.float() * dim**-0.5 + bias).softmax(dim=-1).to(v.dtype)
    out = p.view(rows, config.kv_heads, group * time, k.shape[2]) @ v
    return out.view(rows, heads, time, dim).transpose(1, 2).reshape(rows, time, heads * dim)


def attention_block(x, gains, wqkv, wo, cos, sin, bias, config):
    q, k, v = project_qkv(x, gains, wqkv, cos, sin, config)
    a = attend(q, k, v, bias, config)
    return x + (a.view(-1, a.shape[-1]) @ wo.t()).view(x.shape)


def swiglu(h):
    gate, up = h.chunk(2, dim=-1)
    return F.silu(gate) * up


def dense_block(x, ffn_norm, gate_up, down, config):
    h = rms_norm(x, ffn_norm, config.eps).to(gate_up.dtype).view(-1, config.hidden)
    h = swiglu(h @ gate_up.t())
    return x + (h @ down.t()).view(x.shape)


def route(x, ffn_norm, router, config):
    """The normalised input, the router's probabilities, and the chosen experts with their shares."""
    h = rms_norm(x, ffn_norm, config.eps).view(-1, config.hidden)
    probs = (h @ router.t()).softmax(dim=-1)
    share, chosen = probs.topk(config.top_k, dim=-1)
    return h, probs, share / share.sum(-1, keepdim=True), chosen


class GroupedExperts(torch.autograd.Function):
    """Every expert's rows side by side: one gather in, dense products per expert, one gather out.

    Each token has exactly k rows, so both directions are gathers and no scatter is needed. An expert's
    rows are taken through all its steps before the next expert's, so that they stay in cache.
    """

    @staticmethod
    def forward(ctx, h, share, chosen, gate_up, down):
        k = chosen.shape[1]
        order = chosen.view(-1).argsort(stable=True)
        ends = torch.bincount(chosen.view(-1), minlength=gate_up.shape[0]).cumsum(0).tolist()
        rows = torch.empty_like(order)
        rows[order] = torch.arange(order.numel())
        source = order // k
        x = h.index_select(0, source)
        inner = x.new_empty(x.shape[0], gate_up.shape[1])
        y = torch.empty_like(x)
        for e, (start, end) in enumerate(zip([0, *ends], ends)):
            if end > start:
                torch.mm(x[start:end], gate_up[e].t(), out=inner[start:end])
                torch.mm(swiglu(inner[start:end]), down[e].t(), out=y[start:end])
        ctx.save_for_backward(x, inner, y, share, rows, source, order, gate_up, down)
        ctx.ends = ends
        return weighted_rows(y, rows, share)

    @staticmethod
    def backward(ctx, grad):
        x, inner, y, share, rows, source, order, gate_up, down = ctx.saved_tensors
        k = share.shape[1]
        g = grad.to(y.dtype).index_select(0, source)
        d_share = (g * y).sum(-1, dtype=torch.float32)[rows].view(-1, k)
        dy = g.mul_(share.view(-1)[order].to(g.dtype).unsqueeze(-1))
        dx, d_gate_up, d_down = torch.empty_like(x), torch.zeros_like(gate_up), torch.zeros_like(down)
        for e, (start, end) in enumerate(zip([0, *ctx.ends], ctx.ends)):
            if end == start:
                continue
            gate, up = inner[start:end].chunk(2, dim=-1)
            opened = F.silu(gate)
            torch.mm(dy[start:end].t(), opened * up, out=d_down[e])
            d_act = dy[start:end] @ down[e]
            d_inner = torch.empty_like(inner[start:end])
            d_gate, d_up = d_inner.chunk(2, dim=-1)
            torch.mul(d_act, opened, out=d_up)
            d_gate.copy_(torch.ops.aten.silu_backward(d_act.mul_(up), gate))
            torch.mm(d_inner, gate_up[e], out=dx[start:end])
            torch.mm(d_inner.t(), x[start:end], out=d_gate_up[e])
        dh = dx.index_select(0, rows).view(-1, k, dx.shape[-1]).sum(1)
        return dh, d_share, None, d_gate_up, d_down


def weighted_rows(y, rows, share):
    """Each token's k rows of y, weighted by their shares and added, in float32."""
    tokens, k = share.shape
    y = y.index_select(0, rows).view(tokens, k, -1)
    out = y[:, 0] * share[:, :1]
    for slot in range(1, k):
        out.addcmul_(y[:, slot], share[:, slot : slot + 1])
    return out


def cross_entropy_rows(hidden, embed, targets):
    """Per-row negative log-likelihood and the float32 logits."""
    logits = (hidden.to(embed.dtype) @ embed.t()).float()
    return F.cross_entropy(logits, targets, reduction="none"), logits


def trunk(w, config, tokens):
    """Final normalised hidden states [rows, time, hidden] and the sum of the load-balancing terms."""
    c = config
    rows, time = tokens.shape
    cos, sin = rotary(c, torch.arange(time))
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    bias = torch.full((time, time), float("-inf")).triu(1)
    x = F.embedding(tokens, w["embed"]).float()
    balance = x.new_zeros(())
    for i in range(c.layers):
        gains = (w["attn_norm"][i], w["q_norm"][i], w["k_norm"][i])
        wqkv = torch.cat((w["wq"][i], w["wk"][i], w["wv"][i]))
        x = attention_block(x, gains, wqkv, w["wo"][i], cos, sin, bias, c)
        if c.experts:
            h, probs, share, chosen = route(x, w["ffn_norm"][i], w["router"][i], c)
            gate_up = w["gate_up"][i].view(c.experts, 2 * c.ffn, c.hidden)
            x = x + GroupedExperts.apply(h.to(gate_up.dtype), share, chosen, gate_up, w["down"][i]).view(x.shape)
            load = torch.bincount(chosen.view(-1), minlength=c.experts) / chosen.numel()
            balance = balance + c.experts * (load * probs.mean(0)).sum()
        else:
            x = dense_block(x, w["ffn_norm"][i], w["gate_up"][i].view(2 * c.ffn, c.hidden), w["down"][i, 0], c)
    return rms_norm(x, w["norm"], c.eps), balance


def parameter_count(masters):
    return sum(w.numel() for w in masters.values())


def decay_to_zero(progress, warmup, decay):
    """Warm-up, plateau, then a straight line to zero: the learning rate's share of its peak."""
    if progress < warmup:
        return progress / warmup
    if progress > 1 - decay:
        return max(0.0, (1 - progress) / decay)
    return 1.0
