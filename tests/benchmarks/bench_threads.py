"""What a busy machine costs: notebook 06's training beside programs that use every core."""

import os
import subprocess
import sys

# Other programs: torch in as many processes as there are cores, each with torch's own threads.
BUSY = "import torch\nx = torch.rand(1000, 1000)\nwhile True:\n    x @ x"
TRAIN = """
import sys, time, torch
from svae_helpers import VAE, SpikeAndSlab, fit, load_mnist, use_one_thread
images = load_mnist()[0].images
if sys.argv[1] == "one":
    use_one_thread()
model = VAE(20, prior=SpikeAndSlab.gaussian())
fit(model, images, epochs=1, device="cpu", progress=False)
times = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    fit(model, images, epochs=2, device="cpu", progress=False)
    times.append(time.perf_counter() - start)
print(min(times), sum(times) / len(times))
"""


def seconds(threads: str, rounds: int) -> float:
    """Mean time of two epochs of notebook 06's sparse VAE, in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", TRAIN, threads, str(rounds)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[1])


def main() -> None:
    quiet = {threads: seconds(threads, 4) for threads in ("one", "torch's default")}
    default = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    cores = os.cpu_count() or 1
    others = [subprocess.Popen([sys.executable, "-c", BUSY], env=default) for _ in range(cores)]
    try:
        busy = {threads: seconds(threads, 4) for threads in quiet}
    finally:
        for other in others:
            other.kill()
            other.wait()
    print("\nTwo epochs of notebook 06's sparse VAE; multiples of: one thread, quiet machine")
    for state, times in (("quiet", quiet), ("every core busy", busy)):
        for threads, value in times.items():
            name = f"{threads} thread" if threads == "one" else f"{threads} threads"
            print(f"  {f'{name}, {state}':58s}{value / quiet['one']:8.2f}")
