"""What float32 rounding may do to the logits of an exported fatchord/WaveRNN network.

The perturbed results are those of the program that the exporter emits (linnet_export.fatchord): the
input layer and the first GRU's input matrix as one, and the parts that belong to aux per frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from fatchord import WaveRNN
from rounding import gates_bound, output_bounds, product_bound
from test_functions import U

Float64 = npt.NDArray[np.float64]


def normalised(conv: Any, norm: Any) -> tuple[Any, Any]:
    """A convolution and its batch norm as one matrix (out, in k) and a bias."""
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight = (conv.weight * factor[:, None, None]).flatten(1)
    return weight, norm.bias - norm.running_mean * factor


def aux_bounds(network: WaveRNN, windows: Any) -> Any:
    """Bounds (T, A) on the errors of aux; windows (T, C (2 pad + 1))."""
    resnet = network.upsample.resnet
    first = normalised(resnet.conv_in, resnet.batch_norm)
    blocks = [
        (normalised(b.conv1, b.batch_norm1), normalised(b.conv2, b.batch_norm2))
        for b in resnet.layers
    ]
    last = resnet.conv_out.weight[:, :, 0], resnet.conv_out.bias
    width = len(first[1])
    sizes = [width] * (1 + 2 * len(blocks)) + [len(last[1])]
    rounding: list[Any] = []

    def run(window: Any, errors: Any) -> Any:
        e = iter(torch.split(errors, sizes, dim=-1))

        def linear(layer: tuple[Any, Any], x: Any, *added: Any) -> Any:
            weight, bias = layer
            rounding.append(product_bound(weight, x, bias.expand(*x.shape[:-1], -1), *added))
            return x @ weight.T + bias + sum(added) + next(e)

        a = torch.relu(linear(first, window))
        for one, two in blocks:
            a = linear(two, torch.relu(linear(one, a)), a)
        return linear(last, a)

    zeros = torch.zeros(len(windows), sum(sizes), dtype=torch.float64)
    run(windows, zeros)
    own = torch.cat(rounding, dim=1)
    slopes = torch.func.vmap(torch.func.jacrev(run, argnums=1))(windows, zeros)
    return (slopes.abs() @ own[:, :, None])[:, :, 0]


def logit_bounds(network: WaveRNN, mel: Any, x: Any) -> Float64:
    """Bounds (n, K) on the errors of the engine's logits; network and arguments in float64."""
    pad, a, n = network.pad, network.quarter, len(x)
    padded = torch.nn.functional.pad(mel, (pad, pad))
    m, aux = (part[:n] for part in network.upsample(padded))
    a1, a2, a3, a4 = (aux[:, i * a : (i + 1) * a] for i in range(4))
    hop = network.upsample.hop

    def per_sample(frames: Any) -> Any:
        return frames.repeat_interleave(hop, 0)[:n]

    # Conditioning: what the engine applies to frames, and upsamples.
    windows = padded.unfold(1, 2 * pad + 1, 1).transpose(0, 1).flatten(1)
    e1, e2, e3, e4 = torch.split(per_sample(aux_bounds(network, windows))[:, : 4 * a], a, dim=1)
    rnn1, rnn2, c = network.rnn1, network.rnn2, m.shape[1]
    weight = torch.cat([network.I.weight, rnn1.weight_ih_l0 @ network.I.weight])
    bias = torch.cat([network.I.bias, rnn1.weight_ih_l0 @ network.I.bias + rnn1.bias_ih_l0]).expand(
        n, -1
    )
    w_x, w_m, w_a = weight[:, :1], weight[:, 1 : 1 + c], weight[:, 1 + c :]

    def smooth(frames: Any) -> Any:
        """Upsampling of (T + 2 pad, size) by the magnitudes of the filters."""
        out = frames.T[None, None]
        for layer in network.upsample.up_layers:
            if hasattr(layer, "weight"):
                out = torch.nn.functional.conv2d(out, layer.weight.abs(), padding=layer.padding)
            else:
                out = layer(out)
        return out[0, 0, :, pad * hop : pad * hop + n].T

    per_frame, frame_error = padded.T @ w_m.T, product_bound(w_m, padded.T)
    constant = a1 @ w_a.T + bias
    start = m @ w_m.T + constant
    # One rounding for each weight of the upsampling, one for each of 2 pad + 2 products.
    terms = (2 * pad + 4) * U * (smooth(per_frame.abs()) + constant.abs())
    start_error = product_bound(w_a, a1, bias) + e1 @ w_a.abs().T + smooth(frame_error) + terms
    # x = fma(token, scale, -1): the scale is rounded, below 2 in all, and the result, below 1.
    start_error = start_error + 3 * U * w_x[:, 0].abs()

    hidden, size, k = rnn1.hidden_size, len(network.fc1.bias), len(network.fc3.bias)
    sizes = [hidden, *2 * [3 * hidden, 3 * hidden, hidden, hidden], size, size, k]
    rounding: list[Any] = []

    def run(state: Any, errors: Any, x: Any, m: Any, aux: Any, notes: bool = False) -> Any:
        e = iter(torch.split(errors, sizes, dim=-1))
        a1, a2, a3, a4 = torch.split(aux[..., : 4 * a], a, dim=-1)
        h1, h2 = state[..., :hidden], state[..., hidden:]

        def noted(value: Any, bound: Callable[[], Any]) -> Any:
            if notes:
                rounding.append(bound())
            return value + next(e)

        def linear(layer: Any, x: Any, extra: Any, extra_error: Any, add: Any = 0.0) -> Any:
            """W [x; extra] + b, the part of extra being given by the frame program."""
            weight, bias = layer
            w, w_extra = weight[:, : x.shape[-1]], weight[:, x.shape[-1] :]
            given = extra @ w_extra.T + bias
            value = x @ w.T + given + add
            return noted(
                value,
                lambda: (
                    product_bound(w, x, given.expand(*x.shape[:-1], -1))
                    + product_bound(w_extra, extra, bias.expand(*x.shape[:-1], -1))
                    + extra_error @ w_extra.abs().T
                ),
            )

        def gru(rnn: Any, h: Any, inputs: Any) -> Any:
            w, b = rnn.weight_hh_l0, rnn.bias_hh_l0
            sums = noted(h @ w.T + b, lambda: product_bound(w, h, b.expand(*h.shape[:-1], -1)))
            r, i = sums.unflatten(-1, (3, hidden)), inputs.unflatten(-1, (3, hidden))
            reset, update = (torch.sigmoid(r[..., j, :] + i[..., j, :]) for j in (0, 1))
            new = torch.tanh(i[..., 2, :] + reset * r[..., 2, :])
            order = [1, 0, 2]
            return noted(
                update * h + (1 - update) * new,
                lambda: gates_bound(r[..., order, :], i[..., order, :], h),
            )

        both = torch.cat([x, m, a1], dim=-1) @ weight.T + bias[0]
        both_error = [
            lambda part=part: (product_bound(w_x, x, start) + start_error)[..., part]
            for part in (slice(hidden), slice(hidden, None))
        ]
        y, inputs = (
            noted(both[..., :hidden], both_error[0]),
            noted(both[..., hidden:], both_error[1]),
        )
        h1 = gru(rnn1, h1, inputs)
        y = noted(y + h1, lambda: U * (y + h1).abs())
        inputs = linear((rnn2.weight_ih_l0, rnn2.bias_ih_l0), y, a2, e2)
        h2 = gru(rnn2, h2, inputs)
        y = noted(y + h2, lambda: U * (y + h2).abs())
        one = torch.relu(linear((network.fc1.weight, network.fc1.bias), y, a3, e3))
        two = torch.relu(linear((network.fc2.weight, network.fc2.bias), one, a4, e4))
        w, b = network.fc3.weight, network.fc3.bias
        logits = noted(two @ w.T + b, lambda: product_bound(w, two, b.expand(*two.shape[:-1], -1)))
        return torch.cat([h1, h2], dim=-1), logits

    states = [torch.zeros(2 * hidden, dtype=torch.float64)]
    none = torch.zeros(sum(sizes), dtype=torch.float64)
    inputs = (x[:, None], m, aux)
    for parts in zip(*inputs, strict=True):
        states.append(run(states[-1], none, *parts)[0])
    before = torch.stack(states[:-1])
    run(before, torch.zeros(n, sum(sizes), dtype=torch.float64), *inputs, notes=True)

    return output_bounds(run, before, torch.cat(rounding, dim=1), inputs)
