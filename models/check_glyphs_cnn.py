# SPDX-License-Identifier: Apache-2.0
"""Runs glyphs_cnn.onnx in plain numpy on the test split, in float and crudely quantized.

    /usr/bin/python3 check_glyphs_cnn.py [--images 2000]

A judge of the model, not of qtool: it says what to expect of 8 and 4 bits when nothing clever is done. Weights
are symmetric and quantized after BatchNormalization was folded into them; activations are asymmetric over
the smallest and largest value seen in 256 training images.
"""

import argparse
import os

import numpy as np
import onnx
from onnx import numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))


def conv(x, weight, bias, a):
    outputs, per_group, kh, kw = weight.shape
    pad, stride, groups = a["pads"][0], a["strides"][0], a["group"]
    x = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (kh, kw), (2, 3))[:, :, ::stride, ::stride]
    n, channels, h, w = windows.shape[:4]
    if groups == 1:
        columns = windows.transpose(1, 4, 5, 0, 2, 3).reshape(channels * kh * kw, -1)
        y = (weight.reshape(outputs, -1) @ columns).reshape(outputs, n, h, w).transpose(1, 0, 2, 3)
    else:
        assert groups == channels == outputs and per_group == 1
        y = sum(windows[..., i, j] * weight[None, :, 0, i, j, None, None] for i in range(kh) for j in range(kw))
    return y + bias[None, :, None, None]


def batch_normalization(x, scale, bias, mean, var, a):
    factor = scale / np.sqrt(var + a["epsilon"])
    return x * factor[None, :, None, None] + (bias - mean * factor)[None, :, None, None]


def max_pool(x, a):
    assert a["kernel_shape"] == a["strides"] == [2, 2]
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))


OPS = {
    "Conv": lambda v, a: conv(v[0], v[1], v[2] if len(v) > 2 else np.zeros(len(v[1]), np.float32), a),
    "BatchNormalization": lambda v, a: batch_normalization(*v, a),
    "Relu": lambda v, a: np.maximum(v[0], 0),
    "Clip": lambda v, a: np.clip(v[0], v[1], v[2]),
    "Add": lambda v, a: v[0] + v[1],
    "Concat": lambda v, a: np.concatenate(v, a["axis"]),
    "MaxPool": lambda v, a: max_pool(v[0], a),
    "GlobalAveragePool": lambda v, a: v[0].mean((2, 3), keepdims=True),
    "Flatten": lambda v, a: v[0].reshape(len(v[0]), -1),
    "Gemm": lambda v, a: v[0] @ v[1].T + v[2],
}


class Model:
    def __init__(self, path):
        graph = onnx.load(path).graph
        self.constants = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
        self.nodes = [(n.op_type, list(n.input), n.output[0], {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute})
                      for n in graph.node]

    def run(self, x, after=lambda op, value, tensor: tensor):
        """Logits of a batch; `after` sees, and may replace, the input and each value."""
        values = dict(self.constants, input=after("Input", "input", x))
        for op, inputs, output, attributes in self.nodes:
            values[output] = after(op, output, OPS[op]([values[name] for name in inputs], attributes))
        return values["logits"]

    def fold_batch_norms(self):
        nodes, producer = [], {}
        for op, inputs, output, attributes in self.nodes:
            if op != "BatchNormalization":
                nodes.append([op, inputs, output, attributes])
                producer[output] = nodes[-1]
                continue
            scale, bias, mean, var = (self.constants[name] for name in inputs[1:])
            factor = scale / np.sqrt(var + attributes["epsilon"])
            convolution = producer[inputs[0]]
            weight = convolution[1][1]
            self.constants[weight] = self.constants[weight] * factor[:, None, None, None]
            self.constants[weight + ".bias"] = bias - mean * factor
            convolution[1].append(weight + ".bias")
            convolution[2] = output
        self.nodes = [tuple(node) for node in nodes]
        return self

    def weights(self):
        return [inputs[1] for op, inputs, _, _ in self.nodes if op in ("Conv", "Gemm")]

    def quantize_weights(self, bits, per_channel):
        top = 2 ** (bits - 1) - 1
        for name in self.weights():
            weight = self.constants[name]
            axes = tuple(range(1, weight.ndim)) if per_channel else None
            step = np.abs(weight).max(axes, keepdims=True) / top
            self.constants[name] = np.clip(np.rint(weight / step), -top, top) * step
        return self


class Activations:
    """Ranges first, then fake quantization, of every value that an integer runtime would keep in integers."""

    def __init__(self, model, images, bits):
        self.levels, self.range = 2**bits - 1, {}
        fused = set()
        for op, inputs, output, _ in model.nodes:  # an activation is computed together with what precedes it
            fused |= {inputs[0]} if op in ("Relu", "Clip") else set()
        self.skipped = fused | {"logits"}
        model.run(images, self.observe)

    def observe(self, op, value, tensor):
        self.range[value] = min(float(tensor.min()), 0.0), max(float(tensor.max()), 0.0)
        return tensor

    def __call__(self, op, value, tensor):
        if value in self.skipped:
            return tensor
        low, high = self.range[value]
        step = (high - low) / self.levels
        zero = np.rint(-low / step)
        return ((np.clip(np.rint(tensor / step) + zero, 0, self.levels) - zero) * step).astype(np.float32)


def load(split, count):
    with np.load(os.path.join(HERE, f"glyphs_{split}.npz")) as arrays:
        images, labels = arrays["images"][:count], arrays["labels"][:count]
    return ((images.astype(np.float32) / 255 - 0.5) / 0.25), labels


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--model", default=os.path.join(HERE, "glyphs_cnn.onnx"))
    arguments = parser.parse_args()
    onnx.checker.check_model(arguments.model)
    images, labels = load("test", arguments.images)
    seen, _ = load("train", 256)

    def folded():
        return Model(arguments.model).fold_batch_norms()

    def logits_of(model, after=None):
        extra = [after] if after else []
        return np.concatenate([model.run(images[i : i + 250], *extra) for i in range(0, len(images), 250)])

    float_logits = logits_of(Model(arguments.model))

    def report(title, logits):
        right = 100 * (logits.argmax(1) == labels).mean()
        noise = np.sum((logits - float_logits) ** 2)
        quality = f"{10 * np.log10(np.sum(float_logits**2) / noise):6.1f} dB" if noise else "     exact"
        print(f"{title:32} top-1 {right:6.2f} %   logits {quality}", flush=True)

    report("float", float_logits)
    report("float, batch norms folded", logits_of(folded()))
    for weight_bits, activation_bits, per_channel in ((8, 8, True), (8, 8, False), (8, 32, False), (6, 32, True), (4, 32, True),
                                                      (4, 32, False), (4, 8, True), (4, 4, True), (3, 32, True)):
        model = folded()
        model.quantize_weights(weight_bits, per_channel)
        after = Activations(folded(), seen, activation_bits) if activation_bits < 32 else None
        activations = f"A{activation_bits}" if after else "float"
        report(f"W{weight_bits} per {'channel' if per_channel else 'tensor'}, {activations}", logits_of(model, after))

    print("largest |weight| of a channel, widest to narrowest, after folding:")
    model = folded()
    for name in model.weights():
        widths = np.abs(model.constants[name]).reshape(len(model.constants[name]), -1).max(1)
        print(f"  {name:32} {widths.max():7.3f} .. {widths.min():.3f}  ratio {widths.max() / widths.min():.1f}")


if __name__ == "__main__":
    main()
