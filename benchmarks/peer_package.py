"""pro-gan-pth 3.4 from PyPI, patched to run with current torch.

Two faults are patched. The package passes Adam betas of an int and a float, which torch now rejects: the optimisers are
created here. `EqualizedConvTranspose2d` calls a torch method with one argument too few: the method is replaced.
torchvision and TensorBoard, which the package imports but the measured parts do not call, are replaced by stubs.
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
    """The imported package.

    Parameters
    ----------
    folder
        Its installation folder.
    """

    def __init__(self, folder: Path) -> None:
        with _importable(folder):
            self.networks = importlib.import_module("pro_gan_pytorch.networks")
            self.layers = importlib.import_module("pro_gan_pytorch.custom_layers")
            self.losses = importlib.import_module("pro_gan_pytorch.losses")
            self.gan = importlib.import_module("pro_gan_pytorch.gan")
        self.layers.EqualizedConvTranspose2d._output_padding = lambda layer, *_: layer.output_padding

    def build(self, size: int, channels: int, widths: Sequence[int], latent: int) -> tuple[torch.nn.Module, ...]:
        """The package's generator and critic with the given number of feature maps at each stage."""
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
        """The package's training step, which returns the losses of critic and generator."""
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
    """Install the package without its dependencies into a separate folder."""
    if not (folder / "pro_gan_pytorch").is_dir():
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), NAME]
        try:
            subprocess.run(command, check=True)
        except subprocess.CalledProcessError:
            raise SystemExit(
                f"{NAME} could not be installed; with a network connection, run: {' '.join(command)}"
            ) from None
    return folder


@contextlib.contextmanager
def _importable(folder: Path) -> Iterator[None]:
    before = {name: sys.modules.get(name) for name in _UNUSED}
    for name, members in _UNUSED.items():
        module = types.ModuleType(name)
        for member in members:
            setattr(module, member, lambda *_, **__: None)  # some are called at import
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
