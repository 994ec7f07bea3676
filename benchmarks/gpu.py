"""Training on a GPU: seconds per thousand images, memory, idle time of the GPU, and share of the roofline.

    python benchmarks/gpu.py --device cuda

The roofline is the sum over a step's operations of the longer of two times: the arithmetic at the GPU's rate in plain
matrix products, and the memory traffic at the GPU's copy rate.
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

# name → (recipe, whether with the widths of karras2018, further overrides)
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
    parser.add_argument("--batch", type=int, default=0, help="default: the recipe's")
    parser.add_argument("--cap", type=int, default=512, help="maximum number of feature maps")
    parser.add_argument("--seconds", type=float, default=4.0, help="approximate duration of each measurement")
    parser.add_argument("--side", type=int, default=4096, help="side of the matrices that measure the GPU's rate")
    arguments = parser.parse_args(argv)
    device = begin(arguments)
    reached = rates(device, (torch.float32, torch.bfloat16), side=arguments.side)
    cases = []
    for size in arguments.sizes:
        for name, (recipe, karras, sets) in VARIANTS.items():
            if karras or size in read_recipe(recipe).sizes:
                source = read_recipe("karras2018" if karras else recipe)
                widths = [min(plan.width, arguments.cap) for at, plan in source.sizes.items() if at <= size]
                batch = arguments.batch or source.sizes[size].batch
                make = partial(Trial, recipe, size, batch, widths, device, sets)
                cases.append({"variant": name, "size": size, **measure(make, reached, arguments.seconds)})
    tables = {"gpu": gpu_table(cases)}
    write(arguments.out, "gpu", {"rates": reached, "cases": cases}, tables, device, argv)


def measure(make: Callable[[], Trial], reached: dict[str, float], seconds: float) -> dict[str, object]:
    """Measure one recipe at one size over full cycles of the lazy penalty."""
    works = works_of(make())
    trial = make()
    lazy, device = trial.lazy, trial.trainer.device

    def cycle() -> None:
        for i in range(max(lazy, 2)):
            trial.step(i % lazy == 0)

    for _ in range(8):  # warm up: libraries choose algorithms, graphs are captured
        cycle()
    memory = None
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    wait_for(device)
    start, cycles = now(), 0
    while cycles < 2 or now() - start < seconds:
        cycle()
        wait_for(device)
        cycles += 1
    seconds_per_step = (now() - start) / (cycles * max(lazy, 2))
    if device.type == "cuda":
        memory = torch.cuda.max_memory_allocated(device)

    def mean(of: Callable[[Work], float]) -> float:
        return (of(works[True]) + (lazy - 1) * of(works[False])) / lazy

    roofline = mean(lambda work: work.roofline_seconds(reached))
    return {
        "batch": trial.batch,
        "widths": list(trial.architecture.widths),
        "parameters": trial.parameters(),
        "seconds_per_thousand": 1000 * seconds_per_step / trial.batch,
        "peak_bytes": memory,
        "waiting": idle_time(cycle) if device.type == "cuda" else None,
        "operations_per_second": mean(lambda work: work.operations) / seconds_per_step,
        "operations_per_image": mean(lambda work: work.operations) / trial.batch,
        "roofline_seconds_per_thousand": 1000 * roofline / trial.batch,
        "share_of_roofline": roofline / seconds_per_step,
    }


def works_of(trial: Trial) -> dict[bool, Work]:
    """The operations of a step with and without penalty."""
    trial.trainer.graphs.active = False  # a replayed graph hides its operations
    return {penalty: count(partial(trial.step, penalty)) for penalty in (True, False)}


def idle_time(cycle: Callable[[], None]) -> float:
    """The share of the time of a cycle in which no kernel runs."""
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        cycle()
        torch.cuda.synchronize()
    spans = sorted(
        (event.time_range.start, event.time_range.end)
        for event in profiler.events()
        if event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation
    )
    return idle_share(spans)


def idle_share(spans: Sequence[tuple[float, float]]) -> float:
    """The share of the time that no (start, end) span covers; the spans are sorted by start."""
    if not spans:
        return 1.0
    busy, reached = 0.0, spans[0][0]
    for start, end in spans:
        busy += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return 1 - busy / (reached - spans[0][0])


def gpu_table(cases: list[dict]) -> str:
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
        for row in cases
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
