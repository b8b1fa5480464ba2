"""Compare frugal's tokenizers with Hugging Face's on text, document by document: ids, offsets and
decoded text. Not run by the tests: it needs the Python packages numpy and tokenizers, and text.

    tests/peers/compare_tokenizers.py --program build/tests/peers/encode_documents \
        TOKENIZER... --text FILE... [--cases FOLDER] [--limit BYTES] [--show N]

TOKENIZER is a tokenizer.json, or a folder with one (or with a file peer.json beside older files:
what the peer makes of them). Text files are cut into documents of many sizes, half of which get the
special tokens around them. Differing documents are shortened to minimal cases and written to
FOLDER/*.json.

Documents with characters that Python's Unicode tables do not know are counted apart ("newer"):
libraries of different ages disagree about what is a letter there.
"""
import argparse
import json
import os
import random
import subprocess
import sys
import unicodedata

import numpy
from tokenizers import Tokenizer

ADD_SPECIAL = 4


def documents(path, limit, seed):
    """Pieces of a file of many sizes, most of them short, none cut inside a character."""
    text = open(path, encoding='utf-8', newline='').read()
    rng, at, taken = random.Random(seed), 0, 0
    while at < len(text) and (not limit or taken < limit):
        size = rng.choice([1, 3, 10, 30, 100, 100, 300, 300, 1000, 1000, 3000, 10000])
        end = min(len(text), at + rng.randrange(1, 2 * size + 1))
        if rng.random() < 0.5:  # most texts end with a line
            line = text.find('\n', end)
            end = line + 1 if 0 <= line < end + 2000 else end
        yield text[at:end]
        taken += len(text[at:end].encode())
        at = end


class Refused(Exception):
    """What frugal says of a tokenizer that it does not load."""


def ours(program, tokenizer, texts, flags):
    """Ids, begins, ends and decoded bytes of each text, or the message."""
    data = bytearray()
    for text, flag in zip(texts, flags):
        data += len(text).to_bytes(4, 'little') + flag.to_bytes(4, 'little') + text
    done = subprocess.run([program, tokenizer], input=bytes(data), capture_output=True)
    if done.returncode:
        raise Refused(done.stderr.decode().strip())
    out, at, results = done.stdout, 0, []

    def number():
        nonlocal at
        at += 4
        return int.from_bytes(out[at - 4:at], 'little')

    def numbers(count, kind):
        nonlocal at
        at += 4 * count
        return numpy.frombuffer(out, kind, count, at - 4 * count)

    while at < len(out):
        if number():
            size = number()
            results.append(out[at:at + size].decode())
        else:
            count = number()
            result = [numbers(count, kind) for kind in ('<i4', '<u4', '<u4')]
            size = number()
            results.append(result + [out[at:at + size]])
        at += size
    return results


def to_characters(text, begins, ends):
    """Byte offsets as character offsets; a part of a character counts as the whole."""
    starts = numpy.frombuffer(text, 'u1') & 0xC0 != 0x80
    number = numpy.concatenate([[0], numpy.cumsum(starts)])  # characters that begin before byte i
    inside = numpy.concatenate([~starts, [False]])
    return number[begins] - inside[begins], number[ends]


def difference(text, encoding, decoded, result):
    """What differs for one document, None when nothing does."""
    if isinstance(result, str):
        return 'error', result
    ids, begins, ends, back = result
    if encoding.ids != ids.tolist():
        return 'ids', encoding.ids, ids.tolist()
    first, last = to_characters(text, begins, ends)
    offsets = list(zip(first.tolist(), last.tolist()))
    if encoding.offsets != offsets:
        return 'offsets', encoding.offsets, offsets
    if decoded != back.decode('utf-8', 'replace'):
        return 'decoded', decoded, back.decode('utf-8', 'replace')
    return None


class Comparison:
    def __init__(self, program, path):
        folder = path if os.path.isdir(path) else os.path.dirname(path)
        file = path
        if os.path.isdir(path):
            names = ['tokenizer.json', 'peer.json']
            file = next(f for f in (os.path.join(folder, n) for n in names) if os.path.exists(f))
        self.program, self.path = program, path
        self.peer = Tokenizer.from_file(file)
        self.peer.no_truncation()
        self.peer.no_padding()

    def differences(self, texts, flags):
        raw = [text.encode() for text in texts]
        results = ours(self.program, self.path, raw, flags)
        encodings = [None] * len(texts)
        for flag in set(flags):
            chosen = [i for i, f in enumerate(flags) if f == flag]
            for i, e in zip(chosen, self.peer.encode_batch([texts[i] for i in chosen],
                                                           add_special_tokens=bool(flag))):
                encodings[i] = e
        decoded = self.peer.decode_batch([e.ids for e in encodings], skip_special_tokens=False)
        return [difference(*each) for each in zip(raw, encodings, decoded, results)]

    def shorten(self, text, flag, kind):
        """A short text that still differs in the same way."""
        step = len(text) // 2
        while step:
            tries = [text[:i] + text[i + step:] for i in range(0, len(text), step)][:64]
            found = [t for t, d in zip(tries, self.differences(tries, [flag] * len(tries)))
                     if d and d[0] == kind]
            if found:
                text = found[0]
                step = min(step, max(1, len(text) // 2))
                if len(text) == 1:
                    break
            else:
                step //= 2
        return text


def is_newer(text):
    return any(unicodedata.category(c) == 'Cn' for c in text)


def compare(arguments, path):
    comparison = Comparison(arguments.program, path)
    counts, shown = {'documents': 0, 'bytes': 0, 'newer': 0}, 0
    for number, file in enumerate(arguments.text):
        texts = list(documents(file, arguments.limit, number))
        for begin in range(0, len(texts), 4000):
            batch = texts[begin:begin + 4000]
            flags = [ADD_SPECIAL * (i % 2) for i in range(len(batch))]
            for text, flag, found in zip(batch, flags, comparison.differences(batch, flags)):
                counts['documents'] += 1
                counts['bytes'] += len(text.encode())
                if not found:
                    continue
                if is_newer(text):
                    counts['newer'] += 1
                    continue
                counts[found[0]] = counts.get(found[0], 0) + 1
                if shown < arguments.show:
                    shown += 1
                    report(arguments, comparison, path, file, text, flag, found, shown)
    print(os.path.basename(os.path.normpath(path)), json.dumps(counts), flush=True)
    return not any(kind in counts for kind in ('error', 'ids', 'offsets', 'decoded'))


def report(arguments, comparison, path, file, text, flag, found, number):
    text = comparison.shorten(text, flag, found[0])
    found = comparison.differences([text], [flag])[0]
    case = {'tokenizer': path, 'file': file, 'add_special': bool(flag), 'text': text,
            'what': found[0], 'peer': found[1], 'ours': found[2] if len(found) > 2 else None}
    line = json.dumps(case, ensure_ascii=True)
    print(line[:600], flush=True)
    if arguments.cases:
        os.makedirs(arguments.cases, exist_ok=True)
        name = os.path.basename(os.path.normpath(path)).replace('.json', '')
        with open(os.path.join(arguments.cases, f'{name}_{found[0]}_{number}.json'), 'w') as out:
            out.write(line + '\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('tokenizers', nargs='+')
    parser.add_argument('--program', required=True)
    parser.add_argument('--text', nargs='+', required=True)
    parser.add_argument('--cases')
    parser.add_argument('--limit', type=int, default=0, help='bytes of each file; 0: all')
    parser.add_argument('--show', type=int, default=5, help='differences to shorten and show')
    arguments = parser.parse_args()
    fine = True
    for path in arguments.tokenizers:
        try:
            fine = compare(arguments, path) and fine
        except Refused as refused:
            print(f'refused: {refused}', flush=True)
            fine = False
    sys.exit(0 if fine else 1)


main()
