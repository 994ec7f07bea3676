"""pro-gan-pth 3.4 from PyPI, mended from outside so that it runs with today's torch.

Two faults are mended. Adam is given betas of an int and a float there, which torch refuses now: the optimisers are made
here. And `EqualizedConvTranspose2d` calls a method of torch's with an argument too few: it is given the one thing that
the method is asked for. torchvision and TensorBoard, which the package imports and the measured parts never call,
are stood in for by empty modules.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import subprocess
import sys
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

NAME = "pro-gan-pth==3.4"
_UNUSED = {
    "torchvision": (),
    "torchvision.utils": ("save_image",),
    "torchvision.transforms": ("Compose", "RandomHorizontalFlip", "Resize", "ToTensor"),
    "torch.utils.tensorboard": ("SummaryWriter",),
}


class Peer:
    """The package.

    Parameters
    ----------
    folder
        Where it is installed.
    """

    def __init__(self, folder: Path) -> None:
        with _importable(folder):
            self.networks = importlib.import_module("pro_gan_pytorch.networks")
            self.layers = importlib.import_module("pro_gan_pytorch.custom_layers")
            self.losses = importlib.import_module("pro_gan_pytorch.losses")
            self.gan = importlib.import_module("pro_gan_pytorch.gan")
        self.layers.EqualizedConvTranspose2d._output_padding = lambda layer, *_: layer.output_padding

    def build(self, size: int, channels: int, widths: Sequence[int], latent: int) -> tuple[torch.nn.Module, ...]:
        """Its generator and critic, with as many feature maps at each stage as ours."""
        depth = size.bit_length() - 1
        theirs, self.networks.nf = self.networks.nf, lambda stage, **_: widths[stage - 1]
        try:
            return self.networks.Generator(depth, channels, latent), self.networks.Discriminator(
                depth, channels, latent
            )
        finally:
            self.networks.nf = theirs

    def trainer(
        self, generator: torch.nn.Module, critic: torch.nn.Module, reals: torch.Tensor
    ) -> Callable[[], tuple[float, float]]:
        """What its own training does with each batch; gives the losses of critic and generator."""
        with contextlib.redirect_stdout(io.StringIO()):  # it prints both networks
            gan = self.gan.ProGAN(generator, critic, device=reals.device)
        adams = [
            torch.optim.Adam(network.parameters(), lr=0.001, betas=(0.0, 0.99), eps=1e-8)
            for network in (gan.gen, gan.dis)
        ]
        loss = self.losses.WganGP()

        def step() -> tuple[float, float]:
            noise = torch.randn(len(reals), gan.latent_size).to(reals.device)
            on_critic = gan.optimize_discriminator(loss, adams[1], noise, reals, gan.depth, 1.0)
            self.layers.update_average(gan.gen_shadow, gan.gen, beta=gan.ema_beta)
            return on_critic, gan.optimize_generator(loss, adams[0], noise, reals, gan.depth, 1.0)

        return step


def fetch(folder: Path) -> Path:
    """Install the package alone, without what it depends on, into a folder of its own; nothing else will see it."""
    if not (folder / "pro_gan_pytorch").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), NAME]
        try:
            subprocess.run(command, check=True)
        except subprocess.CalledProcessError:
            raise SystemExit(
                f"{NAME} could not be fetched; where there is a network, run: {' '.join(command)}"
            ) from None
    return folder


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in _UNUSED}
    for name, members in _UNUSED.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, lambda *_, **__: None)  # some are called while it is imported
        sys.modules[name] = module
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name)
            else:
                sys.modules[name] = module
