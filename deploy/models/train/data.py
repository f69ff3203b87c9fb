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


def encode(path, tokenizer_dir):
    """Token ids end to end, where each item and each answer starts, and its skill. Cached beside the text."""
    path = Path(path)
    tokenizer_json = (Path(tokenizer_dir) / "tokenizer.json").read_bytes()
    stat = f"2:{path.name}:{path.stat().st_size}".encode()
    key = hashlib.blake2b(tokenizer_json + stat, digest_size=8).hexdigest()
    cache = path.with_suffix(f".{key}.npz")
    if not cache.exists():
        tokenizer = tok.load(tokenizer_dir)
        ids, starts, answers, skills, total = [], [], [], [], 0
        items = read(path)
        for at in range(0, len(items), 10_000):
            part = items[at : at + 10_000]
            prompts = tokenizer.encode_batch([tok.prompt_text(i["prompt"]) for i in part])
            endings = tokenizer.encode_batch([i["answer"] + "<|im_end|>" for i in part])
            skills.extend(SKILLS.index(i["skill"]) for i in part)
            for p, a in zip(prompts, endings):
                starts.append(total)
                answers.append(len(p.ids))
                ids.extend((np.asarray(p.ids, np.uint16), np.asarray(a.ids, np.uint16)))
                total += len(p.ids) + len(a.ids)
        starts.append(total)
        temporary = cache.with_suffix(f".{os.getpid()}.tmp.npz")  # processes may encode side by side
        np.savez(temporary, ids=np.concatenate(ids), starts=starts, answers=answers, skills=np.asarray(skills, np.uint8))
        temporary.replace(cache)
    loaded = np.load(cache)
    return loaded["ids"], loaded["starts"], loaded["answers"], loaded["skills"]


WINDOW = 2048  # items sorted by length together: enough that a micro-batch has next to no padding


class Batches:
    """Steps of `step_micros` micro-batches, each of about `micro_tokens` tokens of items of like length.

    Items are taken in an order drawn from the seed and the epoch, a window of them is sorted by length and
    cut, and the cuts are shuffled, so that a step sees several lengths. `position` alone resumes it.
    """

    def __init__(self, encoded, micro_tokens, step_micros, seed, prompt, practice=(), length_max=512):
        """`practice` holds (skill, times): how often an epoch shows that skill's items, if not once."""
        self.ids, self.starts, self.answers, skills = encoded
        self.lengths = np.diff(self.starts)
        times = np.ones(len(SKILLS), np.int64)
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
            n, answer = b - a, self.answers[item]
            tokens[row, :n] = self.ids[a:b]
            # Position t predicts token t + 1: the answer's first token is predicted by the prompt's last.
            weight[row, answer - 1 : n - 1] = 1.0
            if self.prompt_weight:
                picked = random.random(answer - 1) < self.prompt_share
                weight[row, : answer - 1][picked] = self.prompt_weight / self.prompt_share
        targets = np.roll(tokens, -1, axis=1)
        return torch.from_numpy(tokens), torch.from_numpy(targets), torch.from_numpy(weight)
