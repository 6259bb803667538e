# SPDX-License-Identifier: Apache-2.0
"""Draws the data set "tunes", trains the small transformer "tunes_former" on it and writes both.

    /usr/bin/python3 make_tunes_former.py [--epochs 14] [--threads 1]

A tune is 32 notes out of 24. Two of five motifs, three notes each, stand somewhere in it, in an order that
with the pair makes the label; the rest is chance, and now and then a note of a motif is wrong.
As in make_glyphs_cnn.py the topology is written once and computed or emitted; nodes are those that PyTorch's
exporter gives a transformer: MatMul and Add for each projection, GELU by Erf, LayerNormalization of opset 17.
The test split is not looked at before training is over.
"""

import argparse
import math
import os
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from make_glyphs_cnn import HERE, learning_rate

NOTES, TOKENS = 24, 32
MOTIFS = [(3, 11, 7), (19, 2, 14), (8, 22, 5), (13, 0, 17), (21, 6, 10)]
ORDERS = [(0, 1), (1, 0), (1, 2), (2, 1), (2, 3), (3, 2), (3, 4), (4, 3), (4, 0), (0, 4)]  # by label
CLASSES = len(ORDERS)
WRONG_NOTE = 0.06
WIDTH, HEADS, HIDDEN, BLOCKS = 64, 4, 128, 3
SEED = 11


def tunes(count, seed):
    """Labels 0 to 9 in turn; notes [count, 32], both int64."""
    rng = np.random.default_rng(seed)
    notes = rng.integers(NOTES, size=(count, TOKENS))
    labels = np.arange(count) % CLASSES
    for row, label in zip(notes, labels):
        gap = np.sort(rng.integers(TOKENS - 6 + 1, size=2))
        for start, motif in zip((gap[0], gap[1] + 3), ORDERS[label]):
            wrong = rng.random(3) < WRONG_NOTE
            row[start : start + 3] = np.where(wrong, rng.integers(NOTES, size=3), MOTIFS[motif])
    return notes, labels


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.query, self.key, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH)


class TunesFormer(nn.Module):
    def __init__(self):
        super().__init__()
        self.notes = nn.Parameter(0.5 * torch.randn(NOTES, WIDTH))
        self.position = nn.Parameter(0.5 * torch.randn(1, TOKENS, WIDTH))
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, x, ops=None):
        ops = ops or Torch()
        x = ops.embed("notes", x, self.notes)  # [N,32,64]
        x = ops.add("position", x, ops.parameter("position/values", self.position))
        for i, block in enumerate(self.blocks):
            name = f"block{i}"
            y = ops.norm(f"{name}/norm1", x, block.norm1)
            q = ops.split_heads(f"{name}/query", ops.linear(f"{name}/query", y, block.query), (0, 2, 1, 3))
            k = ops.split_heads(f"{name}/key", ops.linear(f"{name}/key", y, block.key), (0, 2, 3, 1))
            v = ops.split_heads(f"{name}/value", ops.linear(f"{name}/value", y, block.value), (0, 2, 1, 3))
            y = ops.attend(f"{name}/attention", q, k, v)
            x = ops.add(f"{name}/add1", x, ops.linear(f"{name}/out", y, block.out))
            y = ops.norm(f"{name}/norm2", x, block.norm2)
            y = ops.gelu(f"{name}/gelu", ops.linear(f"{name}/up", y, block.up))
            x = ops.add(f"{name}/add2", x, ops.linear(f"{name}/down", y, block.down))
        x = ops.mean("head", ops.norm("head/norm", x, self.norm))
        return ops.classify("head", x, self.head)


class Torch:
    def parameter(self, name, values):
        return values

    def embed(self, name, x, table):
        return table[x]

    def add(self, name, a, b):
        return a + b

    def norm(self, name, x, layer):
        return layer(x)

    def linear(self, name, x, layer):
        return layer(x)

    def split_heads(self, name, x, order):
        return x.reshape(-1, TOKENS, HEADS, WIDTH // HEADS).permute(order)

    def attend(self, name, q, k, v):
        weights = (q @ k / math.sqrt(WIDTH // HEADS)).softmax(-1)
        return (weights @ v).permute(0, 2, 1, 3).reshape(-1, TOKENS, WIDTH)

    def gelu(self, name, x):
        return F.gelu(x)

    def mean(self, name, x):
        return x.mean(1)

    def classify(self, name, x, layer):
        return layer(x)


class Emitter:
    """The same operations, as ONNX nodes "where/Op" with values "where/op"."""

    def __init__(self):
        self.nodes, self.initializers = [], []

    def constant(self, name, values, dtype=np.float32):
        array = np.asarray(values.detach() if torch.is_tensor(values) else values)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(array, dtype), name))
        return name

    def parameter(self, name, values):
        return self.constant(name, values)

    def node(self, op, where, inputs, output=None, **attributes):
        output = output or f"{where}/{op.lower()}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{where}/{op}", **attributes))
        return output

    def embed(self, name, x, table):
        return self.node("Gather", name, [self.constant(f"{name}/table", table), x], axis=0)

    def add(self, name, a, b):
        return self.node("Add", name, [a, b])

    def norm(self, name, x, layer):
        return self.node("LayerNormalization", name, [x, self.constant(f"{name}/scale", layer.weight),
                                                      self.constant(f"{name}/bias", layer.bias)], axis=-1, epsilon=layer.eps)

    def linear(self, name, x, layer):
        x = self.node("MatMul", name, [x, self.constant(f"{name}/weight", layer.weight.T)])
        return self.node("Add", name, [x, self.constant(f"{name}/bias", layer.bias)])

    def split_heads(self, name, x, order):
        shape = self.constant(f"{name}/shape", [0, TOKENS, HEADS, WIDTH // HEADS], np.int64)
        return self.node("Transpose", name, [self.node("Reshape", name, [x, shape])], perm=list(order))

    def attend(self, name, q, k, v):
        scores = self.node("MatMul", f"{name}/scores", [q, k])
        scores = self.node("Div", f"{name}/scores", [scores, self.constant(f"{name}/root", math.sqrt(WIDTH // HEADS))])
        weights = self.node("Softmax", name, [scores], axis=-1)
        y = self.node("Transpose", name, [self.node("MatMul", name, [weights, v])], perm=[0, 2, 1, 3])
        return self.node("Reshape", name, [y, self.constant(f"{name}/shape", [0, TOKENS, WIDTH], np.int64)])

    def gelu(self, name, x):
        y = self.node("Div", name, [x, self.constant(f"{name}/root", math.sqrt(2))])
        y = self.node("Add", name, [self.node("Erf", name, [y]), self.constant(f"{name}/one", 1.0)])
        y = self.node("Mul", name, [x, y])
        return self.node("Mul", f"{name}/half", [y, self.constant(f"{name}/half", 0.5)], f"{name}/out")

    def mean(self, name, x):
        return self.node("ReduceMean", name, [x], axes=[1], keepdims=0)

    def classify(self, name, x, layer):
        return self.node("Gemm", name, [x, self.constant("head/weight", layer.weight), self.constant("head/bias", layer.bias)],
                         "logits", transB=1)


def export(model, path):
    emitter = Emitter()
    model.forward("notes", emitter)
    graph = helper.make_graph(
        emitter.nodes, "tunes_former",
        [helper.make_tensor_value_info("notes", TensorProto.INT64, ["N", TOKENS])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        emitter.initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="qtool/models/make_tunes_former.py")
    proto.ir_version = 8
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def train(model, notes, labels, epochs, batch=64, peak=2e-3):
    generator = torch.Generator().manual_seed(SEED)
    decayed = [p for n, p in model.named_parameters() if p.dim() == 2 and n != "notes"]
    free = [p for n, p in model.named_parameters() if p.dim() != 2 or n == "notes"]
    optimizer = torch.optim.AdamW([{"params": decayed, "weight_decay": 0.05}, {"params": free, "weight_decay": 0}], lr=peak)
    steps = len(labels) // batch
    start = time.time()
    for epoch in range(epochs):
        order, total, hits = torch.randperm(len(labels), generator=generator), 0.0, 0
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((epoch + step / steps) / epochs, peak)
            chosen = order[step * batch : (step + 1) * batch]
            logits = model(notes[chosen])
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            total, hits = total + loss.item(), hits + (logits.argmax(1) == labels[chosen]).sum().item()
        print(f"epoch {epoch + 1:3} loss {total / steps:.4f} train {100 * hits / steps / batch:.2f} % {time.time() - start:.0f} s", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--folder", default=HERE)
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)

    splits = {"train": tunes(12000, 1), "test": tunes(2000, 2)}
    for name, (notes, labels) in splits.items():
        np.savez_compressed(os.path.join(arguments.folder, f"tunes_{name}.npz"), notes=notes, labels=labels)

    model = TunesFormer()
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    train(model, *map(torch.from_numpy, splits["train"]), arguments.epochs)
    notes, labels = map(torch.from_numpy, splits["test"])
    with torch.no_grad():
        print(f"test accuracy {100 * (model(notes).argmax(1) == labels).float().mean():.2f} %")
    export(model, os.path.join(arguments.folder, "tunes_former.onnx"))


if __name__ == "__main__":
    main()
