"""A WaveRNN of the excitation of speech: LPCNet's division of labour (Valin and Skoglund 2019).

The envelope gives a linear prediction of every sample and the excitation's size; the network gives
the distribution of what is left, one token of 256. Names of the parameters are the interface to the
exporter. Shapes: B streams, S frames, T = S * hop samples, H hidden units.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from linnet_training.networks.block_scan import STREAMS, Blocks, BlockScan
from linnet_training.networks.envelope import Envelope
from linnet_training.networks.excitation import CLASSES, INPUTS


class LpcWaveRNN(nn.Module):
    """Predicts P(token_t | past, features); the inputs of a sample are `excitation.analyse`'s."""

    def __init__(
        self,
        hidden_size: int = 384,
        n_mels: int = 80,
        hop_length: int = 200,
        channels: int = 96,
        head_size: int = 96,
        order: int = 16,
        kernel_sizes: tuple[int, ...] = (3, 3, 3),
    ) -> None:
        super().__init__()
        self.hidden_size, self.hop_length, self.n_mels = hidden_size, hop_length, n_mels
        self.reach = sum((k - 1) // 2 for k in kernel_sizes)
        inputs = [n_mels] + [channels] * (len(kernel_sizes) - 1)
        self.envelope = Envelope(order, n_mels, layers=self.reach)
        self.envelope.requires_grad_(False)  # trained before: it decides what the tokens are
        self.conditioning = nn.ModuleList(
            nn.Conv1d(i, channels, k) for i, k in zip(inputs, kernel_sizes, strict=True)
        )
        self.gru = nn.GRU(INPUTS + channels, hidden_size, batch_first=True)
        with torch.no_grad():  # of three inputs: torch's choice, by the units, hardly lets them in
            self.gru.weight_ih_l0[:, :INPUTS].uniform_(-1.0, 1.0)
        self.O1, self.O2 = nn.Linear(hidden_size, head_size), nn.Linear(head_size, CLASSES)

    @torch.no_grad()
    def start_from(self, counts: Tensor) -> None:
        """Sets the output bias to the distribution of tokens (256,), so that the first steps need
        not express it through the state."""
        shares = (counts + 1.0) / (counts + 1.0).sum()
        self.O2.bias.copy_(shares.log())

    def condition(self, features: Tensor) -> Tensor:
        """Features (B, n_mels, S + 2 reach) -> one vector per frame (B, S, channels)."""
        for layer in self.conditioning:
            features = torch.relu(layer(features))
        return features.transpose(1, 2)

    def states(
        self, inputs: Tensor, features: Tensor, h: Tensor, blocks: Blocks | None = None
    ) -> tuple[Tensor, Tensor]:
        """Inputs (B, T, 3), features (B, n_mels, S + 2 reach), h (B, H) -> states (B, T, H) and the
        last one. With `blocks` of the recurrent matrix by BlockScan, on a CPU and 16 at a time."""
        conditioning, gru = self.condition(features), self.gru
        if blocks is None:
            repeated = conditioning.repeat_interleave(self.hop_length, dim=1)
            states, last = gru(torch.cat([inputs, repeated], -1), h[None].contiguous())
            return states, last[0].detach()
        weight = gru.weight_ih_l0
        frames = nn.functional.linear(conditioning, weight[:, INPUTS:], gru.bias_ih_l0)
        found = [
            BlockScan.apply(  # type: ignore[no-untyped-call]
                f.permute(1, 2, 0),
                x.permute(1, 2, 0),
                h0.t(),
                weight[:, :INPUTS],
                gru.weight_hh_l0,
                gru.bias_hh_l0,
                blocks,
            )
            for f, x, h0 in zip(
                frames.split(STREAMS), inputs.split(STREAMS), h.split(STREAMS), strict=True
            )
        ]
        states = torch.cat([s[1:].permute(2, 0, 1) for s in found])
        return states, states[:, -1].detach()

    def logits(self, states: Tensor) -> Tensor:
        """States (..., H) -> (..., 256)."""
        result: Tensor = self.O2(torch.relu(self.O1(states)))
        return result

    def nats(
        self,
        tokens: Tensor,
        inputs: Tensor,
        features: Tensor,
        h: Tensor,
        blocks: Blocks | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Negative log-likelihood of the tokens (B, T), in nats, and the state (B, H) after."""
        states, h = self.states(inputs, features, h, blocks)
        logits = self.logits(states)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none")
        return loss.view(tokens.shape), h
