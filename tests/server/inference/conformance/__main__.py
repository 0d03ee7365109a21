"""Judge a server: python -m tests.server.inference.conformance URL --grpc ADDRESS [--only TEXT]."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from tests.server.inference.conformance import foreign, raw_grpc, raw_http, triton_grpc, triton_http
from tests.server.inference.conformance.checks import Check, Target


def all_checks() -> list[Check]:
    """Every check that can be run here."""
    others = [check for client in foreign.NAMES for check in foreign.Foreign(client).checks()]
    return [*triton_http.checks(), *triton_grpc.checks(), *raw_http.checks(), *raw_grpc.checks(), *others]


def failure(check: Check, target: Target) -> str:
    """What is wrong; empty where the sentence holds."""
    try:
        check.run(target)
    except Exception as error:  # noqa: BLE001  # A foreign server may fail in any way.
        return f"{type(error).__name__}: {str(error)[:300]}"
    return ""


def main() -> int:
    """Run the checks; 0 when all hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--grpc", default="", help="host:port; without it the checks over gRPC fail")
    parser.add_argument("--only", default="", help="only checks whose sentence or group has this text in it")
    words = parser.parse_args()
    target = Target(words.url.rstrip("/"), words.grpc.removeprefix("grpc://"))
    passed: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for check in all_checks():
        if words.only not in f"{check.group}: {check.sentence}":
            continue
        wrong = failure(check, target)
        total[check.group] += 1
        passed[check.group] += not wrong
        if wrong:
            sys.stdout.write(f"FAILED {check.group}: {check.sentence}\n       {wrong}\n")
    for group, count in total.items():
        sys.stdout.write(f"{group}: {passed[group]} of {count}\n")
    sys.stdout.write(f"passed {passed.total()} of {total.total()}\n")
    return 0 if passed == total else 1


if __name__ == "__main__":
    sys.exit(main())
