"""The lab's nodes, as the benchmark wrote them down."""

import json
import os
from pathlib import Path

WORK = Path(os.environ["BENCH_WORK"])
BENCH = json.loads((WORK / "variables.json").read_text())

nodes = [
    (
        name,
        {
            "ssh_hostname": address,
            "ssh_user": "root",
            "ssh_key": BENCH["identity"],
            "ssh_known_hosts_file": BENCH["known_hosts"],
            "ssh_strict_host_key_checking": "yes",
            **BENCH,
        },
    )
    for name, address in BENCH["addresses"].items()
]
