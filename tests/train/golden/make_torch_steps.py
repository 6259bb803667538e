#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Ten training steps of a small CNN as PyTorch takes them: losses, first gradients, last parameters.

Writes torch_steps.npz beside itself; tests/train/torch_test.cpp compares. Run once, with Debian's
python3-torch 1.13.1: /usr/bin/python3 make_torch_steps.py
"""
import pathlib

import numpy
import torch
from torch import nn
from torch.nn import functional

STEPS, BATCH = 10, 20
torch.manual_seed(7)
torch.set_num_threads(1)

# The network of tests/train/tiny.h.
SHAPES = {"w1": (6, 2, 3, 3), "b1": (6,), "w2": (6, 1, 3, 3), "b2": (6,), "w3": (8, 6, 1, 1), "w4": (3, 8), "b4": (3,)}
START = {name: 0.4 * torch.randn(shape) for name, shape in SHAPES.items()}


def logits(p, images):
    x = functional.conv2d(images, p["w1"], p["b1"], padding=1).relu()
    x = functional.conv2d(x, p["w2"], p["b2"], padding=1, groups=6).clamp(0, 6)
    x = functional.conv2d(functional.max_pool2d(x, 2, 2), p["w3"])
    return functional.linear(x.mean(dim=(2, 3)), p["w4"], p["b4"])


def steps(make_optimizer, images, labels):
    p = {name: nn.Parameter(value.clone()) for name, value in START.items()}
    weights = [v for name, v in p.items() if name.startswith("w")]
    biases = [v for name, v in p.items() if name.startswith("b")]
    optimizer = make_optimizer([{"params": weights}, {"params": biases, "weight_decay": 0}])
    losses, first = [], {}
    for step in range(STEPS):
        optimizer.zero_grad()
        loss = functional.cross_entropy(logits(p, images[step]), labels[step], label_smoothing=0.1)
        loss.backward()
        if step == 0:
            first = {name: v.grad.numpy().copy() for name, v in p.items()}
        optimizer.step()
        losses.append(loss.item())
    return losses, first, {name: v.detach().numpy() for name, v in p.items()}


images = torch.randn(STEPS, BATCH, 2, 6, 6)
labels = torch.randint(0, 3, (STEPS, BATCH))
arrays = {"images": images.numpy(), "labels": labels.numpy()}
arrays.update({"start_" + name: value.numpy() for name, value in START.items()})
for kind, make in {
    "sgd": lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.01),
    "adam": lambda groups: torch.optim.Adam(groups, lr=0.01, weight_decay=0.01),
    "adamw": lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1),
}.items():
    losses, first, last = steps(make, images, labels)
    print(kind, [round(loss, 4) for loss in losses])
    arrays[kind + "_losses"] = numpy.array(losses, dtype=numpy.float32)
    arrays.update({f"{kind}_last_{name}": value for name, value in last.items()})
    arrays.update({"gradient_" + name: value for name, value in first.items()})
numpy.savez_compressed(pathlib.Path(__file__).with_name("torch_steps.npz"), **arrays)
