"""Trains the frame network of `tiny`: F0 and voicing from log-mels.

    python train.py prepare SPEECH/speakers FOLDER/s100.npz 1     # and s090 0.9, s110 1.1: other speeds
    python train.py train FOLDER OUT.pt STEPS 96 3 0.6 SEED [START.pt]

Labels are WORLD's (pyworld: dio, stonemask). The last four outputs are not used any more.
"""
import glob, hashlib, os, sys, time

import numpy as np
import scipy.ndimage as nd
import torch
from torch import nn

from linnet.features import complete, log_mel

RATE, HOP = 16000, 200
FEATURES = complete({"sample_rate": RATE, "hop_length": HOP, "n_mels": 80})
BINS, GAINS = 96, 4
CENTRES = np.linspace(np.log(62.0), np.log(460.0), BINS).astype(np.float32)


def read(path, seconds):
    import librosa, soundfile

    x, rate = soundfile.read(path, dtype="float32")
    if rate != RATE:
        x = librosa.resample(x, orig_sr=rate, target_sr=RATE)
    x = x[: int(RATE * seconds)]
    return x * (0.7 / max(np.abs(x).max(), 1e-3))


def labels(x):
    import pyworld

    x = x.astype(np.float64)
    f0, t = pyworld.dio(x, RATE, f0_floor=65, f0_ceil=450, frame_period=12.5 / 3)
    f0 = pyworld.stonemask(x, f0, t, RATE)
    n = len(f0) // 3
    around = np.pad(f0, (1, 2))
    soft = np.stack([around[i : i + 3 * n : 3] > 0 for i in range(3)]).mean(0)
    return f0[::3].astype(np.float32), soft.astype(np.float32)

def prepare(folder, out, factor, seconds='40'):
    import librosa

    factor = float(factor); t0 = time.time()
    M, F, V, W, names = [], [], [], [], []
    for i, path in enumerate(sorted(glob.glob(folder + '/*/*.flac'))):
        x = read(path, float(seconds))
        if factor != 1: x = librosa.resample(x, orig_sr=RATE, target_sr=int(RATE * factor), res_type='soxr_hq')
        pcm = (x * 32767).clip(-32768, 32767).astype(np.int16)
        mel = log_mel(pcm, RATE, FEATURES); f0, v = labels(x)
        n = min(mel.shape[1], len(f0), len(v))
        M.append(mel[:, :n].T.astype(np.float16)); F.append(f0[:n]); V.append(v[:n]); W.append(np.full(n, i, np.int32)); names.append(path.split('/')[-2])
        if i % 200 == 0: print(i, round(time.time() - t0), flush=True)
    np.savez(out, mel=np.concatenate(M), f0=np.concatenate(F), v=np.concatenate(V), clip=np.concatenate(W), names=np.array(names))
    print('frames', sum(map(len, F)), 'voiced', np.concatenate(V).mean(), round(time.time() - t0), 's')


class Net(nn.Module):
    """(B, 80, T + 12) -> (B, BINS + 1 + GRID, T); `ahead` of the 12 are behind the frame."""
    def __init__(self, c=80, kernels=(5, 5, 5), outs=BINS + 1 + GAINS, last=None):
        super().__init__()
        last = last or c
        sizes = [80] + [c] * len(kernels)
        self.c = nn.ModuleList([nn.Conv1d(a, b, k) for a, b, k in zip(sizes[:-1], sizes[1:], kernels)] + [nn.Conv1d(c, last, 1)])
        self.o = nn.Conv1d(last, outs, 1)
        self.reach = sum(k - 1 for k in kernels)
        self.register_buffer('mean', torch.zeros(80, 1)); self.register_buffer('std', torch.ones(80, 1))
    def forward(self, x):
        x = (x - self.mean) / self.std
        for layer in self.c: x = torch.relu(layer(x))
        return self.o(x)

def dev_speakers(names):
    return [n for n in sorted(set(names)) if int(hashlib.md5(n.encode()).hexdigest(), 16) % 18 == 0 and n not in ('nsh_ru', 'kerstin_de', 'matthes_en')]

class Data:
    def __init__(self, folder, reach, ahead):
        self.sets = []
        for f in ('s100', 's090', 's110'):
            if not os.path.exists(os.path.join(folder, f + '.npz')): continue
            z = np.load(os.path.join(folder, f + '.npz'))
            names = z['names']; dev = np.isin(names[z['clip']], dev_speakers(names))
            s = dict(mel=z['mel'].astype(np.float32), f0=z['f0'], v=z['v'], dev=dev, clip=z['clip'])
            self.names = names
            self.sets.append(s)
        self.reach, self.ahead = reach, ahead
    def windows(self, rng, n, length, dev=False, which=None):
        out = []
        while len(out) < n:
            s = self.sets[0] if which == 0 or rng.random() < 0.5 else self.sets[rng.integers(len(self.sets))]
            at = int(rng.integers(0, len(s['f0']) - length - self.reach))
            if s['dev'][at] != dev or s['dev'][at + length] != dev: continue
            lead = self.reach - self.ahead
            mel = s['mel'][at : at + length + self.reach]
            sl = slice(at + lead, at + lead + length)
            out.append((mel, s['f0'][sl], s['v'][sl]))
        return [np.stack(x) for x in zip(*out)]

def augment(mel, rng):
    """mel (B, T, 80): gain, response of a microphone, noise."""
    B = len(mel); k = np.arange(80) / 79
    level = mel / 0.2  # log10 above the floor
    gain = rng.uniform(-0.6, 0.3, (B, 1, 1))
    eq = sum(rng.normal(0, 0.12, (B, 1, 1)) * np.cos(np.pi * j * k + rng.uniform(0, np.pi, (B, 1, 1))) for j in (1, 2, 3))
    amp = 10 ** (level + gain + eq)
    loud = np.quantile(mel.mean(2), 0.95, axis=1)[:, None, None] / 0.2 + gain
    snr = rng.uniform(0.7, 2.5, (B, 1, 1))
    noise = 10 ** (loud - snr + rng.normal(0, 0.2, (B, 1, 1)) * (k - 0.5)) * np.exp(rng.normal(0, 0.35, mel.shape))
    noise *= rng.random((B, 1, 1)) < 0.4
    out = (0.2 * np.log10(np.maximum(np.sqrt(amp ** 2 + noise ** 2), 1.0))).astype(np.float32)
    for b in np.flatnonzero(rng.random(B) < 0.35):  # as an acoustic model's: smoothed, with slow errors
        out[b] = nd.gaussian_filter(out[b], (rng.uniform(0, 1.0), rng.uniform(0, 0.9)))
        e = nd.gaussian_filter(rng.standard_normal(out[b].shape), (3, 2))
        out[b] = np.maximum(out[b] + rng.uniform(0, 0.012) * e / e.std(), 0)
    return out

def decode(o):
    """(BINS + 1 + GRID, T) -> F0 in Hz, voicing, gains (T, 4)."""
    b = o[:BINS]; p = np.exp(b - b.max(0)); T = b.shape[1]; f0 = np.zeros(T, np.float32)
    for t, k in enumerate(p.argmax(0)):
        near = slice(max(0, k - 2), min(BINS, k + 3))
        f0[t] = np.exp((p[near, t] * CENTRES[near]).sum() / p[near, t].sum())
    return f0, 1 / (1 + np.exp(-o[BINS]))

def run(net, mel, ahead):
    """mel (80, T) -> decoded."""
    x = np.pad(mel, ((0, 0), (net.reach - ahead, ahead)), mode='edge').astype(np.float32)
    with torch.no_grad(): return decode(net(torch.from_numpy(x)[None])[0].numpy())

def validate(net, data, n=96, length=200):
    rng = np.random.default_rng(5)
    mel, f0, v = data.windows(rng, n, length, True, 0)
    with torch.no_grad(): o = net(torch.from_numpy(mel).transpose(1, 2)).numpy()
    cents, vuv = [], []
    for i in range(n):
        f, p = decode(o[i]); both = (f0[i] > 0) & (v[i] == 1)
        c = 1200 * np.log2(f[both] / f0[i][both]); cents.append(c); vuv.append((p > 0.5) != (v[i] > 0.5))
    c = np.abs(np.concatenate(cents))
    return f'cents {np.median(c):.1f} gross {(c > 300).mean():.4f} vuv {np.concatenate(vuv).mean():.4f}'

def masks_of(net, sparsity):
    """4 x 1-tap blocks: 4 output channels x 4 input channels of a tap, by mean size."""
    out = {}
    for name, layer in [('c.1', net.c[1]), ('c.2', net.c[2]), ('c.0', net.c[0])]:
        w = layer.weight.detach(); O, I, Kk = w.shape
        b = w.abs().view(O // 4, 4, I // 4, 4, Kk).mean((1, 3)); cut = b.flatten().kthvalue(max(1, int(sparsity * b.numel()))).values
        out[name] = (b > cut).float().repeat_interleave(4, 0).repeat_interleave(4, 1)
    return out

def train(folder, out, steps, c, ahead, sparsity='0', seed='0', start=''):
    kernels = '5,5,5'
    steps, ahead, sparsity, seed = int(steps), int(ahead), float(sparsity), int(seed)
    torch.manual_seed(seed); torch.set_num_threads(1); rng = np.random.default_rng(seed)
    net = Net(int(c), tuple(map(int, kernels.split(',')))); data = Data(folder, net.reach, ahead)
    m = data.sets[0]['mel']; net.mean[:, 0] = torch.from_numpy(m.mean(0)); net.std[:, 0] = torch.from_numpy(m.std(0) + 1e-3)
    if start: net.load_state_dict(torch.load(start, weights_only=False)['net'])
    print(sum(p.numel() for p in net.parameters()), 'weights; dev', dev_speakers(data.names), flush=True)
    opt = torch.optim.Adam(net.parameters(), 2e-3, betas=(0.9, 0.98))
    peak = 2e-3 if not start else 1e-3
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, peak, total_steps=steps, pct_start=0.15)
    centres = torch.from_numpy(CENTRES); length, t0, sums = 128, time.time(), []
    masks = {}
    ema = {k: p.detach().clone() for k, p in net.named_parameters()}
    for step in range(steps):
        mel, f0, v = data.windows(rng, 24, length)
        a = torch.from_numpy(augment(mel, rng)).transpose(1, 2)
        b, v = torch.from_numpy(f0), torch.from_numpy(v)
        o = net(a)
        voiced = ((b > 0) & (v > 0.99)).float()
        target = torch.softmax(-(((torch.log(b.clamp(min=1.0))[..., None] - centres) / 0.02) ** 2) / 2, -1)
        pitch = -(target * torch.log_softmax(o[:, :BINS].transpose(1, 2), -1)).sum(-1)
        lv = nn.functional.binary_cross_entropy_with_logits(o[:, BINS], v)
        lp = (pitch * voiced).sum() / voiced.sum()
        loss = lv + 0.5 * lp
        opt.zero_grad(); loss.backward(); nn.utils.clip_grad_norm_(net.parameters(), 1.0); opt.step(); sched.step()
        if sparsity and step % 50 == 0 and step < 0.6 * steps:
            masks = masks_of(net, sparsity * (1 - (1 - min(1, step / (0.5 * steps))) ** 3)) if step else {}
        with torch.no_grad():
            for name, mk in masks.items(): net.get_submodule(name).weight.mul_(mk)
            for k, p in net.named_parameters(): ema[k].lerp_(p, 1 - min(0.997, step / (step + 10)))
            for name, mk in masks.items(): ema[name + '.weight'].mul_(mk)
        sums.append((lv.item(), lp.item()))
        if step % 300 == 299 or step == steps - 1:
            live = {k: p.detach().clone() for k, p in net.named_parameters()}
            net.load_state_dict({**net.state_dict(), **ema})
            print(step + 1, np.mean(sums, 0).round(4), validate(net, data), round(time.time() - t0), flush=True); sums = []
            torch.save({'net': net.state_dict(), 'c': int(c), 'ahead': ahead, 'kernels': kernels}, out)
            net.load_state_dict({**net.state_dict(), **live})
if __name__ == '__main__':
    {'prepare': prepare, 'train': train}[sys.argv[1]](*sys.argv[2:])
