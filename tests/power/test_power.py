"""Power cuts, as many as a run of all tests can afford; images.py makes more of them."""
import os
import time

import images


def test_every_image_of_a_power_cut_starts_and_keeps_its_promises(place):
    seed = int(os.environ.get("SEED", time.time()))
    print("seed %d" % seed)
    assert images.check(place, int(os.environ.get("IMAGES", "36")), seed, 6, lambda text: print(text, flush=True)) == []
