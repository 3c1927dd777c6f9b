#!/usr/bin/env python3
"""Reports everything in each line of the files that docs/json.md does not describe: json-members.py FILE..."""
import json
import pathlib
import re
import sys


def tables():
    page = (pathlib.Path(__file__).resolve().parents[2] / 'docs/json.md').read_text()
    shapes = {}
    for part in page.split('\n### ')[1:]:
        title, _, body = part.partition('\n')
        members = {}
        for name, kind in re.findall(r'^\| `([^`]+)` \| (\S+) \|', body, re.M):
            members[name] = (kind.rstrip('?'), kind.endswith('?'))
        for kind in re.findall(r'`([^` ]+)`', title.split(' of ')[0]):
            shapes.setdefault(kind, []).append(members)
    return shapes


def is_of(value, kind, shapes):
    """Returns what is wrong with a value that should have a kind; None if nothing is."""
    if kind in ('string', 'path'):
        right = isinstance(value, str)
    elif kind == 'time':
        right = isinstance(value, str) and ('T' in value or value.startswith('@'))
    elif kind == 'id':
        right = isinstance(value, str) and re.fullmatch('[0-9a-f]{32}', value)
    elif kind in ('strings', 'paths'):
        right = isinstance(value, list) and all(isinstance(each, str) for each in value)
    elif kind == 'boolean':
        right = isinstance(value, bool)
    elif kind == 'integer':
        right = isinstance(value, int) and not isinstance(value, bool)
    elif kind == 'number':
        right = isinstance(value, (int, float)) and not isinstance(value, bool)
    else:
        return complaint(value, kind, shapes) if isinstance(value, dict) else f'is no {kind}'
    return None if right else f'is no {kind}: {value!r}'


def flatten(value, start, members, found):
    for name, inner in value.items():
        path = start + name
        if path in members:
            found.setdefault(path, []).append(inner)
        elif isinstance(inner, dict):
            flatten(inner, path + '.', members, found)
        elif isinstance(inner, list) and any(each.startswith(path + '[]') for each in members):
            for element in inner:
                if path + '[]' not in members and isinstance(element, dict):
                    flatten(element, path + '[].', members, found)
                else:
                    found.setdefault(path + '[]', []).append(element)
        else:
            found.setdefault(path, []).append(inner)


def differs(value, members, shapes):
    members = dict(members)
    if '...' in members:
        members = {**shapes[members.pop('...')[0]][0], **members}
    found = {}
    flatten(value, '', members, found)
    for path, values in found.items():
        if path in members:
            for each in values:
                fault = is_of(each, members[path][0], shapes)
                if fault:
                    return f'{path} {fault}'
        elif not (path.endswith('_base64') and members.get(path[:-7], ('',))[0] in ('path', 'paths')):
            return f'{path} is in no table'
    for path, (_, is_optional) in members.items():
        if not is_optional and path not in found and '[]' not in path:
            return f'{path} is missing'
    return None


def complaint(value, kind, shapes):
    if kind not in shapes:
        return f'there is no table for {kind}'
    faults = [differs(value, members, shapes) for members in shapes[kind]]
    return None if None in faults else f'{kind}: {"; or ".join(faults)}'


def main():
    shapes = tables()
    status = 0
    for name in sys.argv[1:]:
        for line in open(name, encoding='utf-8', errors='replace'):
            try:
                value = json.loads(line)
            except ValueError:
                # Other programs may write lines in between, so a line that is not JSON is skipped here. Other checks
                # ensure that lines are JSON.
                continue
            # The output of `cat` is not a message.
            if not isinstance(value, dict) or 'message_type' not in value:
                continue
            fault = complaint({key: value[key] for key in value if key != 'message_type'}, value['message_type'], shapes)
            if fault:
                print(f'{name}: {fault}', file=sys.stderr)
                status = 1
    sys.exit(status)


main()
