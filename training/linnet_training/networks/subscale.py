"""The dual-softmax WaveRNN with subscale dependencies (Kalchbrenner et al. 2018, section 4).

Sample n = i B + s is place i of sub-tensor s of B, which are generated in order: a sample sees the
past of its own sub-tensor, through the state, and of the earlier ones the places i - P .. i + F,
through one layer. Names of the parameters are the interface to the exporter. Shapes: U utterances,
n places, S frames, N = U B sequences (those of an utterance together), H hidden units.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from linnet_training.networks.block_scan import Blocks
from linnet_training.networks.wavernn import BYTES, SILENCE, WaveRNN

OUTSIDE = -1  # in place of a token, before the beginning or behind the end of an utterance


def folded(samples: Tensor, sub_tensors: int) -> Tensor:
    """Samples (U, n B) as sub-tensors (U, B, n)."""
    return samples.view(len(samples), -1, sub_tensors).transpose(1, 2)


def values(tokens: Tensor, scale: float) -> Tensor:
    """What the others are told of a sample: its companded value, and 0 of one outside."""
    return torch.where(tokens == OUTSIDE, 0.0, tokens.float() * scale - 1.0)


class SubscaleWaveRNN(WaveRNN):
    """B = sub_tensors, F = future and P = past places of the earlier sub-tensors that are seen.

    scale: from one token's companded value to the next.
    """

    def __init__(
        self,
        hidden_size: int = 384,
        n_mels: int = 80,
        hop_length: int = 192,
        channels: int = 96,
        head_size: int = 128,
        sub_tensors: int = 4,
        future: int = 16,
        past: int = 8,
        look_units: int = 64,
        scale: float = 2 / 65535,
        **more: Any,
    ) -> None:
        if not 2 <= sub_tensors <= 16 or hop_length % sub_tensors:
            raise ValueError(
                f"sub_tensors are 2 .. 16 and divide the hop of {hop_length}, not {sub_tensors}"
            )
        if future < 0 or past < 0 or look_units < 1:
            raise ValueError(f"future {future}, past {past} or look_units {look_units}: too few")
        super().__init__(hidden_size, n_mels, hop_length, channels, head_size, **more)
        self.sub_tensors, self.future, self.past = sub_tensors, future, past
        self.scale = scale
        self.look = nn.Linear((sub_tensors - 1) * (past + future + 1) + sub_tensors, look_units)
        self.look_gates = nn.Linear(look_units, 3 * hidden_size, bias=False)
        # The nearest samples tell most, and must be let in: with torch's choice the coarse byte of
        # B = 4 costs 0.2 nats more after 200 updates.
        near, distances = (sub_tensors - 1) * (past + future + 1), self.distances()
        with torch.no_grad():
            self.look.weight[:, :near] = torch.randn(look_units, near) / distances
            self.look_gates.weight.uniform_(-1.0, 1.0)

    def distances(self) -> Tensor:
        """In samples, of what each of the window's values is of, in its order."""
        places = torch.arange(-self.past, self.future + 1) * self.sub_tensors
        return (places - torch.arange(1, self.sub_tensors)[:, None]).abs().flatten()

    @property
    def before(self) -> int:
        """Places before a segment that its context has: at least the last, of the own past."""
        return max(self.past, 1)

    def window(self, told: Tensor) -> Tensor:
        """What the layer sees: told (U, B, P + n + F), the values of samples -> (U, B, n, columns).

        For d = 1 .. B - 1 the places i - P .. i + F of sub-tensor s - d, 0 where there is none;
        then a one-hot of s.
        """
        n_sub, span = self.sub_tensors, self.past + self.future + 1
        places = told.unfold(2, span, 1)  # (U, B, n, span)
        utterances, _, n, _ = places.shape
        seen = told.new_zeros(utterances, n_sub, n, self.look.in_features)
        for s in range(n_sub):
            for d in range(1, s + 1):
                seen[:, s, :, (d - 1) * span : d * span] = places[:, s - d]
            seen[:, s, :, (n_sub - 1) * span + s] = 1.0
        return seen

    def subscale_nats(
        self,
        context: Tensor,
        features: Tensor,
        h: Tensor,
        noise: Tensor | None = None,
        blocks: Blocks | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Negative log-likelihood of coarse and fine byte, each (U, B, n) in nats, and the state.

        context (U, B, before + n + F): the tokens around a segment, or OUTSIDE, which is scored as
        silence; features
        (U, n_mels, S + 2 reach) of the segment; h (1, N, H). noise, of the context's shape: by how
        many tokens a sample is misreported to those that see it.
        """
        n_sub, before, gru = self.sub_tensors, self.before, self.gru
        end = context.shape[2] - self.future
        told = context if noise is None else (context + noise).clamp(0, 65535)
        told = torch.where(context == OUTSIDE, OUTSIDE, told)
        tokens, shifted = (
            torch.where(x == OUTSIDE, SILENCE, x).flatten(0, 1)
            for x in (context[:, :, before:end], told[:, :, before - 1 : end - 1])
        )
        window = self.window(values(told[:, :, before - self.past :], self.scale))
        looked = torch.relu(self.look(window)).flatten(0, 1).transpose(0, 1)
        conditioning = self.condition(features).repeat_interleave(n_sub, 0).transpose(0, 1)
        inputs = self.bytes(tokens, shifted)
        if context.is_cuda:
            states, last = self.fused_looking(inputs, conditioning, looked, h)
        else:
            of_frames = gru.weight_ih_l0[:, BYTES:]
            frames = nn.functional.linear(conditioning, of_frames, gru.bias_ih_l0)
            places = self.look_gates(looked).unflatten(0, (len(frames), -1))
            states = self.scan((places + frames[:, None]).flatten(0, 1), inputs, h[0], blocks)
            last = states[-1:].detach()
        coarse, fine = self.token_nats(states, tokens)
        shape = (len(context), n_sub, -1)
        return coarse.reshape(shape), fine.reshape(shape), last

    def fused_looking(
        self, inputs: Tensor, conditioning: Tensor, looked: Tensor, h: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The states (n, N, H) of torch's GRU, which is one cuDNN call on a GPU, and the last;
        inputs (n, N, 3), conditioning (S, N, channels), looked (n, N, look_units)."""
        repeated = conditioning.repeat_interleave(len(inputs) // len(conditioning), 0)
        gru = self.gru
        weight = torch.cat([gru.weight_ih_l0, self.look_gates.weight], 1)
        parameters = [weight, gru.weight_hh_l0, gru.bias_ih_l0, gru.bias_hh_l0]
        states, last = torch._VF.gru(  # type: ignore[attr-defined]  # nn.GRU has one matrix only
            torch.cat([inputs, repeated, looked], -1), h.contiguous(), parameters,
            True, 1, 0.0, self.training, False, False,
        )  # fmt: skip
        return states, last.detach()
