"How long does it take to read LabelMe files and photo headers into the tables photos and regions, without decoding a pixel?"
import argparse, json, os, platform, resource, tempfile, time
from pathlib import Path

import numpy as np
import pandas as pd
import PIL
import shapely
from PIL import Image

from mmrag_nb.domain import load_domain
from mmrag_nb.formats import read_folder, run_photos
from mmrag_nb.annotations import labelme
from mmrag_nb.photos import open_folder
from mmrag_nb.formats import fitted, read_headers
from mmrag_nb.regions import make_regions

def draw(folder: Path, photos: int, shapes: int, seed: int) -> None:
    "A folder as an inspection leaves it: 4000 x 3000 JPEGs (hard links to four of them), a label file each, polygons of 5 to 30 points as the reference set has them."
    rng = np.random.default_rng(seed)
    exif = Image.Exif(); originals = []
    for i in range(4):
        exif[274] = (1, 1, 3, 6)[i]
        originals.append(folder.parent/f'original{i}.jpg')
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).resize((4000, 3000)).save(originals[i], exif=exif, quality=85)
    for n in range(photos):
        base, turn = f'zona1_ko_2_3_{1554114337244 + 7001*n}_zona_{1 + n % 10}', n % 4
        os.link(originals[turn], folder/f'{base}_imageDANO_original.jpg')
        w, h = (3000, 4000) if turn == 3 else (4000, 3000)
        d = {'version': '4.6.0', 'flags': {}, 'dudosa': False, 'editada': True, 'incorrecta': False, 'imageData': None, 'imageHeight': h, 'imageWidth': w, 'shapes': [shape(rng, w, h) for _ in range(shapes)]}
        (folder/f'{base}_labelDANO_modificado.json').write_text(json.dumps(d))

def shape(rng: np.random.Generator, w: int, h: int) -> dict:
    m, r = rng.integers(5, 31), rng.choice([20, 40, 60, 500], p=[.4, .3, .25, .05])
    turn = np.sort(rng.random(m))*2*np.pi
    xy = rng.random(2)*[w, h] + (rng.uniform(.4, 1, m)*r)[:, None]*np.stack([np.cos(turn), np.sin(turn)], 1)
    return {'label': str(rng.integers(1, 10)), 'points': xy.round(1).tolist(), 'shape_type': 'polygon', 'group_id': None, 'flags': {}, 'piece': 2}

def clock(f):
    t, c = time.perf_counter(), time.process_time(); r = f()
    return r, round(time.perf_counter() - t, 2), round(time.process_time() - c, 2)

def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--photos', type=int, default=2711); ap.add_argument('--shapes', type=int, default=20); ap.add_argument('--seed', type=int, default=0)
    args = ap.parse_args()
    domain = load_domain('vehicles')
    with tempfile.TemporaryDirectory() as t:
        data = Path(t)/'photos'; data.mkdir()
        draw(data, args.photos, args.shapes, args.seed)
        rows = {}
        folder, *rows['list the folder'] = clock(lambda: open_folder(domain, data))
        found, *rows['read the label files'] = clock(lambda: labelme(domain, folder))
        (headers, _), *rows['read the headers'] = clock(lambda: read_headers(domain, folder))
        (sheets, _), *rows['fit sheets to photos'] = clock(lambda: fitted(domain, headers, found.sheets))
        (regions, _), *rows['mend, clip, measure'] = clock(lambda: make_regions(domain, headers, sheets))
        (photos, regions, rejected), *rows['all of it'] = clock(lambda: read_folder(domain, folder))
        _, *rows['stage, first run (hashes too)'] = clock(lambda: run_photos(domain, data, Path(t)/'out'))
        os.utime(data/photos.photo_id[0])
        _, *rows['stage, one photo touched'] = clock(lambda: run_photos(domain, data, Path(t)/'out'))
        _, *rows['stage, nothing changed'] = clock(lambda: run_photos(domain, data, Path(t)/'out'))
    print(f'{platform.python_version()=} numpy {np.__version__} pandas {pd.__version__} shapely {shapely.__version__} pillow {PIL.__version__}, seed {args.seed}, one process')
    print(f'{len(photos)} photos of 4000 x 3000 (hard links to 4), {len(regions)} regions, {len(rejected)} left out; peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024} MB')
    print(pd.DataFrame(rows, index=['seconds', 'CPU seconds']).T)

if __name__ == '__main__': main()
