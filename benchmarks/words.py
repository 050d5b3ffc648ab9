"How long words take: questions into filters, labels into kinds, crops into texts. `python benchmarks/words.py --repeat 5`."
import argparse, platform, time
from pathlib import Path

import pandas as pd, rapidfuzz
from mmrag_nb.context import describe
from mmrag_nb.filters import normalize_where
from mmrag_nb.questions import parse_question
from mmrag_nb.taxonomy import Taxonomy

NOTEBOOKS = Path(__file__).resolve().parent.parent/'nbs'

def row(taxonomy, zone, kinds):
    "A row of the crops table."
    value = taxonomy.domain.fields['zone'].by_name()[zone]
    found = [dict(kind=k, x0=40*i, y0=9, x1=40*i + 30, y1=39) for i, k in enumerate(kinds)]
    return dict(zone=zone, area=value.area, part=value.parts['center'], place='center', has_damage=bool(kinds), severity='minor' if kinds else None, defects=found)

def each(call, items, repeat):
    "Microseconds of CPU an item: the first time, and the best of the repetitions."
    times = []
    for _ in range(repeat + 1):
        start = time.process_time()
        for x in items: call(x)
        times.append(1e6*(time.process_time() - start)/len(items))
    return times[0], min(times[1:])

def main():
    ap = argparse.ArgumentParser(description=__doc__)
    ap.add_argument('--repeat', type=int, default=5)
    a = ap.parse_args()
    print(f'python {platform.python_version()}, pandas {pd.__version__}, rapidfuzz {rapidfuzz.__version__}; no randomness')
    print(f'{"":52}{"first, us":>12}{"again, us":>12}')
    def show(what, call, items): print(f'{what:52}' + ''.join(f'{t:12.1f}' for t in each(call, items, a.repeat)))
    show('building the taxonomy of vehicles', lambda _: Taxonomy('vehicles'), [0])
    t = Taxonomy('vehicles')
    questions = pd.concat(pd.read_csv(NOTEBOOKS/f'questions_{n}.tsv', sep='\t', keep_default_na=False) for n in ('seen', 'held_out')).question.tolist()
    show(f'question into filter ({len(questions)} questions)', lambda q: parse_question(t, q), questions)
    labels = [f(w) for k in t.kinds.values() for ws in k.words.values() for w in ws for f in (str, str.upper, lambda x: x[:-2] + x[-1:] + x[-2:-1])]
    show(f'label into kind ({len(labels)} labels, a third with a typo)', lambda l: t.normalize(l, 'kind', strict=False), labels)
    show('filter into columns and canonical values', lambda w: normalize_where(t, w), [{'zone': 'capó', 'damage_type': ['rayones', 'dent']}, {'or': [{'area': 'rear'}, {'severity': {'min': 'moderate'}}]}])
    crops = [row(t, z, k) for z in t.terms['zone'] for k in ((), ('dent',), ('dent', 'dent', 'crack'), tuple(t.kinds))]
    show('crop into text', lambda c: describe(t, c), crops)

if __name__ == '__main__': main()
