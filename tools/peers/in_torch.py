"""torch: eager with autograd and an EWC penalty in the loss, and the gradient in closed form without autograd."""

from __future__ import annotations

from itertools import cycle

import torch

from peers.contestant import Contestant, Ready, without_bias
from peers.workloads import (
    FISHER_ROWS,
    HERDING_PICKS,
    HERDING_ROWS,
    MOMENTUM,
    RATE,
    SCATTER_ROWS,
    STRENGTH,
    Case,
)

torch.set_num_threads(1)


def linear(case: Case) -> torch.nn.Linear:
    """The head that every case starts from."""
    layer = torch.nn.Linear(case.dimension, case.classes)
    weights = torch.from_numpy(case.start[0])
    with torch.no_grad():
        layer.weight.copy_(weights[:, : case.dimension])
        layer.bias.copy_(weights[:, case.dimension])
    return layer


def eager_step(case: Case) -> Ready:
    layer = linear(case)
    held = torch.from_numpy(case.start[2:])
    precision = [held[0, :, : case.dimension].clone(), held[0, :, case.dimension].clone()]
    anchor = [held[1, :, : case.dimension].clone(), held[1, :, case.dimension].clone()]
    optimizer = torch.optim.SGD(layer.parameters(), lr=RATE, momentum=MOMENTUM)
    latents, labels = torch.from_numpy(case.latents), torch.from_numpy(case.labels).long()
    slots = cycle(torch.from_numpy(case.schedule))

    def run() -> None:
        chosen = next(slots)
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(layer(latents[chosen]), labels[chosen])
        for parameter, weight, at in zip(layer.parameters(), precision, anchor, strict=True):
            loss = loss + STRENGTH / 2 * (weight * (parameter - at).pow(2)).sum()
        loss.backward()
        optimizer.step()

    return Ready(run, 1, lambda: without_bias(layer.weight.detach().numpy(), layer.bias.detach().numpy(), case))


def closed_form_step(case: Case) -> Ready:
    weights, velocity, precision, anchor = torch.from_numpy(case.start.copy())
    latents, labels = torch.from_numpy(case.padded), torch.from_numpy(case.labels).long()
    slots, every = cycle(torch.from_numpy(case.schedule)), torch.arange(case.batch)

    def run() -> None:
        chosen = next(slots)
        x = latents[chosen]
        residual = torch.softmax(x @ weights.T, dim=1)
        residual[every, labels[chosen]] -= 1
        velocity.mul_(MOMENTUM).addcmul_(precision, weights - anchor, value=STRENGTH)
        velocity.addmm_(residual.T, x, alpha=1 / case.batch)
        weights.sub_(velocity, alpha=RATE)

    return Ready(run, 1, lambda: weights.numpy())


def fisher(case: Case) -> Ready:
    x, weights = torch.from_numpy(case.padded[:FISHER_ROWS]), torch.from_numpy(case.start[0])
    out = torch.empty_like(weights)

    def run() -> None:
        p = torch.softmax(x @ weights.T, dim=1)
        torch.mm((p * (1 - p)).T, x * x, out=out)

    return Ready(run, answer=lambda: out.numpy())


def herding(case: Case) -> Ready:
    x = torch.from_numpy(case.latents[:HERDING_ROWS].copy())
    order = torch.zeros(HERDING_PICKS, dtype=torch.int64)

    def run() -> None:
        z = x - x.mean(dim=0)
        scores = (z * z).sum(dim=1)
        for k in range(HERDING_PICKS):
            order[k] = best = scores.argmin()
            scores += 2 * (z @ z[best])
            scores[order[: k + 1]] = torch.inf

    return Ready(run, answer=lambda: order.numpy())


def scatter(case: Case) -> Ready:
    x, out = torch.from_numpy(case.latents[:SCATTER_ROWS].copy()), torch.zeros(case.dimension, case.dimension)
    return Ready(lambda: out.addmm_(x.T, x), SCATTER_ROWS, answer=lambda: out.numpy())


CONTESTANTS = [
    Contestant("torch eager", {"step": eager_step}),
    Contestant(
        "torch closed form", {"step": closed_form_step, "fisher": fisher, "herding": herding, "scatter": scatter}
    ),
]
