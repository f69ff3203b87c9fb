"""Owns the optimiser: Muon for matrices, AdamW for the embedding, the router and the gains."""

import torch

ADAM = ("embed", "router", "norm", "attn_norm", "ffn_norm", "q_norm", "k_norm")
BATCH = 48  # matrices orthogonalised at once: few enough to stay in cache


def orthogonalise(g, steps=5):
    """Newton-Schulz iteration towards the nearest semi-orthogonal matrix, for a stack of matrices."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.float().norm(dim=(-2, -1), keepdim=True) + 1e-7).bfloat16()
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * (s @ s)) @ x
    return x.mT if tall else x


class Optimiser:
    """State is two dictionaries of tensors and a count, so that a checkpoint is exact."""

    def __init__(self, masters, muon_lr=0.02, adam_lr=3e-3, weight_decay=0.05, momentum=0.95):
        self.muon_lr, self.adam_lr, self.momentum, self.weight_decay = muon_lr, adam_lr, momentum, weight_decay
        self.first = {n: torch.zeros_like(w) for n, w in masters.items()}
        self.second = {n: torch.zeros_like(w) for n, w in masters.items() if n in ADAM}
        self.count = 0

    def state(self):
        return {"first": self.first, "second": self.second, "count": self.count}

    def load(self, state):
        self.first, self.second, self.count = state["first"], state["second"], state["count"]

    @torch.no_grad()
    def step(self, masters, grads, factor, team):
        """`factor` is the schedule's share of the peak learning rates; `team` shares out the matrices."""
        self.count += 1
        updates = {}
        for name, w in masters.items():
            if name in ADAM:
                self._adam(name, w, grads[name], self.adam_lr * factor)
            else:
                updates[name] = self._directions(name, w, grads[name], team)
        team.sum(list(updates.values()))
        lr = self.muon_lr * factor
        for name, update in updates.items():
            rows, columns = update.shape[-2:]
            masters[name].mul_(1 - lr * self.weight_decay).sub_(update, alpha=lr * max(1.0, rows / columns) ** 0.5)

    def _adam(self, name, w, g, lr):
        b1, b2 = 0.9, 0.98
        m, v = self.first[name], self.second[name]
        m.lerp_(g, 1 - b1)
        v.lerp_(g.square(), 1 - b2)
        update = (m / (1 - b1**self.count)) / ((v / (1 - b2**self.count)).sqrt() + 1e-9)
        w.sub_(update, alpha=lr)

    def _directions(self, name, w, g, team):
        """This process's share of the orthogonalised momenta, and zeros in the others' places."""
        warm = min(1.0, self.count / 200)
        momentum = 0.85 * (1 - warm) + self.momentum * warm
        m = self.first[name]
        m.lerp_(g, 1 - momentum)
        rows, columns = w.shape[-2:]
        ahead = g.lerp(m, momentum).view(-1, rows, columns)
        out = torch.zeros_like(ahead)
        size = min(BATCH, -(-ahead.shape[0] // team.size))
        for number, i in enumerate(range(0, ahead.shape[0], size)):
            if number % team.size == team.rank:
                out[i : i + size] = orthogonalise(ahead[i : i + size])
        return out.view_as(w)
