"""A scraper in a process of its own: asks for a page once, and prints what came as JSON.

python benchmarks/scraper.py URL ACCEPT ACCEPT_ENCODING
"""

import gzip
import json
import sys
import urllib.request

if __name__ == "__main__":
    url, accept, encoding = sys.argv[1:]
    request = urllib.request.Request(url, headers={"Accept": accept, "Accept-Encoding": encoding})  # noqa: S310  # our own
    with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310  # our own
        body = response.read()
        found = response.headers.get("Content-Encoding", "identity")
    assert gzip.decompress(body) if found == "gzip" else body, "an empty page"
    json.dump({"type": response.headers["Content-Type"], "encoding": found}, sys.stdout)
