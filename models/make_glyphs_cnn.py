# SPDX-License-Identifier: Apache-2.0
"""Trains the small network "glyphs_cnn" on glyphs_train.npz and writes glyphs_cnn.onnx.

    /usr/bin/python3 make_glyphs_cnn.py [--epochs 100] [--threads 1]

The topology is written once, in Glyphs.forward, against a small set of operations that exist twice: Torch
computes with them, Emitter writes ONNX nodes with names a person would choose. BatchNormalization stays a
node of its own. The test split is not looked at before training is over.
"""

import argparse
import os
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
MEAN, STD, SCALE = 0.5, 0.25, 1 / 255  # as in glyphs.yaml
CLASSES = 10
SEED = 7


def load(split):
    with np.load(os.path.join(HERE, f"glyphs_{split}.npz")) as arrays:
        return torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"])


def normalise(images):
    return (images.float() * SCALE - MEAN) / STD


# --- the network -----------------------------------------------------------------------------------------


class ConvBn(nn.Module):
    def __init__(self, inputs, outputs, kernel=3, stride=1, depthwise=False):
        super().__init__()
        groups = inputs if depthwise else 1
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        nn.init.kaiming_normal_(self.conv.weight, mode="fan_out" if groups == 1 else "fan_in", nonlinearity="relu")
        if depthwise:  # channels start at unequal sizes, as they end in larger networks that train for longer
            with torch.no_grad():
                self.bn.weight.copy_(torch.exp2(torch.empty(outputs).uniform_(-2.5, 1.5)))


class Glyphs(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = ConvBn(3, 16)
        self.res1_conv1, self.res1_conv2 = ConvBn(16, 16), ConvBn(16, 16)
        self.fire_squeeze, self.fire_expand1, self.fire_expand3 = ConvBn(16, 16, 1), ConvBn(16, 24, 1), ConvBn(16, 24)
        self.sep1_depthwise, self.sep1_pointwise = ConvBn(48, 48, depthwise=True), ConvBn(48, 48, 1)
        self.sep2_depthwise, self.sep2_pointwise = ConvBn(48, 48, stride=2, depthwise=True), ConvBn(48, 64, 1)
        self.res2_conv1, self.res2_conv2 = ConvBn(64, 64), ConvBn(64, 64)
        self.head = nn.Linear(64, CLASSES)

    def forward(self, x, ops=None):
        ops = ops or Torch(self)
        x = ops.relu("stem", ops.conv_bn("stem", x))  # [N,16,24,24]
        y = ops.relu("res1/conv1", ops.conv_bn("res1/conv1", x))
        x = ops.relu("res1", ops.add("res1", ops.conv_bn("res1/conv2", y), x))
        x = ops.max_pool("pool", x)  # [N,16,12,12]
        s = ops.relu("fire/squeeze", ops.conv_bn("fire/squeeze", x))
        e1 = ops.relu("fire/expand1", ops.conv_bn("fire/expand1", s))
        e3 = ops.relu("fire/expand3", ops.conv_bn("fire/expand3", s))
        x = ops.concat("fire", e1, e3)  # [N,48,12,12]
        y = ops.relu6("sep1/depthwise", ops.conv_bn("sep1/depthwise", x))
        x = ops.add("sep1", ops.conv_bn("sep1/pointwise", y), x)  # linear: no activation before or after the sum
        y = ops.relu6("sep2/depthwise", ops.conv_bn("sep2/depthwise", x))  # [N,48,6,6]
        x = ops.relu6("sep2/pointwise", ops.conv_bn("sep2/pointwise", y))  # [N,64,6,6]
        y = ops.relu("res2/conv1", ops.conv_bn("res2/conv1", x))
        x = ops.relu("res2", ops.add("res2", ops.conv_bn("res2/conv2", y), x))
        return ops.classify("head", x)


class Torch:
    def __init__(self, model):
        self.model = model

    def conv_bn(self, name, x):
        block = getattr(self.model, name.replace("/", "_"))
        return block.bn(block.conv(x))

    def relu(self, name, x):
        return F.relu(x)

    def relu6(self, name, x):
        return F.relu6(x)

    def add(self, name, a, b):
        return a + b

    def concat(self, name, *parts):
        return torch.cat(parts, 1)

    def max_pool(self, name, x):
        return F.max_pool2d(x, 2)

    def classify(self, name, x):
        return self.model.head(x.mean((2, 3)))


class Emitter:
    """The same operations, as ONNX nodes "where/Op" with values "where/op"."""

    def __init__(self, model):
        self.model, self.nodes, self.initializers = model, [], []

    def constant(self, name, values):
        array = np.asarray(values.detach() if torch.is_tensor(values) else values)
        self.initializers.append(numpy_helper.from_array(array.astype(np.float32), name))
        return name

    def node(self, op, where, inputs, output=None, **attributes):
        output = output or f"{where}/{op.lower()}"
        self.nodes.append(helper.make_node(op, inputs, [output], name=f"{where}/{op}", **attributes))
        return output

    def conv_bn(self, name, x):
        block = getattr(self.model, name.replace("/", "_"))
        conv, bn = block.conv, block.bn
        pad = conv.padding[0]
        x = self.node("Conv", name, [x, self.constant(f"{name}/conv.weight", conv.weight)], dilations=[1, 1], group=conv.groups,
                      kernel_shape=list(conv.kernel_size), pads=[pad] * 4, strides=list(conv.stride))
        statistics = {"scale": bn.weight, "bias": bn.bias, "mean": bn.running_mean, "var": bn.running_var}
        inputs = [x] + [self.constant(f"{name}/bn.{key}", values) for key, values in statistics.items()]
        return self.node("BatchNormalization", name, inputs, f"{name}/bn", epsilon=bn.eps)

    def relu(self, name, x):
        return self.node("Relu", name, [x])

    def relu6(self, name, x):
        return self.node("Clip", name, [x, self.constant(f"{name}/clip.min", 0.0), self.constant(f"{name}/clip.max", 6.0)])

    def add(self, name, a, b):
        return self.node("Add", name, [a, b])

    def concat(self, name, *parts):
        return self.node("Concat", name, list(parts), axis=1)

    def max_pool(self, name, x):
        return self.node("MaxPool", name, [x], kernel_shape=[2, 2], strides=[2, 2])

    def classify(self, name, x):
        x = self.node("GlobalAveragePool", name, [x])
        x = self.node("Flatten", name, [x], axis=1)
        weight, bias = self.constant("head/gemm.weight", self.model.head.weight), self.constant("head/gemm.bias", self.model.head.bias)
        return self.node("Gemm", name, [x, weight, bias], "logits", transB=1)


def export(model, size, path):
    emitter = Emitter(model)
    model.forward("input", emitter)
    graph = helper.make_graph(
        emitter.nodes, "glyphs_cnn",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, size, size])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", CLASSES])],
        emitter.initializers)
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], producer_name="qtool/models/make_glyphs_cnn.py")
    proto.ir_version = 7
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


# --- training --------------------------------------------------------------------------------------------


def augment(images, generator):
    """Symbols mean the same turned, mirrored, moved a little, and in other colours."""
    count, _, size, _ = images.shape
    draw = lambda limit: torch.randint(limit, (count,), generator=generator)
    padded = F.pad(images, (2, 2, 2, 2), mode="reflect")
    quarter, mirror, invert, top, left = draw(4), draw(2), draw(2), draw(5), draw(5)
    result = torch.empty_like(images)
    for i in range(count):
        order = torch.randperm(3, generator=generator)
        image = padded[i, order, top[i] : top[i] + size, left[i] : left[i] + size]
        image = torch.rot90(image, int(quarter[i]), (1, 2))
        image = image.flip(2) if mirror[i] else image
        result[i] = -image if invert[i] else image  # 255 - x, after the normalisation around 127.5
    return result


def learning_rate(progress, peak, warm_up=0.1):
    if progress < warm_up:
        return peak * progress / warm_up
    return peak * 0.5 * (1 + np.cos(np.pi * (progress - warm_up) / (1 - warm_up)))


def train(model, images, labels, epochs, batch=64, peak=0.1):
    generator = torch.Generator().manual_seed(SEED)
    decayed = [p for n, p in model.named_parameters() if p.dim() > 1 and "depthwise" not in n]
    free = [p for n, p in model.named_parameters() if p.dim() <= 1 or "depthwise" in n]
    optimizer = torch.optim.SGD([{"params": decayed, "weight_decay": 5e-4}, {"params": free, "weight_decay": 0}],
                                lr=peak, momentum=0.9, nesterov=True)
    steps = len(labels) // batch
    start = time.time()
    for epoch in range(epochs):
        model.train()
        order, total, hits = torch.randperm(len(labels), generator=generator), 0.0, 0
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate((epoch + step / steps) / epochs, peak)
            chosen = order[step * batch : (step + 1) * batch]
            logits = model(augment(images[chosen], generator))
            loss = F.cross_entropy(logits, labels[chosen], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total, hits = total + loss.item(), hits + (logits.argmax(1) == labels[chosen]).sum().item()
        print(f"epoch {epoch + 1:3} loss {total / steps:.4f} train {100 * hits / steps / batch:.2f} % {time.time() - start:.0f} s", flush=True)


@torch.no_grad()
def predict(model, images):
    model.eval()
    return torch.cat([model(part) for part in images.split(500)])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", default=os.path.join(HERE, "glyphs_cnn.onnx"))
    arguments = parser.parse_args()
    torch.manual_seed(SEED)
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)

    images, labels = load("train")
    model = Glyphs()
    print(f"{sum(p.numel() for p in model.parameters())} parameters")
    train(model, normalise(images), labels, arguments.epochs)

    images, labels = load("test")
    logits = predict(model, normalise(images))
    print(f"test accuracy {100 * (logits.argmax(1) == labels).float().mean():.2f} %")
    export(model, images.shape[-1], arguments.out)

    from check_glyphs_cnn import Model  # plain numpy, knows nothing of torch

    ours = Model(arguments.out).run(normalise(images[:200]).numpy())
    print(f"largest difference to torch on 200 images: {np.abs(ours - logits[:200].numpy()).max():.2e}")


if __name__ == "__main__":
    main()
