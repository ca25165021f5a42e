"""Writes a copy of kernels with one mistake of mutations.txt in it: mutate.py LIST NUMBER GPU_CUDA OUT

OUT gets all files of gpu/cuda, so that a mistake in a header is everybody's. What is to be changed
must stand there, else the mistake is none; `text@n` is its n-th place, else it is the only one.
"""
import pathlib
import shutil
import sys


def mutations(path):
    found = []
    for line in path.read_text().splitlines():
        if line.startswith('= '):
            found.append({'name': line[2:]})
        elif line[:1] in '-+' and found:
            found[-1][line[0]] = line[1:]
    return found


def main():
    listed, number, source, out = sys.argv[1:]
    m = mutations(pathlib.Path(listed))[int(number)]
    name, files, _ = (part.strip() for part in m['name'].split(' | '))
    target = pathlib.Path(out) / 'gpu/cuda'
    target.mkdir(parents=True, exist_ok=True)
    for path in pathlib.Path(source).iterdir():
        if path.suffix in ('.cu', '.h'):
            shutil.copy(path, target / path.name)
    changed = target / files.split()[0]
    text = changed.read_text()
    old, _, place = m['-'].partition('@')
    count = text.count(old)
    if count == 0 or (count > 1 and not place):
        sys.exit(f'{name}: {files.split()[0]} has "{old}" {count} times: change mutations.txt')
    at = -1
    for _ in range(int(place or 1)):
        at = text.index(old, at + 1)
    changed.write_text(text[:at] + m['+'] + text[at + len(old):])


main()
