#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten training steps of a small transformer as PyTorch takes them: losses, first gradients, last parameters.

Writes torch_transformer.npz beside itself; tests/train/torch_test.cpp compares. Run once, with Debian's
python3-torch 1.13.1: /usr/bin/python3 make_torch_transformer.py
"""
import pathlib

import numpy
import torch
from torch import nn
from torch.nn import functional

STEPS, BATCH, LENGTH, FEATURES, WIDTH, HEADS, HIDDEN, CLASSES = 10, 20, 5, 4, 8, 2, 16, 3
torch.manual_seed(11)
torch.set_num_threads(1)

SHAPES = {"embed": (FEATURES, WIDTH), "place": (LENGTH, WIDTH), "wo": (WIDTH, WIDTH), "bo": (WIDTH,)}
SHAPES.update({name: (WIDTH, WIDTH) for name in ("wq", "wk", "wv")})
SHAPES.update({name: (WIDTH,) for name in ("gain1", "shift1", "gain2", "shift2")})
SHAPES.update({"w1": (WIDTH, HIDDEN), "b1": (HIDDEN,), "w2": (HIDDEN, WIDTH), "b2": (WIDTH,)})
SHAPES.update({"wc": (CLASSES, WIDTH), "bc": (CLASSES,)})
START = {name: 0.4 * torch.randn(shape) + (1 if name.startswith("gain") else 0) for name, shape in SHAPES.items()}


def heads(x):
    return x.reshape(-1, LENGTH, HEADS, WIDTH // HEADS).transpose(1, 2)


def logits(p, x):
    x = x @ p["embed"] + p["place"]
    h = functional.layer_norm(x, (WIDTH,), p["gain1"], p["shift1"], eps=1e-5)
    q, k, v = heads(h @ p["wq"]), heads(h @ p["wk"]), heads(h @ p["wv"])
    attention = (q @ k.transpose(2, 3) / (WIDTH // HEADS) ** 0.5).softmax(-1)
    x = x + (attention @ v).transpose(1, 2).reshape(-1, LENGTH, WIDTH) @ p["wo"] + p["bo"]
    h = functional.layer_norm(x, (WIDTH,), p["gain2"], p["shift2"], eps=1e-5)
    x = x + functional.gelu(h @ p["w1"] + p["b1"]) @ p["w2"] + p["b2"]
    return functional.linear(x.mean(dim=1), p["wc"], p["bc"])


inputs = torch.randn(STEPS, BATCH, LENGTH, FEATURES)
labels = torch.randint(0, CLASSES, (STEPS, BATCH))
p = {name: nn.Parameter(value.clone()) for name, value in START.items()}
optimizer = torch.optim.AdamW(p.values(), lr=0.01, weight_decay=0)
losses = []
arrays = {"inputs": inputs.numpy(), "labels": labels.numpy()}
arrays.update({"start_" + name: value.numpy() for name, value in START.items()})
for step in range(STEPS):
    optimizer.zero_grad()
    loss = functional.cross_entropy(logits(p, inputs[step]), labels[step])
    loss.backward()
    if step == 0:
        arrays.update({"gradient_" + name: v.grad.numpy().copy() for name, v in p.items()})
    optimizer.step()
    losses.append(loss.item())
print([round(loss, 4) for loss in losses])
arrays["losses"] = numpy.array(losses, dtype=numpy.float32)
arrays.update({"last_" + name: value.detach().numpy() for name, value in p.items()})
numpy.savez_compressed(pathlib.Path(__file__).with_name("torch_transformer.npz"), **arrays)
