"""Many questions to a server that misbehaves: none lost, none answered twice, no hang, memory flat.

Each question first meets a fault (error status, HTML, a cut reply, broken JSON, silence, a byte now and then), some get answers that don't fit the schema, and some never get one. The run is
stopped half-way and taken up again. Needs fastapi and uvicorn.
    python benchmarks/ask.py --questions 500 --at-once 8
"""
import argparse, json, platform, re, resource, tempfile, threading, time
from pathlib import Path

import numpy as np

from mmrag_nb.chat import Chat, ask_checked, ask_many, read_lines
from mmrag_nb.core import versions
from mmrag_nb.domain import AnalyzerSpec, load_domain
from mmrag_nb.finding import answer_model, answer_schema
from mmrag_nb.loopback import chat_app, serving
from mmrag_nb.prompt import Ask, messages

FAULTS = ('500', 'html', 'cut', 'not json', 'empty', '429', 'no choices', 'drip', 'slow')
GOOD = json.dumps({'analysis': 'A dent.', 'damage_detected': True, 'damage_types': ['dent'], 'location': {}, 'severity': None, 'confidence': .9, 'evidence': []})

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--questions', type=int, default=500); ap.add_argument('--at-once', type=int, default=8); ap.add_argument('--seconds', type=float, default=2.); ap.add_argument('--seed', type=int, default=0)
    a = ap.parse_args()
    print(f'python {platform.python_version()}, ' + ', '.join(f'{k} {v}' for k, v in versions().items()) + f', seed {a.seed}')
    domain = load_domain('vehicles')
    model = answer_model(domain)
    schema, picture = answer_schema(model), np.random.default_rng(a.seed).integers(0, 255, (600, 800, 3), np.uint8)
    keys, path = [f'question {i}' for i in range(a.questions)], Path(tempfile.mkdtemp())/'answers.jsonl'
    app, sizes = chat_app(unreliable), []
    with serving(app) as url:
        chat = Chat(AnalyzerSpec(url=url, model='unreliable', seconds=a.seconds), wait=.05)
        def ask(key):
            if int(key.split()[1]) % (a.questions//4) == a.questions//5: sizes.append(memory())
            return {'asked': key, **ask_checked(chat, messages(Ask(domain, picture, key), schema), model, schema)[0].model_dump(include={'damage_types'})}
        t0 = time.perf_counter()
        ask_many(keys[:a.questions//2], ask, path, a.at_once)
        with open(path, 'ab') as f: f.write(b'{"key": "question 9')     # as a kill leaves it
        found = ask_many(keys, ask, path, a.at_once)
    report(keys, found, read_lines(path), app, time.perf_counter() - t0, sizes)

def unreliable(body: dict, before: int) -> str:
    texts = ' '.join(p['text'] for m in body['messages'] if isinstance(m['content'], list) for p in m['content'] if p['type'] == 'text')
    n = int(re.search(r'question (\d+)', texts)[1])
    if n % 50 == 49: return 'I would rather not.'
    if before == 0 and n % 3: return FAULTS[n % len(FAULTS)]
    return GOOD.replace('dent"]', 'rust"]') if n % 10 == 0 and len(body['messages']) == 2 else GOOD

def memory() -> tuple[int, int]:
    "Resident now, and the most so far, MB."
    now = int(Path('/proc/self/statm').read_text().split()[1])*resource.getpagesize() if Path('/proc/self/statm').exists() else 0
    return round(now/2**20), round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024)

def report(keys, found, lines, app, seconds, sizes):
    results = [l['key'] for l in lines if 'result' in l]
    rows = {'questions': len(keys), 'results': sum('result' in f for f in found), 'clear failures': sum('error' in f for f in found), 'in order': [f['key'] for f in found] == keys, 'lost': len(set(keys) - {f['key'] for f in found}),
            'answered twice': len(results) - len(set(results)), 'with another\'s answer': sum(f['result']['asked'] != f['key'] for f in found if 'result' in f), 'requests': sum(app.asked.values()), 'seconds': round(seconds, 1),
            'memory at each quarter, MB': ', '.join(str(now) for now, _ in sizes), 'peak at each quarter, MB': ', '.join(str(most) for _, most in sizes), 'threads left': threading.active_count()}
    for k, v in rows.items(): print(f'{k:28}{v}')

if __name__ == '__main__': main()
