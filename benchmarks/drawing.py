"How long drawing takes: photos, crops, a folder. `python benchmarks/drawing.py --photos 20 --crops 200`."
import argparse, platform, tempfile, time

import cv2
import numpy as np
from mmrag_nb.body import ZONES
from mmrag_nb.damage import KINDS
from mmrag_nb.drawn import draw_dataset
from mmrag_nb.synth import draw_crop, draw_photo

def timed(calls):
    "Milliseconds a call: (mean on the clock, mean of this process's CPU, slowest)."
    rows = []
    for call in calls:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        rows.append((time.perf_counter()-wall, time.process_time()-cpu))
    wall, cpu = 1000*np.array(rows).T
    return wall.mean(), cpu.mean(), wall.max()

def main():
    ap = argparse.ArgumentParser(description=__doc__)
    for name, default in (('photos', 20), ('crops', 200), ('folder', 60), ('workers', 2), ('seed', 0)): ap.add_argument(f'--{name}', type=int, default=default)
    a = ap.parse_args()
    print(f'python {platform.python_version()}, numpy {np.__version__}, opencv {cv2.__version__}, seed {a.seed}')
    draw_crop(None, ZONES[0])                                                   # makes the noise tiles
    kinds = (None,)+KINDS
    photos = [lambda i=i: draw_photo(ZONES[i%10], KINDS*2, seed=a.seed+i) for i in range(a.photos)]
    crops = [lambda i=i: draw_crop(kinds[i%9], ZONES[i%10], seed=a.seed+i) for i in range(a.crops)]
    print(f'{"":34}{"ms each":>10}{"CPU ms":>10}{"slowest":>10}')
    for name, calls in ((f'{a.photos} photos 2000 x 1500, 16 damages', photos), (f'{a.crops} crops of 336 px', crops)):
        print(f'{name:34}' + ''.join(f'{v:10.1f}' for v in timed(calls)))
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder: draw_dataset(folder, a.folder, seed=a.seed, workers=a.workers)
    print(f'folder of {a.folder} photos, {a.workers} workers: {time.perf_counter()-start:.1f} s')

if __name__ == '__main__': main()
