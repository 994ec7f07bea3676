"""Which directions of a latent show, and which hardly do: coordinates for all that searches, steering and encoders."""

from __future__ import annotations

from collections.abc import Iterable

import torch

Draw = tuple[torch.Tensor, torch.Tensor]


def visible_directions(draws: Iterable[Draw]) -> torch.Tensor:
    """Eigenvectors of how strongly each direction of the latent moves what is shown, weakest first: (L, L), columns.

    The mean of JᵀJ over latents (a Gauss-Newton or Fisher matrix; Amari 1998, doi:10.1162/089976698300017746), where J
    is the derivative of what is shown by the latent, estimated from products with random vectors. A few dozen of
    hundreds of directions matter, by factors of thousands; an optimiser that scales each of its coordinates, as Adam
    does, needs these for coordinates.

    Parameters
    ----------
    draws
        Latents (N, L) that take a gradient, and what they show, (N, …).
    """
    random, total, count = torch.Generator().manual_seed(0), torch.zeros(1), 0
    for z, shown in draws:
        along = torch.randn(shown.shape, generator=random).to(shown.device)
        (shown * along).sum().backward()  # type: ignore[no-untyped-call]
        assert z.grad is not None
        total, count = total + (z.grad.T @ z.grad).cpu(), count + len(z)
    found: torch.Tensor = torch.linalg.eigh(total / count).eigenvectors
    return found
