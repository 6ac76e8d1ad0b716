"""A search from Python: run it, look at it, use what it found.  In a notebook, a cell a step."""

from PIL import Image

import pbtnas

SEARCH = {
    "task": {"name": "digits", "images": 1000},
    "search": {"population": 4, "generations": 3, "epochs": 2},
}

run = pbtnas.run(SEARCH, "runs/from-python", workers=2)
print(run.history())  # a pandas frame, where pandas is installed
print(run.best)
run.figure("lineage").savefig("lineage.png")
network = run.load()
images = network.sample(16, seed=1)  # uint8 [16, 1, 8, 8]
Image.fromarray(images[0, 0].numpy()).resize((160, 160)).save("digit.png")
