"""Compute Engine for a no-op: every project has the same rules, as the embedded cloud holds them after a sync."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from bench.servers.http import Answer, Request, serve

LIST = re.compile(r"/compute/v1/projects/([a-z0-9-]+)/global/firewalls(?:\?|$)")


def main() -> None:
    """Serve until the end."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("answer", type=Path, help="the list of one project's rules, as JSON")
    parser.add_argument("project", help="that project's id, which stands in the answer")
    parser.add_argument("latency", type=float)
    asked = parser.parse_args()
    rendered, there = asked.answer.read_bytes(), asked.project.encode()

    def respond(request: Request) -> Answer:
        found = LIST.match(request.path)
        if not found:
            error = json.dumps({"error": {"code": 404, "message": f"{request.path} is no read of a no-op"}})
            return Answer("?", error.encode(), status="404 Not Found", media="application/json")
        body = rendered.replace(there, found[1].encode())
        return Answer("firewalls.list", body, media="application/json; charset=UTF-8")

    serve(respond, asked.latency)


if __name__ == "__main__":
    main()
