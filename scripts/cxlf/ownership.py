# SPDX-License-Identifier: GPL-2.0-or-later
"""What hosts hold by their ownership logs: cxl-cluster log."""

import json
import time

from . import cluster, qmp, ui

LIMIT = 65536                   # of ranges, and of pages that do not match
# A page that a running host is about to map, or has just given up, is in one
# of both only.  So one is an error that does not match in each of these looks.
LOOKS = 5
PAUSE = 0.2
PATIENCE = 30
NOTHING = "nobody has joined as host"


def _key(page):
    return page["gfam"], page["dpa"], page["log"], page["directory"]


def _ask(one, host):
    """The log of a host, or None where there is none."""
    try:
        return qmp.call(one.place("owner.qmp"), "x-query-cxl-fabric-log",
                        PATIENCE, host=host, limit=LIMIT)
    except ui.UserError as error:
        if NOTHING in str(error):
            return None
        raise


def staying(looks):
    """What of several looks at one log is an error.

    (bad slots, pages that do not match): each as it was in all looks.
    """
    pages = {_key(page): page for page in looks[-1]["mismatches"]}
    for look in looks[:-1]:
        if look["incarnation"] != looks[-1]["incarnation"] or \
                look["state"] != looks[-1]["state"]:
            return 0, []        # it is not the host that it was
        pages = {key: page for key, page in pages.items()
                 if key in map(_key, look["mismatches"])}
    return min(look["bad"] for look in looks), list(pages.values())


def is_clean(log):
    """Whether a single look says that all is well."""
    return not (log["bad"] or log["unlogged"] or log["unheld"])


def verdict(looks):
    """The errors of a log, as sentences."""
    log, errors = looks[-1], []
    bad, pages = staying(looks)
    if bad:
        errors.append(f"{bad} of {log['slots']} slots are bad")
    if log["state"] in ("free", "recovering") and log["unlogged"]:
        errors.append(f"{log['unlogged']} pages that it had when it died "
                      "were not in its log")
    for page in pages:
        errors.append(f"gfam{page['gfam']}:{page['dpa']:#x} is "
                      f"{_held(page['log'])} by its log, "
                      f"{_held(page['directory'])} by the directory")
    return errors


def _held(how):
    return "not held" if how == "not" else how


def _look(one, host, verify):
    """The looks at a host's log; several, while something is wrong."""
    looks = []
    while True:
        log = _ask(one, host)
        if log is None:
            return []
        looks.append(log)
        if not verify or is_clean(log) or len(looks) == LOOKS:
            return looks
        time.sleep(PAUSE)


def render(log, errors=None):
    """A log for people; `errors` is None where nobody has looked for any."""
    state = log["state"]
    text = [f"host {log['host']} ({'dead' if state == 'free' else state}, "
            f"incarnation {log['incarnation']}): {log['pages']} pages in "
            f"{log['slots']} slots, {log['bad']} bad"]
    if log["ranges"]:
        rows = [["range", "bytes", "held"]]
        rows += [[f"gfam{r['gfam']}:{r['dpa']:#x}", r["length"], r["held"]]
                 for r in log["ranges"]]
        text += ui.table(rows).split("\n")
    if log["ranges-left-out"]:
        text.append(f"and {log['ranges-left-out']} more ranges")
    if errors is not None:
        text += [f"wrong: {error}" for error in errors] or [
            "it agrees with the directory"]
    return "\n".join(text)


def main(args):
    """cxl-cluster log, from its parsed options."""
    one = cluster.Cluster(args.name)
    state = cluster.fabric_state(one)
    if args.host is not None and not 0 <= args.host < state["hosts"]:
        raise ui.UserError(f"host {args.host}: accepts 0 to "
                           f"{state['hosts'] - 1}")
    if not one.alive("owner"):
        raise ui.UserError("the fabric's owner is not running")
    wrong = False
    hosts = range(state["hosts"]) if args.host is None else [args.host]
    for host in hosts:
        looks = _look(one, host, args.verify)
        if not looks:
            if args.json:
                print(json.dumps({"host": host, "pages": 0, "ranges": []}))
            else:
                print(f"host {host}: nobody has joined, or it has left")
            continue
        errors = verdict(looks) if args.verify else None
        wrong |= bool(errors)
        if args.json:
            more = {} if errors is None else {"errors": errors}
            print(json.dumps({**looks[-1], **more}), flush=True)
        else:
            print(render(looks[-1], errors), flush=True)
    return 1 if wrong else 0
