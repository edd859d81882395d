"""Measure the catalogue, write its page, or say what is no longer so.

python -m catalogue               measure everything; write computed.json and docs/computed.md
python -m catalogue measure PART  print what the layers of a part compute, as JSON
python -m catalogue check PART    print what is no longer as written; "page" is a part too
"""

from __future__ import annotations

import json
import sys

from catalogue import check, page, parts


def main(arguments: list[str]) -> int:
    """Run one of the commands above; the exit status is 1 if something is not as written."""
    match arguments:
        case []:
            page.write({part: parts.measured_apart(part) for part in parts.PARTS})
        case ["measure", part]:
            parts.prepare(part)
            print(json.dumps(parts.measured_here(part)))
        case ["check", part]:
            parts.prepare(part)
            problems = list(check.problems(part))
            sys.stdout.writelines(f"{problem}\n" for problem in problems)
            return int(bool(problems))
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


sys.exit(main(sys.argv[1:]))
