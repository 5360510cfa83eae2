"""What an image costs in `fit` when there are 60,000 of them instead of 4,000."""

from timing import least_seconds, show_ratios

from svae_helpers import VAE, fit, load_mnist

IMAGES = load_mnist()[0].images


def main() -> None:
    many = IMAGES.repeat(15, 1)
    ways = {}
    for name, images in {"4,000 images": IMAGES, "60,000 images": many}.items():
        model = VAE(20)
        ways[name] = lambda model=model, images=images: fit(
            model, images, epochs=60_000 // len(images), device="cpu", progress=False
        )
    show_ratios(
        "60,000 images seen by fit, in one epoch or in 15", least_seconds(ways, 3), "4,000 images"
    )
