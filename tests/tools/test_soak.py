"""The soak test: what it counts as growth, and that its requests are served."""

from sparktts_ms import Service
from tools.soak import Point, growth, soak


def test_growth_compares_the_end_with_the_warm_up():
    points = [Point(n, 500 + 10 * min(n, 20), n) for n in range(1, 101)]
    assert growth(points) == (700, 700)
    points.append(Point(101, 900, 101))
    assert growth(points) == (700, 900)


def test_a_short_soak(shared_tts):
    with Service(shared_tts()) as service:
        points = soak(service, 3, clients=2, seed=1)
    assert points[-1].seconds >= 3 and points[-1].memory > 50
