"""Ablation of the training step's speed shortcuts: each one off, compared with all on.

    python benchmarks/shortcuts.py --threads 2

All cases run in turn in one process; a gain is the median of the ratios within rounds. `--compile` also measures
torch.compile, which needs a C++ compiler.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from unittest import mock

import torch
from results import begin, options, table, write
from stopwatch import Times, blend, interleave, now
from trial import Trial

from napari_pgan.model import networks
from napari_pgan.model.layers import Conv
from napari_pgan.training import trainer
from napari_pgan.training.device import Features

Switch = Callable[[], contextlib.AbstractContextManager[object]]


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--sizes", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--widths", type=int, nargs="*", default=[], help="feature maps; default: the recipe's")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--compile", action="store_true", help="also measure torch.compile")
    parser.add_argument("--compile-size", type=int, default=64)
    arguments = parser.parse_args(argv)
    device = begin(arguments)

    found = [measure(arguments.recipe, size, arguments.widths, device, arguments.rounds) for size in arguments.sizes]
    figures: dict[str, object] = {"shortcuts": found}
    tables = {"shortcuts": shortcuts_table(found)}
    if arguments.compile:
        trial = Trial(arguments.recipe, arguments.compile_size, widths=arguments.widths, device=device)
        figures["compile"] = compiled(trial, arguments.rounds)
        tables["compile"] = compile_table(figures["compile"], arguments.compile_size)
    write(arguments.out, "shortcuts", figures, tables, device, argv)


def measure(recipe: str, size: int, widths: Sequence[int], device: torch.device, rounds: int) -> dict:
    """Ratio of a step's time without each shortcut to its time with all."""
    make = partial(Trial, recipe, size, widths=widths, device=device)
    trials = {"all": make()}
    for name, sets in {
        "bf16": ["precision=float32"],
        "penalty on every 8th step": ["loss.lazy=1"],
        "both networks from the same passes": ["loss.updates=alternating"],
    }.items():
        trials[name] = make(sets=sets)
    for name, feature in {"channels_last": "channels_last", "fused Adam": "fused_adam"}.items():
        with _without_feature(feature):
            trials[name] = make()
    switches: dict[str, Switch] = {
        "fused scale-and-convolve": lambda: mock.patch.object(Conv, "forward", Conv.plain),
        "written-out gradient of the pixel norm": lambda: mock.patch.object(networks, "pixel_norm", plain_pixel_norm),
        "running mean in one call": lambda: mock.patch.object(torch, "_foreach_lerp_", lerp_one_by_one),
    }
    if device.type == "cuda":
        trials["CUDA graphs"] = make()
        trials["CUDA graphs"].trainer.graphs.active = False
    trials |= {name: make() for name in switches}
    with _without_feature("channels_last", "fused_adam"):
        trials["all of these"] = make(sets=["precision=float32", "loss.lazy=1", "loss.updates=alternating"])

    def step(name: str, penalty: bool) -> None:
        with contextlib.ExitStack() as stack:
            for other, switch in switches.items():
                if name in (other, "all of these"):
                    stack.enter_context(switch())
            trials[name].step(penalty)

    cases = {f"{name}, True": partial(step, name, True) for name in trials}
    cases |= {f"{name}, False": partial(step, name, False) for name, trial in trials.items() if trial.lazy > 1}
    times = interleave(cases, rounds, device)
    means = {name: _share(times, name, trial.lazy) for name, trial in trials.items()}
    baseline = means.pop("all")
    gains = {name: (baseline.faster_than(other), *baseline.range_of(other)) for name, other in means.items()}
    return {"size": size, "images_per_second": trials["all"].batch / baseline.median, "gains": gains}


def _share(times: dict[str, Times], name: str, lazy: int) -> Times:
    if lazy == 1:
        return times[f"{name}, True"]
    return blend([(times[f"{name}, True"], 1 / lazy), (times[f"{name}, False"], 1 - 1 / lazy)])


@contextlib.contextmanager
def _without_feature(*names: str) -> Iterator[None]:
    """Create trainers as on a device without the named features."""
    real = Features.of

    def fewer(device: torch.device, precision: str) -> Features:
        return replace(real(device, precision), **dict.fromkeys(names, False))

    with mock.patch.object(trainer.Features, "of", fewer):
        yield


def plain_pixel_norm(x: torch.Tensor) -> torch.Tensor:
    """The pixel norm with autograd's gradient."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)


def lerp_one_by_one(ours: list[torch.Tensor], others: list[torch.Tensor], weight: float) -> None:
    for a, b in zip(ours, others, strict=True):
        a.lerp_(b, weight)


def shortcuts_table(found: list[dict]) -> str:
    names = list(found[0]["gains"])
    head = ["without", *(f"{row['size']}² ({row['images_per_second']:.3g} images/s with all)" for row in found)]
    return table(head, [[name, *(_gain(row["gains"][name]) for row in found)] for name in names])


def _gain(gain: tuple[float, float, float]) -> str:
    return f"{gain[0]:.2f} times as long ({gain[1]:.2f}–{gain[2]:.2f})"


# --- torch.compile --------------------------------------------------------------------------------------------------


def compiled(trial: Trial, rounds: int) -> dict[str, dict[str, float]]:
    """torch.compile without second derivatives: the generator, and the critic without penalty."""
    trainer, stage = trial.trainer, trial.phase.stage
    generator, critic, device = trainer.generator, trainer.critic, trainer.device
    z = torch.randn(trial.batch, trial.architecture.latent, device=device)
    side = 4 * 2**stage
    x = torch.randn(trial.batch, trial.architecture.channels, side, side, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    networks_ = {
        "generator, forward and backward": (generator, generator, z, True),
        "critic, forward and backward": (critic, critic, x, True),
        "one sample (plain: with its kernels kept)": (trainer.ema, generator, z[:1], False),
    }
    found = {}
    for name, (plain, network, inputs, backward) in networks_.items():
        torch.compiler.reset()
        quick = torch.compile(network, dynamic=False)

        def run(call: Callable[..., torch.Tensor], inputs: torch.Tensor, backward: bool) -> None:
            with torch.set_grad_enabled(backward), torch.autocast(device.type, torch.bfloat16):
                out = call(inputs, stage)
            if backward:
                out.float().mean().backward()

        start = now()
        run(quick, inputs, backward)
        seconds = now() - start
        times = interleave(
            {"plain": partial(run, plain, inputs, backward), "compiled": partial(run, quick, inputs, backward)},
            rounds,
            device,
        )
        found[name] = {
            "compile_seconds": seconds,
            "plain": times["plain"].median,
            "compiled": times["compiled"].median,
            "faster": times["compiled"].faster_than(times["plain"]),
        }
    return found


def compile_table(found: object, size: int) -> str:
    assert isinstance(found, dict)
    head = [f"bf16, {size}²", "plain", "compiled", "times as fast", "first call"]
    return table(
        head,
        [
            [
                name,
                f"{row['plain'] * 1e3:.1f} ms",
                f"{row['compiled'] * 1e3:.1f} ms",
                f"**{row['faster']:.2f}**",
                f"{row['compile_seconds']:.0f} s",
            ]
            for name, row in found.items()
        ],
    )


if __name__ == "__main__":
    main()
