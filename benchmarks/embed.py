"""How fast crops become vectors, against the model alone, the naive way and sentence-transformers; what half precision and int8 cost; how much memory.

    python benchmarks/embed.py                                  # all but what needs real data
    python benchmarks/embed.py line memory --photos 50          # some of it
    python benchmarks/embed.py ranks --data DIR --weights DIR   # bfloat16 and int8 against float32 on real crops

All figures of a line come from one run, the things compared in turn (A, B, A, B), because only their ratio means something on a machine with other work.
"""
import argparse, hashlib, json, os, platform, resource, subprocess, sys, tempfile, threading, time, warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import simplejpeg
import torch
from PIL import Image

from mmrag_nb.core import Made, run_stage
from mmrag_nb.domain import Embedding
from mmrag_nb.embed import open_encoder
from mmrag_nb.embed_run import crop_mask, embed_all, pictures, plan
from mmrag_nb.onnx_runtime import exported, overlap
from mmrag_nb.preprocess import scaled
from mmrag_nb.tiny import random_checkpoint
from mmrag_nb.towers import Tower, half_of, pick_device

def versions()->str:
    def of(name):
        try: return f'{name} {version(name)}'
        except PackageNotFoundError: return f'{name} -'
    return ', '.join([f'python {platform.python_version()}', *map(of, ('torch', 'transformers', 'sentence-transformers', 'onnxruntime', 'pillow')), f'{torch.get_num_threads()} threads, {pick_device()}'])

def draw_photos(folder:Path, photos:int, drawings:int, crops:int, seed:int)->Path:
    "Stage folders of 12 MP photos with windows of 336 px. Few are drawn and each has several names: decoding costs the same."
    from mmrag_nb.body import ZONES
    from mmrag_nb.damage import KINDS
    from mmrag_nb.synth import draw_photo
    data, rng, rows, windows = folder/'data', np.random.default_rng(seed), [], []
    data.mkdir(parents=True, exist_ok=True)
    drawn = [Image.fromarray(np.ascontiguousarray(draw_photo(ZONES[i % 10], KINDS, (4000, 3000), seed + i).image)) for i in range(min(drawings, photos))]
    for i in range(photos):
        path = data/f'p{i:04d}.jpg'
        if i < len(drawn): drawn[i].save(path, quality=92)
        elif not path.exists(): os.link(data/f'p{i % len(drawn):04d}.jpg', path)
        rows.append(dict(photo_id=path.name, width=4000, height=3000, orientation=1, sha256=str(i)))
        for x, y in zip(rng.integers(0, 4000-336, crops), rng.integers(0, 3000-336, crops)):
            windows.append(dict(crop_id=hashlib.sha256(f'{i} {x} {y}'.encode()).hexdigest()[:16], photo_id=path.name, x0=x, y0=y, x1=x+336, y1=y+336, defects=[]))
    empty = pd.DataFrame({'region_id': [], 'geometry': [], 'whole': []})
    run_stage(folder/'photos', [], {}, lambda: Made({'photos': pd.DataFrame(rows), 'regions': empty}))
    run_stage(folder/'crops', [], {}, lambda: Made({'crops': pd.DataFrame(windows)}))
    return folder

def seconds(fn)->float:
    t0 = time.perf_counter(); fn()
    return time.perf_counter() - t0

def in_turn(fns:dict, rounds:int)->dict[str, list[float]]:
    "Seconds of each, taken in turn."
    times = {n: [] for n in fns}
    for _ in range(rounds):
        for n, fn in fns.items(): times[n].append(seconds(fn))
    return times

def line(a, home:Path):
    "End to end against the model alone, against what two cores can give, and against the naive way."
    print(f'\n## End to end: photos of 4000 x 3000 px ({a.drawings} drawn, the rest copies), {a.crops} crops of 336 px each, workers {a.workers}; crops/s')
    print('`bound`: the model alone and two threads that only decode, one after the other: all that two cores can give. `naive`: processor and model of transformers, a crop at a time, from PNG files that are there already; `with its files`: that, and cutting and writing them')
    print(f'{"":20}{"photos":>7}{"model alone":>13}{"bound":>8}{"end to end":>12}{"/ alone":>9}{"/ bound":>9}{"naive":>8}{"times":>7}{"with its files":>16}{"times":>7}')
    vit, half = random_checkpoint('vit', home/'vit', 'b', 224), half_of(pick_device())
    ways = {'': dict(dtype='float32'), ', onnx': dict(engine='onnx'), ', int8': dict(dtype='int8')} | ({', half': dict(dtype=half)} if half else {})
    for model, source, photos in (('embedded', 'embedded', a.photos), ('ViT-B/16', vit, a.heavy)):
        for way, settings in ways.items():
            if (model, way) != ('embedded', ', int8') and (not a.only or model + way in a.only): one_line(a, home, model + way, open_encoder(source, Embedding(**settings)), photos)

def one_line(a, home:Path, name:str, encoder, photos:int):
    "A row of the table."
    out = draw_photos(home/f'line-{photos}', photos, a.drawings, a.crops, a.seed)
    work = plan(encoder, out/'data', out)
    ready, n = ready_tensors(encoder, work, a.batches), len(work.crops)
    call = getattr(encoder.model, 'get_image_features', encoder.model)
    def alone():
        with torch.inference_mode():
            for x in ready: call(pixel_values=x)
    def whole(): embed_all(work, encoder, Path(tempfile.mkdtemp(dir=home)), a.workers)
    def decode():
        with ThreadPoolExecutor(2) as pool: list(pool.map(decoded, work.photos.photo_id.map(lambda p: work.data/p)))
    start = time.perf_counter(); files = crop_files(work, Path(tempfile.mkdtemp(dir=home)), a.naive); made = len(files)/(time.perf_counter() - start)
    t = in_turn({'alone': alone, 'decode': decode, 'whole': whole, 'naive': lambda: naive(encoder, files)}, a.rounds)
    rate = {k: m/np.median(t[k]) for k, m in {'alone': sum(len(x) for x in ready), 'decode': n, 'whole': n, 'naive': len(files)}.items()}
    def both(x, y): return 1/(1/x + 1/y)
    bound, filed, w = both(rate['alone'], rate['decode']), both(rate['naive'], made), rate['whole']
    print(f'{name:20}{photos:7}{rate["alone"]:13.1f}{bound:8.1f}{w:12.1f}{w/rate["alone"]:9.2f}{w/bound:9.2f}{rate["naive"]:8.1f}{w/rate["naive"]:7.1f}{filed:16.1f}{w/filed:7.1f}   {encoder.dtype}, batch {encoder.batch}', flush=True)

_own = threading.local()

def decoded(path:Path):
    "A photo decoded into this thread's buffer, and nothing else."
    if not hasattr(_own, 'buffer'): _own.buffer = np.empty(4000*3000*3, np.uint8)
    simplejpeg.decode_jpeg(path.read_bytes(), 'RGB', buffer=_own.buffer)

def ready_tensors(encoder, work, batches:int)->list:
    "Some batches of the very crops, ready for the model."
    images = [im for _, found in pictures(work, np.arange(min(batches*encoder.batch, len(work.crops)))) for _, im in found]
    made = [encoder.prepare(images[i:i+encoder.batch], [None]*encoder.batch) for i in range(0, len(images), encoder.batch)]
    return [scaled(p, encoder.device, getattr(torch, encoder.dtype)).contiguous(memory_format=torch.channels_last) for p in made]

def crop_files(work, folder:Path, n:int)->list[Path]:
    "The first crops as PNG files, as the naive way reads them."
    folder.mkdir(exist_ok=True)
    paths = []
    for _, found in pictures(work, np.arange(min(n, len(work.crops)))):
        for row, im in found:
            paths.append(folder/f'{row}.png')
            if not paths[-1].exists(): Image.fromarray(im).save(paths[-1])
    return paths

def naive(encoder, files:list[Path]):
    "Processor and model of transformers, one crop at a time, in the model's own float32."
    from transformers import AutoImageProcessor, AutoModel
    if not hasattr(encoder, '_naive'): encoder._naive = AutoImageProcessor.from_pretrained(encoder.folder, use_fast=False), AutoModel.from_pretrained(encoder.folder, dtype=torch.float32).eval().to(encoder.device)
    processor, model = encoder._naive
    call = getattr(model, 'get_image_features', model)
    with torch.inference_mode():
        for f in files: call(**processor(images=Image.open(f).convert('RGB'), return_tensors='pt').to(encoder.device))

def sentence(a, home:Path):
    "Against sentence-transformers' CLIP, the same crops, weights and precision."
    if not find_spec('sentence_transformers'): return print('\n## sentence-transformers is not installed: not measured')
    work = plan(open_encoder('histogram'), home/'clip'/'data', draw_photos(home/'clip', -(-a.clip//a.crops), a.drawings, a.crops, a.seed))
    images = [im for _, found in pictures(work, np.arange(min(a.clip, len(work.crops)))) for _, im in found]
    print(f'\n## CLIP on {len(images)} crops of 336 px, crops/s')
    for patch, dtype in [(p, d) for p in (32, 16) for d in dict.fromkeys(('float32', half_of(pick_device()) or 'float32'))]:
        folder = random_checkpoint('clip', home/f'clip-b{patch}', 'b', 224, patch)
        ours = open_encoder(folder, Embedding(dtype=dtype))
        engines = {'torch': ours} | ({'ONNX Runtime': open_encoder(folder, Embedding(engine='onnx'))} if dtype == 'float32' else {})
        theirs = clip_of_sentence_transformers(folder, dtype)
        asked = [Image.fromarray(im) for im in images]
        mine, other = ours.image(images[:8]), theirs.encode(asked[:8], normalize_embeddings=True)
        t = in_turn({n: (lambda e=e: e.image(images)) for n, e in engines.items()} | {'theirs': lambda: theirs.encode(asked, batch_size=ours.batch, normalize_embeddings=True)}, a.rounds)
        rate = {n: len(images)/np.median(v) for n, v in t.items()}
        print(f'ViT-B/{patch} {dtype:9} ' + ', '.join(f'ours through {n} {rate[n]:.1f}, times {rate[n]/rate["theirs"]:.2f}' for n in engines) + f'; sentence-transformers {rate["theirs"]:.1f}; least cosine between the two {np.sum(mine*other, 1).min():.4f}', flush=True)

def clip_of_sentence_transformers(folder:Path, dtype:str):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import CLIPModel
    module = CLIPModel(str(folder))
    return SentenceTransformer(modules=[module], device=pick_device()).to(getattr(torch, dtype))

def memory(a, home:Path):
    "Peak memory of a run over few and many photos."
    print(f'\n## Peak memory of a run (histogram and a tiny ViT), {a.crops} crops a photo, workers {a.workers}')
    tiny = random_checkpoint('vit', home/'tiny')
    for encoder in ('histogram', str(tiny)):
        peaks = []
        for n in (10, a.many):
            out = draw_photos(home/f'memory-{n}', n, 2, a.crops, a.seed)
            done = subprocess.run([sys.executable, __file__, 'one', '--out', str(out), '--encoder', encoder, '--workers', str(a.workers)], capture_output=True, text=True)
            peaks.append(int(done.stdout.split()[-1]) if done.returncode == 0 else sys.exit(done.stderr[-2000:]))
        print(f'{Path(encoder).name:12} 10 photos {peaks[0]} MB, {a.many} photos {peaks[1]} MB', flush=True)

def one(a, home:Path):
    encoder = open_encoder(a.encoder)
    embed_all(plan(encoder, Path(a.out)/'data', Path(a.out)), encoder, home/'made', a.workers)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss//1024)

def real_crops(data:Path, most:int)->tuple[list, list]:
    "Windows of 1.5 times each defect of car_damage, at least 112 px, with their masks."
    import shapely
    labels = json.loads((data/'instances.json').read_text())
    files = {i['id']: i['file_name'] for i in labels['images']}
    images, masks = [], []
    for ann in labels['annotations'][::max(1, len(labels['annotations'])//most)]:
        shape = shapely.make_valid(shapely.MultiPolygon([shapely.Polygon(np.reshape(s, (-1, 2))).buffer(0) for s in ann['segmentation'] if len(s) > 5]))
        if shape.is_empty: continue
        im = np.asarray(Image.open(data/'images'/files[ann['image_id']]).convert('RGB'))
        x0, y0, x1, y1 = shape.bounds
        side = int(min(max(112, 1.5*max(x1-x0, y1-y0)), *im.shape[:2]))
        x, y = (int(np.clip((lo+hi-side)/2, 0, n-side)) for lo, hi, n in ((x0, x1, im.shape[1]), (y0, y1, im.shape[0])))
        images.append(im[y:y+side, x:x+side]); masks.append(crop_mask((x, y, x+side, y+side), [shape]))
    return images, masks

def ranks(a, home:Path):
    "Do half precision and int8 rank as float32 does?"
    if not a.data: return print('\n## Ranks: give --data (car_damage) and --weights FOLDER …; not measured')
    images, masks = real_crops(Path(a.data), a.ranked)
    print(f'\n## Top-10 overlap with float32 on {len(images)} crops of {Path(a.data).name}')
    half = half_of(pick_device()) or 'bfloat16'
    for source in a.weights or []:
        for pooling in ('auto', 'region'):
            full = open_encoder(source, Embedding(dtype='float32', pooling=pooling)).image(images, masks)
            for dtype in (half, 'float16'): report(f'{Path(source).name} {pooling} {dtype}', full, open_encoder(source, Embedding(dtype=dtype, pooling=pooling)).image(images, masks))
    folder = random_checkpoint('vit', home/'vit-b', 'b', 224)
    full = open_encoder(folder, Embedding(dtype='float32')).image(images)
    report(f'ViT-B/16 random {half}', full, open_encoder(folder, Embedding(dtype=half)).image(images))
    report('ViT-B/16 random int8', full, exported(Tower(folder, Embedding(dtype='float32'), 'cpu'), True, home).image(images))

def report(name:str, full:np.ndarray, other:np.ndarray):
    print(f'{name:44} overlap {overlap(full, other):.3f}, least cosine {(full*other).sum(1).min():.4f}', flush=True)

def small(a, home:Path):
    "ONNX Runtime in float32 and int8 against torch, ViT-B/16."
    folder = random_checkpoint('vit', home/'vit-b', 'b', 224)
    towers = {d: Tower(folder, Embedding(dtype=d), 'cpu') for d in dict.fromkeys(('float32', half_of('cpu') or 'float32'))}
    towers |= {n: exported(Tower(folder, Embedding(dtype='float32'), 'cpu'), n == 'int8', home) for n in ('ONNX Runtime', 'int8')}
    crops = [np.random.default_rng(i).integers(0, 255, (224, 224, 3), dtype=np.uint8) for i in range(32)]
    t = in_turn({n: (lambda e=e: e.image(crops)) for n, e in towers.items()}, a.rounds)
    print('\n## ViT-B/16 on the CPU, crops/s: ' + ', '.join(f'{n} {len(crops)/np.median(v):.1f}' for n, v in t.items()))

def card(a, home:Path):
    "On a graphics card: images/s of the model alone and the share of the card's measured bf16 peak."
    if not torch.cuda.is_available(): return print('\n## No graphics card here: ViT-H/14 and DINOv3-L were not measured')
    n = 8192
    x = torch.randn(n, n, device='cuda', dtype=torch.bfloat16)
    for _ in range(3): x @ x
    torch.cuda.synchronize(); t0 = time.perf_counter()
    for _ in range(20): x @ x
    torch.cuda.synchronize()
    peak = 20*2*n**3/(time.perf_counter() - t0)/1e12
    print(f'\n## {torch.cuda.get_device_name()}: measured bf16 peak {peak:.0f} TFLOP/s (matrix product)')
    for name, family, size, side, patch in (('ViT-H/14', 'clip', 'h', 224, 14), ('DINOv3-L', 'dinov3', 'l', 224, 16)):
        encoder = open_encoder(random_checkpoint(family, home/f'{family}-{size}', size, side, patch))
        images = [np.random.default_rng(i).integers(0, 255, (336, 336, 3), dtype=np.uint8) for i in range(4*encoder.batch)]
        ready = scaled(encoder.prepare(images[:encoder.batch], [None]*encoder.batch), 'cuda', torch.bfloat16)
        call = getattr(encoder.model, 'get_image_features', encoder.model)
        def alone():
            with torch.inference_mode():
                for _ in range(4): call(pixel_values=ready)
            torch.cuda.synchronize()
        alone(); encoder.image(images)
        t = in_turn({'alone': alone, 'whole': lambda: encoder.image(images)}, 5)
        flops = flops_of(encoder, ready[:1])
        rate = {k: len(images)/np.median(v) for k, v in t.items()}
        print(f'{name}: model alone {rate["alone"]:.0f} images/s, {rate["alone"]*flops/1e12/peak:.0%} of the peak; from ready crops {rate["whole"]:.0f} ({rate["whole"]/rate["alone"]:.2f})', flush=True)

def flops_of(encoder, x)->float:
    from torch.utils.flop_counter import FlopCounterMode
    with torch.inference_mode(), FlopCounterMode(display=False) as f: getattr(encoder.model, 'get_image_features', encoder.model)(pixel_values=x)
    return f.get_total_flops()

PARTS = {f.__name__: f for f in (line, sentence, memory, ranks, small, card)}

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('parts', nargs='*', help=f'of {", ".join(PARTS)}; all when none is named')
    for name, default in (('photos', 200), ('heavy', 24), ('drawings', 10), ('crops', 8), ('workers', 2), ('naive', 40), ('clip', 96), ('batches', 8), ('rounds', 3), ('many', 500), ('ranked', 400), ('threads', 2), ('seed', 0)): ap.add_argument(f'--{name}', type=int, default=default)
    for name in ('data', 'out', 'encoder'): ap.add_argument(f'--{name}')
    ap.add_argument('--only', nargs='*', help='rows of line, such as "ViT-B/16, int8"')
    ap.add_argument('--weights', nargs='*')
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    warnings.simplefilter('ignore')
    from transformers.utils import logging
    logging.set_verbosity_error(); logging.disable_progress_bar()
    with tempfile.TemporaryDirectory() as home:
        if a.parts == ['one']: return one(a, Path(home))
        if set(a.parts) - set(PARTS): ap.error(f'parts are {", ".join(PARTS)}')
        print(versions() + f', seed {a.seed}')
        for part in a.parts or PARTS: PARTS[part](a, Path(home))

if __name__ == '__main__': main()
