# Makes steps of optimizers on one tensor, a turn for each line of standard input.
import sys
import time

import torch

LR, BETA1, BETA2, EPS = 0.15, 0.9, 0.999, 1e-4


class AdaHessian:
    """The update of Yao et al., AAAI 2021, with a curvature for each element and k = 1."""

    def __init__(self, p, hz):
        self.p, self.hz, self.t = p, hz, 0
        self.m, self.v = torch.zeros_like(p), torch.zeros_like(p)

    @torch.no_grad()
    def step(self):
        self.t += 1
        bc1, bc2 = 1 - BETA1**self.t, 1 - BETA2**self.t
        self.m.mul_(BETA1).add_(self.p.grad, alpha=1 - BETA1)
        self.v.mul_(BETA2).addcmul_(self.hz, self.hz, value=1 - BETA2)
        den = self.v.sqrt().div_(bc2**0.5).add_(EPS)
        self.p.addcdiv_(self.m, den, value=-LR / bc1)


class Foreach(AdaHessian):
    """The same with operations on lists of tensors."""

    @torch.no_grad()
    def step(self):
        self.t += 1
        bc1, bc2 = 1 - BETA1**self.t, 1 - BETA2**self.t
        torch._foreach_mul_([self.m], BETA1)
        torch._foreach_add_([self.m], [self.p.grad], alpha=1 - BETA1)
        torch._foreach_mul_([self.v], BETA2)
        torch._foreach_addcmul_([self.v], [self.hz], [self.hz], 1 - BETA2)
        den = torch._foreach_sqrt([self.v])
        torch._foreach_div_(den, bc2**0.5)
        torch._foreach_add_(den, EPS)
        torch._foreach_addcdiv_([self.p], [self.m], den, -LR / bc1)


def make(kind, n):
    torch.manual_seed(1)
    p = torch.nn.Parameter(torch.randn(n))
    p.grad, hz = torch.randn(n), torch.randn(n)
    if kind == "adahessian":
        return AdaHessian(p, hz)
    if kind == "foreach":
        return Foreach(p, hz)
    return torch.optim.AdamW([p], foreach=kind == "adamw-foreach")


def turn(optimizer, least):
    """Makes steps for at least so many seconds, and at least one step. Returns the time of one."""
    count, begin = 0, time.perf_counter()
    while count == 0 or time.perf_counter() - begin < least:
        optimizer.step()
        count += 1
    return (time.perf_counter() - begin) / count


print(torch.__version__, flush=True)
made = {}
for line in sys.stdin:
    command, kind, *numbers = line.split()
    seconds = 0.0
    if command == "make":
        torch.set_num_threads(int(numbers[1]))
        made[kind] = make(kind, int(numbers[0]))
    elif command == "drop":
        del made[kind]
    else:
        seconds = turn(made[kind], float(numbers[0]))
    print(seconds, flush=True)
