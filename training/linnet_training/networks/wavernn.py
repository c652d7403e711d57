"""The dual-softmax WaveRNN (Kalchbrenner et al. 2018) with convolutional mel conditioning.

Names of the parameters are the interface to the exporter. Shapes: B streams, S frames, T = S * hop
samples, H hidden units.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from linnet_training.networks.block_scan import STREAMS, Blocks, BlockScan
from linnet_training.networks.scan import GruScan

SILENCE = 32768  # the 16-bit token of a zero sample: coarse 128, fine 0
BYTES = 3  # a sample's first inputs: the two bytes before, and its own coarse byte


def scaled(byte: Tensor) -> Tensor:
    """A byte in 0..255 as a network input in [-1, 1]."""
    return byte.float() * (2.0 / 255.0) - 1.0


class WaveRNN(nn.Module):
    """Predicts P(coarse_t | past) from the first half of the state, P(fine_t | past, coarse_t) from
    the second half, which alone sees coarse_t (input column 2)."""

    input_mask: Tensor

    def __init__(
        self,
        hidden_size: int = 384,
        n_mels: int = 80,
        hop_length: int = 200,
        channels: int = 96,
        head_size: int = 128,
        kernel_sizes: tuple[int, ...] = (3, 3, 3),
    ) -> None:
        super().__init__()
        if hidden_size % 2:
            raise ValueError(f"hidden_size must be even, not {hidden_size}")
        if any(k % 2 == 0 for k in kernel_sizes):
            raise ValueError(f"kernel sizes must be odd, not {kernel_sizes}")
        self.hidden_size, self.hop_length, self.n_mels = hidden_size, hop_length, n_mels
        self.reach = sum((k - 1) // 2 for k in kernel_sizes)
        inputs = [n_mels] + [channels] * (len(kernel_sizes) - 1)
        # Valid convolutions: the caller pads the features once, so a segment cut anywhere gives
        # the same conditioning as the whole utterance.
        self.conditioning = nn.ModuleList(
            nn.Conv1d(i, channels, k) for i, k in zip(inputs, kernel_sizes, strict=True)
        )
        self.gru = nn.GRU(BYTES + channels, hidden_size, batch_first=True)
        half = hidden_size // 2
        self.O1, self.O2 = nn.Linear(half, head_size), nn.Linear(head_size, 256)
        self.O3, self.O4 = nn.Linear(half, head_size), nn.Linear(head_size, 256)
        mask = torch.ones_like(self.gru.weight_ih_l0)
        for gate in range(3):
            mask[gate * hidden_size : gate * hidden_size + half, 2] = 0.0
        self.register_buffer("input_mask", mask, persistent=False)
        with torch.no_grad():
            # Of few inputs: torch's choice, by the units, hardly lets them in.
            self.gru.weight_ih_l0[:, :BYTES].uniform_(-1.0, 1.0)
            self.gru.weight_ih_l0 *= mask
        # Zero from the start and no gradient: Adam never moves the masked weights.
        self.gru.weight_ih_l0.register_hook(lambda g: g * self.input_mask)

    @torch.no_grad()
    def start_from(self, counts: Tensor) -> None:
        """Sets the output biases to the distribution of bytes, counts (2, 256): coarse, fine.

        Otherwise Adam's first steps express it through the state, all weights in one direction, and
        drive it into saturation: 70 % of the units beyond 0.99 after 60 updates, against none.
        """
        shares = (counts + 1.0) / (counts + 1.0).sum(1, keepdim=True)
        self.O2.bias.copy_(shares[0].log())
        self.O4.bias.copy_(shares[1].log())

    def condition(self, features: Tensor) -> Tensor:
        """Features (B, n_mels, S + 2 reach) -> one vector per frame (B, S, channels)."""
        for layer in self.conditioning:
            features = torch.relu(layer(features))
        return features.transpose(1, 2)

    def inputs(self, previous: Tensor, current: Tensor, conditioning: Tensor) -> Tensor:
        """Tokens t-1 and t (B, T), conditioning (B, T, channels) -> (B, T, 3 + channels)."""
        c, f = scaled(previous >> 8), scaled(previous & 255)
        return torch.cat([torch.stack([c, f, scaled(current >> 8)], -1), conditioning], -1)

    def heads(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """States (..., H) -> coarse and fine logits (..., 256)."""
        y_c, y_f = h.split(self.hidden_size // 2, dim=-1)
        return self.O2(torch.relu(self.O1(y_c))), self.O4(torch.relu(self.O3(y_f)))

    def forward(
        self, tokens: Tensor, previous: Tensor, features: Tensor, h: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Teacher-forced segment.

        tokens (B, T), previous (B,) the token before the segment, features
        (B, n_mels, S + 2 reach), h (1, B, H). Returns coarse and fine logits (B, T, 256) and the
        state after the segment.
        """
        shifted = torch.cat([previous[:, None], tokens[:, :-1]], dim=1)
        states, h = self.fused(tokens, shifted, features, h)
        coarse, fine = self.heads(states)
        return coarse, fine, h

    def fused(
        self, tokens: Tensor, shifted: Tensor, features: Tensor, h: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The states (B, T, H) of torch.nn.GRU, which is one cuDNN call on a GPU, and the last;
        shifted (B, T): the tokens before."""
        conditioning = self.condition(features).repeat_interleave(self.hop_length, dim=1)
        states, h = self.gru(self.inputs(shifted, tokens, conditioning), h)
        return states, h

    def states(
        self,
        tokens: Tensor,
        previous: Tensor,
        features: Tensor,
        h: Tensor,
        noise: Tensor | None = None,
        blocks: Blocks | None = None,
    ) -> tuple[Tensor, Tensor]:
        """States (T, B, H), time first, and the last; on a GPU by the fused GRU, else by `scan`.

        noise (B, T) integers: what the network is told of the sample before is off by so many
        tokens. blocks: of the recurrent matrix.
        """
        shifted = torch.cat([previous[:, None], tokens[:, :-1]], dim=1)
        if noise is not None:
            shifted = (shifted + noise).clamp(0, 65535)
        if tokens.is_cuda:
            states, last = self.fused(tokens, shifted, features, h)
            return states.transpose(0, 1), last.detach()
        gru = self.gru
        weight = gru.weight_ih_l0[:, BYTES:]
        frames = nn.functional.linear(self.condition(features), weight, gru.bias_ih_l0)
        states = self.scan(frames.transpose(0, 1), self.bytes(tokens, shifted), h[0], blocks)
        return states, states[-1:].detach()

    def bytes(self, tokens: Tensor, shifted: Tensor) -> Tensor:
        """A sample's first inputs (T, B, 3) of its token and the one before, both (B, T)."""
        tokens, shifted = tokens.t(), shifted.t()
        return torch.stack([scaled(shifted >> 8), scaled(shifted & 255), scaled(tokens >> 8)], -1)

    def scan(self, frames: Tensor, inputs: Tensor, h: Tensor, blocks: Blocks | None) -> Tensor:
        """States (T, B, H) on a CPU.

        frames (S, B, 3 H): what the input products of T / S samples have in common, which need not
        be computed for each; inputs (T, B, 3); h (B, H). With `blocks` of the recurrent matrix by
        BlockScan, 16 streams at a time, else by GruScan.
        """
        gru, (steps, batch, _) = self.gru, inputs.shape
        weight = gru.weight_ih_l0[:, :BYTES]
        if blocks is None:
            samples = nn.functional.linear(inputs, weight)
            products = samples.view(len(frames), -1, batch, len(weight)) + frames[:, None]
            states: Tensor = GruScan.apply(  # type: ignore[no-untyped-call]
                products.view(steps, batch, -1), h, gru.weight_hh_l0, gru.bias_hh_l0
            )
            return states
        found = [
            BlockScan.apply(  # type: ignore[no-untyped-call]
                f.transpose(1, 2),
                x.transpose(1, 2),
                h0.t(),
                weight,
                gru.weight_hh_l0,
                gru.bias_hh_l0,
                blocks,
            )
            for f, x, h0 in zip(
                frames.split(STREAMS, 1), inputs.split(STREAMS, 1), h.split(STREAMS), strict=True
            )
        ]
        return torch.cat([s[1:].transpose(1, 2) for s in found], 1)

    def nats(
        self,
        tokens: Tensor,
        previous: Tensor,
        features: Tensor,
        h: Tensor,
        noise: Tensor | None = None,
        blocks: Blocks | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Negative log-likelihood of coarse and fine byte, each (B, T) in nats, and the state."""
        states, h = self.states(tokens, previous, features, h, noise, blocks)
        coarse, fine = self.token_nats(states, tokens)
        return coarse, fine, h

    def token_nats(self, states: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Nats (B, T) of the coarse and the fine byte; states (T, B, H), tokens (B, T)."""
        coarse, fine = self.heads(states)
        target = tokens.t()
        loss = nn.functional.cross_entropy
        c = loss(coarse.flatten(0, 1), (target >> 8).flatten(), reduction="none")
        f = loss(fine.flatten(0, 1), (target & 255).flatten(), reduction="none")
        return c.view(target.shape).t(), f.view(target.shape).t()

    @torch.no_grad()
    def generate(self, features: Tensor, generator: torch.Generator, limit: int = 0) -> Tensor:
        """Free-running synthesis, slow: features (n_mels, S) -> tokens (S * hop,)."""
        cell = StepLoop(self)
        frames = self.condition(nn.functional.pad(features, (self.reach, self.reach))[None])[0]
        steps = limit or len(frames) * self.hop_length
        tokens = torch.empty(steps, dtype=torch.long)
        previous = SILENCE
        for t in range(steps):
            vector = frames[t // self.hop_length]
            c = int(
                torch.multinomial(cell.coarse(previous, vector).softmax(-1), 1, generator=generator)
            )
            f = int(torch.multinomial(cell.fine(c).softmax(-1), 1, generator=generator))
            tokens[t] = previous = c << 8 | f
        return tokens


class StepLoop:
    """The sample-by-sample form of the same network, as a runtime computes it: coarse half first,
    then, knowing the drawn coarse byte, the fine half."""

    def __init__(self, model: WaveRNN) -> None:
        gru = model.gru
        self.model, self.h = model, torch.zeros(model.hidden_size)
        self.w_ih, self.b_ih = gru.weight_ih_l0.detach(), gru.bias_ih_l0.detach()
        self.w_hh, self.b_hh = gru.weight_hh_l0.detach(), gru.bias_hh_l0.detach()
        self._x = self._r = torch.zeros(0)

    def _half(self, first: bool) -> Tensor:
        """The new state (H/2,) of one half, from the products of the whole state."""
        size = self.model.hidden_size
        rows = slice(0, size // 2) if first else slice(size // 2, size)
        x, r = self._x.view(3, size)[:, rows], self._r.view(3, size)[:, rows]
        reset, update = torch.sigmoid(x[0] + r[0]), torch.sigmoid(x[1] + r[1])
        candidate = torch.tanh(x[2] + reset * r[2])
        return (1 - update) * candidate + update * self.h[rows]

    def coarse(self, previous: int, conditioning: Tensor) -> Tensor:
        """Logits (256,) of the coarse byte after token `previous`; conditioning (channels,)."""
        c, f = scaled(torch.tensor(previous >> 8)), scaled(torch.tensor(previous & 255))
        x = torch.cat([torch.stack([c, f, torch.zeros(())]), conditioning])
        self._x, self._r = self.w_ih @ x + self.b_ih, self.w_hh @ self.h + self.b_hh
        self._first = self._half(True)
        logits: Tensor = self.model.O2(torch.relu(self.model.O1(self._first)))
        return logits

    def fine(self, coarse: int) -> Tensor:
        """Logits (256,) of the fine byte given the coarse one; completes the step."""
        self._x = self._x + self.w_ih[:, 2] * scaled(torch.tensor(coarse))
        second = self._half(False)
        self.h = torch.cat([self._first, second])
        logits: Tensor = self.model.O4(torch.relu(self.model.O3(second)))
        return logits


def from_checkpoint(path: str) -> tuple[WaveRNN, dict[str, Any]]:
    """The network and the config of a `model.pt`."""
    saved = torch.load(path, weights_only=True, map_location="cpu")
    config, weights = saved["config"], saved["state_dict"]
    kernels = tuple(weights[f"conditioning.{i}.weight"].shape[2] for i in range(3))
    model = WaveRNN(
        hidden_size=config["hidden_size"],
        n_mels=config["features"]["n_mels"],
        hop_length=config["features"]["hop_length"],
        channels=weights["conditioning.0.weight"].shape[0],
        head_size=weights["O1.weight"].shape[0],
        kernel_sizes=kernels,
    )
    model.load_state_dict(weights)
    return model.eval(), config
