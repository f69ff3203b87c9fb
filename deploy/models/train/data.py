"""Owns the training text as numbers: encoding, and the seeded order in which a run sees it."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch

import tokenizer as tok

SKILLS = (
    "home",
    "notifications",
    "reply",
    "translate",
    "memo",
    "apps",
    "photo",
    "arithmetic",
    "word_problem",
    "facts",
)


def read(path, limit=None):
    items = []
    with open(path, encoding="utf-8") as file:
        for line in file:
            if limit is not None and len(items) == limit:
                break
            items.append(json.loads(line))
    return items


def pieces(item):
    """The item as text, in order: (text, whether the model is to say it). A drill has several turns."""
    if "turns" not in item:
        return [(tok.prompt_text(item["prompt"]), False), (item["answer"] + tok.END, True)]
    out = []
    for turn in item["turns"]:
        out.append((("\n" if out else "") + tok.prompt_text(turn["prompt"]), False))
        for given, learnt in turn["answer"]:
            out += [(given, False), (learnt, True)]
        out.append((tok.END, True))
    return out


def encode(path, tokenizer_dir):
    """Token ids end to end, which of them an answer holds, where each item starts, and its skill.

    Cached beside the text.
    """
    path = Path(path)
    tokenizer_json = (Path(tokenizer_dir) / "tokenizer.json").read_bytes()
    stat = f"3:{path.name}:{path.stat().st_size}".encode()
    key = hashlib.blake2b(tokenizer_json + stat, digest_size=8).hexdigest()
    cache = path.with_suffix(f".{key}.npz")
    if not cache.exists():
        tokenizer = tok.load(tokenizer_dir)
        ids, said, starts, skills, total = [], [], [], [], 0
        items = read(path)
        for at in range(0, len(items), 10_000):
            part = [pieces(i) for i in items[at : at + 10_000]]
            skills.extend(SKILLS.index(i["skill"]) for i in items[at : at + 10_000])
            encoded = iter(tokenizer.encode_batch([text for item in part for text, _ in item]))
            for item in part:
                starts.append(total)
                for _, learnt in item:
                    piece = next(encoded).ids
                    ids.append(np.asarray(piece, np.uint16))
                    said.append(np.full(len(piece), learnt))
                    total += len(piece)
        starts.append(total)
        temporary = cache.with_suffix(f".{os.getpid()}.tmp.npz")  # processes may encode side by side
        np.savez(
            temporary,
            ids=np.concatenate(ids),
            said=np.concatenate(said),
            starts=starts,
            skills=np.asarray(skills, np.uint8),
        )
        temporary.replace(cache)
    loaded = np.load(cache)
    return loaded["ids"], loaded["said"], loaded["starts"], loaded["skills"]


def joined(one, other):
    """Two encoded texts as one; the second's skills are marked, so that practice does not repeat them."""
    starts = np.concatenate([one[2][:-1], other[2] + one[2][-1]])
    skills = np.concatenate([one[3], np.full_like(other[3], len(SKILLS))])
    return np.concatenate([one[0], other[0]]), np.concatenate([one[1], other[1]]), starts, skills


WINDOW = 2048  # items sorted by length together: enough that a micro-batch has next to no padding


class Batches:
    """Steps of `step_micros` micro-batches, each of about `micro_tokens` tokens of items of like length.

    Items are taken in an order drawn from the seed and the epoch, a window of them is sorted by length and
    cut, and the cuts are shuffled, so that a step sees several lengths. `position` alone resumes it.
    """

    def __init__(self, encoded, micro_tokens, step_micros, seed, prompt, practice=(), length_max=512):
        """`practice` holds (skill, times): how often an epoch shows that skill's items, if not once."""
        self.ids, self.said, self.starts, skills = encoded
        self.lengths = np.diff(self.starts)
        times = np.ones(len(SKILLS) + 1, np.int64)
        for skill, count in practice:
            times[SKILLS.index(skill)] = count
        fits = np.flatnonzero(self.lengths <= length_max)
        self.dropped = len(self.lengths) - len(fits)
        self.kept = np.repeat(fits, times[skills[fits]])
        self.micro_tokens, self.step_micros, self.seed = micro_tokens, step_micros, seed
        self.prompt_weight, self.prompt_share = prompt
        self.position = (0, 0)  # window, micro-batch within it
        self._cut = (None, None)
        self._epoch = (None, None)

    def _order(self, epoch):
        if self._epoch[0] != epoch:
            self._epoch = (epoch, np.random.default_rng((self.seed, epoch)).permutation(self.kept))
        return self._epoch[1]

    def _micros(self, window):
        if self._cut[0] != window:
            per_epoch = max(1, len(self.kept) // WINDOW)
            epoch, index = divmod(window, per_epoch)
            chosen = self._order(epoch)[index * WINDOW : (index + 1) * WINDOW]
            chosen = chosen[np.argsort(self.lengths[chosen], kind="stable")]
            cuts, micro = [], []
            for item in chosen:
                if micro and self._width(item) * (len(micro) + 1) > self.micro_tokens:
                    cuts.append(micro)
                    micro = []
                micro.append(item)
            cuts.append(micro)
            shuffled = np.random.default_rng((self.seed, 1 << 40, window)).permutation(len(cuts))
            self._cut = (window, [cuts[i] for i in shuffled])
        return self._cut[1]

    def _width(self, item):
        return -(-int(self.lengths[item]) // 4) * 4

    def step(self):
        """The micro-batches of the next step: tokens, targets and loss weights, [rows, width] each."""
        out = []
        while len(out) < self.step_micros:
            window, at = self.position
            micros = self._micros(window)
            micro = micros[at]
            self.position = (window, at + 1) if at + 1 < len(micros) else (window + 1, 0)
            random = np.random.default_rng((self.seed, 1 << 41, window, at))
            out.append(self._build(micro, self._width(micro[-1]), random))
        return out

    def _build(self, micro, width, random):
        tokens = np.zeros((len(micro), width), np.int64)
        weight = np.zeros((len(micro), width), np.float32)
        for row, item in enumerate(micro):
            a, b = self.starts[item], self.starts[item + 1]
            n, said = b - a, self.said[a + 1 : b]
            tokens[row, :n] = self.ids[a:b]
            # Position t predicts token t + 1: the answer's first token is predicted by the prompt's last.
            weight[row, : n - 1][said] = 1.0
            if self.prompt_weight:
                picked = ~said & (random.random(n - 1) < self.prompt_share)
                weight[row, : n - 1][picked] = self.prompt_weight / self.prompt_share
        targets = np.roll(tokens, -1, axis=1)
        return torch.from_numpy(tokens), torch.from_numpy(targets), torch.from_numpy(weight)
