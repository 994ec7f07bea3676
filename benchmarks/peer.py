"""Comparison with pro-gan-pth: a training step and one sample, at equal widths, size, channels and batch.

    python benchmarks/peer.py --threads 2

The package is installed from PyPI into a cache folder and patched (see peer_package.py). First, both networks are shown
to compute the same function with the same weights, up to the differences in the table.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from peer_package import Peer, fetch
from platformdirs import user_cache_path
from results import begin, options, table, write
from stopwatch import Times, blend, interleave
from trial import CHANNELS, Trial

from napari_pgan.model import Architecture, Critic, Encoding, Generator, Model
from napari_pgan.model.card import Card
from napari_pgan.model.layers import Conv, down, leaky
from napari_pgan.schema import Grid
from napari_pgan.training.recipe import read_recipe

AS_TRIALS: dict[str, tuple[str, tuple[str, ...]]] = {
    "`karras2018`, float32": ("karras2018", ()),
    "`karras2018`, bf16": ("karras2018", ("precision=bf16",)),
    "`default`": ("default", ()),
}
SAME = "the peer's exact function on our layers, float32"


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--cache", type=Path, default=user_cache_path("napari-pgan") / "benchmarks" / "pro-gan-pth-3.4")
    parser.add_argument("--widths", type=int, nargs="+", default=[64, 128, 512])
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9, help="training rounds at 64 maps; fewer for more maps")
    parser.add_argument("--sample-sizes", type=int, nargs="+", default=[32, 128, 256])
    parser.add_argument("--sample-rounds", type=int, default=15)
    arguments = parser.parse_args(argv)
    device = begin(arguments)
    peer = Peer(fetch(arguments.cache))

    agreement = agree(peer, arguments.size)
    training = [train(peer, w, arguments, device) for w in arguments.widths]
    sampling = [
        draw(peer, recipe, s, arguments, device) for s in arguments.sample_sizes for recipe in ("karras2018", "default")
    ]
    write(
        arguments.out,
        "peer",
        {"agreement": agreement, "training": training, "sampling": sampling},
        {
            "agreement": agreement_table(agreement),
            "training": training_table(training, arguments),
            "sampling": sampling_table(sampling),
        },
        device,
        argv,
    )


# --- agreement ---------------------------------------------------------------------------------------------


def agree(peer: Peer, size: int, width: int = 32) -> dict[str, float]:
    """Greatest difference relative to the largest value with our weights, unchanged and in the peer's layer order."""
    widths = [width] * (size.bit_length() - 2)
    architecture = Architecture((4, 4), tuple(widths), Encoding(CHANNELS).channel_count, latent=width)
    torch.manual_seed(0)
    generator, critic = Generator(architecture), Critic(architecture)
    with torch.no_grad():
        for parameter in (*generator.parameters(), *critic.parameters()):
            if parameter.ndim == 1:  # zero biases would hide a mistake
                parameter.normal_(std=0.2)
        # the first layer of the peer has one bias per map
        generator.dense.bias.copy_(generator.dense.bias[::16].repeat_interleave(16))
    theirs_g, theirs_c = peer.build(size, architecture.channels, widths, width)
    give_generator(generator, theirs_g)
    give_critic(critic, theirs_c)
    z = torch.randn(8, width)
    stage, depth, found = len(widths) - 1, size.bit_length() - 1, {}
    with torch.no_grad():
        for alpha in (1.0, 0.3):
            images, scores = theirs_g(z, depth, alpha), None
            scores = theirs_c(images, depth, alpha)
            found[f"generator, alpha {alpha:g}"] = _difference(generator(z, stage, alpha), images)
            found[f"critic, alpha {alpha:g}"] = _difference(critic(images, stage, alpha), scores)
        use_peer_order(generator, critic)
        for alpha in (1.0, 0.3):
            images = theirs_g(z, depth, alpha)
            scores = theirs_c(images, depth, alpha)
            found[f"generator in the peer's order, alpha {alpha:g}"] = _difference(generator(z, stage, alpha), images)
            found[f"critic in the peer's order, alpha {alpha:g}"] = _difference(critic(images, stage, alpha), scores)
    return found


def give(layer: torch.nn.Module, weight: torch.Tensor, bias: torch.Tensor) -> None:
    """Set the weight of a peer's layer, divided by the layer's scale.

    The peer's scales are √2/√fan_in everywhere; ours are √2/4 at the first layer (dense, where the peer has a
    transposed convolution of 1×1 to 4×4) and 1 at the outputs, as in Karras et al. 2017.
    """
    with torch.no_grad():
        layer.weight.copy_(weight / float(layer.scale))
        layer.bias.copy_(bias)


def give_generator(generator: Generator, theirs: torch.nn.Module) -> None:
    a, first = generator.architecture, theirs.layers[0]
    kernel = generator.dense.scaled().reshape(a.widths[0], 4, 4, a.latent).permute(3, 0, 1, 2)
    give(first.conv_1, kernel, generator.dense.bias[::16])
    give(first.conv_2, generator.conv.scaled(), generator.conv.bias)
    for block, layer in zip(generator.blocks, theirs.layers[1:], strict=True):
        give(layer.conv_1, block.grow.scaled(), block.grow.bias)
        give(layer.conv_2, block.refine.scaled(), block.refine.bias)
    for head, layer in zip(generator.heads, theirs.rgb_converters, strict=True):
        give(layer, head.scaled(), head.bias)


def give_critic(critic: Critic, theirs: torch.nn.Module) -> None:
    a, last = critic.architecture, theirs.layers[-1]
    give(last.conv_1, critic.conv.scaled(), critic.conv.bias)
    give(last.conv_2, critic.dense.scaled().reshape(a.widths[0], -1, 4, 4), critic.dense.bias)
    give(last.conv_3, critic.score.scaled()[:, :, None, None], critic.score.bias)
    for block, layer in zip(critic.blocks, reversed(theirs.layers[:-1]), strict=True):
        give(layer.conv_1, block.refine.scaled(), block.refine.bias)
        give(layer.conv_2, block.shrink.scaled(), block.shrink.bias)
    for tail, layer in zip(critic.tails, reversed(theirs.from_rgb), strict=True):
        give(layer[0], tail.scaled(), tail.bias)


def use_peer_order(generator: Generator, critic: Critic) -> None:
    """Change our networks to the peer's order: no pixel norm after the first layer; activation before averaging."""
    a = generator.architecture

    def first_map(latents: torch.Tensor, conditions: torch.Tensor | None = None) -> torch.Tensor:
        latents = F.normalize(latents, dim=1) * math.sqrt(a.latent)
        return leaky(generator.dense(latents).reshape(-1, a.widths[0], *a.base))

    def block_forward(refine: Conv, shrink: Conv, x: torch.Tensor) -> torch.Tensor:
        x = leaky(refine(x))
        return down(leaky(F.conv2d(x, shrink.scaled(), shrink.bias, padding=1)))

    generator.first_map = first_map
    for block in critic.blocks:
        block.forward = partial(block_forward, block.refine, block.shrink)


def _difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


def agreement_table(found: dict[str, float]) -> str:
    rows = []
    for name in ("generator", "critic"):
        as_is, ordered = (
            max(v for k, v in found.items() if k.startswith(name) and ("order" in k) == order)
            for order in (False, True)
        )
        rows.append([name, f"{as_is:.1e}", f"{ordered:.1e}"])
    head = ["with the same weights", "greatest difference, both as they are", "ours in the peer's order"]
    return table(head, rows)


# --- a training step ------------------------------------------------------------------------------------------------


def train(peer: Peer, width: int, arguments: argparse.Namespace, device: torch.device) -> dict[str, object]:
    size, batch = arguments.size, arguments.batch
    widths = [width] * (size.bit_length() - 2)
    torch.manual_seed(0)
    channels = Encoding(CHANNELS).channel_count
    theirs = peer.build(size, channels, widths, width)
    count = {"peer": tuple(sum(p.numel() for p in network.parameters()) for network in theirs)}
    reals = (torch.rand(batch, channels, size, size) * 2 - 1).to(device)
    cases: dict[str, Callable[[], object]] = {"peer": peer.trainer(*theirs, reals)}
    trials: dict[str, Trial] = {}
    for name, (recipe, sets) in {**AS_TRIALS, SAME: ("karras2018", ())}.items():
        trial = trials[name] = Trial(recipe, size, batch, [width], device, sets)
        if name == SAME:
            use_peer_order(trial.trainer.generator, trial.trainer.critic)
        count[name] = trial.parameters()
        cases[name] = partial(finite_step, trial, True)
        if trial.lazy > 1:
            cases[f"{name} without penalty"] = partial(finite_step, trial, False)
    rounds = max(2, round(arguments.rounds * min(1, (64 / width) ** 0.7)))
    times = interleave(cases, rounds, device)
    if not all(math.isfinite(x) for x in cases["peer"]()):
        raise SystemExit("the peer's losses are not finite")
    for name, trial in trials.items():
        if trial.lazy > 1:
            plain = times[f"{name} without penalty"]
            times[name] = blend([(times[name], 1 / trial.lazy), (plain, 1 - 1 / trial.lazy)])
    return {
        "width": width,
        "rounds": rounds,
        "parameters": count,
        "cases": {name: figures(times[name], times["peer"], batch) for name in ("peer", SAME, *AS_TRIALS)},
    }


def finite_step(trial: Trial, penalty: bool) -> dict[str, float]:
    """A step that reads its losses, as the peer does."""
    losses = {name: loss.item() for name, loss in trial.step(penalty).items()}
    if not all(math.isfinite(loss) for loss in losses.values()):
        raise SystemExit(f"a loss is not finite: {losses}")
    return losses


def figures(times: Times, base: Times, images: int = 1) -> dict[str, object]:
    low, high = times.range_of(base)
    return {
        "seconds": times.median,
        "images_per_second": images / times.median,
        "faster": times.faster_than(base),
        "quartiles": [low, high],
    }


def training_table(training: list[dict], arguments: argparse.Namespace) -> str:
    head = ["maps", "", "generator, critic", "images/s", "ms a step", "times the peer's speed"]
    rows = []
    for found in training:
        for name, case in found["cases"].items():
            count = found["parameters"][name]
            rows.append(
                [
                    found["width"],
                    "pro-gan-pth" if name == "peer" else name,
                    f"{count[0]:,}, {count[1]:,}",
                    f"{case['images_per_second']:.3g}",
                    f"{case['seconds'] * 1e3:.0f}",
                    "1" if name == "peer" else _times(case),
                ]
            )
    return table(head, rows)


def _times(case: dict) -> str:
    low, high = case["quartiles"]
    return f"**{case['faster']:.2f}** ({low:.2f}–{high:.2f})"


# --- one sample -----------------------------------------------------------------------------------------------------


def draw(peer: Peer, recipe: str, size: int, arguments: argparse.Namespace, device: torch.device) -> dict[str, object]:
    """Time one sample through each package's user interface."""
    stages = size.bit_length() - 2
    widths = [plan.width for plan in read_recipe(recipe).sizes.values()][:stages]
    channels, latent = Encoding(CHANNELS).channel_count, read_recipe(recipe).network.latent
    torch.manual_seed(0)
    theirs, _ = peer.build(size, channels, widths, latent)
    theirs.to(device)
    architecture = Architecture((4, 4), tuple(widths), channels, latent=latent)
    ours = Generator(architecture)
    give_generator(ours, theirs)
    model = Model(_card(architecture), ours).to(device)
    depth, z = size.bit_length() - 1, torch.randn(1, latent)

    def peer_sample() -> torch.Tensor:
        with torch.no_grad():
            return theirs(z.to(device), depth, 1.0).cpu()

    def generated(precise: bool) -> torch.Tensor:
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=not precise):
            return model.generate(z).float().cpu()

    cases: dict[str, Callable[[], object]] = {
        "peer": peer_sample,
        "generate": lambda: generated(True),
        "generate in bf16": lambda: generated(False),
        "sample": lambda: model.sample(latents=z),
        "sample in bf16": lambda: model.sample(latents=z, precision="bf16"),
    }
    for sample in (peer_sample(), generated(True), generated(False)):
        if sample.shape != (1, channels, size, size) or not sample.isfinite().all():
            raise SystemExit("a sample is not finite")
    times = interleave(cases, arguments.sample_rounds, device, warm=3)
    return {
        "size": size,
        "recipe": recipe,
        "parameters": {
            "peer": sum(p.numel() for p in theirs.parameters()),
            "ours": sum(p.numel() for p in ours.parameters()),
        },
        "cases": {name: figures(times[name], times["peer"]) for name in cases},
    }


def _card(architecture: Architecture) -> Card:
    shape = architecture.shape(architecture.stages - 1)
    return Card("benchmark", architecture, CHANNELS, Grid(shape))


def sampling_table(sampling: list[dict]) -> str:
    ours = {
        "generate": "`generate`",
        "generate in bf16": "`generate`, bf16",
        "sample": "`sample`",
        "sample in bf16": "`sample`, bf16",
    }
    head = ["size", "widths of", "parameters (peer, ours)", "pro-gan-pth", *ours.values()]
    rows = []
    for found in sampling:
        cases, count = found["cases"], found["parameters"]
        rows.append(
            [
                f"{found['size']}²",
                f"`{found['recipe']}`",
                f"{count['peer']:,}, {count['ours']:,}",
                f"{cases['peer']['seconds'] * 1e3:.1f} ms",
                *(f"{cases[name]['seconds'] * 1e3:.1f} ms, {_times(cases[name])}" for name in ours),
            ]
        )
    return table(head, rows)


if __name__ == "__main__":
    main()
