# SPDX-License-Identifier: GPL-2.0-or-later
"""Counters as part of every result: did the traffic cross the fabric?

A right answer proves nothing about coherence when the accesses went around
the directory.  The checks here compare what the counters gained with what a
workload must at least have caused.
"""

ACCESSES = ("read-hit", "write-hit", "read-miss", "write-miss", "upgrade")
# What mapped pages cost: none of it is counted for an access.
PAGES = ("page-fault", "page-mapped", "page-prefetched", "page-revoked",
         "message", "doorbell", "promotion", "demotion", "view-flush",
         "machine-check")
# A locked read-modify-write reaches the agent as a load and a store.
PER_ATOMIC = 2
# A page that is asked for is decided once, and once more when its owner's
# answer came late.
PER_PAGE = 2
SLACK = 16


def gained(before, after):
    """{host: {counter: gain}}; both are {host: {counter: count}}."""
    return {host: {name: count - before.get(host, {}).get(name, 0)
                   for name, count in counters.items()}
            for host, counters in after.items()}


def accesses(counters):
    """The accesses that an agent decided, whatever the outcome."""
    return sum(counters.get(name, 0) for name in ACCESSES)


def check_traffic(before, after, known_accesses):
    """What is wrong with the gain of the counters, as a list of sentences.

    `known_accesses` is {host: number}: what each host's workload is known
    to have made at least, on lines that all these hosts contend for.  The
    hosts must be quiet when the counters are read.
    """
    wrong = []
    gain = gained(before, after)
    # Pages of HOT that a host had to itself were mapped for a while, and
    # what is mapped is not counted; but every host used them.
    moved = any(counters.get(name, 0) for counters in gain.values()
                for name in ("promotion", "demotion"))
    for host, known in sorted(known_accesses.items()):
        counters = gain.get(host)
        if counters is None:
            wrong.append(f"host {host} has no counters")
            continue
        for name, count in sorted(counters.items()):
            if count < 0:
                wrong.append(f"host {host}: {name} went back by {-count}")
        seen = accesses(counters)
        if moved:
            known, seen = min(known, 1), seen + counters.get("page-fault", 0)
        if seen < known:
            wrong.append(f"host {host} made at least {known} accesses, and "
                         f"its agent counted {seen}")
        if len(known_accesses) > 1:
            if known and not counters.get("bisnp-received", 0):
                wrong.append(f"host {host} contended and received no "
                             "back-invalidate")
            if known and not (counters.get("read-miss", 0)
                              + counters.get("write-miss", 0)
                              + counters.get("upgrade", 0)):
                wrong.append(f"host {host} contended and never missed")
    sent = sum(c.get("bisnp-sent", 0) for c in gain.values())
    received = sum(c.get("bisnp-received", 0) for c in gain.values())
    if sent != received:
        wrong.append(f"{sent} back-invalidates were sent and {received} "
                     "received")
    return wrong


def check_still(gain, hosts):
    """What is wrong in a steady state: nothing at all may be counted."""
    return [f"host {host}: {name} grew by {gain[host][name]}"
            for host in hosts for name in (*ACCESSES, *PAGES, "refusal",
                                           "bulk-trapped")
            if gain[host].get(name, 0)]


def check_pages(gain, hosts, moved=True, each=True):
    """What is wrong if these hosts used pages that have owners.

    Each faulted for what it did not own, or some did (`each`); with `moved`,
    what one lost to another crossed by messages; and what was decided was
    decided for pages, not for accesses.
    """
    wrong = []
    for host in hosts:
        counters = gain[host]
        decided = accesses(counters)
        limit = PER_PAGE * (counters.get("page-fault", 0) +
                            counters.get("page-mapped", 0)) + SLACK
        if decided > limit:
            wrong.append(f"host {host}: {decided} accesses were decided, "
                         f"and at most {limit} for its pages")
        if counters.get("bulk-trapped", 0):
            wrong.append(f"host {host}: bulk-trapped grew by "
                         f"{counters['bulk-trapped']}")
    if moved:
        wrong += check_crossed(gain, hosts, each)
    else:
        wrong += check_faulted(gain, hosts)
    return wrong


def check_faulted(gain, hosts):
    """What is wrong if each of these hosts was to need a page."""
    return [f"host {host} had no {name}" for host in hosts
            for name in ("page-fault", "page-mapped")
            if not gain[host].get(name, 0)]


def check_crossed(gain, hosts, each=True):
    """What is wrong if pages were to go from host to host."""
    wrong = check_faulted(gain, hosts)
    if not each and len(wrong) < 2 * len(hosts):
        wrong = []
    for name in ("page-revoked", "message"):
        if not sum(counters.get(name, 0) for counters in gain.values()):
            wrong.append(f"no host counted {name}")
    return wrong


def check_used(gain, hosts):
    """What is wrong if these hosts were to use HOT, alone or together."""
    return [f"host {host} used no line and no page" for host in hosts
            if not accesses(gain[host]) and
            not gain[host].get("page-fault", 0)]
