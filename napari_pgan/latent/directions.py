"""Latent directions ordered by visible effect: the coordinates of steering and encoders."""

from __future__ import annotations

from collections.abc import Iterable

import torch

Draw = tuple[torch.Tensor, torch.Tensor]


def visible_directions(draws: Iterable[Draw]) -> torch.Tensor:
    """Return the latent directions ordered by how much they change an output, weakest first: (L, L), columns.

    They are the eigenvectors of the mean of JᵀJ over latents (a Gauss-Newton or Fisher matrix; Amari 1998,
    doi:10.1162/089976698300017746), where J is the derivative of the output by the latent, estimated from products with
    random vectors. A few dozen of hundreds of directions matter, by factors of thousands, so an optimiser that scales
    each coordinate, such as Adam, works best in these coordinates.

    Parameters
    ----------
    draws
        Latents (N, L) that require gradients, and the outputs (N, …) computed from them.
    """
    random, total, count = torch.Generator().manual_seed(0), torch.zeros(1), 0
    for z, output in draws:
        along = torch.randn(output.shape, generator=random).to(output.device)
        (output * along).sum().backward()  # type: ignore[no-untyped-call]
        assert z.grad is not None
        total, count = total + (z.grad.T @ z.grad).cpu(), count + len(z)
    found: torch.Tensor = torch.linalg.eigh(total / count).eigenvectors
    return found
