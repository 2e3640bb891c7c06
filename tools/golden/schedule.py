#!/usr/bin/env python3
"""Learning rates of MAE's schedule, for tests/golden/schedule/mae.tsv.

Python 3.11, standard library alone. The formula and the loop are those of facebookresearch/mae (efb2a80): util/lr_sched.py sets the rate
from a fractional epoch, engine_pretrain.py calls it at the first micro-batch of each accumulation with data_iter_step / len(loader) + epoch.
usage: schedule.py > tests/golden/schedule/mae.tsv
"""
import math


def rates(epochs, warmup, lr, min_lr, loader, accum):
    for epoch in range(epochs):
        for i in range(loader):
            if i % accum == 0:
                e = i / loader + epoch
                if e < warmup:
                    yield lr * e / warmup
                else:
                    yield min_lr + (lr - min_lr) * 0.5 * (1.0 + math.cos(math.pi * (e - warmup) / (epochs - warmup)))


for case in [(8, 2, 2.4e-3, 0.0, 13, 1), (5, 1, 1.5e-4, 1e-6, 12, 4), (3, 0, 1e-3, 0.0, 7, 1), (400, 40, 6e-4, 0.0, 39, 1)]:
    print("case", *map(repr, case), sep="\t")
    all_rates = list(rates(*case))
    every = max(1, len(all_rates) // 60)
    for step, r in enumerate(all_rates):
        if step % every == 0 or step < 3 or step > len(all_rates) - 3:
            print(step, repr(r), sep="\t")
