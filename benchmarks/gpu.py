"""Training on a GPU: seconds a thousand images, memory, how long the GPU waits, how far each size is from its limit.

    python benchmarks/gpu.py --device cuda

The limit (roofline) takes every operation of a step as long as its arithmetic takes at the rate that the GPU reaches in
plain matrix products, or its bytes at the rate that it copies at, whichever is longer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from operations import Work, count, rates
from results import begin, options, table, write
from stopwatch import now, wait_for
from torch.profiler import ProfilerActivity, profile
from trial import Trial

from napari_pgan.training.recipe import read_recipe

# what the recipes of the first column make of it, as (recipe, whether with Karras's widths, further sets)
VARIANTS: dict[str, tuple[str, bool, tuple[str, ...]]] = {
    "`karras2018`, float32": ("karras2018", True, ()),
    "`karras2018`, bf16": ("karras2018", True, ("precision=bf16",)),
    "`default` with Karras's widths": ("default", True, ()),
    "`default`": ("default", False, ()),
}


def main(argv: Sequence[str] | None = None) -> None:
    parser = options(__doc__)
    parser.set_defaults(device="cuda")
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512])
    parser.add_argument("--batch", type=int, default=0, help="the recipe's own if left out")
    parser.add_argument("--cap", type=int, default=512, help="most feature maps")
    parser.add_argument("--seconds", type=float, default=4.0, help="about how long each case is timed")
    parser.add_argument("--side", type=int, default=4096, help="of the matrices that the GPU's rate is taken from")
    arguments = parser.parse_args(argv)
    device = begin(arguments)
    reached = rates(device, (torch.float32, torch.bfloat16), side=arguments.side)
    found = []
    for size in arguments.sizes:
        for name, (recipe, karras, sets) in VARIANTS.items():
            if karras or size in read_recipe(recipe).sizes:
                source = read_recipe("karras2018" if karras else recipe)
                widths = [min(plan.width, arguments.cap) for at, plan in source.sizes.items() if at <= size]
                batch = arguments.batch or source.sizes[size].batch
                make = partial(Trial, recipe, size, batch, widths, device, sets)
                found.append({"variant": name, "size": size, **measure(make, reached, arguments.seconds)})
    tables = {"gpu": gpu_table(found)}
    write(arguments.out, "gpu", {"rates": reached, "cases": found}, tables, device, argv)


def measure(make: Callable[[], Trial], reached: dict[str, float], seconds: float) -> dict[str, object]:
    """One recipe at one size: a run of steps with penalties where they fall."""
    works = works_of(make())
    trial = make()
    lazy, device = trial.lazy, trial.trainer.device

    def cycle() -> None:
        for i in range(max(lazy, 2)):
            trial.step(i % lazy == 0)

    for _ in range(8):  # libraries choose their algorithms, graphs are captured
        cycle()
    memory = None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    wait_for(device)
    began, cycles = now(), 0
    while cycles < 2 or now() - began < seconds:
        cycle()
        wait_for(device)
        cycles += 1
    spent = (now() - began) / (cycles * max(lazy, 2))
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)

    def mean(of: Callable[[Work], float]) -> float:
        return (of(works[True]) + (lazy - 1) * of(works[False])) / lazy

    least = mean(lambda work: work.least_seconds(reached))
    return {
        "batch": trial.batch,
        "widths": list(trial.architecture.widths),
        "parameters": trial.parameters(),
        "seconds_per_thousand": 1000 * spent / trial.batch,
        "peak_bytes": memory,
        "waiting": waiting(cycle) if device.type == "cuda" else None,
        "operations_per_second": mean(lambda work: work.operations) / spent,
        "operations_per_image": mean(lambda work: work.operations) / trial.batch,
        "roofline_seconds_per_thousand": 1000 * least / trial.batch,
        "share_of_roofline": least / spent,
    }


def works_of(trial: Trial) -> dict[bool, Work]:
    """The work of a step with penalty and of one without."""
    trial.trainer.graphs.active = False  # a replayed graph shows nothing of what it does
    return {penalty: count(partial(trial.step, penalty)) for penalty in (True, False)}


def waiting(cycle: Callable[[], None]) -> float:
    """The share of a span of steps in which no kernel runs."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        cycle()
        torch.cuda.synchronize()
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in found.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
    )
    return idle_share(spans)


def idle_share(spans: Sequence[tuple[float, float]]) -> float:
    """What share of the time from the first start to the last end no span (start, end) covers; spans by start."""
    if not spans:
        return 1.0
    busy, reached = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return 1 - busy / (reached - spans[0][0])


def gpu_table(found: list[dict]) -> str:
    head = ["size", "", "batch", "s a thousand images", "peak memory", "GPU waits", "TFLOP/s"]
    head += ["roofline, s a thousand", "share of it"]
    rows = [
        [
            f"{row['size']}²",
            row["variant"],
            row["batch"],
            f"**{row['seconds_per_thousand']:.2f}**",
            "–" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**30:.2f} GiB",
            "–" if row["waiting"] is None else f"{row['waiting']:.0%}",
            f"{row['operations_per_second'] / 1e12:.2f}",
            f"{row['roofline_seconds_per_thousand']:.2f}",
            f"{row['share_of_roofline']:.0%}",
        ]
        for row in found
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
