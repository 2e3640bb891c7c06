"""Golden values of the linear probe of masked autoencoders, from PyTorch 2.15.0 and NumPy 2.4.6, in float64.

usage: python tools/golden/linear_mae.py      (writes tests/golden/linear_mae/linear_mae.txt)
torch.nn.BatchNorm1d(affine=False, eps=1e-6), torch.nn.Linear and torch.nn.functional.cross_entropy with autograd; LARS is written here from You
et al. 2017 and the settings of He et al. 2022, A.1 (trust coefficient 0.001, momentum 0.9, decay and scaling for matrices alone, the rate outside
the momentum). Features and starting weights are not stored: they come from formulas that the test repeats.
Two cases (classes, weight decay, peak rate); each: 20 lines of rate and loss, the class vectors, the intercepts, running means, running variances,
then the mean loss and the predictions of 60 test rows by the running moments.
"""
import math, os
import numpy as np
import torch

B, Q, D, STEPS, WARM = 40, 60, 7, 20, 4


def x_of(first, n, classes):
    i = np.arange(first, first + n, dtype=np.float64)[:, None]
    k = np.arange(D, dtype=np.float64)[None, :]
    y = np.arange(first, first + n) * 7 % 11 % classes
    x = np.sin(12.9898 * i + 78.233 * k * k + 3 * k) + 0.6 * np.cos(2.1 * (y[:, None] + 1) * (k + 1))
    x = x * (0.2 + k) + 3 * k - 5  # columns of other scales and places, as features have
    return torch.tensor(x.astype(np.float32).astype(np.float64)), torch.tensor(y)


class Lars:
    def __init__(self, params, weight_decay):
        self.p, self.wd, self.v = list(params), weight_decay, {}

    def step(self, lr):
        for i, p in enumerate(self.p):
            update = p.grad.clone()
            if p.dim() == 2:
                update += self.wd * p.detach()
                a, b = p.detach().norm().item(), update.norm().item()
                update *= 0.001 * a / b
            self.v[i] = update if i not in self.v else 0.9 * self.v[i] + update
            p.data = p.data - lr * self.v[i]


out = []
for classes, wd, peak in ((5, 0.0, 6.4), (2, 0.02, 1.6)):
    bn = torch.nn.BatchNorm1d(D, affine=False, eps=1e-6).double()
    head = torch.nn.Linear(D, classes).double()
    c, k = np.arange(classes)[:, None], np.arange(D)[None, :]
    head.weight.data = torch.tensor(0.05 * np.sin(1.7 * c + 0.9 * k + 0.3))
    head.bias.data = torch.zeros(classes, dtype=torch.float64)
    opt = Lars(head.parameters(), wd)
    out.append(f"{classes} {wd:g}")
    for s in range(STEPS):
        lr = peak * s / WARM if s < WARM else peak * 0.5 * (1 + math.cos(math.pi * (s - WARM) / (STEPS - WARM)))
        x, y = x_of(s * B, B, classes)
        head.zero_grad()
        loss = torch.nn.functional.cross_entropy(head(bn(x)), y)
        loss.backward()
        opt.step(lr)
        out.append(f"{lr:.12g} {loss.item():.12g}")
    for v in [*head.weight.detach(), head.bias.detach(), bn.running_mean, bn.running_var]:
        out.append(" ".join(f"{e:.12g}" for e in v.tolist()))
    bn.eval()
    x, y = x_of(STEPS * B, Q, classes)
    z = head(bn(x))
    out.append(f"{torch.nn.functional.cross_entropy(z, y).item():.12g}")
    out.append(" ".join(map(str, z.argmax(1).tolist())))
os.makedirs("tests/golden/linear_mae", exist_ok=True)
open("tests/golden/linear_mae/linear_mae.txt", "w").write("\n".join(out) + "\n")
open("tests/golden/linear_mae/HOW", "w").write(__doc__ + f"\nRun with torch {torch.__version__}, numpy {np.__version__}.\n")
